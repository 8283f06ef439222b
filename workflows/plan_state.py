"""How the loop of a payment plan sees its plan, and how an operator does."""

from google.protobuf.message import Message

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyStanding as Known
from workflows.operator_view import day_text, yuan
from workflows.penalty_state import heading, in_force, plan_of, trailer, waiting

STAGES = {
    money.Plan.STATE_UNSPECIFIED: "未知",
    money.Plan.STATE_ACTIVE: "按期缴款",
    money.Plan.STATE_IN_GRACE: "宽限期",
    money.Plan.STATE_BREACHED: "已违约",
    money.Plan.STATE_COMPLETED: "已缴清",
    money.Plan.STATE_REVOKED: "方案已撤销",
    money.Plan.STATE_RESCHEDULED: "方案已变更",
    money.Plan.STATE_CANCELLED: "方案已终止",
}
INSTALMENTS = {
    money.Instalment.STATE_DUE: "待缴",
    money.Instalment.STATE_PAID: "已缴",
    money.Instalment.STATE_OVERDUE: "逾期",
    money.Instalment.STATE_CANCELLED: "不再执行",
}
KINDS = {money.PLAN_KIND_DEFERRAL: "延期", money.PLAN_KIND_INSTALMENTS: "分期"}
OPEN = (money.Instalment.STATE_DUE, money.Instalment.STATE_OVERDUE)


def replaced(known: Known) -> bool:
    """Whether another plan took its place."""
    other = known.standing.plan not in (0, known.plan.number)
    return other or known.plan.state == money.Plan.STATE_RESCHEDULED


def ends(number: int, message: Message) -> bool:
    """Whether the plan of that number ended with an event, or before."""
    plan = plan_of(message)
    return plan is not None and (plan.number > number or not in_force(plan))


def stage(plan: money.Plan) -> str:
    """Where the plan stands, in a word."""
    return STAGES[plan.state]


def details(loop: Loop) -> str:
    """The loop in Markdown: what is due next, and the whole schedule."""
    plan, standing = loop.known.plan, loop.known.standing
    lines = [*heading(loop), f"- 第 {plan.number} 号{KINDS[plan.kind]}方案：**{stage(plan)}**"]
    if following := next_instalment(plan):
        lines.append(
            f"- 下一期：第 {following.number} 期，"
            f"**{day_text(following.deadline.due_date)}**前缴 "
            f"**{yuan(following.amount_fen - following.paid_fen)} 元**"
        )
    if plan.HasField("pledge"):
        done, required = plan.pledge.done_tenths / 10, plan.pledge.required_tenths / 10
        lines.append(f"- 志愿服务：{done:g}/{required:g} 小时")
    open_ = [] if replaced(loop.known) else waiting(standing.deadlines)
    return "\n".join([*lines, *open_, *trailer(loop), "", *schedule(plan)])


def next_instalment(plan: money.Plan) -> money.Instalment | None:
    """What is to be paid next, while the plan is in force."""
    unpaid = (each for each in plan.instalments if each.state in OPEN)
    return next(unpaid, None) if in_force(plan) else None


def schedule(plan: money.Plan) -> list[str]:
    """Its payments as a table."""
    rows = [
        f"| {each.number} | {day_text(each.deadline.due_date)} | {yuan(each.amount_fen)} "
        f"| {INSTALMENTS[each.state]} | {yuan(each.paid_fen)} |"
        for each in plan.instalments
    ]
    return ["| 期 | 缴款日 | 金额（元） | 状态 | 已缴（元） |", "|---|---|---:|---|---:|", *rows]

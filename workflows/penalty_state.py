"""What the loops of a penalty case know of it, folded from events, and how an operator sees it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta
from typing import get_args

from google.protobuf.message import Message
from temporalio import workflow

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyStanding as Known
from bihuan.types.v1.deadline_pb2 import Deadline
from services.penalty import proceeding
from services.penalty.evolve import Event
from workflows import search_attributes as sa
from workflows.operator_view import day_text, troubles, yuan

EVENTS: tuple[type[Message], ...] = get_args(Event)
SECOND = timedelta(seconds=1)
# What the loop of a plan waits for; everything else is the case's.
OF_PLANS = frozenset({pb.DUTY_INSTALMENT, pb.DUTY_GRACE, pb.DUTY_BREACH, pb.DUTY_VOLUNTEER_SERVICE})
ENDED = frozenset({pb.STATE_NOT_FILED, pb.STATE_CLOSED, pb.STATE_WITHDRAWN})
STAGES = {
    pb.STATE_UNSPECIFIED: "未知",
    pb.STATE_CLUE: "线索待立案",
    pb.STATE_NOT_FILED: "不予立案",
    pb.STATE_INVESTIGATING: "调查取证",
    pb.STATE_INVESTIGATED: "待告知",
    pb.STATE_NOTIFIED: "已告知",
    pb.STATE_HEARING: "听证",
    pb.STATE_TO_DECIDE: "待决定",
    pb.STATE_DECIDED: "待送达",
    pb.STATE_PAYING: "待缴款",
    pb.STATE_ENFORCING: "申请强制执行",
    pb.STATE_PERFORMED: "待结案",
    pb.STATE_CLOSED: "已结案",
    pb.STATE_WITHDRAWN: "已撤销",
}
PARTIES = {
    pb.PARTY_UNSPECIFIED: "无",
    pb.PARTY_OFFICER: "承办人员",
    pb.PARTY_RESPONDENT: "当事人",
}
COURT = "法院"
# Rights that hold nobody up while they last.
REMEDIES = frozenset({pb.DUTY_RECONSIDERATION, pb.DUTY_SUIT})
DUTIES = {
    pb.DUTY_FILING: "决定是否立案",
    pb.DUTY_DECISION: "作出处理决定",
    pb.DUTY_STATEMENT: "陈述申辩",
    pb.DUTY_HEARING_REQUEST: "要求听证",
    pb.DUTY_APOLOGY: "申请道歉承诺从轻",
    pb.DUTY_SERVICE: "送达决定书",
    pb.DUTY_PUBLICATION: "公开处罚决定",
    pb.DUTY_PUBLICATION_WITHDRAWAL: "撤回公开",
    pb.DUTY_PAYMENT: "缴纳罚款",
    pb.DUTY_RECONSIDERATION: "申请行政复议",
    pb.DUTY_SUIT: "提起行政诉讼",
    pb.DUTY_DEMAND: "按催告履行",
    pb.DUTY_COURT_APPLICATION: "申请法院强制执行",
    pb.DUTY_REINSPECTION: "复查",
    pb.DUTY_APPLICATION_REVIEW: "审查延期（分期）申请",
    pb.DUTY_INSTALMENT: "缴纳分期款",
    pb.DUTY_GRACE: "在宽限期内补缴",
    pb.DUTY_BREACH: "处理违约",
    pb.DUTY_VOLUNTEER_SERVICE: "完成志愿服务",
}


def known_of(case: pb.PenaltyCase, plan_number: int) -> Known:
    """What a loop needs to know of a case: the loop of the plan of that number, or of the case if it is 0."""
    known = Known(
        name=case.name,
        version=int(case.etag),
        district=case.violation.district,
        summary=case.violation.summary,
        uscc=case.respondent.uscc,
        display_name=_name(case.respondent),
        officer=case.officer,
        standing=_of_loop(case.standing, plan_number),
    )
    if plan_number:
        known.plan.CopyFrom(trimmed(case.plans[plan_number - 1]))
    return known


def fold(loop: Loop, messages: Sequence[Message]) -> None:
    """Take an event into `loop`, in place."""
    for message in messages:
        _fold(loop, message)


def _fold(loop: Loop, message: Message) -> None:
    known = loop.known
    match message:
        case ev.ClueRegistered():
            known.name = message.name
            known.district = message.violation.district
            known.summary = message.violation.summary
            known.uscc = message.respondent.uscc
            known.display_name = _name(message.respondent)
            known.officer = message.occurrence.actor
        case ev.CaseFiled():
            known.officer = message.occurrence.actor
    occurrence: ev.Occurrence = message.occurrence  # type: ignore[attr-defined]
    known.standing.CopyFrom(_of_loop(occurrence.standing, loop.plan_number))
    if loop.plan_number:
        _fold_plan(loop, message)


def _fold_plan(loop: Loop, message: Message) -> None:
    plan = plan_of(message)
    if plan is None:
        return
    if plan.number == loop.plan_number:
        loop.known.plan.CopyFrom(trimmed(plan))
    elif plan.number > loop.plan_number and in_force(loop.known.plan):
        loop.known.plan.state = money.Plan.STATE_RESCHEDULED


def plan_of(message: Message) -> money.Plan | None:
    """The plan that an event carries."""
    carries = "plan" in message.DESCRIPTOR.fields_by_name and message.HasField("plan")
    return message.plan if carries else None  # type: ignore[attr-defined]


def plan_number_of(message: Message) -> int:
    """The number of the plan that an event is about, or during which it happened; 0 for none."""
    plan = plan_of(message)
    occurrence: ev.Occurrence = message.occurrence  # type: ignore[attr-defined]
    return plan.number if plan else occurrence.standing.plan


def plan_numbers_of(message: Message) -> set[int]:
    """The plans whose loops want an event: its own, the one in force, and one that it replaces."""
    occurrence: ev.Occurrence = message.occurrence  # type: ignore[attr-defined]
    numbers = {plan_number_of(message), occurrence.standing.plan}
    if isinstance(message, ev.PlanGranted):
        numbers.add(message.plan.number - 1)
    return numbers - {0}


def in_force(plan: money.Plan) -> bool:
    """Whether the plan still runs, breached or not."""
    running = (money.Plan.STATE_ACTIVE, money.Plan.STATE_IN_GRACE, money.Plan.STATE_BREACHED)
    return plan.state in running


def trimmed(plan: money.Plan) -> money.Plan:
    """The plan without what the log has and no loop needs."""
    small = money.Plan()
    small.CopyFrom(plan)
    del small.rules[:]
    if plan.HasField("pledge"):
        del small.pledge.services[:], small.pledge.deadline.steps[:]
    for each in small.instalments:
        each.deadline.CopyFrom(Deadline(due_date=each.deadline.due_date))
    return small


def _of_loop(standing: pb.Standing, plan_number: int) -> pb.Standing:
    """Of the deadlines and what is overdue the part that is a loop's, without how it was counted."""
    small = pb.Standing()
    small.CopyFrom(standing)
    del small.deadlines[:], small.overdue[:]
    plan = bool(plan_number)
    small.deadlines.extend(each for each in standing.deadlines if (each.duty in OF_PLANS) == plan)
    small.overdue.extend(duty for duty in standing.overdue if (duty in OF_PLANS) == plan)
    for each in small.deadlines:
        del each.deadline.steps[:]
    return small


def _name(respondent: pb.Respondent) -> str:
    """A person's name is sealed, and nobody's here."""
    return respondent.display_name or "自然人当事人"


def first_open(known: Known) -> pb.OpenDeadline | None:
    """The deadline that ends next."""
    return next(iter(known.standing.deadlines), None)


def waits_for(loop: Loop) -> str:
    """Whose move it is: what the bureau is late with comes first, then what ends next."""
    standing = loop.known.standing
    if any(proceeding.PARTIES[duty] == pb.PARTY_OFFICER for duty in standing.overdue):
        return PARTIES[pb.PARTY_OFFICER]
    for due in standing.deadlines:
        if due.duty not in REMEDIES:
            return PARTIES[due.party]
    if loop.plan_number or standing.state in ENDED:
        return PARTIES[pb.PARTY_UNSPECIFIED]
    if standing.state == pb.STATE_ENFORCING:
        return COURT
    return PARTIES[pb.PARTY_RESPONDENT if standing.plan else pb.PARTY_OFFICER]


def show(loop: Loop, stage: str, details: str) -> None:
    """Put a loop where an operator looks: search attributes and current details."""
    known, following = loop.known, first_open(loop.known)
    workflow.upsert_search_attributes(
        [
            sa.STAGE.value_set(stage),
            sa.WAITING_FOR.value_set(waits_for(loop)),
            sa.ENTERPRISE.value_set(known.uscc) if known.uscc else sa.ENTERPRISE.value_unset(),
            sa.DISTRICT.value_set(known.district),
            sa.OVERDUE.value_set(bool(known.standing.overdue)),
            # Its last second: the instant itself is the next day's midnight in Shanghai.
            sa.DUE.value_set(following.deadline.due_time.ToDatetime(UTC) - SECOND)
            if following
            else sa.DUE.value_unset(),
        ]
    )
    workflow.set_current_details(details)


def stage(loop: Loop) -> str:
    """Where the case stands, in a word."""
    return "中止" if loop.known.standing.suspended else STAGES[loop.known.standing.state]


def details(loop: Loop) -> str:
    """The loop of a case in Markdown."""
    standing = loop.known.standing
    lines = [*heading(loop), f"- 阶段：**{stage(loop)}**", f"- 等待：**{waits_for(loop)}**"]
    if standing.unpaid_fine_fen:
        lines.append(f"- 未缴罚款：**{yuan(standing.unpaid_fine_fen)} 元**")
    if standing.plan:
        plan = f"payment-plan/{loop.case.partition('/')[2]}/{standing.plan}"
        lines.append(f"- 缴款方案：第 {standing.plan} 号，见 `{plan}`")
    return "\n".join([*lines, *waiting(standing.deadlines), *trailer(loop)])


def heading(loop: Loop) -> list[str]:
    """What the loop is about."""
    known = loop.known
    whose = f"**{known.display_name}** `{known.uscc}`" if known.uscc else known.display_name
    return [f"### {known.summary}", f"{whose} · {known.district} · `{known.name}`", ""]


def waiting(deadlines: Iterable[pb.OpenDeadline]) -> list[str]:
    """Open deadlines, a line each."""
    return [
        f"- {DUTIES[each.duty]}（{PARTIES[each.party]}）："
        + (f"{yuan(each.amount_fen)} 元，" if each.amount_fen else "")
        + f"**{day_text(each.deadline.due_date)}**"
        + ("（暂定，待次年节假日安排）" if each.deadline.provisional else "")
        + f"，{each.deadline.rule.citation}"
        for each in deadlines
    ]


def trailer(loop: Loop) -> list[str]:
    """What is overdue, what was reminded of, and what an operator should look into."""
    overdue = [f"- **已逾期**：{DUTIES[duty]}" for duty in loop.known.standing.overdue]
    return [*overdue, f"- 提醒 {loop.reminder_count} 次", *troubles(loop)]

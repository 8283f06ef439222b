"""What the loop of a problem knows, folded from events, and how an operator sees it."""

from collections.abc import Sequence
from datetime import UTC, timedelta

from google.protobuf.message import Message
from temporalio import workflow

from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from bihuan.rectification.v1.problem_loop_pb2 import ProblemStanding as Standing
from bihuan.types.v1.deadline_pb2 import Deadline
from workflows import search_attributes as sa
from workflows.operator_view import day_text, troubles

SECOND = timedelta(seconds=1)
STAGES = {
    pb.STATE_REPORTED: "待核实",
    pb.STATE_UNFOUNDED: "不属实",
    pb.STATE_CONFIRMED: "待下达整改",
    pb.STATE_RECTIFYING: "整改中",
    pb.STATE_SUBMITTED: "待审核",
    pb.STATE_ACCEPTED: "待后评估",
    pb.STATE_EFFECTIVE: "待销号",
    pb.STATE_INEFFECTIVE: "待重新整改",
    pb.STATE_CLOSED: "已销号",
}
PARTIES = {
    pb.PARTY_UNSPECIFIED: "无",
    pb.PARTY_VERIFIER: "核实人员",
    pb.PARTY_OFFICER: "承办人员",
    pb.PARTY_ENTERPRISE: "企业",
    pb.PARTY_ASSESSOR: "评估人员",
}
RISKS = {pb.SEVERITY_MINOR: "轻微", pb.SEVERITY_GENERAL: "一般", pb.SEVERITY_SERIOUS: "严重"}
EVENTS: tuple[type[Message], ...] = (
    ev.ProblemReported,
    ev.ProblemVerified,
    ev.RectificationOrdered,
    ev.RectificationExtended,
    ev.RectificationSubmitted,
    ev.RectificationAccepted,
    ev.RectificationReturned,
    ev.ProblemAssessed,
    ev.ProblemReopened,
    ev.DeadlineMissed,
    ev.ProblemEscalated,
    ev.DeadlinesRecounted,
    ev.ProblemClosed,
)


def fold(loop: Loop, messages: Sequence[Message]) -> None:
    """Take an event into `loop`, in place."""
    for message in messages:
        _fold(loop, message)


def _fold(loop: Loop, message: Message) -> None:
    match message:
        case ev.ProblemReported():
            loop.title = message.title
            loop.enterprise.CopyFrom(message.enterprise)
            loop.district = message.location.district
            loop.severity = message.severity
            loop.reporter = message.reporter
            loop.state = pb.STATE_REPORTED
        case ev.ProblemVerified():
            confirmed = message.verification.confirmed
            loop.state = pb.STATE_CONFIRMED if confirmed else pb.STATE_UNFOUNDED
        case ev.RectificationOrdered():
            loop.state, loop.round = pb.STATE_RECTIFYING, 1
        case ev.ProblemReopened():
            loop.state, loop.round = pb.STATE_RECTIFYING, message.round
        case ev.RectificationReturned():
            loop.state = pb.STATE_RECTIFYING
        case ev.RectificationSubmitted() if message.next_step.step == pb.STEP_REVIEW:
            loop.state = pb.STATE_SUBMITTED
        case ev.RectificationAccepted():
            loop.state = pb.STATE_ACCEPTED
        case ev.ProblemAssessed():
            effective = message.assessment.effective
            loop.state = pb.STATE_EFFECTIVE if effective else pb.STATE_INEFFECTIVE
        case ev.ProblemClosed():
            loop.state = pb.STATE_CLOSED
            loop.ClearField("next_step")
            loop.overdue = False
    _follow(loop, message)


def take_up(loop: Loop, standing: Standing) -> None:
    """Take what the service says instead of what the loop knew."""
    loop.version = standing.version
    loop.title = standing.title
    loop.enterprise.CopyFrom(standing.enterprise)
    loop.district = standing.district
    loop.severity = standing.severity
    loop.reporter = standing.reporter
    loop.state = standing.state
    loop.round = standing.round
    loop.overdue = standing.overdue
    for part in ("next_step", "escalation"):
        loop.ClearField(part)
        if standing.HasField(part):
            getattr(loop, part).CopyFrom(getattr(standing, part))


def _follow(loop: Loop, message: Message) -> None:
    """Whose move it is from now on, and the ladder."""
    if "next_step" in message.DESCRIPTOR.fields_by_name:
        step: pb.NextStep = message.next_step  # type: ignore[attr-defined]
        loop.overdue = step.overdue
        if message.HasField("next_step"):
            loop.next_step.CopyFrom(step)
            trim(loop.next_step.deadline)
        else:
            loop.ClearField("next_step")
    if isinstance(message, ev.ProblemEscalated | ev.DeadlinesRecounted):
        loop.escalation.CopyFrom(message.escalation)
        trim(loop.escalation.next_deadline)
    submitted = isinstance(message, ev.RectificationSubmitted) and loop.state == pb.STATE_SUBMITTED
    if submitted or isinstance(message, ev.ProblemReopened | ev.ProblemClosed):
        loop.ClearField("escalation")
    if loop.HasField("escalation") and not loop.overdue:
        loop.escalation.ClearField("next_deadline")
    if isinstance(message, ev.ProblemEscalated):
        loop.escalation_count += 1


def trim(deadline: Deadline) -> None:
    """How it was counted is in the log; the loop only waits for it."""
    if deadline.steps:
        deadline.ClearField("steps")


def show(loop: Loop) -> None:
    """Put the loop where an operator looks: search attributes and current details."""
    pending = loop.HasField("next_step")
    due = loop.next_step.deadline.due_time.ToDatetime(UTC)
    workflow.upsert_search_attributes(
        [
            sa.STAGE.value_set(STAGES[loop.state]),
            sa.WAITING_FOR.value_set(PARTIES[loop.next_step.party]),
            sa.ENTERPRISE.value_set(loop.enterprise.uscc),
            sa.DISTRICT.value_set(loop.district),
            sa.RISK.value_set(RISKS[loop.severity]),
            sa.OVERDUE.value_set(loop.overdue),
            # Its last second: the instant itself is the next day's midnight in Shanghai.
            sa.DUE.value_set(due - SECOND) if pending else sa.DUE.value_unset(),
        ]
    )
    show_details(loop)


def show_details(loop: Loop) -> None:
    """Show what no search attribute tells."""
    workflow.set_current_details(details(loop))


def details(loop: Loop) -> str:
    """The loop in Markdown."""
    lines = [
        f"### {loop.title}",
        f"**{loop.enterprise.display_name}** `{loop.enterprise.uscc}` · {loop.district}",
        "",
        f"- 阶段：**{STAGES[loop.state]}**" + (f"（第 {loop.round} 轮）" if loop.round else ""),
    ]
    if loop.HasField("next_step"):
        deadline = loop.next_step.deadline
        provisional = "（暂定，待次年节假日安排）" if deadline.provisional else ""
        lines += [
            f"- 等待：**{PARTIES[loop.next_step.party]}**",
            f"- 期限：**{day_text(deadline.due_date)}**{provisional}"
            + ("，**已逾期**" if loop.overdue else ""),
            f"- 依据：{deadline.rule.citation}",
        ]
        further = [
            day for day in loop.next_step.open_deadlines if day.due_time != deadline.due_time
        ]
        if further:
            lines.append("- 另有期限：" + "、".join(day_text(day.due_date) for day in further))
    if loop.escalation.level:
        lines.append(f"- 升级处置：第 {loop.escalation.level} 级 {loop.escalation.measure}")
    lines.append(f"- 提醒 {loop.reminder_count} 次，升级 {loop.escalation_count} 次")
    return "\n".join([*lines, *troubles(loop)])

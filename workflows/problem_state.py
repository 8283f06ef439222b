"""What the loop of a problem knows, folded from events, and how an operator sees it."""

from datetime import UTC, datetime

from google.protobuf.message import Message
from temporalio import workflow

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from rules.clock import legal_date
from workflows import search_attributes as sa

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
EVENTS = {
    message.DESCRIPTOR.full_name: message
    for message in (
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
}


def payload(event: Event) -> Message:
    """The event as the message it carries. KeyError for a type this loop does not know."""
    return EVENTS[event.payload.TypeName()].FromString(event.payload.value)


def fold(loop: Loop, event: Event, message: Message) -> None:
    """Take `event` into `loop`, in place."""
    loop.last_position = event.position
    loop.last_event_id = event.id
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
        case ev.DeadlineMissed():
            loop.overdue = True
    _follow(loop, message)


def take_up(loop: Loop, problem: pb.Problem) -> None:
    """Take what never changes from the problem itself."""
    loop.title = problem.title
    loop.enterprise.CopyFrom(problem.enterprise)
    loop.district = problem.location.district
    loop.severity = problem.severity
    loop.reporter = problem.reporter


def _follow(loop: Loop, message: Message) -> None:
    """Whose move it is from now on, and the ladder."""
    if "next_step" in message.DESCRIPTOR.fields_by_name:
        step: pb.NextStep = message.next_step  # type: ignore[attr-defined]
        loop.overdue = step.overdue
        if message.HasField("next_step"):
            loop.next_step.CopyFrom(step)
        else:
            loop.ClearField("next_step")
    if isinstance(message, ev.ProblemEscalated | ev.DeadlinesRecounted):
        loop.escalation.CopyFrom(message.escalation)
    if isinstance(message, ev.RectificationSubmitted) and loop.state == pb.STATE_SUBMITTED:
        loop.ClearField("escalation")
    if isinstance(message, ev.ProblemEscalated):
        loop.escalation_count += 1


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
            sa.DUE.value_set(due) if pending else sa.DUE.value_unset(),
        ]
    )
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
            f"- 期限：**{due_text(loop)}**{provisional}" + ("，**已逾期**" if loop.overdue else ""),
            f"- 依据：{deadline.rule.citation}",
        ]
    if loop.escalation.level:
        lines.append(f"- 升级处置：第 {loop.escalation.level} 级 {loop.escalation.measure}")
    lines.append(f"- 提醒 {loop.reminder_count} 次，升级 {loop.escalation_count} 次")
    return "\n".join(lines)


def due_text(loop: Loop) -> str:
    """The last day in time, as a person writes it."""
    due = loop.next_step.deadline.due_date
    return f"{due.year}年{due.month}月{due.day}日"


def alarm_summary(loop: Loop, kind: str, at: datetime) -> str:
    """What a timer waits for, in a line."""
    what = {"remind": "提醒", "due": "到期", "escalate": "升级"}[kind]
    step = pb.Step.Name(loop.next_step.step).removeprefix("STEP_").lower()
    return f"{what} {step}（{PARTIES[loop.next_step.party]}）{legal_date(at)}"

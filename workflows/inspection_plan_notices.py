"""Whom the loop of a plan of inspections tells what, by event.

Each text follows from the event alone, and from what never changes of a plan: told again, by a loop that
knows more, it is the same.
"""

from collections.abc import Iterable

from google.protobuf.message import Message

from bihuan.inspection.v1 import plan_events_pb2 as ev
from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1.plan_loop_pb2 import PlanLoop as Loop
from bihuan.notification.v1 import notice_pb2 as nb
from workflows.inspection_plan_state import DUTIES, occurrence
from workflows.operator_view import day_text

PLANNER, DECIDER, SUPERVISOR = "desks/planner", "desks/decider", "desks/supervisor"
MOVERS = {pb.PLAN_STATE_SUBMITTED: DECIDER, pb.PLAN_STATE_APPROVED: PLANNER}
TITLE, BODY = 200, 4000  # characters that a notice holds


def on_event(loop: Loop, message: Message) -> list[nb.SendNoticeRequest]:
    """What to send of an event; request ids are still to come."""
    return list(_on_event(loop, message))


def reminder(loop: Loop) -> list[nb.SendNoticeRequest]:
    """A reminder to whoever must act."""
    standing = loop.known.standing
    day = day_text(standing.deadline.due_date)
    title = f"提醒：{DUTIES[standing.state]}的期限至{day}届满"
    return [_due(loop, standing, nb.NOTICE_KIND_REMINDER, title)]


def _on_event(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    standing = occurrence(message).standing
    match message:
        case ev.PlanSubmitted() | ev.PlanApproved():
            title = f"请于{day_text(standing.deadline.due_date)}前{DUTIES[standing.state]}"
            opinion = message.opinion if isinstance(message, ev.PlanApproved) else ""
            yield _due(loop, standing, nb.NOTICE_KIND_TASK, title, opinion)
        case ev.PlanReturned():
            yield _draft(loop, PLANNER, nb.NOTICE_KIND_TASK, "计划已退回，请修改", message.opinion)
        case ev.PlanPublished():
            title = "检查计划已公布，任务可以分发"
            yield _draft(loop, PLANNER, nb.NOTICE_KIND_INFORMATION, title, message.publication)
        case ev.PlanWithdrawn():
            for recipient in (PLANNER, SUPERVISOR):
                title = "检查计划已撤销"
                yield _draft(loop, recipient, nb.NOTICE_KIND_INFORMATION, title, message.reason)
        case ev.PlanDeadlinePassed():
            title = f"逾期：{day_text(standing.deadline.due_date)}前未{DUTIES[standing.state]}"
            for recipient in (MOVERS[standing.state], SUPERVISOR):
                yield _draft(loop, recipient, nb.NOTICE_KIND_OVERDUE, title)
        case ev.PlanDeadlineRecounted():
            title = f"期限重算：{DUTIES[standing.state]}至{day_text(standing.deadline.due_date)}"
            yield _due(loop, standing, nb.NOTICE_KIND_INFORMATION, title, "节假日安排已公布")


def _due(
    loop: Loop,
    standing: ev.PlanStanding,
    kind: nb.NoticeKind.ValueType,
    title: str,
    body: str = "",
) -> nb.SendNoticeRequest:
    notice = _draft(loop, MOVERS[standing.state], kind, title, body)
    notice.due_time.CopyFrom(standing.deadline.due_time)
    return notice


def _draft(
    loop: Loop, recipient: str, kind: nb.NoticeKind.ValueType, title: str, body: str = ""
) -> nb.SendNoticeRequest:
    return nb.SendNoticeRequest(
        recipient=recipient,
        kind=kind,
        title=f"{title}（{loop.known.title}）"[:TITLE],
        body=body[:BODY],
        subject=loop.plan,
    )

"""Whom the loop of a problem tells what, by event.

Each text follows from the event alone, and from what never changes of a problem: told again, by a loop
that knows more, it is the same.
"""

from urllib.parse import quote

from google.protobuf.message import Message
from google.type.date_pb2 import Date

from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from workflows.operator_view import day_text

SUPERVISOR = "desks/supervisor"
DESKS = {
    pb.PARTY_VERIFIER: "desks/verifier",
    pb.PARTY_OFFICER: "desks/officer",
    pb.PARTY_ASSESSOR: "desks/assessor",
}
STEPS = {
    pb.STEP_VERIFY: "核实",
    pb.STEP_ORDER: "下达整改",
    pb.STEP_RECTIFY: "完成整改并提交",
    pb.STEP_REVIEW: "审核整改结果",
    pb.STEP_ASSESS: "开展后评估",
    pb.STEP_REOPEN: "重新下达整改",
    pb.STEP_CLOSE: "销号",
}


def on_event(loop: Loop, message: Message) -> list[nb.SendNoticeRequest]:
    """What to send of an event of the loop's problem; request ids are still to come."""
    enterprise = f"enterprises/{loop.enterprise.uscc}"
    reporter = f"officers/{quote(loop.reporter, safe='')}"
    match message:
        case ev.ProblemVerified() if not message.verification.confirmed:
            return [_inform(loop, reporter, "经核实不属实", message.verification.reasons)]
        case ev.RectificationOrdered() | ev.ProblemReopened():
            measures = "\n".join(f"{item.id}. {item.measure}" for item in message.items)
            body = f"依据{message.order.legal_basis}，责令完成下列整改事项：\n{measures}"
            notice = _draft(loop, enterprise, nb.NOTICE_KIND_SERVICE, "责令改正", body)
            return [_due(notice, message.next_step)]
        case ev.RectificationExtended():
            due = day_text(message.extensions[0].deadline.due_date)
            return [_inform(loop, enterprise, f"整改期限延至{due}", message.reason)]
        case ev.RectificationReturned():
            return [_task(loop, message.next_step, f"整改被退回：{message.reasons}")]
        case ev.RectificationAccepted():
            return [
                _inform(loop, enterprise, "整改审核通过", message.reasons),
                _task(loop, message.next_step),
            ]
        case ev.DeadlineMissed():
            return [
                _overdue(loop, recipient, message)
                for recipient in (mover(loop, message.party), SUPERVISOR)
            ]
        case ev.ProblemEscalated():
            title = f"逾期升级：{message.escalation.measure}"
            return [
                _draft(loop, recipient, nb.NOTICE_KIND_ESCALATION, title, message.reason)
                for recipient in (enterprise, SUPERVISOR)
            ]
        case ev.DeadlinesRecounted():
            return [_recounted(loop, message)]
        case ev.ProblemClosed():
            return [
                _inform(loop, recipient, "问题已销号", message.conclusion)
                for recipient in (enterprise, reporter)
            ]
        case _:
            return [_task(loop, message.next_step)]  # type: ignore[attr-defined]


def reminder(loop: Loop, due_date: Date) -> list[nb.SendNoticeRequest]:
    """A reminder to whoever must act until `due_date`."""
    step = loop.next_step
    title = f"提醒：请于{day_text(due_date)}前{STEPS[step.step]}"
    notice = _draft(loop, mover(loop, step.party), nb.NOTICE_KIND_REMINDER, title)
    for day in step.open_deadlines:
        if day.due_date == due_date:
            notice.due_time.CopyFrom(day.due_time)
    return [notice]


def mover(loop: Loop, party: pb.Party.ValueType) -> str:
    """The inbox of whoever must act."""
    if party == pb.PARTY_ENTERPRISE:
        return f"enterprises/{loop.enterprise.uscc}"
    return DESKS[party]


def _task(loop: Loop, step: pb.NextStep, body: str = "") -> nb.SendNoticeRequest:
    title = f"请于{day_text(step.deadline.due_date)}前{STEPS[step.step]}"
    notice = _draft(loop, mover(loop, step.party), nb.NOTICE_KIND_TASK, title, body)
    return _due(notice, step)


def _inform(loop: Loop, recipient: str, title: str, body: str) -> nb.SendNoticeRequest:
    return _draft(loop, recipient, nb.NOTICE_KIND_INFORMATION, title, body)


def _overdue(loop: Loop, recipient: str, missed: ev.DeadlineMissed) -> nb.SendNoticeRequest:
    title = f"逾期：{day_text(missed.due_date)}前未{STEPS[missed.step]}"
    return _draft(loop, recipient, nb.NOTICE_KIND_OVERDUE, title)


def _recounted(loop: Loop, message: ev.DeadlinesRecounted) -> nb.SendNoticeRequest:
    step = message.next_step
    title = f"期限重算为{day_text(step.deadline.due_date)}"
    lines = [f"第{each.item_id}项：{day_text(each.deadline.due_date)}" for each in message.items]
    return _inform(loop, mover(loop, step.party), title, "\n".join(["节假日安排已公布", *lines]))


def _draft(
    loop: Loop, recipient: str, kind: nb.NoticeKind.ValueType, title: str, body: str = ""
) -> nb.SendNoticeRequest:
    return nb.SendNoticeRequest(
        recipient=recipient,
        kind=kind,
        title=f"{title}（{loop.title}）"[:200],
        body=body[:4000],
        subject=loop.problem,
    )


def _due(notice: nb.SendNoticeRequest, step: pb.NextStep) -> nb.SendNoticeRequest:
    notice.due_time.CopyFrom(step.deadline.due_time)
    return notice

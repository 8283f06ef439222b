"""Whom the loop of a problem tells what, by event."""

from urllib.parse import quote

from google.protobuf.message import Message

from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from workflows.problem_state import due_text

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
    """What to send once `message` is folded into `loop`; request ids are still to come."""
    enterprise = f"enterprises/{loop.enterprise.uscc}"
    reporter = f"officers/{quote(loop.reporter, safe='')}"
    match message:
        case ev.ProblemVerified() if not message.verification.confirmed:
            return [_inform(loop, reporter, "经核实不属实", message.verification.reasons)]
        case ev.RectificationOrdered() | ev.ProblemReopened():
            measures = "\n".join(f"{item.id}. {item.measure}" for item in message.items)
            body = f"依据{message.order.legal_basis}，责令完成下列整改事项：\n{measures}"
            return [_draft(loop, enterprise, nb.NOTICE_KIND_SERVICE, "责令改正", body, due=True)]
        case ev.RectificationExtended():
            return [_inform(loop, enterprise, f"整改期限延至{due_text(loop)}", message.reason)]
        case ev.RectificationReturned():
            return [_task(loop, enterprise, f"整改被退回：{message.reasons}")]
        case ev.RectificationAccepted():
            return [
                _inform(loop, enterprise, "整改审核通过", message.reasons),
                _task(loop, mover(loop)),
            ]
        case ev.DeadlineMissed():
            return [_overdue(loop, mover(loop)), _overdue(loop, SUPERVISOR)]
        case ev.ProblemEscalated():
            return [
                _draft(
                    loop,
                    recipient,
                    nb.NOTICE_KIND_ESCALATION,
                    f"逾期升级：{message.escalation.measure}",
                    message.reason,
                )
                for recipient in (enterprise, SUPERVISOR)
            ]
        case ev.DeadlinesRecounted():
            return [_inform(loop, mover(loop), f"期限重算为{due_text(loop)}", "节假日安排已公布")]
        case ev.ProblemClosed():
            return [
                _inform(loop, recipient, "问题已销号", message.conclusion)
                for recipient in (enterprise, reporter)
            ]
        case _:
            return [_task(loop, mover(loop))]


def reminder(loop: Loop) -> list[nb.SendNoticeRequest]:
    """A reminder to whoever must act."""
    title = f"提醒：请于{due_text(loop)}前{STEPS[loop.next_step.step]}"
    return [_draft(loop, mover(loop), nb.NOTICE_KIND_REMINDER, title, due=True)]


def mover(loop: Loop) -> str:
    """The inbox of whoever must act."""
    if loop.next_step.party == pb.PARTY_ENTERPRISE:
        return f"enterprises/{loop.enterprise.uscc}"
    return DESKS[loop.next_step.party]


def _task(loop: Loop, recipient: str, body: str = "") -> nb.SendNoticeRequest:
    title = f"请于{due_text(loop)}前{STEPS[loop.next_step.step]}"
    return _draft(loop, recipient, nb.NOTICE_KIND_TASK, title, body, due=True)


def _inform(loop: Loop, recipient: str, title: str, body: str) -> nb.SendNoticeRequest:
    return _draft(loop, recipient, nb.NOTICE_KIND_INFORMATION, title, body)


def _overdue(loop: Loop, recipient: str) -> nb.SendNoticeRequest:
    title = f"逾期：{due_text(loop)}前未{STEPS[loop.next_step.step]}"
    return _draft(loop, recipient, nb.NOTICE_KIND_OVERDUE, title)


def _draft(
    loop: Loop,
    recipient: str,
    kind: nb.NoticeKind.ValueType,
    title: str,
    body: str = "",
    due: bool = False,
) -> nb.SendNoticeRequest:
    request = nb.SendNoticeRequest(
        recipient=recipient,
        kind=kind,
        title=f"{title}（{loop.title}）"[:200],
        body=body[:4000],
        subject=loop.problem,
    )
    if due:
        request.due_time.CopyFrom(loop.next_step.deadline.due_time)
    return request

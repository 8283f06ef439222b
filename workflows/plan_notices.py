"""Whom the loop of a payment plan tells what, by event: texts as in penalty_notices."""

from collections.abc import Iterable

from google.protobuf.message import Message

from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
from workflows.operator_view import day_text, yuan
from workflows.penalty_notices import (
    INFORMATION,
    OFFICER,
    SERVICE,
    SUPERVISOR,
    TASK,
    draft,
    merged,
    overdue,
    party,
    recounted,
    reminder,
    until,
    what,
)
from workflows.penalty_state import OF_PLANS, plan_number_of, plan_of

PLEDGE = frozenset({pb.DUTY_VOLUNTEER_SERVICE})

__all__ = ["on_event", "reminder"]


def on_event(loop: Loop, message: Message) -> list[nb.SendNoticeRequest]:
    """What to send of an event of the loop's plan; request ids are still to come."""
    if plan_number_of(message) != loop.plan_number:
        return []
    return merged([*_terms(loop, message), *_payment(loop, message), *_time(loop, message)])


def _terms(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.PlanGranted():
            lines = [*_schedule(message.plan), *until(message.occurrence, PLEDGE)]
            title = f"同意延期（分期）缴纳罚款{message.document.number}"
            yield draft(loop, party(loop), SERVICE, title, "\n".join(lines))
        case ev.PlanRevoked():
            title = f"延期（分期）缴纳已撤销{message.document.number}"
            due = day_text(message.term.due_date)
            body = f"{message.reasons}\n未缴部分于{due}到期，次日起加处罚款"
            yield draft(loop, party(loop), SERVICE, title, body)
            yield draft(loop, SUPERVISOR, INFORMATION, title, message.reasons)
        case ev.BreachExcused():
            yield draft(loop, party(loop), INFORMATION, "缴款方案继续执行", message.reasons)
        case ev.RemedyConcluded() if message.plan.state == money.Plan.STATE_CANCELLED:
            yield draft(loop, party(loop), INFORMATION, "缴款方案随处罚决定终止")


def _payment(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.PaymentRecorded() if plan_of(message):
            title = f"收到缴款 {yuan(message.payment.amount_fen)} 元"
            completed = message.plan.state == money.Plan.STATE_COMPLETED
            left = "方案已全部履行" if completed else f"方案尚余 {yuan(_left(message.plan))} 元"
            body = f"票据 {message.payment.reference}\n{left}"
            yield draft(loop, party(loop), INFORMATION, title, body)
            if completed:
                yield draft(loop, OFFICER, INFORMATION, "缴款方案已全部履行")
        case ev.VolunteerServiceRecorded():
            done, required = message.plan.pledge.done_tenths, message.plan.pledge.required_tenths
            title = f"志愿服务已记录，累计 {done / 10:g}/{required / 10:g} 小时"
            yield draft(loop, party(loop), INFORMATION, title)


def _time(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.DeadlinePassed() if message.deadline.duty in OF_PLANS:
            for notice in overdue(loop, message.deadline):
                notice.body = "\n".join(until(message.occurrence, {pb.DUTY_GRACE}))
                yield notice
            for due in message.occurrence.standing.deadlines:
                if due.duty == pb.DUTY_BREACH:
                    title = f"请于{day_text(due.deadline.due_date)}前{what(due)}"
                    notice = draft(loop, OFFICER, TASK, title)
                    notice.due_time.CopyFrom(due.deadline.due_time)
                    yield notice
        case ev.DeadlinesRecounted():
            yield from recounted(loop, message, of_plan=True)


def _schedule(plan: money.Plan) -> list[str]:
    return [
        f"第{each.number}期：{day_text(each.deadline.due_date)}前缴 {yuan(each.amount_fen)} 元"
        for each in plan.instalments
    ]


def _left(plan: money.Plan) -> int:
    return sum(each.amount_fen - each.paid_fen for each in plan.instalments)

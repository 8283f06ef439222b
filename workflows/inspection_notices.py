"""Whom the loop of an inspection tells what, by event: desks of departments, the enterprise, the supervisor.

Each text follows from the event alone, and from what never changes of an inspection: told again, by a loop
that knows more, it is the same. The enterprise hears nothing before the visit has begun.
"""

from collections.abc import Iterable

from google.protobuf.message import Message

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionLoop as Loop
from bihuan.notification.v1 import notice_pb2 as nb
from workflows.inspection_state import FOLLOWED_UP, lead_of, name_of
from workflows.inspection_words import ANSWERS, DUTIES, OUTCOMES
from workflows.operator_view import day_text
from workflows.penalty_notices import BODY, TITLE, merged

SUPERVISOR = "desks/supervisor"
TASK, SERVICE = nb.NOTICE_KIND_TASK, nb.NOTICE_KIND_SERVICE
INFORMATION, OVERDUE = nb.NOTICE_KIND_INFORMATION, nb.NOTICE_KIND_OVERDUE
ANSWERED = frozenset({pb.ANSWER_ACCEPTED, pb.ANSWER_PENDING})


def on_event(loop: Loop, message: Message) -> list[nb.SendNoticeRequest]:
    """What to send of an event of the loop's inspection; request ids are still to come."""
    return merged(
        [
            *_arrangement(loop, message),
            *_code(loop, message),
            *_visit(loop, message),
            *_time(loop, message),
        ]
    )


def _arrangement(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.InspectionOpened():
            yield from _invitations(loop, message)
            yield from _arranged(loop, message.occurrence)
        case ev.InvitationAnswered():
            why = f"理由：{message.reason}" if message.reason else ""
            title = f"{_name(loop, message.department)}{ANSWERS[message.answer]}"
            yield draft(loop, lead(loop), INFORMATION, title, why)
            yield from _arranged(loop, message.occurrence)
        case ev.PrecheckMade() if message.occurrence.standing.state == pb.STATE_OFF_SITE:
            for recipient in _taking_part(loop):
                yield draft(loop, recipient, INFORMATION, "数据已答复全部事项，无需到场检查")
        case ev.InspectionApproved() if message.approval.disapproved:
            for recipient in (lead(loop), SUPERVISOR):
                title = "紧急检查未获追认"
                yield draft(loop, recipient, INFORMATION, title, message.approval.opinion)
        case ev.InspectionApproved() if message.occurrence.standing.state == pb.STATE_APPROVED:
            yield draft(loop, lead(loop), TASK, "检查已批准，请申领检查码")
        case ev.InspectionCancelled():
            for recipient in _taking_part(loop):
                yield draft(loop, recipient, INFORMATION, "检查已取消", message.reason)


def _invitations(loop: Loop, message: ev.InspectionOpened) -> Iterable[nb.SendNoticeRequest]:
    """Those that are asked through Nexus are not asked by notice as well."""
    by_nexus = {each.department for each in message.participants if each.nexus_endpoint}
    items = {
        each.department: "、".join(item.display_name for item in each.items)
        for each in message.participants
    }
    span = f"{day_text(message.from_date)}至{day_text(message.to_date)}"
    for due in message.occurrence.standing.deadlines:
        if due.duty == pb.DUTY_ANSWER and due.department not in by_nexus:
            title = f"请于{day_text(due.deadline.due_date)}前答复联合检查邀请"
            body = f"检查日期：{span}\n检查事项：{items.get(due.department, '')}"
            yield _dated(draft(loop, due.department, TASK, title, body), due)


def _arranged(loop: Loop, occurrence: ev.Occurrence) -> Iterable[nb.SendNoticeRequest]:
    """Once it is settled who takes part, the lead goes on."""
    if occurrence.standing.state != pb.STATE_ARRANGED:
        return
    title = "参加部门已确定，请派员并报批"
    notice = draft(loop, lead(loop), TASK, title)
    for due in occurrence.standing.deadlines:
        if due.duty == pb.DUTY_VISIT:
            _dated(notice, due)
    yield notice


def _code(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.CodeIssued():
            spot = message.code.on_the_spot_reason
            title = f"{'当场' if spot else ''}赋码 {message.code.id}，请持码检查"
            for each in message.ordinals:
                body = [f"本年度对该企业第 {each.visit_of_year} 次检查"]
                if each.cap and each.capped_visit_of_year:
                    body.append(f"计入上限的第 {each.capped_visit_of_year} 次，上限 {each.cap} 次")
                yield draft(loop, each.department, TASK, title, "\n".join(body))
            if spot:
                yield from _tasks(loop, message.occurrence, pb.DUTY_REVIEW)
                yield draft(loop, SUPERVISOR, INFORMATION, "未经审批当场赋码", spot)
        case ev.CodeRevoked():
            for recipient in _taking_part(loop):
                title = f"检查码 {message.code} 已撤销"
                yield draft(loop, recipient, INFORMATION, title, message.reason)


def _visit(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.InspectionStarted():
            body = f"检查码 {message.start.code}，扫码可以核验检查人员、事项和依据，并评价本次检查"
            yield draft(loop, enterprise(loop), INFORMATION, "检查已经开始", body)
            yield from _tasks(loop, message.occurrence, pb.DUTY_RESULT)
        case ev.ResultRecorded():
            yield from _tasks(loop, message.occurrence, pb.DUTY_REPORT)
        case ev.InspectionReported():
            yield draft(loop, enterprise(loop), SERVICE, "检查结果告知", message.report)
            yield from _tasks(loop, message.occurrence, pb.DUTY_HANDOVER)
        case ev.FindingHandedOver():
            found = (each for each in loop.known.inspection.findings if each.id == message.finding)
            for finding in found:
                title = f"第 {finding.id} 项发现已{OUTCOMES[finding.outcome]}"
                recipient = finding.department
                yield draft(loop, recipient, INFORMATION, title, message.handed_over_to)


def _time(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.DeadlinePassed() if message.deadline.duty == pb.DUTY_ANSWER:
            accepted = message.answer == pb.ANSWER_ACCEPTED
            title = f"{_name(loop, message.deadline.department)}{ANSWERS[pb.ANSWER_TIMED_OUT]}"
            title += "，视为参加" if accepted else "，视为不参加"
            for recipient in (lead(loop), message.deadline.department):
                yield draft(loop, recipient, INFORMATION, title)
            yield from _arranged(loop, message.occurrence)
        case ev.DeadlinePassed() if message.missed:
            day = day_text(message.deadline.deadline.due_date)
            title = f"逾期：{day}前未{DUTIES[message.deadline.duty]}"
            whose = _name(loop, message.deadline.department)
            for recipient in (message.deadline.department, SUPERVISOR):
                yield draft(loop, recipient, OVERDUE, title, whose)
        case ev.DeadlinesRecounted():
            for due in message.occurrence.standing.deadlines:
                if due.deadline.id in message.deadline_ids:
                    day = day_text(due.deadline.due_date)
                    title = f"期限重算：{DUTIES[due.duty]}至{day}"
                    yield draft(loop, due.department, INFORMATION, title, "节假日安排已公布")


def reminder(loop: Loop, due: pb.OpenDeadline) -> list[nb.SendNoticeRequest]:
    """A reminder to the department that must act."""
    title = f"提醒：{DUTIES[due.duty]}的期限至{day_text(due.deadline.due_date)}届满"
    return [_dated(draft(loop, due.department, nb.NOTICE_KIND_REMINDER, title), due)]


def refused(loop: Loop, finding: pb.Finding) -> list[nb.SendNoticeRequest]:
    """A finding that the loop could not hand over: people see to it. Told again it says the same, so not why,
    which may change.
    """
    title = f"第 {finding.id} 项发现{OUTCOMES[finding.outcome]}未成，请处理"
    return [draft(loop, finding.department, TASK, title, finding.description)]


def lead(loop: Loop) -> str:
    """The desk of the department that leads."""
    return lead_of(loop.known.inspection).department


def enterprise(loop: Loop) -> str:
    """The inbox of the enterprise."""
    return f"enterprises/{loop.known.inspection.enterprise.uscc}"


def draft(
    loop: Loop, recipient: str, kind: nb.NoticeKind.ValueType, title: str, body: str = ""
) -> nb.SendNoticeRequest:
    """A notice about the inspection."""
    inspection = loop.known.inspection
    return nb.SendNoticeRequest(
        recipient=recipient,
        kind=kind,
        title=f"{title}（{inspection.title}）"[:TITLE],
        body=body[:BODY],
        subject=inspection.name,
    )


def _tasks(
    loop: Loop, occurrence: ev.Occurrence, duty: pb.Duty.ValueType
) -> Iterable[nb.SendNoticeRequest]:
    """What is to be done after an event, by whoever has that duty; not what the loop itself hands over."""
    inspection = loop.known.inspection
    if duty == pb.DUTY_HANDOVER and all(
        each.outcome in FOLLOWED_UP or each.outcome == pb.OUTCOME_GUIDED
        for each in inspection.findings
    ):
        return
    for due in occurrence.standing.deadlines:
        if due.duty == duty:
            title = f"请于{day_text(due.deadline.due_date)}前{DUTIES[duty]}"
            yield _dated(draft(loop, due.department, TASK, title), due)


def _dated(notice: nb.SendNoticeRequest, due: pb.OpenDeadline) -> nb.SendNoticeRequest:
    notice.due_time.CopyFrom(due.deadline.due_time)
    return notice


def _taking_part(loop: Loop) -> list[str]:
    """Desks of the departments that said that they come, or may still say so."""
    return [
        each.department for each in loop.known.inspection.participants if each.answer in ANSWERED
    ]


def _name(loop: Loop, department: str) -> str:
    return name_of(loop.known.inspection, department)

"""Whom the loop of a penalty case tells what, by event.

Each text follows from the event alone, and from what never changes of a case: told again, by a loop that
knows more, it is the same. A natural person has no inbox: the desk in charge is told instead.
"""

from collections.abc import Iterable
from urllib.parse import quote

from google.protobuf.message import Message

from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
from workflows.operator_view import day_text, yuan
from workflows.penalty_state import DUTIES, OF_PLANS, plan_of

OFFICER, SUPERVISOR = "desks/officer", "desks/supervisor"
TASK, SERVICE = nb.NOTICE_KIND_TASK, nb.NOTICE_KIND_SERVICE
INFORMATION, OVERDUE = nb.NOTICE_KIND_INFORMATION, nb.NOTICE_KIND_OVERDUE
TITLE, BODY = 200, 4000  # characters that a notice holds
OUTCOMES = {
    pb.Remedy.OUTCOME_UPHELD: "维持",
    pb.Remedy.OUTCOME_CHANGED: "变更",
    pb.Remedy.OUTCOME_ANNULLED: "撤销",
    pb.Remedy.OUTCOME_WITHDRAWN: "申请人撤回",
}
REMEDIES = {pb.Remedy.KIND_RECONSIDERATION: "行政复议", pb.Remedy.KIND_SUIT: "行政诉讼"}
RULINGS = {
    pb.Enforcement.STATE_ALLOWED: "准予执行",
    pb.Enforcement.STATE_REFUSED: "不予执行",
    pb.Enforcement.STATE_ENDED: "终结执行",
}


def on_event(loop: Loop, message: Message) -> list[nb.SendNoticeRequest]:
    """What to send of an event of the loop's case; request ids are still to come."""
    return merged(
        [
            *_before_decision(loop, message),
            *_defence(loop, message),
            *_decision(loop, message),
            *_collection(loop, message),
            *_time(loop, message),
        ]
    )


def _before_decision(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.ClueRegistered() | ev.CaseFiled():
            yield from tasks(loop, message.occurrence)
        case ev.LimitExtended() | ev.CaseResumed():
            yield from tasks(loop, message.occurrence, {pb.DUTY_FILING, pb.DUTY_DECISION})
        case ev.CaseSuspended():
            yield draft(loop, OFFICER, INFORMATION, "案件中止", message.reason)
        case ev.CaseWithdrawn():
            for recipient in (officer(loop), SUPERVISOR):
                yield draft(loop, recipient, INFORMATION, "案件终结", message.reasons)
        case ev.LegalReviewRecorded() if not message.review.passed:
            yield draft(loop, OFFICER, INFORMATION, "法制审核未通过", message.review.opinion)
        case ev.DiscussionRecorded() if not message.discussion.agreed:
            yield draft(loop, OFFICER, INFORMATION, "集体讨论未同意", message.discussion.minutes)
        case ev.CorrectionOrdered():
            yield _served(loop, message.document.number, "责令改正违法行为")
            yield from tasks(loop, message.occurrence, {pb.DUTY_REINSPECTION})
        case ev.Reinspected() if message.reinspection.refused:
            title = f"复查发现拒不改正，已持续{message.reinspection.days}日"
            for recipient in (OFFICER, SUPERVISOR):
                yield draft(loop, recipient, INFORMATION, title, message.reinspection.findings)


def _defence(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.NoticeServed():
            amount = f"拟处罚款 {yuan(message.proposal.chosen_fen)} 元"
            rights = {pb.DUTY_STATEMENT, pb.DUTY_HEARING_REQUEST, pb.DUTY_APOLOGY}
            lines = [amount, *until(message.occurrence, rights)]
            yield _served(loop, message.document.number, "行政处罚事先告知", *lines)
        case ev.StatementReceived():
            yield draft(loop, OFFICER, TASK, "请复核当事人的陈述申辩")
        case ev.StatementConsidered():
            taken = "已采纳" if message.accepted else "未采纳"
            yield draft(loop, party(loop), INFORMATION, f"陈述申辩{taken}", message.reasons)
        case ev.RightsWaived():
            yield draft(loop, OFFICER, INFORMATION, "当事人放弃陈述申辩和听证")
        case ev.HearingRequested():
            yield draft(loop, OFFICER, TASK, "请组织听证")
        case ev.HearingScheduled():
            day = day_text(message.hearing.hearing_date)
            yield _served(loop, message.document.number, f"听证定于{day}举行")
        case ev.ApologyOffered():
            yield draft(loop, OFFICER, TASK, "请审查道歉承诺从轻申请")
        case ev.ApologyReviewed():
            granted = "已同意" if message.granted else "未同意"
            yield draft(
                loop, party(loop), INFORMATION, f"道歉承诺从轻申请{granted}", message.reasons
            )


def _decision(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.CaseDecided():
            yield from tasks(loop, message.occurrence, {pb.DUTY_SERVICE, pb.DUTY_PUBLICATION})
        case ev.DecisionServed() if message.HasField("account"):
            fine = f"罚款 {yuan(message.account.fine_fen)} 元"
            duties = {pb.DUTY_PAYMENT, pb.DUTY_RECONSIDERATION, pb.DUTY_SUIT}
            yield _served(loop, "", "行政处罚决定", fine, *until(message.occurrence, duties))
        case ev.DecisionServed():
            yield _served(loop, "", "不予行政处罚决定")
        case ev.DecisionPublished():
            yield draft(loop, party(loop), INFORMATION, "处罚决定已公开")
        case ev.PublicationWithdrawn():
            yield draft(loop, party(loop), INFORMATION, "处罚决定已撤回公开", message.reasons)
            yield from tasks(loop, message.occurrence, {pb.DUTY_PUBLICATION})
        case ev.RemedyAccepted():
            title = f"{REMEDIES[message.remedy.kind]}已受理，加处罚款暂停计算"
            for recipient in (officer(loop), SUPERVISOR):
                yield draft(loop, recipient, INFORMATION, title)
        case ev.RemedyConcluded():
            kind, outcome = REMEDIES[message.remedy.kind], OUTCOMES[message.remedy.outcome]
            body = [
                f"罚款 {yuan(message.remedy.fine_fen)} 元",
                *until(message.occurrence, {pb.DUTY_SUIT}),
            ]
            for recipient in (party(loop), officer(loop)):
                title = f"{kind}审结：{outcome}"
                yield draft(loop, recipient, INFORMATION, title, "\n".join(body))
            afterwards = {pb.DUTY_COURT_APPLICATION, pb.DUTY_PUBLICATION_WITHDRAWAL}
            yield from tasks(loop, message.occurrence, afterwards)


def _collection(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.DemandServed():
            lines = until(message.occurrence, {pb.DUTY_DEMAND})
            yield _served(loop, message.document.number, "督促履行义务催告", *lines)
        case ev.EnforcementApplied():
            amount = f"申请执行 {yuan(message.enforcement.amount_fen)} 元"
            yield draft(loop, party(loop), INFORMATION, "已申请法院强制执行", amount)
        case ev.EnforcementRuled():
            title = f"法院裁定：{RULINGS[message.state]}"
            yield draft(loop, officer(loop), INFORMATION, title, message.reasons)
            yield from tasks(loop, message.occurrence, {pb.DUTY_COURT_APPLICATION})
        case ev.PaymentRecorded() if plan_of(message) is None:
            title = f"收到缴款 {yuan(message.payment.amount_fen)} 元"
            yield draft(loop, party(loop), INFORMATION, title, f"票据 {message.payment.reference}")
        case ev.OverpaymentRefunded():
            title = f"已退还多缴款 {yuan(message.refund.amount_fen)} 元"
            yield draft(loop, party(loop), INFORMATION, title)
        case ev.SurchargeReduced():
            title = f"减免加处罚款 {yuan(message.reduction.amount_fen)} 元"
            yield draft(loop, party(loop), INFORMATION, title, message.reduction.reason)
        case ev.PlanApplied():
            yield from tasks(loop, message.occurrence, {pb.DUTY_APPLICATION_REVIEW})
        case ev.PlanRefused():
            title = "不予延期（分期）缴纳罚款"
            yield _served(loop, message.document.number, title, message.reasons)
        case ev.PlanRevoked():
            yield from tasks(loop, message.occurrence, {pb.DUTY_COURT_APPLICATION})
        case ev.CaseClosed():
            for recipient in (party(loop), officer(loop)):
                yield draft(loop, recipient, INFORMATION, "案件已结案", message.conclusion)


def _time(loop: Loop, message: Message) -> Iterable[nb.SendNoticeRequest]:
    match message:
        case ev.DeadlinePassed() if message.deadline.duty not in OF_PLANS:
            if message.missed:
                yield from overdue(loop, message.deadline)
                if message.deadline.duty == pb.DUTY_PAYMENT:
                    yield draft(loop, OFFICER, TASK, "当事人未按期缴款，请催告")
            else:
                title = f"{DUTIES[message.deadline.duty]}的期限届满，当事人未行使权利"
                yield draft(loop, OFFICER, INFORMATION, title)
            yield from tasks(loop, message.occurrence, {pb.DUTY_COURT_APPLICATION})
        case ev.DeadlinesRecounted():
            yield from recounted(loop, message, of_plan=False)


def reminder(loop: Loop, due: pb.OpenDeadline) -> list[nb.SendNoticeRequest]:
    """A reminder to whoever must act, or may."""
    title = f"提醒：{what(due)}的期限至{day_text(due.deadline.due_date)}届满"
    notice = draft(loop, mover(loop, due.party), nb.NOTICE_KIND_REMINDER, title)
    notice.due_time.CopyFrom(due.deadline.due_time)
    return [notice]


def overdue(loop: Loop, due: pb.OpenDeadline) -> Iterable[nb.SendNoticeRequest]:
    """Whoever did not act, and the supervisor."""
    title = f"逾期：{day_text(due.deadline.due_date)}前未{what(due)}"
    for recipient in (mover(loop, due.party), SUPERVISOR):
        yield draft(loop, recipient, OVERDUE, title)


def recounted(
    loop: Loop, message: ev.DeadlinesRecounted, of_plan: bool
) -> Iterable[nb.SendNoticeRequest]:
    """Whoever waits for a deadline that moved."""
    for due in message.occurrence.standing.deadlines:
        if due.deadline.id in message.deadline_ids and (due.duty in OF_PLANS) == of_plan:
            title = f"期限重算：{what(due)}至{day_text(due.deadline.due_date)}"
            yield draft(loop, mover(loop, due.party), INFORMATION, title, "节假日安排已公布")


def tasks(
    loop: Loop, occurrence: ev.Occurrence, duties: Iterable[pb.Duty.ValueType] = ()
) -> Iterable[nb.SendNoticeRequest]:
    """What is to be done after an event: these duties, or all that are open."""
    for due in occurrence.standing.deadlines:
        if due.duty in OF_PLANS or (duties and due.duty not in duties):
            continue
        title = f"请于{day_text(due.deadline.due_date)}前{what(due)}"
        notice = draft(loop, mover(loop, due.party), TASK, title)
        notice.due_time.CopyFrom(due.deadline.due_time)
        yield notice


def until(occurrence: ev.Occurrence, duties: Iterable[pb.Duty.ValueType]) -> list[str]:
    """What may or must be done until when, a line each."""
    return [
        f"{what(due)}：{day_text(due.deadline.due_date)}前（{due.deadline.rule.citation}）"
        for due in occurrence.standing.deadlines
        if due.duty in duties
    ]


def what(due: pb.OpenDeadline) -> str:
    """What falls due, with its number and amount."""
    numbered = f"第{due.instalment}期" if due.instalment else ""
    amount = f" {yuan(due.amount_fen)} 元" if due.amount_fen else ""
    return f"{DUTIES[due.duty]}{numbered}{amount}"


def mover(loop: Loop, who: pb.Party.ValueType) -> str:
    """The inbox of whoever must act."""
    return party(loop) if who == pb.PARTY_RESPONDENT else OFFICER


def party(loop: Loop) -> str:
    """The inbox of the party, or of whoever sees to it that a natural person is told."""
    return f"enterprises/{loop.known.uscc}" if loop.known.uscc else OFFICER


def officer(loop: Loop) -> str:
    """The inbox of the officer in charge, who is the same from filing on."""
    return f"officers/{quote(loop.known.officer, safe='')}"


def draft(
    loop: Loop, recipient: str, kind: nb.NoticeKind.ValueType, title: str, body: str = ""
) -> nb.SendNoticeRequest:
    """A notice about the case."""
    known = loop.known
    about = f"{known.display_name}：{known.summary}"
    return nb.SendNoticeRequest(
        recipient=recipient,
        kind=kind,
        title=f"{title}（{about}）"[:TITLE],
        body=body[:BODY],
        subject=loop.case,
    )


def merged(drafts: Iterable[nb.SendNoticeRequest]) -> list[nb.SendNoticeRequest]:
    """One notice for each recipient and kind: what one event says is read in one place."""
    found: dict[tuple[str, int], nb.SendNoticeRequest] = {}
    for notice in drafts:
        first = found.setdefault((notice.recipient, notice.kind), notice)
        if first is notice:
            continue
        first.body = "\n".join(filter(None, [first.body, notice.title, notice.body]))[:BODY]
        if not first.HasField("due_time") and notice.HasField("due_time"):
            first.due_time.CopyFrom(notice.due_time)
    return list(found.values())


def _served(loop: Loop, number: str, title: str, *lines: str) -> nb.SendNoticeRequest:
    return draft(loop, party(loop), SERVICE, f"{title}{number}", "\n".join(lines))

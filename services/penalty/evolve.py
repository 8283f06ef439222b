"""What has happened to a penalty case, folded from its events. Pure."""

from typing import TypeAlias

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import document_pb2 as documents
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from rules import as_date
from services.penalty.account import IN_FORCE

Event: TypeAlias = (
    ev.ClueRegistered
    | ev.CaseFiled
    | ev.FilingDeclined
    | ev.LimitExtended
    | ev.EvidenceAdded
    | ev.InvestigationConcluded
    | ev.CaseSuspended
    | ev.CaseResumed
    | ev.CaseWithdrawn
    | ev.LegalReviewRecorded
    | ev.DiscussionRecorded
    | ev.NoticeServed
    | ev.StatementReceived
    | ev.StatementConsidered
    | ev.RightsWaived
    | ev.HearingRequested
    | ev.HearingScheduled
    | ev.HearingHeld
    | ev.ApologyOffered
    | ev.ApologyReviewed
    | ev.CaseDecided
    | ev.DecisionServed
    | ev.DecisionPublished
    | ev.PublicationWithdrawn
    | ev.RemedyAccepted
    | ev.RemedyConcluded
    | ev.DemandServed
    | ev.EnforcementApplied
    | ev.EnforcementRuled
    | ev.CaseClosed
    | ev.CorrectionOrdered
    | ev.Reinspected
    | ev.DeadlinePassed
    | ev.DeadlinesRecounted
    | ev.PaymentRecorded
    | ev.OverpaymentRefunded
    | ev.SurchargeReduced
    | ev.PlanApplied
    | ev.PlanRefused
    | ev.PlanGranted
    | ev.PlanRevoked
    | ev.BreachExcused
    | ev.VolunteerServiceRecorded
)
WRITTEN_DECISIONS = frozenset(
    {
        documents.DOCUMENT_KIND_DECISION,
        documents.DOCUMENT_KIND_NO_PENALTY,
        documents.DOCUMENT_KIND_DAILY_DECISION,
    }
)


def evolve(case: pb.PenaltyCase, event: Event) -> pb.PenaltyCase:
    """The case after `event`. Never fails; `case` itself is left as it was."""
    after = pb.PenaltyCase()
    after.CopyFrom(case)
    after.standing.CopyFrom(event.occurrence.standing)
    after.update_time.CopyFrom(event.occurrence.occur_time)
    if "document" in event.DESCRIPTOR.fields_by_name:
        after.documents.append(event.document)  # type: ignore[union-attr]
    if "plan" in event.DESCRIPTOR.fields_by_name and event.HasField("plan"):  # type: ignore[arg-type]
        _set_plan(after, event.plan)  # type: ignore[union-attr]
    _procedure(after, event)
    _payment(after, event)
    if isinstance(event, ev.DeadlinesRecounted):
        _move_payment_date(after.account, case.standing, after.standing)
    return after


def _procedure(after: pb.PenaltyCase, event: Event) -> None:
    match event:
        case ev.ClueRegistered():
            _register(after, event)
        case ev.CaseFiled():
            after.file_date.CopyFrom(event.file_date)
            after.officer = event.occurrence.actor
        case ev.FilingDeclined():
            after.conclusion = event.reasons
        case ev.LimitExtended():
            after.extensions.append(event.extension)
        case ev.EvidenceAdded():
            after.evidence.extend(event.evidence)
        case ev.InvestigationConcluded():
            after.investigation.CopyFrom(event.investigation)
        case ev.CaseSuspended():
            after.suspend_date.CopyFrom(event.suspend_date)
        case ev.CaseResumed():
            after.ClearField("suspend_date")
            after.excluded_days += event.days
        case ev.CaseWithdrawn():
            after.withdrawal_ground, after.conclusion = event.ground, event.reasons
            after.ClearField("suspend_date")
        case ev.LegalReviewRecorded():
            after.legal_reviews.append(event.review)
        case ev.DiscussionRecorded():
            after.discussions.append(event.discussion)
        case ev.CorrectionOrdered():
            after.reinspections.append(event.reinspection)
        case ev.Reinspected():
            after.reinspections[-1].CopyFrom(event.reinspection)
        case ev.CaseClosed():
            after.conclusion = event.conclusion
        case ev.DeadlinesRecounted():
            _recount(after, event)
        case _:
            _defence(after, event)


def _defence(after: pb.PenaltyCase, event: Event) -> None:
    match event:
        case ev.NoticeServed():
            _notify(after, event)
        case ev.RightsWaived():
            after.rights_waived = True
        case ev.StatementReceived():
            after.statements.append(event.statement)
        case ev.StatementConsidered():
            for statement in after.statements:
                if not statement.consideration:
                    statement.accepted, statement.consideration = event.accepted, event.reasons
                    statement.considered_by = event.occurrence.actor
        case ev.HearingRequested():
            after.hearing.request_date.CopyFrom(event.request_date)
        case ev.HearingScheduled():
            after.hearing.CopyFrom(event.hearing)
        case ev.HearingHeld():
            after.hearing.attended, after.hearing.record = event.attended, event.record
            after.hearing.concluded = True
            after.excluded_days += event.days
        case ev.ApologyOffered():
            after.apology.CopyFrom(event.apology)
        case ev.ApologyReviewed():
            granted = event.granted
            after.apology.state = pb.Apology.STATE_GRANTED if granted else pb.Apology.STATE_REFUSED
            after.apology.service_tenths = event.service_tenths
            after.apology.reasons = event.reasons
        case _:
            _decision(after, event)


def _decision(after: pb.PenaltyCase, event: Event) -> None:
    match event:
        case ev.CaseDecided():
            after.decision.CopyFrom(event.decision)
        case ev.DecisionServed():
            after.decision.serve_date.CopyFrom(event.service.serve_date)
            written = [each for each in after.documents if each.kind in WRITTEN_DECISIONS]
            written[-1].service.CopyFrom(event.service)
            if event.HasField("account"):
                after.account.CopyFrom(event.account)
        case ev.DecisionPublished():
            after.decision.publish_date.CopyFrom(event.publish_date)
        case ev.PublicationWithdrawn():
            after.decision.ClearField("publish_date")
        case ev.RemedyAccepted():
            after.remedies.append(event.remedy)
            if after.HasField("account"):
                after.account.pauses.add().from_date.CopyFrom(event.remedy.accept_date)
        case ev.RemedyConcluded():
            _conclude(after, event)
        case ev.EnforcementApplied():
            after.enforcement.CopyFrom(event.enforcement)
        case ev.EnforcementRuled():
            after.enforcement.state, after.enforcement.reasons = event.state, event.reasons
        case _:
            pass


def _payment(after: pb.PenaltyCase, event: Event) -> None:
    match event:
        case ev.PaymentRecorded():
            after.account.payments.append(event.payment)
        case ev.OverpaymentRefunded():
            after.account.refunds.append(event.refund)
        case ev.SurchargeReduced():
            after.account.reductions.append(event.reduction)
        case ev.PlanApplied():
            after.applications.append(event.application)
        case ev.PlanRefused():
            answered = after.applications[event.application - 1]
            _answer(answered, event, money.Application.STATE_REFUSED)
        case ev.PlanGranted():
            answered = after.applications[event.plan.application - 1]
            _answer(answered, event, money.Application.STATE_GRANTED)
            after.account.terms.append(event.term)
        case ev.PlanRevoked():
            after.account.terms.append(event.term)
        case _:
            pass


def _move_payment_date(account: money.Account, before: pb.Standing, standing: pb.Standing) -> None:
    """The surcharge runs from the payment date as it was counted again."""
    dates = [
        each.deadline.due_date
        for deadlines in (before.deadlines, standing.deadlines)
        for each in deadlines
        if each.duty == pb.DUTY_PAYMENT
    ]
    for term in account.terms if len(dates) == 2 else ():
        if term.due_date == dates[0]:
            term.due_date.CopyFrom(dates[1])


def _register(after: pb.PenaltyCase, event: ev.ClueRegistered) -> None:
    after.name = event.name
    after.origin.CopyFrom(event.origin)
    after.respondent.CopyFrom(event.respondent)
    after.violation.CopyFrom(event.violation)
    after.found_date.CopyFrom(event.found_date)
    after.register_time.CopyFrom(event.occurrence.occur_time)
    after.officer = event.occurrence.actor
    if event.HasField("daily_basis"):
        after.daily_basis.CopyFrom(event.daily_basis)


def _notify(after: pb.PenaltyCase, event: ev.NoticeServed) -> None:
    """A further notice begins the defence anew; what was stated before stays."""
    service = event.document.service
    after.proposal.CopyFrom(event.proposal)
    after.notice_serve_date.CopyFrom(service.serve_date)
    after.notice_time.CopyFrom(event.occurrence.occur_time)
    after.hearing_due = event.hearing_due
    after.hearing_rule.CopyFrom(event.hearing_rule)
    after.excluded_days += excluded_days(service)
    after.rights_waived = False
    after.ClearField("hearing")


def excluded_days(service: documents.Service) -> int:
    """Days of a public notice, which do not count towards the decision's limit; else 0."""
    if not service.HasField("rule"):
        return 0
    return (as_date(service.serve_date) - as_date(service.act_date)).days


def _recount(after: pb.PenaltyCase, event: ev.DeadlinesRecounted) -> None:
    moved = set(event.deadline_ids)
    for each in event.occurrence.standing.deadlines:
        if each.duty == pb.DUTY_REINSPECTION and each.deadline.id in moved:
            after.reinspections[-1].deadline.CopyFrom(each.deadline)


def _conclude(after: pb.PenaltyCase, event: ev.RemedyConcluded) -> None:
    after.remedies[-1].CopyFrom(event.remedy)
    if after.HasField("account"):
        after.account.fine_fen = event.remedy.fine_fen
        after.account.pauses[-1].to_date.CopyFrom(event.remedy.conclude_date)


def _set_plan(after: pb.PenaltyCase, plan: money.Plan) -> None:
    """The plan of that number as it is now; one before it that was in force gave way."""
    if len(after.plans) < plan.number:
        for earlier in (each for each in after.plans[-1:] if each.state in IN_FORCE):
            earlier.state = money.Plan.STATE_RESCHEDULED
            for instalment in earlier.instalments:
                if instalment.state != money.Instalment.STATE_PAID:
                    instalment.state = money.Instalment.STATE_CANCELLED
        after.plans.append(plan)
    else:
        after.plans[plan.number - 1].CopyFrom(plan)


def _answer(
    application: money.Application,
    event: ev.PlanGranted | ev.PlanRefused,
    state: money.Application.State.ValueType,
) -> None:
    application.state, application.reasons = state, event.reasons
    application.decider = event.occurrence.actor
    application.decide_date.CopyFrom(event.document.issue_date)

"""What may happen next to a penalty case: each command by the law and the state. Pure."""

from collections.abc import Callable
from typing import Any, TypeAlias

from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from rules import UnknownRule
from services.penalty import (
    deadlines,
    decision,
    defence,
    filing,
    investigation,
    payments,
    plans,
    remedies,
)
from services.penalty.evolve import Event
from services.penalty.proceeding import Proceeding

Command: TypeAlias = Any  # a request of PenaltyCaseService or PaymentService, as in DECISIONS
State: TypeAlias = pb.State.ValueType
CLUE, INVESTIGATING, INVESTIGATED = (
    pb.STATE_CLUE,
    pb.STATE_INVESTIGATING,
    pb.STATE_INVESTIGATED,
)
NOTIFIED, HEARING, TO_DECIDE = pb.STATE_NOTIFIED, pb.STATE_HEARING, pb.STATE_TO_DECIDE
DECIDED, PAYING, ENFORCING = pb.STATE_DECIDED, pb.STATE_PAYING, pb.STATE_ENFORCING
PERFORMED, CLOSED, WITHDRAWN = pb.STATE_PERFORMED, pb.STATE_CLOSED, pb.STATE_WITHDRAWN
UNDECIDED = (INVESTIGATING, INVESTIGATED, NOTIFIED, HEARING, TO_DECIDE)
REVIEWABLE = (INVESTIGATED, NOTIFIED, TO_DECIDE)
SERVED = (PAYING, ENFORCING, PERFORMED)
ENDED = (CLOSED, WITHDRAWN, pb.STATE_NOT_FILED)


# The states in which a command may come, and the reason given in any other.
ALLOWED: dict[type[Any], tuple[tuple[State, ...], str]] = {
    rpc_pb.RegisterClueRequest: ((pb.STATE_UNSPECIFIED,), "ALREADY_REGISTERED"),
    rpc_pb.FileCaseRequest: ((CLUE,), "NOT_A_CLUE"),
    rpc_pb.DeclineFilingRequest: ((CLUE,), "NOT_A_CLUE"),
    rpc_pb.ExtendLimitRequest: ((CLUE, *UNDECIDED), "NOT_EXTENDABLE"),
    rpc_pb.AddEvidenceRequest: ((CLUE, *UNDECIDED), "INVESTIGATION_OVER"),
    rpc_pb.ConcludeInvestigationRequest: ((INVESTIGATING,), "NOT_INVESTIGATING"),
    # Not while rights of the party run, or a hearing, which itself holds up the limit.
    rpc_pb.SuspendCaseRequest: ((INVESTIGATING, INVESTIGATED, TO_DECIDE), "NOT_SUSPENDABLE"),
    rpc_pb.ResumeCaseRequest: ((INVESTIGATING, INVESTIGATED, TO_DECIDE), "NOT_SUSPENDED"),
    rpc_pb.WithdrawCaseRequest: (UNDECIDED, "NOT_WITHDRAWABLE"),
    rpc_pb.RecordLegalReviewRequest: (REVIEWABLE, "NOT_REVIEWABLE"),
    rpc_pb.RecordDiscussionRequest: (REVIEWABLE, "NOT_REVIEWABLE"),
    rpc_pb.ServeNoticeRequest: ((INVESTIGATED, TO_DECIDE), "NOT_AWAITING_NOTICE"),
    rpc_pb.SubmitStatementRequest: ((NOTIFIED, HEARING, TO_DECIDE), "NOT_NOTIFIED"),
    rpc_pb.ConsiderStatementRequest: ((NOTIFIED, HEARING, TO_DECIDE), "NOT_NOTIFIED"),
    rpc_pb.WaiveRightsRequest: ((NOTIFIED,), "NOT_NOTIFIED"),
    rpc_pb.RequestHearingRequest: ((NOTIFIED, TO_DECIDE), "NOT_NOTIFIED"),
    rpc_pb.ScheduleHearingRequest: ((HEARING,), "NO_HEARING_ASKED"),
    rpc_pb.HoldHearingRequest: ((HEARING,), "NO_HEARING_ASKED"),
    rpc_pb.OfferApologyRequest: ((NOTIFIED, HEARING, TO_DECIDE), "NOT_NOTIFIED"),
    rpc_pb.ReviewApologyRequest: ((NOTIFIED, HEARING, TO_DECIDE), "NOT_NOTIFIED"),
    rpc_pb.DecideCaseRequest: (
        (INVESTIGATED, NOTIFIED, HEARING, TO_DECIDE),
        "NOT_AWAITING_DECISION",
    ),
    rpc_pb.ServeDecisionRequest: ((DECIDED,), "NOT_AWAITING_SERVICE"),
    rpc_pb.PublishDecisionRequest: ((DECIDED, *SERVED), "NOT_DECIDED"),
    rpc_pb.WithdrawPublicationRequest: ((DECIDED, *SERVED, WITHDRAWN), "NOT_DECIDED"),
    rpc_pb.AcceptRemedyRequest: ((*SERVED, CLOSED), "NOT_SERVED"),
    rpc_pb.ConcludeRemedyRequest: (SERVED, "NO_REMEDY"),
    rpc_pb.ServeDemandRequest: ((PAYING,), "NOT_PAYING"),
    rpc_pb.ApplyForEnforcementRequest: ((PAYING,), "NOT_PAYING"),
    rpc_pb.RecordRulingRequest: ((ENFORCING,), "NOT_ENFORCING"),
    rpc_pb.OrderCorrectionRequest: ((CLUE, *UNDECIDED, DECIDED, *SERVED), "CASE_OVER"),
    rpc_pb.RecordReinspectionRequest: ((CLUE, *UNDECIDED, DECIDED, *SERVED), "CASE_OVER"),
    rpc_pb.CloseCaseRequest: (SERVED, "NOT_CLOSABLE"),
    # On a case that has ended too: what the bank reports again changes nothing.
    pay_pb.RecordPaymentRequest: ((*SERVED, *ENDED), "NOTHING_TO_PAY"),
    pay_pb.RefundOverpaymentRequest: ((*SERVED, CLOSED, WITHDRAWN), "NOTHING_TO_REFUND"),
    pay_pb.ReduceSurchargeRequest: ((PAYING, ENFORCING), "NOTHING_TO_REDUCE"),
    pay_pb.ApplyForPlanRequest: ((PAYING, ENFORCING), "NOTHING_TO_PAY"),
    pay_pb.GrantPlanRequest: ((PAYING, ENFORCING), "NO_APPLICATION"),
    pay_pb.RefusePlanRequest: ((PAYING, ENFORCING), "NO_APPLICATION"),
    pay_pb.RevokePlanRequest: ((PAYING, ENFORCING), "NO_PLAN"),
    pay_pb.ExcuseBreachRequest: ((PAYING, ENFORCING), "NO_PLAN"),
    pay_pb.RecordVolunteerServiceRequest: (SERVED, "NO_PLEDGE"),
}
DECISIONS: dict[type[Any], Callable[[Proceeding, Any], list[Event]]] = {
    rpc_pb.RegisterClueRequest: filing.register,
    rpc_pb.FileCaseRequest: filing.file,
    rpc_pb.DeclineFilingRequest: filing.decline,
    rpc_pb.ExtendLimitRequest: filing.extend,
    rpc_pb.AddEvidenceRequest: investigation.add_evidence,
    rpc_pb.ConcludeInvestigationRequest: investigation.conclude,
    rpc_pb.SuspendCaseRequest: filing.suspend,
    rpc_pb.ResumeCaseRequest: filing.resume,
    rpc_pb.WithdrawCaseRequest: filing.withdraw,
    rpc_pb.RecordLegalReviewRequest: investigation.review,
    rpc_pb.RecordDiscussionRequest: investigation.discuss,
    rpc_pb.ServeNoticeRequest: defence.notify,
    rpc_pb.SubmitStatementRequest: defence.state,
    rpc_pb.ConsiderStatementRequest: defence.consider,
    rpc_pb.WaiveRightsRequest: defence.waive,
    rpc_pb.RequestHearingRequest: defence.request_hearing,
    rpc_pb.ScheduleHearingRequest: defence.schedule,
    rpc_pb.HoldHearingRequest: defence.hold,
    rpc_pb.OfferApologyRequest: defence.apologise,
    rpc_pb.ReviewApologyRequest: defence.review_apology,
    rpc_pb.DecideCaseRequest: decision.decide,
    rpc_pb.ServeDecisionRequest: decision.serve,
    rpc_pb.PublishDecisionRequest: decision.publish,
    rpc_pb.WithdrawPublicationRequest: decision.withdraw_publication,
    rpc_pb.AcceptRemedyRequest: remedies.accept,
    rpc_pb.ConcludeRemedyRequest: remedies.conclude,
    rpc_pb.ServeDemandRequest: remedies.demand,
    rpc_pb.ApplyForEnforcementRequest: remedies.apply,
    rpc_pb.RecordRulingRequest: remedies.rule,
    rpc_pb.OrderCorrectionRequest: investigation.order_correction,
    rpc_pb.RecordReinspectionRequest: investigation.reinspect,
    rpc_pb.CloseCaseRequest: remedies.close,
    rpc_pb.ExpireDeadlineRequest: deadlines.expire,
    rpc_pb.RecountDeadlinesRequest: deadlines.recount,
    pay_pb.RecordPaymentRequest: payments.record_payment,
    pay_pb.RefundOverpaymentRequest: payments.refund_overpayment,
    pay_pb.ReduceSurchargeRequest: payments.reduce_surcharge,
    pay_pb.ApplyForPlanRequest: plans.apply_for_plan,
    pay_pb.GrantPlanRequest: plans.grant_plan,
    pay_pb.RefusePlanRequest: plans.refuse_plan,
    pay_pb.RevokePlanRequest: plans.revoke_plan,
    pay_pb.ExcuseBreachRequest: plans.excuse_breach,
    pay_pb.RecordVolunteerServiceRequest: plans.record_volunteer_service,
}
# What goes on in a suspended case: it is taken up again or ends, time passes, the violation is stopped, and
# the party apologises, whose days do not stand still.
WHILE_SUSPENDED = frozenset(
    {
        rpc_pb.ResumeCaseRequest,
        rpc_pb.WithdrawCaseRequest,
        rpc_pb.OrderCorrectionRequest,
        rpc_pb.RecordReinspectionRequest,
        rpc_pb.OfferApologyRequest,
        rpc_pb.ExpireDeadlineRequest,
        rpc_pb.RecountDeadlinesRequest,
    }
)


def decide(p: Proceeding, command: Command) -> list[Event]:
    """What follows from `command`: no event if it changes nothing.

    `p.case` has its name set and state UNSPECIFIED before it is registered. Raises StatusError:
    FAILED_PRECONDITION for a move that the state, the law or a limit forbids, or where a place has no
    rule for it (NO_RULE_IN_FORCE); INVALID_ARGUMENT naming the field for a bad one. A late or doubled
    expiry gives no event.
    """
    _require_state(p, command)
    if p.case.standing.suspended and type(command) not in WHILE_SUSPENDED:
        raise p.refuse("CASE_SUSPENDED", f"{p.case.name} is suspended")
    try:
        events = DECISIONS[type(command)](p, command)
        return [*deadlines.unseen(p, command), *events]
    except UnknownRule as error:
        raise p.refuse("NO_RULE_IN_FORCE", str(error)) from error


def _require_state(p: Proceeding, command: Command) -> None:
    found = p.case.standing.state
    states, reason = ALLOWED.get(type(command), ((found,), ""))
    if found in states:
        return
    wanted = " or ".join(pb.State.Name(state) for state in sorted(states))
    raise p.refuse(reason, f"{p.case.name} is in {pb.State.Name(found)}; this needs {wanted}")

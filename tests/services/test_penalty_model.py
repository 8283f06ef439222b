"""What may happen to a penalty case, and what it becomes: the pure model under the real rules."""

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias, get_args

import pytest
from google.rpc import code_pb2

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.types.v1.deadline_pb2 import CONFIDENCE_LOW
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar, YearCalendar, as_date
from services.penalty import terms
from services.penalty.account import statement
from services.penalty.decide import ALLOWED, DECISIONS, decide
from services.penalty.evolve import Event, evolve
from services.penalty.proceeding import PARTIES, RIGHTS, Proceeding, day_message
from tests.services import penalties as req

BUILT_IN = WorkingCalendar.load().years
UP_TO_2026 = WorkingCalendar({year: BUILT_IN[year] for year in BUILT_IN if year <= 2026})
RULES = Rules(RuleBook.load(), UP_TO_2026, req.DISTRICT)
MONDAY = date(2026, 9, 7)
DAY = timedelta(days=1)
Step: TypeAlias = "Callable[[Case], Any] | Any"


@dataclass
class Case:
    """A case, the day it is, and the law as it is known."""

    today: date = MONDAY
    rules: Rules = RULES
    case: pb.PenaltyCase = field(default_factory=lambda: pb.PenaltyCase(name="penaltyCases/1"))
    original: pb.PenaltyCase | None = None
    earlier: int = 0
    events: list[Event] = field(default_factory=list)
    _seconds: int = 0

    @property
    def now(self) -> datetime:
        """Nine in the morning, Shanghai, and a second more with each command."""
        morning = datetime(self.today.year, self.today.month, self.today.day, 1, tzinfo=UTC)
        return morning + timedelta(seconds=self._seconds)

    def do(self, *steps: Step, actor: str = "officer") -> list[str]:
        """Carry out commands, or what makes them for today; the names of the events of the last."""
        events: list[Event] = []
        for step in steps:
            command = step(self) if callable(step) else step
            if command is None:
                continue
            self._seconds += 1
            before = self.case.SerializeToString(deterministic=True)
            events = decide(self.proceeding(actor), command)
            assert self.case.SerializeToString(deterministic=True) == before
            for event in events:
                self.case = evolve(self.case, event)
            self.events += events
        return [event.DESCRIPTOR.name for event in events]

    def proceeding(self, actor: str = "officer") -> Proceeding:
        """The case as a command by `actor` finds it now."""
        return Proceeding(self.case, actor, self.rules, self.now, self.original, self.earlier)

    def refused(self, step: Step, actor: str = "officer") -> StatusError:
        """Why a command is refused; the case is left as it was."""
        before = self.case.SerializeToString(deterministic=True), len(self.events)
        with pytest.raises(StatusError) as refusal:
            self.do(step, actor=actor)
        assert (self.case.SerializeToString(deterministic=True), len(self.events)) == before
        return refusal.value

    def open(self, duty: pb.Duty.ValueType) -> pb.OpenDeadline | None:
        """The deadline of that duty, if one is open."""
        return next((each for each in self.case.standing.deadlines if each.duty == duty), None)

    def due(self, duty: pb.Duty.ValueType) -> date:
        """Until when."""
        found = self.open(duty)
        assert found is not None
        return as_date(found.deadline.due_date)

    @property
    def opened(self) -> set[str]:
        """What is open, by name."""
        return {pb.Duty.Name(each.duty) for each in self.case.standing.deadlines}

    @property
    def state(self) -> str:
        return pb.State.Name(self.case.standing.state).removeprefix("STATE_")


def go(days: int) -> Step:
    """Some days later."""

    def step(case: Case) -> None:
        case.today += days * DAY

    return step


def to(day: date) -> Step:
    """On that day."""

    def step(case: Case) -> None:
        case.today = day

    return step


def lapse(*duties: pb.Duty.ValueType) -> Step:
    """The days of these pass, and are told."""

    def step(case: Case) -> None:
        case.today = max(case.today, *(case.due(duty) + DAY for duty in duties))
        for duty in duties:
            case.do(expire(duty))

    return step


def expire(duty: pb.Duty.ValueType) -> Step:
    """That the time of this has come."""

    def step(case: Case) -> rpc_pb.ExpireDeadlineRequest:
        found = case.open(duty)
        return rpc_pb.ExpireDeadlineRequest(deadline_id=found.deadline.id if found else "none")

    return step


def act(kind: type[Any], /, **fields: Any) -> Step:
    """A service of today."""
    return lambda case: req.served(kind, case.today, **fields)


def review(passed: bool = True) -> Step:
    """A legal review by another than the investigators."""

    def step(case: Case) -> None:
        case.do(rpc_pb.RecordLegalReviewRequest(passed=passed, opinion="意见"), actor="lawyer")

    return step


def today(make: Callable[[date], Any]) -> Step:
    """What is made for today."""
    return lambda case: make(case.today)


def dated(kind: type[Any], /, *fields: str, **more: Any) -> Step:
    """A request whose date fields say today."""
    return lambda case: kind(**dict.fromkeys(fields, day_message(case.today)), **more)


def ruled(
    outcome: pb.Remedy.Outcome.ValueType = pb.Remedy.OUTCOME_UPHELD, fine_fen: int = 0
) -> Step:
    """The remedy ends so."""
    more = {"outcome": outcome, "fine_fen": fine_fen, "reference": "（2026）粤行初1号"}
    return dated(rpc_pb.ConcludeRemedyRequest, "conclude_date", **more)


def accepted(kind: pb.Remedy.Kind.ValueType) -> Step:
    """A remedy is accepted."""
    return dated(rpc_pb.AcceptRemedyRequest, "accept_date", kind=kind, reference="受理1号")


def no_penalty(ground: pb.Decision.Ground.ValueType) -> Step:
    """No penalty, for what was corrected today."""
    more = {"kind": pb.Decision.KIND_NO_PENALTY, "ground": ground, "reasons": "及时改正"}
    return dated(rpc_pb.DecideCaseRequest, "correct_date", **more)


def grant(case: Case) -> pay_pb.GrantPlanRequest:
    """The first plan in two instalments that the rules allow."""
    if not case.case.HasField("account"):
        return pay_pb.GrantPlanRequest()
    wish = pay_pb.ProposePlanRequest(instalments=2)
    proposals = terms.propose(terms.bounds_of(case.proceeding()), wish).proposals
    found = proposals[0].terms if proposals else money.PlanTerms()
    return pay_pb.GrantPlanRequest(terms=found, reasons="确有经济困难")


CLUE, FILE, DECLINE = today(req.clue), req.FILE_CASE, rpc_pb.DeclineFilingRequest(reasons="无违法")
EVIDENCE, CONCLUDE = req.evidence(), req.conclusion()
NOTICE, DISCUSS = today(req.notice), today(req.discussion)
SCHEDULE = today(lambda day: req.hearing(day, day + 14 * DAY))
APOLOGISE = dated(rpc_pb.OfferApologyRequest, "correct_date", channel=pb.Apology.CHANNEL_MEDIA)
GRANT = rpc_pb.ReviewApologyRequest(granted=True, reasons="符合条件")
FINE, MINOR = req.fine(), no_penalty(pb.Decision.GROUND_MINOR)
SERVE, DEMAND = act(rpc_pb.ServeDecisionRequest), act(rpc_pb.ServeDemandRequest)
PUBLISH = dated(rpc_pb.PublishDecisionRequest, "publish_date")
UNPUBLISH = rpc_pb.WithdrawPublicationRequest(reasons="已变更")
PAY = today(lambda day: req.payment(day, req.FINE))
CORRECT = act(rpc_pb.OrderCorrectionRequest, facts="仍在超标排放")
REINSPECT = dated(
    rpc_pb.RecordReinspectionRequest, "inspect_date", refused=True, findings="仍在排放"
)
SUE, RECONSIDER = accepted(pb.Remedy.KIND_SUIT), accepted(pb.Remedy.KIND_RECONSIDERATION)
UPHELD, ANNULLED = ruled(), ruled(pb.Remedy.OUTCOME_ANNULLED)
EXTEND = rpc_pb.ExtendLimitRequest(
    extension=rpc_pb.ExtendLimitRequest.EXTENSION_DECISION, reason="案情复杂"
)
SUSPEND, RESUME = (
    rpc_pb.SuspendCaseRequest(reason="待裁判"),
    rpc_pb.ResumeCaseRequest(reason="已裁判"),
)
WITHDRAW = rpc_pb.WithdrawCaseRequest(ground=pb.WITHDRAWAL_GROUND_JURISDICTION, reasons="移送")
TO_COURT = rpc_pb.ApplyForEnforcementRequest(court="东莞市第一人民法院")
RULING = rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_ALLOWED, reasons="准予执行")
APPLY = req.application(pledge=True)
REFUSE_PLAN = pay_pb.RefusePlanRequest(reasons="没有困难")
REVOKE, EXCUSE = pay_pb.RevokePlanRequest(reasons="x"), pay_pb.ExcuseBreachRequest(reasons="x")
REFUND = dated(pay_pb.RefundOverpaymentRequest, "refund_date", reference="1", amount_fen=1)
REDUCE = pay_pb.ReduceSurchargeRequest(amount_fen=1, reason="采取补救措施")
SERVICE = dated(
    money.VolunteerService, "service_date", reference="1", tenths=10, organisation="协会"
)
PROVE: Step = lambda case: pay_pb.RecordVolunteerServiceRequest(service=SERVICE(case))  # noqa: E731
NONE = rpc_pb.ExpireDeadlineRequest(deadline_id="none")
RECOUNT = rpc_pb.RecountDeadlinesRequest(calendar_year=2026)

# Every state, and every way it differs in to a command, by what leads there.
FILED = [CLUE, FILE]
INVESTIGATED = [*FILED, EVIDENCE, CONCLUDE]
NOTIFIED = [*INVESTIGATED, go(1), NOTICE]
HEARD = [*NOTIFIED, lapse(pb.DUTY_STATEMENT, pb.DUTY_HEARING_REQUEST, pb.DUTY_APOLOGY)]
REVIEWED = [*HEARD, review(), DISCUSS]
DECIDED = [*REVIEWED, FINE]
PAYING = [*DECIDED, SERVE]
UNPAID = [*PAYING, lapse(pb.DUTY_PAYMENT), lapse(pb.DUTY_RECONSIDERATION), lapse(pb.DUTY_SUIT)]
DEMANDED = [*UNPAID, DEMAND, lapse(pb.DUTY_DEMAND)]
PERFORMED = [*PAYING, PAY]
PATHS: dict[str, list[Step]] = {
    "UNSPECIFIED": [],
    "CLUE": [CLUE],
    "NOT_FILED": [CLUE, DECLINE],
    "INVESTIGATING": FILED,
    "INVESTIGATED": INVESTIGATED,
    "NOTIFIED": NOTIFIED,
    "HEARING": [*NOTIFIED, req.ASK],
    "TO_DECIDE": REVIEWED,
    "DECIDED": DECIDED,
    "PAYING": PAYING,
    "ENFORCING": [*DEMANDED, TO_COURT],
    "PERFORMED": PERFORMED,
    "CLOSED": [*PERFORMED, PUBLISH, req.CLOSE],
    "WITHDRAWN": [*INVESTIGATED, WITHDRAW],
    # As INVESTIGATED, and as PAYING, where the table does not say otherwise of them.
    "SUSPENDED": [*INVESTIGATED, SUSPEND],
    "SUED": [*PAYING, SUE],
    "APPLIED": [*PAYING, APPLY],
    "PLANNED": [*PAYING, APPLY, grant],
}
STATES = {"SUSPENDED": "INVESTIGATED", "SUED": "PAYING", "APPLIED": "PAYING", "PLANNED": "PAYING"}
UNDECIDED = ("INVESTIGATING", "INVESTIGATED", "NOTIFIED", "HEARING", "TO_DECIDE")
SERVED = ("PAYING", "ENFORCING", "PERFORMED")


def every(states: Sequence[str], result: Any) -> dict[str, Any]:
    return dict.fromkeys(states, result)


BLOCKED = {
    "SUED": "REMEDY_PENDING",
    "APPLIED": "APPLICATION_PENDING",
    "PLANNED": "PLAN_IN_FORCE",
}
# Refused for what the request says, whatever the state.
INVALID_ANYWHERE = {"MORE_THAN_OVERPAID", "MORE_THAN_SURCHARGE"}
# For every command: the reason of its refusal, and the states with another outcome: another reason, or
# the events that follow. A suspended case refuses what the table does not say of it with CASE_SUSPENDED.
ROWS: list[tuple[Step, str, dict[str, Any]]] = [
    (CLUE, "ALREADY_REGISTERED", {"UNSPECIFIED": ["ClueRegistered"]}),
    (FILE, "NOT_A_CLUE", {"CLUE": ["CaseFiled"]}),
    (DECLINE, "NOT_A_CLUE", {"CLUE": ["FilingDeclined"]}),
    (EXTEND, "NOT_EXTENDABLE", every(UNDECIDED, ["LimitExtended"])),
    (EVIDENCE, "INVESTIGATION_OVER", every(("CLUE", *UNDECIDED), ["EvidenceAdded"])),
    (
        CONCLUDE,
        "NOT_INVESTIGATING",
        {"INVESTIGATING": "NO_EVIDENCE"},
    ),
    (
        SUSPEND,
        "NOT_SUSPENDABLE",
        every(("INVESTIGATING", "INVESTIGATED", "TO_DECIDE"), ["CaseSuspended"]),
    ),
    (RESUME, "NOT_SUSPENDED", {"SUSPENDED": ["CaseResumed"]}),
    (WITHDRAW, "NOT_WITHDRAWABLE", every((*UNDECIDED, "SUSPENDED"), ["CaseWithdrawn"])),
    (
        req.REVIEW,
        "NOT_REVIEWABLE",
        every(("INVESTIGATED", "NOTIFIED", "TO_DECIDE"), ["LegalReviewRecorded"]),
    ),
    (
        DISCUSS,
        "NOT_REVIEWABLE",
        every(("INVESTIGATED", "NOTIFIED", "TO_DECIDE"), ["DiscussionRecorded"]),
    ),
    (
        NOTICE,
        "NOT_AWAITING_NOTICE",
        {"INVESTIGATED": ["NoticeServed"], "TO_DECIDE": "NO_NEW_EVIDENCE"},
    ),
    (
        req.STATE,
        "NOT_NOTIFIED",
        {
            **every(("NOTIFIED", "HEARING"), ["StatementReceived"]),
            "TO_DECIDE": "STATEMENT_TOO_LATE",
        },
    ),
    (req.CONSIDER, "NOT_NOTIFIED", every(("NOTIFIED", "HEARING", "TO_DECIDE"), "NO_STATEMENT")),
    (req.WAIVE, "NOT_NOTIFIED", {"NOTIFIED": ["RightsWaived"]}),
    (
        req.ASK,
        "NOT_NOTIFIED",
        {"NOTIFIED": ["HearingRequested"], "TO_DECIDE": "HEARING_TOO_LATE"},
    ),
    (SCHEDULE, "NO_HEARING_ASKED", {"HEARING": ["HearingScheduled"]}),
    (req.HOLD, "NO_HEARING_ASKED", {"HEARING": "HEARING_NOT_SCHEDULED"}),
    (
        APOLOGISE,
        "NOT_NOTIFIED",
        {**every(("NOTIFIED", "HEARING"), ["ApologyOffered"]), "TO_DECIDE": "APOLOGY_TOO_LATE"},
    ),
    (GRANT, "NOT_NOTIFIED", every(("NOTIFIED", "HEARING", "TO_DECIDE"), "NO_APOLOGY")),
    (
        FINE,
        "NOT_AWAITING_DECISION",
        {
            "INVESTIGATED": "NOTICE_NOT_SERVED",
            "NOTIFIED": "NOTICE_NOT_EXPIRED",
            "HEARING": "HEARING_PENDING",
            "TO_DECIDE": ["CaseDecided"],
        },
    ),
    (
        MINOR,
        "NOT_AWAITING_DECISION",
        {
            "INVESTIGATED": ["CaseDecided"],
            "NOTIFIED": "NOTICE_NOT_EXPIRED",
            "HEARING": "HEARING_PENDING",
            "TO_DECIDE": ["CaseDecided"],
        },
    ),
    (SERVE, "NOT_AWAITING_SERVICE", {"DECIDED": ["DecisionServed"]}),
    (
        PUBLISH,
        "NOT_DECIDED",
        {
            **every(("DECIDED", *SERVED), ["DecisionPublished"]),
            # Half a year late, which nobody told.
            "ENFORCING": ["DeadlinePassed", "DecisionPublished"],
        },
    ),
    (UNPUBLISH, "NOT_DECIDED", every(("DECIDED", *SERVED, "WITHDRAWN"), "NOT_PUBLISHED")),
    (
        SUE,
        "NOT_SERVED",
        {**every((*SERVED, "CLOSED"), ["RemedyAccepted"]), "SUED": "REMEDY_PENDING"},
    ),
    (UPHELD, "NO_REMEDY", {"SUED": ["RemedyConcluded"]}),
    (DEMAND, "NOT_PAYING", {"PAYING": "PAYMENT_NOT_DUE", **BLOCKED}),
    (TO_COURT, "NOT_PAYING", {"PAYING": "SUIT_PERIOD_OPEN", **BLOCKED}),
    (RULING, "NOT_ENFORCING", {"ENFORCING": ["EnforcementRuled"]}),
    (
        CORRECT,
        "CASE_OVER",
        every(("CLUE", *UNDECIDED, "DECIDED", *SERVED, "SUSPENDED"), ["CorrectionOrdered"]),
    ),
    (
        REINSPECT,
        "CASE_OVER",
        every(("CLUE", *UNDECIDED, "DECIDED", *SERVED, "SUSPENDED"), "NO_ORDER_TO_INSPECT"),
    ),
    (
        req.CLOSE,
        "NOT_CLOSABLE",
        {
            **every(("PAYING", "ENFORCING"), "OUTSTANDING"),
            "PERFORMED": "DUTY_OPEN",
            "SUED": "REMEDY_PENDING",
        },
    ),
    (
        PAY,
        "NOTHING_TO_PAY",
        {
            **every(("PAYING", "ENFORCING"), ["PaymentRecorded"]),
            # The bank reports the same payment again.
            **every(("PERFORMED", "CLOSED"), []),
            **every(("WITHDRAWN", "NOT_FILED"), "PAYMENT_ON_CLOSED_CASE"),
        },
    ),
    (
        REFUND,
        "NOTHING_TO_REFUND",
        every((*SERVED, "CLOSED", "WITHDRAWN"), "MORE_THAN_OVERPAID"),
    ),
    (
        REDUCE,
        "NOTHING_TO_REDUCE",
        {"PAYING": "MORE_THAN_SURCHARGE", "ENFORCING": ["SurchargeReduced"]},
    ),
    (
        APPLY,
        "NOTHING_TO_PAY",
        {**every(("PAYING", "ENFORCING"), ["PlanApplied"]), "APPLIED": "APPLICATION_PENDING"},
    ),
    (grant, "NO_APPLICATION", {"APPLIED": ["PlanGranted"]}),
    (REFUSE_PLAN, "NO_APPLICATION", {"APPLIED": ["PlanRefused"]}),
    (REVOKE, "NO_PLAN", {"PLANNED": "PLAN_NOT_BREACHED"}),
    (EXCUSE, "NO_PLAN", {"PLANNED": "PLAN_NOT_BREACHED"}),
    (PROVE, "NO_PLEDGE", {"PLANNED": ["VolunteerServiceRecorded"]}),
    (NONE, "", every(tuple(PATHS), [])),
    (RECOUNT, "", every(tuple(PATHS), [])),
]


def expected(row: int, state: str) -> Any:
    _, reason, others = ROWS[row]
    found = others.get(state, others.get(STATES.get(state, ""), reason))
    if state == "SUSPENDED" and state not in others and found != reason:
        return "CASE_SUSPENDED"
    return found


@pytest.mark.parametrize("state", PATHS)
def test_every_command_in_every_state(state: str) -> None:
    start = Case()
    start.do(*PATHS[state])
    assert start.state == STATES.get(state, state)
    for row, (step, _, _) in enumerate(ROWS):
        case, wanted = replace(start, events=list(start.events)), expected(row, state)
        if isinstance(wanted, list):
            assert case.do(step, actor="lawyer") == wanted, row
            continue
        error = case.refused(step, actor="lawyer")
        assert error.reason == wanted, row
        if wanted in INVALID_ANYWHERE:
            assert error.code == code_pb2.INVALID_ARGUMENT
        else:
            assert error.code == code_pb2.FAILED_PRECONDITION
            assert error.metadata["resource"] == start.case.name


def test_the_table_has_every_command_and_every_state() -> None:
    commands = set()
    for step, _, _ in ROWS:
        case = Case()
        commands.add(type(step(case) if callable(step) else step))
    assert commands == set(DECISIONS)
    assert set(ALLOWED) < set(DECISIONS)
    states = {pb.State.Name(state).removeprefix("STATE_") for state in pb.State.values()}
    assert states == PATHS.keys() - STATES.keys()
    assert set(PARTIES) == set(pb.Duty.values()) - {pb.DUTY_UNSPECIFIED}
    assert set(PARTIES) > RIGHTS
    assert {kind.DESCRIPTOR.name for kind in get_args(Event)} >= {"CaseDecided"}


def test_every_event_of_a_whole_case_says_where_it_stands() -> None:
    case = Case()
    case.do(*PATHS["CLOSED"])
    names = [event.DESCRIPTOR.name for event in case.events]
    assert names[:6] == [
        "ClueRegistered",
        "CaseFiled",
        "EvidenceAdded",
        "InvestigationConcluded",
        "NoticeServed",
        "DeadlinePassed",
    ]
    for event in case.events:
        assert event.occurrence.actor
        dues = [
            each.deadline.due_time.ToNanoseconds() for each in event.occurrence.standing.deadlines
        ]
        assert dues == sorted(dues)
    assert not case.case.standing.deadlines
    assert not case.case.standing.overdue


# What leads there, the command that is refused, and why.
REFUSED: dict[str, tuple[list[Step], Step, str]] = {
    "no conduct that was found after the limitation": (
        [lambda case: req.clue(case.today, violation=req.violation(date(2024, 9, 6)))],
        FILE,
        "LIMITATION_EXPIRED",
    ),
    "no conduct of a time before the law of today": (
        [lambda case: req.clue(case.today, violation=req.violation(date(2019, 9, 6), harm=True))],
        FILE,
        "LIMITATION_EXPIRED",
    ),
    "an extension is used once": ([*FILED, EXTEND], EXTEND, "EXTENSION_USED"),
    "the collective extension is the second": (
        FILED,
        rpc_pb.ExtendLimitRequest(
            extension=rpc_pb.ExtendLimitRequest.EXTENSION_DECISION_COLLECTIVE, reason="复杂"
        ),
        "EXTENSION_OUT_OF_ORDER",
    ),
    "the extension of filing is not one of deciding": (
        FILED,
        rpc_pb.ExtendLimitRequest(
            extension=rpc_pb.ExtendLimitRequest.EXTENSION_FILING, reason="复杂"
        ),
        "NOT_EXTENDABLE",
    ),
    "a limit that has passed is not extended": ([*FILED, go(92)], EXTEND, "LIMIT_PASSED"),
    "a limit that was missed is not extended": (
        [*FILED, lapse(pb.DUTY_DECISION)],
        EXTEND,
        "LIMIT_PASSED",
    ),
    "one officer": (
        [*FILED, EVIDENCE],
        req.conclusion(*req.officers("zhang")),
        "NOT_ENOUGH_OFFICERS",
    ),
    "the same officer twice": (
        [*FILED, EVIDENCE],
        req.conclusion(*req.officers("zhang", "zhang")),
        "NOT_ENOUGH_OFFICERS",
    ),
    "a certificate that has expired": (
        [*FILED, EVIDENCE],
        req.conclusion(*req.officers("zhang", "li", valid_until=MONDAY - DAY)),
        "CERTIFICATE_EXPIRED",
    ),
    "an investigator does not vote": (
        INVESTIGATED,
        today(lambda day: req.discussion(day, "chen", "li")),
        "INVESTIGATOR_MAY_NOT_REVIEW",
    ),
    "an investigator does not take the chair": (
        [*NOTIFIED, req.ASK],
        today(lambda day: req.hearing(day, day + 14 * DAY, chair="zhang")),
        "INVESTIGATOR_MAY_NOT_REVIEW",
    ),
    "a decision on the last day to state": (
        [*NOTIFIED, lambda case: to(case.due(pb.DUTY_STATEMENT))(case)],
        FINE,
        "NOTICE_NOT_EXPIRED",
    ),
    "a hearing for a small fine": (
        [*INVESTIGATED, today(lambda day: req.notice(day, 19_999_900))],
        req.ASK,
        "NOT_ENTITLED_TO_HEARING",
    ),
    "a second hearing": (
        [*NOTIFIED, req.ASK, SCHEDULE, go(14), req.HOLD],
        req.ASK,
        "HEARING_HELD",
    ),
    "a hearing that was waived": ([*NOTIFIED, req.WAIVE], req.ASK, "RIGHTS_WAIVED"),
    "a statement that was waived": ([*NOTIFIED, req.WAIVE], req.STATE, "RIGHTS_WAIVED"),
    "a hearing before its day": (
        [*NOTIFIED, req.ASK, SCHEDULE, go(13)],
        req.HOLD,
        "HEARING_NOT_DUE",
    ),
    "an apology is not reviewed yet": (
        [*NOTIFIED, APOLOGISE, go(20), review(), DISCUSS],
        FINE,
        "APOLOGY_PENDING",
    ),
    "an apology may still be offered": (
        [*NOTIFIED, lapse(pb.DUTY_STATEMENT, pb.DUTY_HEARING_REQUEST), review(), DISCUSS],
        FINE,
        "APOLOGY_WINDOW_OPEN",
    ),
    "a second apology": ([*NOTIFIED, APOLOGISE], APOLOGISE, "APOLOGY_OFFERED"),
    "a statement is not considered": (
        [*NOTIFIED, req.STATE, go(20), review(), DISCUSS],
        FINE,
        "STATEMENT_NOT_CONSIDERED",
    ),
    "a large fine without a legal review": ([*HEARD, DISCUSS], FINE, "LEGAL_REVIEW_MISSING"),
    "a legal review that does not agree": (
        [*HEARD, review(), review(passed=False), DISCUSS],
        FINE,
        "LEGAL_REVIEW_MISSING",
    ),
    "evidence after the legal review": (
        [*REVIEWED, EVIDENCE],
        FINE,
        "LEGAL_REVIEW_MISSING",
    ),
    "a small fine after a hearing, reviewed before it": (
        [*NOTIFIED, review(), req.ASK, SCHEDULE, go(14), req.HOLD, DISCUSS],
        req.fine(15_000_000),
        "LEGAL_REVIEW_MISSING",
    ),
    "a large fine without a discussion": ([*HEARD, review()], FINE, "DISCUSSION_MISSING"),
    "a discussion that does not agree": (
        [*HEARD, review(), today(lambda day: req.discussion(day, agreed=False))],
        FINE,
        "DISCUSSION_MISSING",
    ),
    "a discussion before the notice, and the party objected": (
        [*INVESTIGATED, DISCUSS, NOTICE, req.STATE, req.CONSIDER, go(20), review()],
        FINE,
        "DISCUSSION_MISSING",
    ),
    "more than the notice proposed": (REVIEWED, req.fine(30_000_100), "PENALTY_ABOVE_NOTICE"),
    "no penalty without correction": (
        INVESTIGATED,
        rpc_pb.DecideCaseRequest(
            kind=pb.Decision.KIND_NO_PENALTY, ground=pb.Decision.GROUND_MINOR, reasons="轻微"
        ),
        "NOT_CORRECTED",
    ),
    "a further notice without new evidence": (REVIEWED, NOTICE, "NO_NEW_EVIDENCE"),
    "publication twice": ([*PAYING, PUBLISH], PUBLISH, "ALREADY_PUBLISHED"),
    "two remedies at once": ([*PAYING, SUE], RECONSIDER, "REMEDY_PENDING"),
    "reconsideration after reconsideration": (
        [*PAYING, RECONSIDER, UPHELD],
        RECONSIDER,
        "RECONSIDERATION_USED",
    ),
    "a demand before the fine is due": (PAYING, DEMAND, "PAYMENT_NOT_DUE"),
    "a demand while a suit is under way": ([*UNPAID, SUE], DEMAND, "REMEDY_PENDING"),
    "the court without a demand": (UNPAID, TO_COURT, "NO_DEMAND"),
    "the court before the demand's days are over": (
        [*UNPAID, DEMAND],
        TO_COURT,
        "DEMAND_NOT_EXPIRED",
    ),
    "the court before the party's days are over": (
        [*PAYING, lapse(pb.DUTY_PAYMENT), DEMAND, lapse(pb.DUTY_DEMAND)],
        TO_COURT,
        "SUIT_PERIOD_OPEN",
    ),
    "the court while a suit is under way": ([*DEMANDED, SUE], TO_COURT, "REMEDY_PENDING"),
    "the court after its months": (
        [*DEMANDED, lapse(pb.DUTY_COURT_APPLICATION)],
        TO_COURT,
        "COURT_WINDOW_CLOSED",
    ),
    "the court after its months, which nobody told": (
        [*DEMANDED, go(120)],
        TO_COURT,
        "COURT_WINDOW_CLOSED",
    ),
    "a ruling after the end": (
        [
            *DEMANDED,
            TO_COURT,
            rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_ENDED, reasons="无可供执行财产"),
        ],
        RULING,
        "ENFORCEMENT_ENDED",
    ),
    "closing with money owed": (PAYING, req.CLOSE, "OUTSTANDING"),
    "closing during a suit": ([*PERFORMED, SUE], req.CLOSE, "REMEDY_PENDING"),
    "closing what is not published": (PERFORMED, req.CLOSE, "DUTY_OPEN"),
    "an order while the last one is not looked into": (
        [*FILED, CORRECT],
        CORRECT,
        "REINSPECTION_PENDING",
    ),
    "an order counts once": ([*FILED, CORRECT, REINSPECT], REINSPECT, "NO_ORDER_TO_INSPECT"),
    "a suspended case is not suspended": (PATHS["SUSPENDED"], SUSPEND, "CASE_SUSPENDED"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_law_forbids_is_refused_with_its_reason(what: str) -> None:
    steps, step, reason = REFUSED[what]
    case = Case()
    case.do(*steps)
    error = case.refused(step)
    assert (error.reason, error.code) == (reason, code_pb2.FAILED_PRECONDITION)


def test_an_investigator_does_not_review() -> None:
    case = Case()
    case.do(*INVESTIGATED)
    for investigator in ("zhang", "li"):
        assert case.refused(req.REVIEW, actor=investigator).reason == "INVESTIGATOR_MAY_NOT_REVIEW"


# What leads there, the command, its reason and the field that it names.
INVALID: dict[str, tuple[list[Step], Step, str, str]] = {
    "a clue of tomorrow": (
        [],
        lambda case: req.clue(case.today + DAY),
        "FUTURE_DATE",
        "found_date",
    ),
    "a round without a daily penalty": (
        [],
        lambda case: req.clue(case.today, round=1),
        "NOT_A_DAILY_PENALTY",
        "round",
    ),
    "a daily penalty of no case": (
        [],
        lambda case: req.clue(
            case.today, origin=pb.Origin(kind=pb.Origin.KIND_DAILY_PENALTY), round=1
        ),
        "NO_ORIGINAL_CASE",
        "origin.resource",
    ),
    "a report whose result was not told": (
        FILED,
        req.evidence(pb.CaseEvidence.KIND_REPORT),
        "RESULT_NOT_TOLD",
        "evidence[0].told_date",
    ),
    "a notice before the case was filed": (
        INVESTIGATED,
        today(lambda day: req.notice(day - DAY)),
        "DATE_TOO_EARLY",
        "act_date",
    ),
    "service before the decision": (
        DECIDED,
        lambda case: req.served(rpc_pb.ServeDecisionRequest, case.today - DAY),
        "DATE_TOO_EARLY",
        "act_date",
    ),
    "no penalty without reasons": (
        INVESTIGATED,
        rpc_pb.DecideCaseRequest(kind=pb.Decision.KIND_NO_PENALTY, ground=pb.Decision.GROUND_MINOR),
        "REASONS_MISSING",
        "reasons",
    ),
    "a fine with a ground": (
        REVIEWED,
        req.fine(ground=pb.Decision.GROUND_MINOR),
        "GROUND_WRONG",
        "ground",
    ),
    "a remedy that makes the fine heavier": (
        [*PAYING, SUE],
        ruled(pb.Remedy.OUTCOME_CHANGED, req.FINE + 1),
        "FINE_NOT_LOWERED",
        "fine_fen",
    ),
    "a fine that nothing changed": (
        [*PAYING, SUE],
        ruled(pb.Remedy.OUTCOME_UPHELD, 1),
        "FINE_NOT_CHANGED",
        "fine_fen",
    ),
    "a ruling that is none": (
        PATHS["ENFORCING"],
        rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_APPLIED, reasons="x"),
        "NOT_A_RULING",
        "state",
    ),
    "a withdrawal as annulled": (
        FILED,
        rpc_pb.WithdrawCaseRequest(ground=pb.WITHDRAWAL_GROUND_ANNULLED, reasons="x"),
        "GROUND_OF_A_REMEDY",
        "ground",
    ),
}


@pytest.mark.parametrize("what", INVALID)
def test_a_caller_s_mistake_names_the_field(what: str) -> None:
    steps, step, reason, named = INVALID[what]
    case = Case()
    case.do(*steps)
    error = case.refused(step)
    assert (error.reason, error.code) == (reason, code_pb2.INVALID_ARGUMENT)
    assert [path for path, _ in error.violations] == [named]


def test_the_limits_of_a_case_are_counted_as_the_law_says() -> None:
    case = Case(today=date(2026, 9, 10))
    case.do(CLUE)
    assert case.due(pb.DUTY_FILING) == date(2026, 9, 28)
    extension = rpc_pb.ExtendLimitRequest.EXTENSION_FILING
    case.do(rpc_pb.ExtendLimitRequest(extension=extension, reason="需补充核查"))
    assert case.due(pb.DUTY_FILING) == date(2026, 10, 10)
    case.do(to(date(2026, 9, 24)), FILE, EVIDENCE, CONCLUDE)
    assert case.due(pb.DUTY_DECISION) == date(2026, 12, 23)
    case.do(NOTICE)
    assert case.due(pb.DUTY_STATEMENT) == case.due(pb.DUTY_HEARING_REQUEST) == date(2026, 10, 9)
    assert case.due(pb.DUTY_APOLOGY) == date(2026, 10, 12)


def test_a_served_decision_sets_payment_and_remedies_running() -> None:
    case = Case()
    case.do(*DECIDED)
    assert case.today == date(2026, 9, 18)
    assert case.opened == {"DUTY_SERVICE", "DUTY_PUBLICATION"}
    assert case.due(pb.DUTY_SERVICE) == case.due(pb.DUTY_PUBLICATION) == date(2026, 9, 29)
    case.do(SERVE)
    assert case.due(pb.DUTY_PAYMENT) == date(2026, 10, 8)
    assert case.due(pb.DUTY_RECONSIDERATION) == date(2026, 11, 17)
    assert case.due(pb.DUTY_SUIT) == date(2027, 3, 18)
    assert "DUTY_SERVICE" not in case.opened
    assert case.case.account.fine_fen == case.case.standing.unpaid_fine_fen == req.FINE
    assert case.open(pb.DUTY_PAYMENT).amount_fen == req.FINE  # type: ignore[union-attr]
    assert as_date(case.case.account.terms[0].due_date) == date(2026, 10, 8)


def test_the_court_can_be_asked_for_three_months_after_the_suit_s_period() -> None:
    case = Case()
    case.do(*UNPAID)
    assert case.due(pb.DUTY_COURT_APPLICATION) == date(2027, 6, 18)
    assert pb.DUTY_PAYMENT in case.case.standing.overdue
    case.do(to(date(2027, 3, 24)), DEMAND)
    assert case.due(pb.DUTY_DEMAND) == date(2027, 4, 7)
    letter = case.case.documents[-1]
    assert letter.contents.amount_fen == 2 * req.FINE  # the surcharge has reached its cap
    assert letter.contents.surcharge_fen == req.FINE
    assert (
        letter.contents.decision_number == "东环罚字〔2026〕"
    )  # its serial is given as it is recorded
    assert letter.contents.decision_number in letter.contents.facts
    case.do(to(date(2027, 4, 8)), TO_COURT)
    assert case.state == "ENFORCING"
    assert case.case.enforcement.amount_fen == 2 * req.FINE
    assert "DUTY_COURT_APPLICATION" not in case.opened
    refused = rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_REFUSED, reasons="材料不全")
    case.do(refused)
    assert case.state == "PAYING"
    assert case.due(pb.DUTY_COURT_APPLICATION) == date(2027, 6, 18)
    ended = rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_ENDED, reasons="无财产可供执行")
    case.do(TO_COURT, ended, PUBLISH, req.CLOSE)
    assert case.state == "CLOSED"


def test_suspension_does_not_count_towards_the_limit() -> None:
    case = Case()
    case.do(*FILED)
    before = case.due(pb.DUTY_DECISION)
    assert before == date(2026, 12, 7)  # 6 December is a Sunday
    case.do(SUSPEND)
    assert case.opened == set()
    assert case.case.standing.suspended
    case.do(go(10), RESUME)
    assert case.due(pb.DUTY_DECISION) == date(2026, 12, 16)
    case.do(EXTEND)
    assert case.due(pb.DUTY_DECISION) == date(2027, 1, 15)
    case.do(go(1), SUSPEND, go(5), RESUME)
    assert case.due(pb.DUTY_DECISION) == date(2027, 1, 20)
    assert case.case.excluded_days == 15


def test_a_limit_that_was_missed_stays_missed_through_suspension() -> None:
    case = Case()
    case.do(*FILED, lapse(pb.DUTY_DECISION), SUSPEND, go(3), RESUME)
    assert list(case.case.standing.overdue) == [pb.DUTY_DECISION]
    assert case.opened == set()
    case.do(EVIDENCE, CONCLUDE, MINOR)
    assert not case.case.standing.overdue


def test_the_days_of_a_hearing_do_not_count_towards_the_limit() -> None:
    case = Case()
    case.do(*NOTIFIED)
    asked = case.today
    case.do(req.ASK)
    assert case.opened == {"DUTY_STATEMENT", "DUTY_APOLOGY"}
    case.do(SCHEDULE, go(20), req.HOLD)
    assert case.state == "TO_DECIDE"
    assert case.due(pb.DUTY_DECISION) == date(2026, 12, 21)  # 6 December and 14 days, a Sunday
    assert as_date(case.case.hearing.hearing_date) == asked + 14 * DAY
    case.do(lapse(pb.DUTY_STATEMENT, pb.DUTY_APOLOGY))
    case.do(review(), DISCUSS, FINE)


@pytest.mark.parametrize(
    ("served", "first"),
    [(date(2026, 9, 8), date(2026, 9, 18)), (date(2026, 9, 24), date(2026, 10, 13))],
)
def test_seven_working_days_lie_between_the_notice_and_the_hearing(
    served: date, first: date
) -> None:
    case = Case(today=served - DAY)
    case.do(*NOTIFIED, req.ASK)
    assert case.today == served
    error = case.refused(req.hearing(served, first - DAY))
    assert error.reason == "HEARING_NOTICE_TOO_SHORT"
    assert error.metadata["rule"] == "penalty.hearing_notice"
    case.do(req.hearing(served, first))
    assert case.case.documents[-1].contents.performance.endswith("在本局听证室（9时30分）举行")
    # Put off: another notice, another day.
    case.do(req.hearing(served, first + DAY))
    assert as_date(case.case.hearing.hearing_date) == first + DAY


def test_what_was_received_in_time_may_be_recorded_later() -> None:
    case = Case()
    case.do(*NOTIFIED)
    last = case.due(pb.DUTY_STATEMENT)
    case.do(lapse(pb.DUTY_STATEMENT, pb.DUTY_HEARING_REQUEST), go(2))
    in_time, late = day_message(last), day_message(last + DAY)
    error = case.refused(rpc_pb.SubmitStatementRequest(text="申辩", receive_date=late))
    assert (error.reason, error.metadata["due_date"]) == ("STATEMENT_TOO_LATE", f"{last}")
    case.do(rpc_pb.SubmitStatementRequest(text="申辩", receive_date=in_time))
    case.do(req.CONSIDER)
    assert case.refused(rpc_pb.RequestHearingRequest(request_date=late)).reason == (
        "HEARING_TOO_LATE"
    )
    case.do(rpc_pb.RequestHearingRequest(request_date=in_time))
    assert case.state == "HEARING"


def test_a_right_that_passed_is_over_even_if_nobody_told() -> None:
    case = Case()
    case.do(*NOTIFIED, go(20), review(), DISCUSS)
    assert case.state == "NOTIFIED"
    case.do(FINE)
    assert case.state == "DECIDED"
    assert case.opened == {"DUTY_SERVICE", "DUTY_PUBLICATION"}


def test_a_late_or_doubled_or_early_expiry_records_nothing() -> None:
    case = Case()
    case.do(*NOTIFIED)
    early = expire(pb.DUTY_STATEMENT)
    assert case.do(early) == []
    command = early(case)
    case.do(go(20))
    assert case.do(command) == ["DeadlinePassed"]
    assert case.state == "NOTIFIED"  # a hearing may still be asked for, as far as anybody told
    assert case.do(command) == []
    assert case.do(expire(pb.DUTY_HEARING_REQUEST)) == ["DeadlinePassed"]
    assert case.state == "TO_DECIDE"


def test_a_notice_by_public_notice_counts_after_its_days() -> None:
    case = Case()
    public = doc.SERVICE_METHOD_PUBLIC_NOTICE
    case.do(*INVESTIGATED, today(lambda day: req.notice(day, method=public)))
    # A holiday, on which it counts all the same.
    assert as_date(case.case.notice_serve_date) == date(2026, 10, 7)
    assert case.case.documents[-1].service.rule.id == "penalty.public_notice_service"
    assert case.due(pb.DUTY_STATEMENT) == date(2026, 10, 13)
    assert case.due(pb.DUTY_DECISION) == date(2027, 1, 5)  # 6 December and 30 days
    assert case.case.excluded_days == 30


def test_a_decision_by_public_notice_is_owed_but_not_due() -> None:
    case = Case()
    public = doc.SERVICE_METHOD_PUBLIC_NOTICE
    case.do(*DECIDED, act(rpc_pb.ServeDecisionRequest, method=public))
    assert case.due(pb.DUTY_PAYMENT) > case.today + 40 * DAY
    case.do(today(lambda day: req.payment(day, 100)))
    assert case.state == "PAYING"
    assert case.case.standing.unpaid_fine_fen == req.FINE - 100


def test_an_apology_halves_the_fine_but_not_below_the_least() -> None:
    for proposed, decided in ((30_000_000, 15_000_000), (15_000_000, 10_000_000)):
        case = Case()
        case.do(*INVESTIGATED, today(lambda day: req.notice(day, proposed)))  # noqa: B023
        website = pb.Apology.CHANNEL_WEBSITE
        case.do(dated(rpc_pb.OfferApologyRequest, "correct_date", channel=website))
        assert "DUTY_APOLOGY" not in case.opened
        assert [each.id for each in case.case.apology.rules] == [
            "penalty.apology",
            "penalty.apology_reduction",
            "penalty.apology_tenths",
        ]
        short = rpc_pb.ReviewApologyRequest(granted=True, service_tenths=59, reasons="不足")
        assert case.refused(short).reason == "SERVICE_INCOMPLETE"
        case.do(rpc_pb.ReviewApologyRequest(granted=True, service_tenths=60, reasons="已完成"))
        case.do(req.WAIVE, review(), DISCUSS, req.fine(decided))
        discretion = case.case.decision.discretion
        assert discretion.apology_reduction_fen == proposed - decided
        assert case.case.decision.fine_fen == decided


def test_an_obstacle_gives_the_party_three_more_working_days_to_apologise() -> None:
    case = Case()
    case.do(*NOTIFIED, to(date(2026, 9, 22)))

    def offer(ended: date) -> rpc_pb.OfferApologyRequest:
        return rpc_pb.OfferApologyRequest(
            correct_date=day_message(MONDAY),
            channel=pb.Apology.CHANNEL_MEDIA,
            obstacle_end_date=day_message(ended),
        )

    assert case.refused(offer(date(2026, 9, 17))).reason == "APOLOGY_TOO_LATE"
    assert case.refused(offer(date(2026, 9, 7))).reason == "NO_OBSTACLE"
    case.do(offer(date(2026, 9, 18)))  # a working Sunday lies between
    tomorrow = rpc_pb.OfferApologyRequest(
        correct_date=day_message(date(2026, 9, 22)),
        channel=pb.Apology.CHANNEL_MEDIA,
        apply_date=day_message(date(2026, 9, 21)),
    )
    other = Case()
    other.do(*NOTIFIED, to(date(2026, 9, 22)))
    assert other.refused(tomorrow).reason == "NOT_CORRECTED"


def test_where_no_guideline_is_nobody_apologises() -> None:
    case = Case(rules=RULES.at("150203"))
    case.do(*NOTIFIED)
    assert "DUTY_APOLOGY" not in case.opened
    error = case.refused(APOLOGISE)
    assert (error.reason, error.code) == ("NO_RULE_IN_FORCE", code_pb2.FAILED_PRECONDITION)
    assert case.case.documents[0].number == "环罚告字〔2026〕"


def test_a_further_notice_rests_on_new_evidence_and_begins_the_defence_anew() -> None:
    case = Case()
    case.do(*REVIEWED, EVIDENCE, today(lambda day: req.notice(day, 40_000_000)))
    assert case.state == "NOTIFIED"
    assert {"DUTY_STATEMENT", "DUTY_HEARING_REQUEST"} < case.opened
    assert case.case.proposal.chosen_fen == 40_000_000


@pytest.mark.parametrize(
    ("violation", "earlier", "ground", "reason"),
    [
        ({}, 0, pb.Decision.GROUND_MINOR, ""),
        ({}, 5, pb.Decision.GROUND_MINOR, ""),
        ({}, 0, pb.Decision.GROUND_FIRST_MINOR, ""),
        ({}, 1, pb.Decision.GROUND_FIRST_MINOR, "NOT_FIRST_TIME"),
        ({"harm": True}, 0, pb.Decision.GROUND_MINOR, "HARM_DONE"),
        ({"harm": True}, 0, pb.Decision.GROUND_FIRST_MINOR, "HARM_DONE"),
        ({"harm": True}, 1, pb.Decision.GROUND_NO_FAULT, ""),
    ],
)
def test_no_penalty_has_its_conditions(
    violation: dict[str, Any], earlier: int, ground: pb.Decision.Ground.ValueType, reason: str
) -> None:
    case = Case(earlier=earlier)
    found = req.violation(MONDAY - DAY, **violation)
    case.do(today(lambda day: req.clue(day, violation=found)), FILE, EVIDENCE, CONCLUDE)
    if reason:
        assert case.refused(no_penalty(ground)).reason == reason
        return
    case.do(no_penalty(ground))
    assert case.case.documents[-1].kind == doc.DOCUMENT_KIND_NO_PENALTY
    assert "行政处罚法第三十三条" in case.case.documents[-1].contents.law[-1]
    assert case.opened == {"DUTY_SERVICE"}
    case.do(SERVE)
    assert case.state == "PERFORMED"
    assert not case.case.HasField("account")
    assert case.refused(SUE).reason == "NO_FINE"
    assert case.refused(PUBLISH).reason == "NOTHING_TO_PUBLISH"
    case.do(req.CLOSE)


@pytest.mark.parametrize(
    ("conduct", "harm", "filed"),
    [
        (date(2024, 9, 7), False, True),
        (date(2024, 9, 6), False, False),
        (date(2024, 9, 6), True, True),
        (date(2021, 9, 7), True, True),
        (date(2021, 9, 6), True, False),
    ],
)
def test_a_violation_must_be_found_within_the_limitation(
    conduct: date, harm: bool, filed: bool
) -> None:
    case = Case()
    found = req.violation(conduct, harm=harm)
    case.do(today(lambda day: req.clue(day, violation=found)))
    # Found in time, it may be filed later.
    case.do(go(10))
    if filed:
        case.do(FILE)
    else:
        assert case.refused(FILE).reason == "LIMITATION_EXPIRED"


def test_old_conduct_meets_old_law_unless_the_new_is_lighter() -> None:
    case = Case(today=date(2026, 8, 17))
    case.do(*INVESTIGATED, today(lambda day: req.notice(day, 10_000_000)))
    proposal = case.case.proposal
    assert as_date(case.case.violation.conduct_date) == date(2026, 8, 11)
    assert (proposal.floor_fen, proposal.offence.version) == (10_000_000, "CN@2026-08-15")


def daily(days: int = 9, again: int = 0) -> tuple[Case, pb.PenaltyCase]:
    """A clue for a daily penalty of so many days, and its original case."""
    original = Case()
    original.do(*PAYING, CORRECT, go(days), REINSPECT)
    original.case.name = "penaltyCases/0"
    case = Case(today=original.today, original=original.case)
    origin = pb.Origin(kind=pb.Origin.KIND_DAILY_PENALTY, resource=original.case.name)
    case.do(today(lambda day: req.clue(day, origin=origin, round=1)))
    return case, original.case


def test_a_daily_penalty_is_the_original_fine_for_each_day() -> None:
    case, original = daily()
    assert original.reinspections[0].days == case.case.daily_basis.days == 9
    notice = today(lambda day: req.served(rpc_pb.ServeNoticeRequest, day))
    decide_ = rpc_pb.DecideCaseRequest(kind=pb.Decision.KIND_FINE)
    case.do(FILE, EVIDENCE, CONCLUDE, notice, req.WAIVE, DISCUSS)
    assert case.refused(decide_).reason == "LEGAL_REVIEW_MISSING"
    case.do(review(), decide_)
    assert case.case.decision.fine_fen == 9 * req.FINE
    decision = case.case.documents[-1]
    assert decision.kind == doc.DOCUMENT_KIND_DAILY_DECISION
    assert decision.contents.reasons.startswith(
        f"原处罚决定罚款{req.FINE // 100}元，按日连续处罚9日；"
    )


def test_a_daily_penalty_counts_the_original_fine_as_a_remedy_left_it() -> None:
    case, original = daily()
    case.do(FILE, EVIDENCE, CONCLUDE)
    notice = today(lambda day: req.served(rpc_pb.ServeNoticeRequest, day))
    original.account.fine_fen = 20_000_000
    case.do(notice)
    assert case.case.proposal.chosen_fen == 9 * 20_000_000
    original.standing.state = pb.STATE_WITHDRAWN
    case.do(req.WAIVE, review(), DISCUSS)
    decide_ = rpc_pb.DecideCaseRequest(kind=pb.Decision.KIND_FINE)
    assert case.refused(decide_).reason == "ORIGINAL_ANNULLED"


def test_a_daily_penalty_needs_an_original_that_is_served_and_a_refusal() -> None:
    case, original = daily()
    origin = case.case.origin

    def clue_of(round_: int, **fields: Any) -> Step:
        return today(lambda day: req.clue(day, origin=origin, round=round_, **fields))

    fresh = Case(today=case.today, original=original)
    assert fresh.refused(clue_of(2)).reason == "NO_REFUSAL"
    other = pb.Respondent(kind=pb.Respondent.KIND_ENTITY, uscc="x", display_name="y")
    assert fresh.refused(clue_of(1, respondent=other)).reason == "OTHER_RESPONDENT"
    original.decision.serve_date.CopyFrom(day_message(case.today + DAY))
    assert fresh.refused(clue_of(1)).reason == "ORIGINAL_NOT_SERVED"
    original.decision.ClearField("serve_date")
    assert fresh.refused(clue_of(1)).reason == "ORIGINAL_NOT_SERVED"


def test_each_order_to_correct_begins_a_round() -> None:
    case = Case()
    case.do(*FILED, CORRECT)
    assert case.due(pb.DUTY_REINSPECTION) == MONDAY + 30 * DAY
    case.do(lapse(pb.DUTY_REINSPECTION))
    assert list(case.case.standing.overdue) == [pb.DUTY_REINSPECTION]
    corrected = dated(rpc_pb.RecordReinspectionRequest, "inspect_date", findings="已改正")
    case.do(corrected)
    assert not case.case.standing.overdue
    assert case.case.reinspections[0].days == 0
    case.do(CORRECT, go(3), REINSPECT)
    assert [(each.round, each.days) for each in case.case.reinspections] == [(1, 0), (2, 3)]


def test_an_annulled_decision_ends_the_case_and_nothing_is_owed() -> None:
    case = Case()
    case.do(*PAYING, PUBLISH, APPLY, grant, SUE, go(3))
    assert case.do(ANNULLED) == ["RemedyConcluded", "CaseWithdrawn"]
    assert case.state == "WITHDRAWN"
    assert case.case.withdrawal_ground == pb.WITHDRAWAL_GROUND_ANNULLED
    assert case.opened == {"DUTY_PUBLICATION_WITHDRAWAL"}
    assert case.due(pb.DUTY_PUBLICATION_WITHDRAWAL) == date(2026, 9, 24)
    assert (case.case.account.fine_fen, case.case.standing.unpaid_fine_fen) == (0, 0)
    assert case.case.plans[0].state == money.Plan.STATE_CANCELLED
    assert case.case.standing.plan == 0
    case.do(UNPUBLISH)
    assert case.opened == set()
    assert not case.case.decision.HasField("publish_date")


def test_what_was_paid_on_an_annulled_decision_is_paid_back() -> None:
    case = Case()
    case.do(*PERFORMED, SUE, ANNULLED)
    refund = dated(
        pay_pb.RefundOverpaymentRequest, "refund_date", reference="r", amount_fen=req.FINE
    )
    assert case.do(refund) == ["OverpaymentRefunded"]


def test_a_changed_fine_counts_from_the_start() -> None:
    case = Case()
    case.do(*PAYING, PUBLISH, SUE, go(3), ruled(pb.Remedy.OUTCOME_CHANGED, 20_000_000))
    assert case.state == "PAYING"
    assert case.case.standing.unpaid_fine_fen == 20_000_000
    assert case.open(pb.DUTY_PAYMENT).amount_fen == 20_000_000  # type: ignore[union-attr]
    assert {"DUTY_PUBLICATION_WITHDRAWAL", "DUTY_COURT_APPLICATION"} < case.opened
    case.do(UNPUBLISH)
    assert "DUTY_PUBLICATION" in case.opened  # the changed decision is to be made public
    case.do(PUBLISH, today(lambda day: req.payment(day, 20_000_000)), req.CLOSE)
    assert case.state == "CLOSED"


def test_a_fine_that_was_paid_is_performed_when_it_is_lowered() -> None:
    case = Case()
    case.do(*PAYING, PUBLISH, today(lambda day: req.payment(day, 20_000_000)), SUE)
    case.do(ruled(pb.Remedy.OUTCOME_CHANGED, 15_000_000))
    assert case.state == "PERFORMED"
    assert "DUTY_PAYMENT" not in case.opened
    case.do(UNPUBLISH, PUBLISH)
    assert case.refused(req.CLOSE).reason == "OVERPAID"


def test_after_reconsideration_the_party_may_sue_for_fifteen_days() -> None:
    case = Case()
    case.do(*PAYING, RECONSIDER, go(30), UPHELD)
    assert case.due(pb.DUTY_SUIT) == case.today + 15 * DAY == date(2026, 11, 2)
    assert "DUTY_COURT_APPLICATION" not in case.opened
    case.do(lapse(pb.DUTY_SUIT))
    assert as_date(case.open(pb.DUTY_COURT_APPLICATION).deadline.origin_date) == date(2026, 11, 2)  # type: ignore[union-attr]
    withdrawn = Case()
    withdrawn.do(*PAYING, RECONSIDER, go(30), ruled(pb.Remedy.OUTCOME_WITHDRAWN))
    assert withdrawn.due(pb.DUTY_SUIT) == date(2027, 3, 18)


def test_a_remedy_opens_a_closed_case_again() -> None:
    case = Case()
    case.do(*PATHS["CLOSED"], SUE)
    assert case.state == "PERFORMED"
    case.do(UPHELD, req.CLOSE)
    assert case.state == "CLOSED"


def test_the_surcharge_stands_still_during_a_suit() -> None:
    case = Case()
    case.do(*PAYING, to(date(2026, 10, 9)), SUE, go(30), UPHELD)
    owed = statement(case.case.account, RULES, case.today)
    assert owed.surcharge_fen == 0
    assert case.due(pb.DUTY_COURT_APPLICATION) == date(2027, 2, 8)


def test_a_suit_that_lapses_while_a_plan_is_kept_does_not_open_the_court() -> None:
    case = Case()
    case.do(*PAYING, APPLY, grant, lapse(pb.DUTY_RECONSIDERATION))
    until = case.due(pb.DUTY_SUIT)
    case.today = until + DAY
    case.do(expire(pb.DUTY_SUIT))
    assert "DUTY_COURT_APPLICATION" not in case.opened


def new_year(last: int) -> Rules:
    """The law once the calendar of 2027 is published, its holiday from the 1st to that day."""
    holidays = {date(2027, 1, day): "元旦" for day in range(1, last + 1)}
    calendar = YearCalendar(year=2027, holidays=holidays, source="made up for the test")
    return replace(RULES, calendar=UP_TO_2026.with_year(calendar))


def test_a_published_calendar_moves_what_is_open() -> None:
    case = Case(today=date(2026, 12, 28))
    case.do(*NOTIFIED)
    provisional = {each.deadline.id for each in case.case.standing.deadlines}
    before = case.due(pb.DUTY_STATEMENT)
    case.rules = new_year(5)
    recount = rpc_pb.RecountDeadlinesRequest(calendar_year=2027)
    assert case.do(recount) == ["DeadlinesRecounted"]
    moved = set(case.events[-1].deadline_ids)  # type: ignore[union-attr]
    assert moved <= provisional
    assert case.due(pb.DUTY_STATEMENT) > before
    assert not any(each.deadline.provisional for each in case.case.standing.deadlines[:3])
    assert case.do(recount) == []


def test_a_provisional_deadline_that_passes_is_counted_again_before_it_is_missed() -> None:
    case = Case(today=date(2026, 12, 28))
    case.do(*NOTIFIED)
    told = expire(pb.DUTY_STATEMENT)(case)
    case.today = case.due(pb.DUTY_STATEMENT) + DAY
    case.rules = new_year(12)
    assert case.do(told) == ["DeadlinesRecounted"]
    assert case.do(told) == []


def test_the_payment_date_moves_with_its_deadline() -> None:
    case = Case(today=date(2026, 12, 10))
    case.do(*PAYING)
    case.rules = new_year(19)
    case.do(rpc_pb.RecountDeadlinesRequest(calendar_year=2027))
    assert case.due(pb.DUTY_PAYMENT) == date(2027, 1, 20)
    assert as_date(case.case.account.terms[0].due_date) == date(2027, 1, 20)


def test_what_is_missed_is_overdue_until_it_is_done() -> None:
    case = Case()
    case.do(CLUE, lapse(pb.DUTY_FILING))
    assert list(case.case.standing.overdue) == [pb.DUTY_FILING]
    case.do(FILE)
    assert not case.case.standing.overdue
    case = Case()
    case.do(*DECIDED, lapse(pb.DUTY_SERVICE, pb.DUTY_PUBLICATION), SERVE)
    assert list(case.case.standing.overdue) == [pb.DUTY_PUBLICATION]
    case.do(PUBLISH)
    assert not case.case.standing.overdue


def test_a_small_fine_needs_neither_hearing_nor_review_nor_discussion() -> None:
    case = Case()
    case.do(*INVESTIGATED, today(lambda day: req.notice(day, 15_000_000)), req.WAIVE)
    assert not case.case.hearing_due
    case.do(req.fine(15_000_000))
    assert case.state == "DECIDED"


@pytest.mark.parametrize(
    ("kind", "fine_fen", "due"),
    [
        (pb.Respondent.KIND_ENTITY, 19_999_900, False),
        (pb.Respondent.KIND_ENTITY, 20_000_000, True),
        (pb.Respondent.KIND_SOLE_TRADER, 10_000_000, True),
    ],
)
def test_who_is_entitled_to_a_hearing(
    kind: pb.Respondent.Kind.ValueType, fine_fen: int, due: bool
) -> None:
    case = Case()
    who = pb.Respondent(kind=kind, uscc="91130200699229617X", display_name="某店")
    case.do(today(lambda day: req.clue(day, respondent=who)), FILE, EVIDENCE, CONCLUDE)
    case.do(today(lambda day: req.notice(day, fine_fen)))
    assert case.case.hearing_due is due
    assert ("DUTY_HEARING_REQUEST" in case.opened) is due


def test_a_clue_names_an_offence_of_the_rules() -> None:
    violation = req.violation(MONDAY - DAY, offence="offence.exceed")
    error = Case().refused(req.clue(MONDAY, violation=violation))
    assert error.reason == "UNKNOWN_OFFENCE"
    assert "violation.offence must be one of offence." in error.message


def test_what_rests_on_an_unsure_rule_is_shown_as_unsure() -> None:
    case = Case()
    case.do(*HEARD)
    assert case.case.hearing_rule.id == "penalty.hearing_amount"
    assert case.case.hearing_rule.confidence == CONFIDENCE_LOW
    assert "penalty.legal_review_amount" in case.refused(FINE).message
    case.do(review())
    assert "unsure (待确认)" in case.refused(FINE).message
    case.do(DISCUSS, FINE, SERVE)
    assert case.case.account.surcharge_base_rule.confidence == CONFIDENCE_LOW


def test_who_is_too_early_hears_until_when() -> None:
    case = Case()
    case.do(*PAYING)
    assert case.refused(DEMAND).message.endswith(f"{case.due(pb.DUTY_PAYMENT)}")
    case.do(lapse(pb.DUTY_PAYMENT), DEMAND)
    assert case.refused(TO_COURT).message.endswith(f"{case.due(pb.DUTY_SUIT)}")


def test_a_demand_recorded_later_says_what_was_owed_on_its_day() -> None:
    case = Case()
    case.do(*PAYING)
    due = case.due(pb.DUTY_PAYMENT)
    case.do(lapse(pb.DUTY_PAYMENT), to(due + 5 * DAY))
    early = req.served(rpc_pb.ServeDemandRequest, due - DAY)
    assert case.refused(early).reason == "DATE_TOO_EARLY"
    case.do(req.served(rpc_pb.ServeDemandRequest, due + 2 * DAY))
    said = case.case.documents[-1].contents
    assert (said.amount_fen, said.surcharge_fen) == (req.FINE * 106 // 100, req.FINE * 6 // 100)


def test_a_decision_says_all_that_the_law_demands() -> None:
    case = Case()
    case.do(*NOTIFIED, req.STATE, req.CONSIDER, go(20), review(), DISCUSS, FINE)
    notice, decision = (each.contents for each in case.case.documents)
    assert notice.rights == [
        "2026年9月15日（含当日）前可进行陈述申辩（生态环境行政处罚办法第四十四条、行政处罚法第八十五条）",
        "2026年9月15日（含当日）前可要求听证（行政处罚法第六十四条、第八十五条）",
        "2026年9月17日（含当日）前可申请道歉承诺从轻处罚（东莞市生态环境违法行为道歉承诺从轻处罚工作指引（东环〔2024〕69号））",
    ]
    assert decision.respondent.startswith(req.TRADER.display_name)
    assert decision.facts == "排放浓度超过许可限值"
    assert decision.evidence == ["现场照片"]
    assert decision.law[0] == "生态环境法典第一千一百零三条"
    assert decision.defence == ["设备故障，请从轻：不予采纳，证据不足"]
    assert decision.discretion.chosen_fen == decision.amount_fen == req.FINE
    assert decision.discretion.difference_reason == "综合裁量"
    assert notice.reasons.startswith("法定罚款幅度100000元以上1000000元以下；危害后果：")
    assert "分，计算为" in notice.reasons
    assert notice.reasons.endswith(f"拟处罚款{notice.amount_fen // 100}元")
    assert decision.reasons.endswith(
        f"不按计算数额的理由：综合裁量；决定处以罚款{req.FINE // 100}元"
    )
    assert decision.performance == (
        "自收到本决定书之日起15日内到指定的银行或者通过电子支付系统缴纳罚款"
        f"{req.FINE // 100}元（行政处罚法第六十七条）"
    )
    assert decision.rights == [
        "自知道本决定之日起60日内可向东莞市人民政府申请行政复议（行政复议法第二十条）",
        "自知道本决定之日起6个月内可向有管辖权的人民法院提起行政诉讼（行政诉讼法第四十六条）",
    ]
    assert decision.consequences == [
        "逾期不缴纳的，每日按罚款数额的3%加处罚款，总额不超过罚款数额的100%（行政处罚法第七十二条）",
        "经催告仍不履行的，申请人民法院强制执行（行政强制法第五十三条）",
    ]
    assert decision.bureau == "东莞市生态环境局"


# What may be left when a case has ended.
AFTER = {"NOT_FILED": set(), "CLOSED": set(), "WITHDRAWN": {"DUTY_PUBLICATION_WITHDRAWAL"}}
WALK: list[Step] = [
    *(step for step, _, _ in ROWS),
    *(today(lambda day, fen=fen: req.notice(day, fen)) for fen in (15_000_000, req.FINE)),  # type: ignore[misc]
    *(req.fine(fen) for fen in (10_000_000, 15_000_000)),
    *(today(lambda day, fen=fen: req.payment(day, fen, f"{fen}")) for fen in (5_000_000, 10**8)),  # type: ignore[misc]
    *(ruled(outcome, 0) for outcome in pb.Remedy.Outcome.values()[1:]),
    RECONSIDER,
    rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_REFUSED, reasons="x"),
]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_in_whatever_order_is_decided_or_refused(seed: int) -> None:
    chance, states = random.Random(seed), set()
    for path in PATHS.values():
        case = Case()
        case.do(*path)
        for _ in range(40):
            case.today += chance.choice((0, 0, 1, 3, 20)) * DAY
            passed = [each for each in case.case.standing.deadlines if chance.random() < 0.3]
            expiries = [
                rpc_pb.ExpireDeadlineRequest(deadline_id=each.deadline.id) for each in passed
            ]
            for step in (*expiries, chance.choice(WALK)):
                with suppress(StatusError):
                    case.do(step, actor=chance.choice(("officer", "lawyer")))
            states.add(case.state)
            assert case.opened <= AFTER.get(case.state, case.opened)
            overdue = set(case.case.standing.overdue)
            assert not overdue or case.state not in AFTER or case.state == "WITHDRAWN"
        folded = pb.PenaltyCase(name="penaltyCases/1")
        for event in case.events:
            folded = evolve(folded, event)
        assert folded == case.case
    assert len(states) > 10

"""What may happen to a problem, and what it becomes: the pure model under the real rules."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
from google.rpc import code_pb2
from google.type.date_pb2 import Date
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar, YearCalendar, as_date
from services.rectification.evolve import Event, evolve
from services.rectification.model import DECISIONS, decide
from tests.bureau import item, report

BUILT_IN = WorkingCalendar.load().years
UP_TO_2026 = WorkingCalendar({year: BUILT_IN[year] for year in BUILT_IN if year <= 2026})
RULES = Rules(RuleBook.load(), UP_TO_2026, "150203")
NEW_YEAR_2027 = YearCalendar(
    year=2027,
    holidays={date(2027, 1, day): "元旦" for day in (1, 2, 3)},
    source="made up for the test",
)
RULES_2027 = replace(RULES, calendar=UP_TO_2026.with_year(NEW_YEAR_2027))
MARCH = datetime(2026, 3, 2, 1, tzinfo=UTC)  # a Monday, 09:00 in Shanghai
DECEMBER = datetime(2026, 12, 28, 1, tzinfo=UTC)  # so is this; every limit from here ends in 2027
DAY = timedelta(days=1)
ITEM = pb.RectificationItem
ENDED = frozenset({pb.STATE_UNFOUNDED, pb.STATE_CLOSED})
EVENTS = get_args(Event)

REPORT = report()
CONFIRM = rpc_pb.VerifyProblemRequest(result=rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED)
DISMISS = rpc_pb.VerifyProblemRequest(result=rpc_pb.VerifyProblemRequest.RESULT_UNFOUNDED)
ORDER = rpc_pb.OrderRectificationRequest(items=[item(days=10)])
EXTEND = rpc_pb.ExtendRectificationRequest(limit=pb.Limit(days=60))
SUBMIT = rpc_pb.SubmitRectificationRequest()
ACCEPT = rpc_pb.ReviewRectificationRequest(result=rpc_pb.ReviewRectificationRequest.RESULT_ACCEPTED)
RETURN = rpc_pb.ReviewRectificationRequest(result=rpc_pb.ReviewRectificationRequest.RESULT_RETURNED)
GOOD = rpc_pb.AssessProblemRequest(result=rpc_pb.AssessProblemRequest.RESULT_EFFECTIVE)
BAD = rpc_pb.AssessProblemRequest(result=rpc_pb.AssessProblemRequest.RESULT_INEFFECTIVE)
REOPEN = rpc_pb.ReopenProblemRequest(items=[item(days=10)])
ESCALATE = rpc_pb.EscalateProblemRequest(reason="影响恶劣")
CLOSE = rpc_pb.CloseProblemRequest()
RECOUNT = rpc_pb.RecountDeadlinesRequest(calendar_year=2027)


def expire(deadline_id: str) -> rpc_pb.ExpireDeadlineRequest:
    return rpc_pb.ExpireDeadlineRequest(deadline_id=deadline_id)


@dataclass
class Case:
    """A problem, the time it is, and the law as it is known."""

    now: datetime = MARCH
    rules: Rules = RULES
    problem: pb.Problem = field(default_factory=lambda: pb.Problem(name="problems/1"))
    events: list[Event] = field(default_factory=list)

    def do(self, *commands: Any) -> list[str]:
        """Carry out commands; the names of the events of the last."""
        events: list[Event] = []
        for command in commands:
            before = self.problem.SerializeToString(deterministic=True)
            events = decide(self.problem, command, "officer", self.rules, self.now)
            for event in events:
                after = evolve(self.problem, event)
                assert self.problem.SerializeToString(deterministic=True) == before
                self.problem, before = after, after.SerializeToString(deterministic=True)
            self.events += events
        return [event.DESCRIPTOR.name for event in events]

    def refused(self, command: Any) -> StatusError:
        """Why a command is refused; the problem is left as it was."""
        before = self.problem.SerializeToString(deterministic=True)
        with pytest.raises(StatusError) as refusal:
            self.do(command)
        assert self.problem.SerializeToString(deterministic=True) == before
        return refusal.value

    @property
    def due(self) -> date:
        return as_date(self.problem.next_step.deadline.due_date)

    def wait_until(self, deadline: Any) -> None:
        """Go on to the moment at which `deadline` has passed."""
        self.now = deadline.due_time.ToDatetime(UTC)

    def miss(self) -> list[str]:
        """Let the next step's deadline pass, and say so."""
        self.wait_until(self.problem.next_step.deadline)
        return self.do(expire(self.problem.next_step.deadline.id))


# Every state, and every way it differs in to a command, by what leads there.
ORDERED = [REPORT, CONFIRM, ORDER]
SUBMITTED = [*ORDERED, SUBMIT]
ACCEPTED = [*SUBMITTED, ACCEPT]
PATHS: dict[str, list[Any]] = {
    "STATE_UNSPECIFIED": [],
    "STATE_REPORTED": [REPORT],
    "STATE_UNFOUNDED": [REPORT, DISMISS],
    "STATE_CONFIRMED": [REPORT, CONFIRM],
    "STATE_RECTIFYING": ORDERED,
    "STATE_SUBMITTED": SUBMITTED,
    "STATE_ACCEPTED": ACCEPTED,
    "STATE_EFFECTIVE": [*ACCEPTED, GOOD],
    "STATE_INEFFECTIVE": [*ACCEPTED, BAD],
    "STATE_CLOSED": [*ACCEPTED, GOOD, CLOSE],
}
OPEN = [state for state in PATHS if pb.State.Value(state) not in {pb.STATE_UNSPECIFIED, *ENDED}]
# For every command: the reason of its refusal, and the states in which it is not refused, with the
# events that follow. Expiry comes when the deadline has passed, recounting when 2027 is known.
TABLE: list[tuple[Any, str, dict[str, list[str]]]] = [
    (REPORT, "ALREADY_REPORTED", {"STATE_UNSPECIFIED": ["ProblemReported"]}),
    (CONFIRM, "NOT_AWAITING_VERIFICATION", {"STATE_REPORTED": ["ProblemVerified"]}),
    (DISMISS, "NOT_AWAITING_VERIFICATION", {"STATE_REPORTED": ["ProblemVerified"]}),
    (ORDER, "NOT_AWAITING_ORDER", {"STATE_CONFIRMED": ["RectificationOrdered"]}),
    (EXTEND, "NOT_RECTIFYING", {"STATE_RECTIFYING": ["RectificationExtended"]}),
    (SUBMIT, "NOT_RECTIFYING", {"STATE_RECTIFYING": ["RectificationSubmitted"]}),
    (ACCEPT, "NOT_AWAITING_REVIEW", {"STATE_SUBMITTED": ["RectificationAccepted"]}),
    (RETURN, "NOT_AWAITING_REVIEW", {"STATE_SUBMITTED": ["RectificationReturned"]}),
    (GOOD, "NOT_AWAITING_ASSESSMENT", {"STATE_ACCEPTED": ["ProblemAssessed"]}),
    (BAD, "NOT_AWAITING_ASSESSMENT", {"STATE_ACCEPTED": ["ProblemAssessed"]}),
    (
        REOPEN,
        "NOT_REOPENABLE",
        {"STATE_INEFFECTIVE": ["ProblemReopened"], "STATE_CLOSED": ["ProblemReopened"]},
    ),
    (CLOSE, "NOT_AWAITING_CLOSURE", {"STATE_EFFECTIVE": ["ProblemClosed"]}),
    (
        expire("the next step's"),
        "",
        {state: [] for state in PATHS}
        | {state: ["DeadlineMissed"] for state in OPEN}
        | {"STATE_RECTIFYING": ["DeadlineMissed", "ProblemEscalated"]},
    ),
    (
        RECOUNT,
        "",
        {state: [] for state in PATHS} | {state: ["DeadlinesRecounted"] for state in OPEN},
    ),
    (ESCALATE, "NOT_RECTIFYING", {"STATE_RECTIFYING": ["ProblemEscalated"]}),
]


def pairs() -> Iterator[Any]:
    for command, reason, outcomes in TABLE:
        for state in PATHS:
            name = f"{type(command).__name__.removesuffix('Request')}-{state}"
            yield pytest.param(state, command, outcomes.get(state, reason), id=name)


def test_the_table_has_every_state_and_every_command() -> None:
    assert set(PATHS) == set(pb.State.keys())
    assert {type(command) for command, _, _ in TABLE} == set(DECISIONS)


@pytest.mark.parametrize(("state", "command", "outcome"), list(pairs()))
def test_every_command_in_every_state(state: str, command: Any, outcome: list[str] | str) -> None:
    case = Case(now=DECEMBER)
    case.do(*PATHS[state])
    assert case.problem.state == pb.State.Value(state)
    if command == RECOUNT:
        case.rules = RULES_2027
    elif isinstance(command, rpc_pb.ExpireDeadlineRequest):
        case.now += 60 * DAY
        command = expire(case.problem.next_step.deadline.id or "close-1")
    elif command == ESCALATE and state == "STATE_RECTIFYING":
        assert case.refused(command).reason == "NOT_OVERDUE"
        case.miss()
    if isinstance(outcome, list):
        assert case.do(command) == outcome
        return
    refusal = case.refused(command)
    assert (refusal.code, refusal.reason) == (code_pb2.FAILED_PRECONDITION, outcome)
    assert refusal.metadata == {"resource": "problems/1", "state": state}


@pytest.mark.parametrize(
    ("commands", "state", "party", "step"),
    [
        ([REPORT], pb.STATE_REPORTED, pb.PARTY_VERIFIER, "verify-1"),
        ([REPORT, CONFIRM], pb.STATE_CONFIRMED, pb.PARTY_OFFICER, "order-1"),
        (ORDERED, pb.STATE_RECTIFYING, pb.PARTY_ENTERPRISE, "rectify-1.1"),
        (SUBMITTED, pb.STATE_SUBMITTED, pb.PARTY_OFFICER, "review-1"),
        ([*SUBMITTED, RETURN], pb.STATE_RECTIFYING, pb.PARTY_ENTERPRISE, "rectify-1.1"),
        ([*SUBMITTED, RETURN, SUBMIT], pb.STATE_SUBMITTED, pb.PARTY_OFFICER, "review-2"),
        (ACCEPTED, pb.STATE_ACCEPTED, pb.PARTY_ASSESSOR, "assess-1"),
        ([*ACCEPTED, GOOD], pb.STATE_EFFECTIVE, pb.PARTY_ASSESSOR, "close-1"),
        ([*ACCEPTED, BAD], pb.STATE_INEFFECTIVE, pb.PARTY_OFFICER, "reopen-1"),
        ([*ACCEPTED, BAD, REOPEN], pb.STATE_RECTIFYING, pb.PARTY_ENTERPRISE, "rectify-2.1"),
    ],
)
def test_it_is_always_said_whose_move_it_is(
    commands: list[Any], state: int, party: int, step: str
) -> None:
    case = Case()
    case.do(*commands)
    next_step = case.problem.next_step
    assert (case.problem.state, next_step.party, next_step.deadline.id) == (state, party, step)


@pytest.mark.parametrize("end", [[REPORT, DISMISS], [*ACCEPTED, GOOD, CLOSE]])
def test_an_ended_problem_waits_for_nobody(end: list[Any]) -> None:
    case = Case()
    case.do(*end)
    assert not case.problem.HasField("next_step")
    assert case.problem.close_time.ToDatetime(UTC) == MARCH


def test_a_closed_problem_reopens_for_another_round() -> None:
    case = Case()
    case.do(*ACCEPTED, GOOD, CLOSE, REOPEN)
    assert case.problem.round == 2
    assert not case.problem.HasField("close_time")
    assert [each.state for each in case.problem.items] == [ITEM.STATE_OUTSTANDING]


MISSED = ["DeadlineMissed", "ProblemEscalated"]


@pytest.mark.parametrize(
    ("offset", "deadline_id", "first"),
    [
        (-timedelta(seconds=1), "rectify-1.1", []),
        (timedelta(), "rectify-1.1", MISSED),
        (9 * DAY, "rectify-1.1", MISSED),
        (9 * DAY, "rectify-1.2", []),
        (9 * DAY, "order-1", []),
        (9 * DAY, "escalate-1.1", []),
    ],
)
def test_an_expiry_counts_once_and_only_for_the_deadline_that_has_passed(
    offset: timedelta, deadline_id: str, first: list[str]
) -> None:
    case = Case()
    case.do(*ORDERED)
    case.now = case.problem.next_step.deadline.due_time.ToDatetime(UTC) + offset
    assert case.do(expire(deadline_id)) == first
    assert case.problem.overdue == bool(first)
    assert case.do(expire(deadline_id)) == []


@pytest.mark.parametrize("move", [EXTEND, SUBMIT])
def test_an_expiry_that_comes_after_the_move_is_harmless(move: Any) -> None:
    case = Case()
    case.do(*ORDERED)
    case.now = case.problem.next_step.deadline.due_time.ToDatetime(UTC)
    case.do(move)
    assert case.do(expire("rectify-1.1")) == []
    assert not case.problem.overdue


def test_an_extension_ends_what_was_overdue_until_its_own_end() -> None:
    case = Case()
    case.do(*ORDERED)
    case.miss()
    case.do(EXTEND)
    assert not case.problem.overdue
    assert not case.problem.escalation.HasField("next_deadline")
    assert case.due == date(2026, 3, 12) + 61 * DAY
    assert case.miss() == MISSED
    assert case.problem.escalation.level == 2


def ordered(*days: int) -> Case:
    """A case with an item for each limit."""
    case = Case()
    order = rpc_pb.OrderRectificationRequest(items=[item(days=limit) for limit in days])
    case.do(REPORT, CONFIRM, order)
    return case


def submit(*ids: str) -> rpc_pb.SubmitRectificationRequest:
    return rpc_pb.SubmitRectificationRequest(item_ids=ids)


def test_items_may_be_submitted_in_parts_and_the_first_outstanding_one_sets_the_deadline() -> None:
    case = ordered(20, 10, 30)
    waits = []
    for ids in (["2"], ["1"], ["3"]):
        waits.append(case.problem.next_step.deadline.id)
        case.do(submit(*ids))
    assert waits == ["rectify-1.2", "rectify-1.1", "rectify-1.3"]
    assert case.problem.state == pb.STATE_SUBMITTED
    assert [list(each.item_ids) for each in case.problem.submissions] == [["2"], ["1"], ["3"]]


@pytest.mark.parametrize(
    ("days", "late"),
    [(0, [False, False]), (10, [False, False]), (11, [True, False]), (21, [True, True])],
)
def test_an_item_is_late_from_the_day_after_its_due_date(days: int, late: list[bool]) -> None:
    case = ordered(10, 18)  # due on Thursday the 12th and Friday the 20th
    case.now += days * DAY
    case.do(SUBMIT)
    assert [each.late for each in case.problem.items] == late


def test_an_item_once_late_stays_late() -> None:
    case = ordered(10)
    case.now += 11 * DAY
    case.do(SUBMIT, RETURN, SUBMIT)
    assert case.problem.items[0].late


def limit_on(year: int, month: int, day: int) -> pb.Limit:
    return pb.Limit(due_date=Date(year=year, month=month, day=day))


@pytest.mark.parametrize(
    ("limit", "reason", "path"),
    [
        (pb.Limit(days=10), "NOT_AN_EXTENSION", "limit"),
        (pb.Limit(days=3), "NOT_AN_EXTENSION", "limit"),
        (limit_on(2026, 3, 12), "NOT_AN_EXTENSION", "limit"),
        (limit_on(2026, 3, 2), "DUE_DATE_OUT_OF_RANGE", "limit.due_date"),
        (limit_on(9999, 12, 31), "DUE_DATE_OUT_OF_RANGE", "limit.due_date"),
        (limit_on(2026, 2, 30), "INVALID_DATE", "limit.due_date"),
        (limit_on(2026, 4, 0), "INVALID_DATE", "limit.due_date"),
    ],
)
def test_an_extension_must_end_later(limit: pb.Limit, reason: str, path: str) -> None:
    case = ordered(10)
    refusal = case.refused(rpc_pb.ExtendRectificationRequest(limit=limit))
    assert (refusal.code, refusal.reason) == (code_pb2.INVALID_ARGUMENT, reason)
    assert [violation[0] for violation in refusal.violations] == [path]


def test_an_extension_may_be_for_one_item_only() -> None:
    case = ordered(10, 20)
    case.do(rpc_pb.ExtendRectificationRequest(item_ids=["1"], limit=limit_on(2026, 4, 30)))
    assert [as_date(each.deadline.due_date) for each in case.problem.items] == [
        date(2026, 4, 30),
        date(2026, 3, 23),
    ]
    assert case.problem.next_step.deadline.id == "rectify-1.2"


def test_the_bad_limit_of_an_order_is_named() -> None:
    case = Case()
    case.do(REPORT, CONFIRM)
    bad = item()
    bad.limit.CopyFrom(limit_on(2026, 3, 1))
    refusal = case.refused(rpc_pb.OrderRectificationRequest(items=[item(), bad]))
    assert refusal.reason == "DUE_DATE_OUT_OF_RANGE"
    assert [violation[0] for violation in refusal.violations] == ["items[1].limit.due_date"]


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        (submit("1", "9"), code_pb2.INVALID_ARGUMENT, "UNKNOWN_ITEM"),
        (submit("2"), code_pb2.FAILED_PRECONDITION, "ITEM_NOT_OUTSTANDING"),
        (
            rpc_pb.ExtendRectificationRequest(item_ids=["2"], limit=pb.Limit(days=60)),
            code_pb2.FAILED_PRECONDITION,
            "ITEM_NOT_OUTSTANDING",
        ),
    ],
)
def test_only_outstanding_items_can_be_submitted_or_extended(
    command: Any, code: int, reason: str
) -> None:
    case = ordered(10, 10)
    case.do(submit("2"))
    refusal = case.refused(command)
    assert (refusal.code, refusal.reason) == (code, reason)
    if reason == "UNKNOWN_ITEM":
        assert refusal.violations == (("item_ids[1]", "must be one of 1, 2"),)
    else:
        assert refusal.metadata["item"] == "2"


@pytest.mark.parametrize(
    ("days", "limit", "due"),
    [
        (0, None, date(2026, 3, 12)),  # its own limit lies ahead
        (10, None, date(2026, 3, 12)),  # and does on the last day
        (11, None, date(2026, 3, 20)),  # passed: five working days
        (0, pb.Limit(days=2), date(2026, 3, 4)),
        (11, pb.Limit(days=2), date(2026, 3, 17)),
    ],
)
def test_a_returned_item_keeps_its_own_limit_while_that_lies_ahead(
    days: int, limit: pb.Limit | None, due: date
) -> None:
    case = ordered(10)
    case.now += days * DAY
    returned = rpc_pb.ReviewRectificationRequest(result=RETURN.result, limit=limit)
    case.do(SUBMIT, returned)
    assert case.due == due


def test_only_the_items_returned_are_outstanding_again() -> None:
    case = ordered(10, 20)
    case.do(SUBMIT)
    returned = rpc_pb.ReviewRectificationRequest(result=RETURN.result, item_ids=["2"])
    case.do(returned)
    assert [each.state for each in case.problem.items] == [
        ITEM.STATE_SUBMITTED,
        ITEM.STATE_OUTSTANDING,
    ]
    case.do(SUBMIT)
    assert list(case.problem.submissions[1].item_ids) == ["2"]
    assert case.problem.state == pb.STATE_SUBMITTED


@pytest.mark.parametrize(
    ("fields", "path"), [({"item_ids": ["1"]}, "item_ids"), ({"limit": pb.Limit()}, "limit")]
)
def test_accepting_returns_nothing(fields: dict[str, Any], path: str) -> None:
    case = ordered(10)
    case.do(SUBMIT)
    accept = rpc_pb.ReviewRectificationRequest(result=ACCEPT.result, **fields)
    refusal = case.refused(accept)
    assert refusal.reason == "NOTHING_RETURNED"
    assert [violation[0] for violation in refusal.violations] == [path]


def climb(case: Case) -> None:
    """Let the ladder's own deadline pass."""
    deadline = case.problem.escalation.next_deadline
    case.wait_until(deadline)
    assert case.do(expire(deadline.id)) == ["ProblemEscalated"]
    assert case.do(expire(deadline.id)) == []


def manual(case: Case) -> None:
    """Climb by hand, ahead of the ladder: the deadline it had is void."""
    before = case.problem.escalation.next_deadline.id
    case.do(ESCALATE)
    case.now += 60 * DAY
    assert case.do(expire(before)) == []


@pytest.mark.parametrize("second", [climb, manual])
def test_the_ladder_is_climbed_to_its_top_and_no_further(second: Any) -> None:
    case = ordered(10)
    assert case.miss() == MISSED
    measures = [case.problem.escalation.measure]
    for rung in (second, climb, climb):
        assert case.problem.escalation.next_measure
        rung(case)
        measures.append(case.problem.escalation.measure)
    assert measures == ["逾期通知", "约谈", "挂牌督办", "移送行政处罚"]
    assert not case.problem.escalation.HasField("next_deadline")
    refusal = case.refused(ESCALATE)
    assert refusal.reason == "TOP_OF_LADDER"
    assert refusal.metadata == {"resource": "problems/1", "state": "STATE_RECTIFYING"}


def test_the_ladder_does_not_climb_ahead_of_its_deadline() -> None:
    case = ordered(10)
    case.miss()
    deadline = case.problem.escalation.next_deadline
    case.now = deadline.due_time.ToDatetime(UTC) - timedelta(seconds=1)
    assert case.do(expire(deadline.id)) == []
    assert case.problem.escalation.level == 1


def test_submission_comes_down_from_the_ladder() -> None:
    case = ordered(10)
    case.miss()
    case.do(SUBMIT)
    assert case.problem.escalation == pb.Escalation()
    assert not case.problem.overdue


# What the limits from 2026-12-28 are by the working week alone, and when 2027 is known.
@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ([REPORT], date(2027, 1, 4), date(2027, 1, 5)),
        ([REPORT, CONFIRM], date(2027, 1, 4), date(2027, 1, 5)),
        ([REPORT, CONFIRM, "2027-01-01"], date(2027, 1, 1), date(2027, 1, 4)),
        (ORDERED, date(2027, 1, 7), date(2027, 1, 7)),
    ],
)
def test_a_provisional_deadline_moves_once_the_calendar_is_known(
    path: list[Any], before: date, after: date
) -> None:
    new_year = item()
    new_year.limit.CopyFrom(limit_on(2027, 1, 1))
    order = rpc_pb.OrderRectificationRequest(items=[new_year])
    case = Case(now=DECEMBER)
    case.do(*[order if step == "2027-01-01" else step for step in path])
    assert case.problem.next_step.deadline.provisional
    assert case.due == before
    assert case.do(RECOUNT) == []
    case.rules = RULES_2027
    assert case.do(RECOUNT) == ["DeadlinesRecounted"]
    assert case.due == after
    assert not case.problem.next_step.deadline.provisional
    for each in case.problem.items:
        assert each.deadline == case.problem.next_step.deadline
    assert case.do(RECOUNT) == []


def test_an_expiry_by_a_calendar_outdated_since_recounts_first() -> None:
    case = Case(now=DECEMBER)
    case.do(REPORT)
    case.now = case.problem.next_step.deadline.due_time.ToDatetime(UTC)
    case.rules = RULES_2027
    assert case.do(expire("verify-1")) == ["DeadlinesRecounted"]
    assert not case.problem.overdue
    assert case.do(expire("verify-1")) == []
    assert case.miss() == ["DeadlineMissed"]


def test_a_provisional_rung_moves_too() -> None:
    case = Case(now=datetime(2026, 12, 14, 1, tzinfo=UTC))
    case.do(REPORT, CONFIRM, rpc_pb.OrderRectificationRequest(items=[item(days=14)]))
    case.miss()
    rung = case.problem.escalation.next_deadline
    assert (as_date(rung.due_date), rung.provisional) == (date(2027, 1, 5), True)
    case.rules = RULES_2027
    assert case.do(RECOUNT) == ["DeadlinesRecounted"]
    rung = case.problem.escalation.next_deadline
    assert (as_date(rung.due_date), rung.provisional) == (date(2027, 1, 6), False)
    assert case.problem.overdue


def missed(case: Case) -> list[list[str]]:
    """Ids of the deadlines whose miss was recorded, by event."""
    return [list(each.deadline_ids) for each in case.events if isinstance(each, ev.DeadlineMissed)]


def test_each_items_miss_is_recorded_once_and_one_ladder_is_climbed() -> None:
    case = ordered(10, 40, 40)
    assert [list(day.deadline_ids) for day in case.problem.next_step.open_deadlines] == [
        ["rectify-1.1"],
        ["rectify-1.2", "rectify-1.3"],
    ]
    assert case.miss() == MISSED
    case.wait_until(case.problem.items[1].deadline)
    assert case.do(expire("rectify-1.3")) == ["DeadlineMissed"]
    assert case.do(expire("rectify-1.2")) == []
    assert missed(case) == [["rectify-1.1"], ["rectify-1.2", "rectify-1.3"]]
    assert [each.overdue for each in case.problem.items] == [True, True, True]
    assert case.problem.escalation.level == 1


def test_an_item_given_more_time_is_overdue_no_more_and_may_be_missed_again() -> None:
    case = ordered(10)
    case.miss()
    case.do(EXTEND)
    assert not case.problem.items[0].overdue
    case.miss()
    assert missed(case) == [["rectify-1.1"], ["rectify-1.1"]]


def test_items_due_on_one_day_are_reminded_of_at_once() -> None:
    (day,) = ordered(10, 10, 10).problem.next_step.open_deadlines
    assert [time.ToDatetime(UTC).day for time in day.remind_times] == [9, 11]


def shorter_ladder_from(day: date) -> Rules:
    book = RuleBook.load()
    (old,) = book._versions["rectification.escalation"]
    book._versions["rectification.escalation"] = [
        old.model_copy(update={"valid_to": day}),
        old.model_copy(update={"valid_from": day, "rungs": old.rungs[:1]}),
    ]
    return replace(RULES, book=book)


def test_a_case_climbs_the_ladder_that_it_began_with_even_after_an_extension() -> None:
    case = ordered(10)
    case.miss()
    case.rules = shorter_ladder_from(case.now.date())
    climb(case)
    case.do(EXTEND)
    assert case.miss() == MISSED
    assert case.problem.escalation.measure == "挂牌督办"
    assert case.problem.escalation.rule.version == "CN@2015-01-01"


AMENDED_2026 = BUILT_IN[2026].model_copy(
    update={"holidays": {**BUILT_IN[2026].holidays, date(2026, 12, 31): "元旦"}}
)
RULES_AMENDED = replace(RULES, calendar=UP_TO_2026.with_year(AMENDED_2026))
RECOUNT_2026 = rpc_pb.RecountDeadlinesRequest(calendar_year=2026)


def due_on_the_last_day_of_2026(now: datetime) -> Case:
    case = Case(now=now)
    last = item()
    last.limit.CopyFrom(limit_on(2026, 12, 31))
    case.do(REPORT, CONFIRM, rpc_pb.OrderRectificationRequest(items=[last]))
    return case


def test_a_calendar_published_again_moves_what_was_counted_by_it() -> None:
    case = due_on_the_last_day_of_2026(DECEMBER - 30 * DAY)
    assert not case.problem.next_step.deadline.provisional
    case.rules = RULES_AMENDED
    assert case.do(RECOUNT_2026) == ["DeadlinesRecounted"]
    assert case.due == date(2027, 1, 1)
    assert case.do(RECOUNT_2026) == []


def test_a_calendar_moves_nothing_that_it_does_not_touch() -> None:
    case = due_on_the_last_day_of_2026(DECEMBER)
    case.rules = RULES_AMENDED
    assert case.do(rpc_pb.RecountDeadlinesRequest(calendar_year=2025)) == []


@pytest.mark.parametrize("recorded", [True, False])
def test_a_deadline_that_has_passed_is_not_moved(recorded: bool) -> None:
    case = due_on_the_last_day_of_2026(DECEMBER - 30 * DAY)
    case.wait_until(case.problem.next_step.deadline)
    if recorded:
        case.miss()
    rung = case.problem.escalation.next_deadline
    case.rules = RULES_AMENDED
    case.do(RECOUNT_2026)
    assert case.due == date(2026, 12, 31)
    assert case.problem.overdue == recorded
    assert case.problem.escalation.next_deadline == rung


def test_what_a_rule_says_of_itself_by_now_moves_nothing() -> None:
    case = ordered(10)
    book = RuleBook.load()
    (old,) = book._versions["rectification.order"]
    book._versions["rectification.order"] = [old.model_copy(update={"citation": "更正后的表述"})]
    case.rules = replace(RULES, book=book)
    assert case.do(RECOUNT_2026) == []


# Even an event that the state never sees must not fail: a fold has nobody to tell.
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_evolve_takes_every_event_in_every_state(event: type[Event], path: list[Any]) -> None:
    case = Case()
    case.do(*path)
    before = case.problem.SerializeToString(deterministic=True)
    assert isinstance(evolve(case.problem, event()), pb.Problem)
    assert case.problem.SerializeToString(deterministic=True) == before


NEXT = {
    pb.STATE_REPORTED: CONFIRM,
    pb.STATE_CONFIRMED: ORDER,
    pb.STATE_RECTIFYING: SUBMIT,
    pb.STATE_SUBMITTED: ACCEPT,
    pb.STATE_ACCEPTED: GOOD,
    pb.STATE_EFFECTIVE: CLOSE,
}
LEGAL_ITEMS = {
    pb.STATE_RECTIFYING: {ITEM.STATE_OUTSTANDING, ITEM.STATE_SUBMITTED},
    pb.STATE_SUBMITTED: {ITEM.STATE_SUBMITTED},
    pb.STATE_ACCEPTED: {ITEM.STATE_ACCEPTED},
    pb.STATE_EFFECTIVE: {ITEM.STATE_ACCEPTED},
    pb.STATE_INEFFECTIVE: {ITEM.STATE_ACCEPTED},
    pb.STATE_CLOSED: {ITEM.STATE_ACCEPTED},
}


class Lives(RuleBasedStateMachine):
    """Whatever commands come and however long they take, a problem stays what a problem can be."""

    def __init__(self) -> None:
        super().__init__()
        self.case = Case(now=DECEMBER - 20 * DAY)
        self.case.do(REPORT)

    def attempt(self, command: Any) -> None:
        """Carry out `command` if the state allows it."""
        known = [self.case.problem.next_step.deadline]
        known += [each.deadline for each in self.case.problem.items]
        try:
            names = self.case.do(command)
        except StatusError as refusal:
            if refusal.code in (code_pb2.FAILED_PRECONDITION, code_pb2.INVALID_ARGUMENT):
                return
            raise
        step = self.case.problem.next_step
        if names and "DeadlinesRecounted" not in names and step.step and step.deadline not in known:
            assert step.deadline.due_time.ToDatetime(UTC) > self.case.now

    @rule(days=st.integers(0, 9))
    def wait(self, days: int) -> None:
        self.case.now += days * DAY

    @rule(command=st.sampled_from([command for command, _, _ in TABLE]))
    def anything(self, command: Any) -> None:
        self.attempt(command)

    @precondition(lambda self: self.case.problem.state == pb.STATE_CONFIRMED)
    @rule(days=st.lists(st.integers(1, 30), min_size=2, max_size=3))
    def order(self, days: list[int]) -> None:
        self.attempt(rpc_pb.OrderRectificationRequest(items=[item(days=limit) for limit in days]))

    @precondition(lambda self: self.case.problem.state == pb.STATE_RECTIFYING)
    @rule(item_id=st.sampled_from("123"))
    def submit(self, item_id: str) -> None:
        self.attempt(submit(item_id))

    @precondition(lambda self: self.case.problem.state == pb.STATE_RECTIFYING)
    @rule(item_id=st.sampled_from("123"), days=st.integers(1, 60))
    def extend(self, item_id: str, days: int) -> None:
        limit = pb.Limit(days=days)
        self.attempt(rpc_pb.ExtendRectificationRequest(item_ids=[item_id], limit=limit))

    @precondition(lambda self: self.case.problem.state == pb.STATE_SUBMITTED)
    @rule(item_id=st.sampled_from("123"))
    def hand_back(self, item_id: str) -> None:
        self.attempt(rpc_pb.ReviewRectificationRequest(result=RETURN.result, item_ids=[item_id]))

    @rule()
    def move_on(self) -> None:
        """What the state waits for; so that lives are long."""
        self.attempt(NEXT.get(self.case.problem.state, REOPEN))

    @rule()
    def expire(self) -> None:
        step, rung = self.case.problem.next_step, self.case.problem.escalation.next_deadline
        days = [day.deadline_ids[0] for day in step.open_deadlines]
        for deadline_id in (*days, step.deadline.id or "close-1", rung.id or "escalate-1.2"):
            while "DeadlinesRecounted" in (names := self.case.do(expire(deadline_id))):
                pass
            assert names in ([], ["DeadlineMissed"], MISSED, ["ProblemEscalated"])
            assert self.case.do(expire(deadline_id)) == []

    @rule()
    def publish(self) -> None:
        self.case.rules = RULES_2027

    @invariant()
    def it_waits_for_somebody_until_it_has_ended(self) -> None:
        problem = self.case.problem
        assert problem.HasField("next_step") == (problem.state not in ENDED)
        assert problem.HasField("close_time") == (problem.state in ENDED)

    @invariant()
    def only_what_is_awaited_is_overdue(self) -> None:
        problem = self.case.problem
        assert problem.HasField("next_step") or not problem.overdue
        if problem.overdue:
            assert problem.next_step.deadline.due_time.ToDatetime(UTC) <= self.case.now

    @invariant()
    def items_are_where_the_problem_is(self) -> None:
        problem = self.case.problem
        assert {each.state for each in problem.items} <= LEGAL_ITEMS.get(problem.state, set())
        outstanding = [
            each.deadline.due_time.ToDatetime(UTC)
            for each in problem.items
            if each.state == ITEM.STATE_OUTSTANDING
        ]
        assert bool(outstanding) == (problem.state == pb.STATE_RECTIFYING)
        if outstanding:
            assert problem.next_step.deadline.due_time.ToDatetime(UTC) == min(outstanding)

    @invariant()
    def every_item_awaited_is_open_and_none_that_was_missed(self) -> None:
        problem = self.case.problem
        days = problem.next_step.open_deadlines
        if problem.state == pb.STATE_RECTIFYING:
            ids = [deadline_id for day in days for deadline_id in day.deadline_ids]
            awaited = [each for each in problem.items if each.state == ITEM.STATE_OUTSTANDING]
            assert sorted(ids) == sorted(each.deadline.id for each in awaited if not each.overdue)
            assert problem.overdue or not any(each.overdue for each in awaited)
        elif problem.HasField("next_step"):
            assert len(days) == (not problem.overdue)

    @invariant()
    def the_same_events_make_the_same_problem(self) -> None:
        problem = pb.Problem(name="problems/1")
        for event in self.case.events:
            problem = evolve(problem, type(event).FromString(event.SerializeToString()))
        assert problem == self.case.problem


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_problem_tells_why_submissions_were_returned_or_accepted_and_what_it_was_closed_with() -> (
    None
):
    returned, accepted = (type(each)() for each in (RETURN, ACCEPT))
    returned.CopyFrom(RETURN)
    accepted.CopyFrom(ACCEPT)
    returned.reasons, accepted.reasons = "照片不清，请重拍", "属实"
    case = Case()
    case.do(*SUBMITTED, returned, SUBMIT, accepted, GOOD)
    assert case.problem.conclusion == ""
    case.do(rpc_pb.CloseProblemRequest(conclusion="整改到位"))
    reviews = [(each.accepted, each.reasons, each.reviewer) for each in case.problem.reviews]
    assert reviews == [(False, "照片不清，请重拍", "officer"), (True, "属实", "officer")]
    assert all(each.HasField("review_time") for each in case.problem.reviews)
    assert case.problem.conclusion == "整改到位"
    case.do(REOPEN)
    assert case.problem.conclusion == ""
    assert len(case.problem.reviews) == 2, "what was found before stays"

"""What may happen to a plan, and which tasks it may hold: the pure model under the real rules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar, YearCalendar, as_date
from services.inspection.plans import caps
from services.inspection.plans.caps import CountedTask, Limit, cap_of, overruns
from services.inspection.plans.checks import MOST_NAMED, Known
from services.inspection.plans.evolve import Event, evolve
from services.inspection.plans.model import ALLOWED, DECISIONS, MOST_TASKS, Planning, decide
from tests.services import plans as req
from tests.services.rosters import day, uscc

BUILT_IN = WorkingCalendar.load().years
UP_TO_2026 = WorkingCalendar({year: BUILT_IN[year] for year in BUILT_IN if year <= 2026})
RULES = Rules(RuleBook.load(), UP_TO_2026, req.DISTRICT)
MONDAY = date(2026, 1, 5)
DAY = timedelta(days=1)
HOLIDAY_OF_2027 = YearCalendar(
    year=2027,
    holidays={date(2027, 1, day): "元旦" for day in (4, 5, 6)},
    source="made up for the test",
)
FIRM, OTHER, SPARED = uscc(1), uscc(2), uscc(3)
REGISTER = {
    FIRM: req.target(FIRM),
    OTHER: req.target(OTHER, "A", industry="E4700"),
    SPARED: req.target(SPARED, sensorless=True),
}


@dataclass
class Desk:
    """A plan, the day it is, and what is known."""

    today: date = MONDAY
    rules: Rules = RULES
    known: Known = field(default_factory=lambda: Known(req.department(), REGISTER))
    plan: pb.Plan = field(default_factory=lambda: pb.Plan(name="plans/1"))
    events: list[Event] = field(default_factory=list)

    def do(self, *commands: Any, actor: str = "planner") -> list[str]:
        """Carry out commands; the names of the events of the last."""
        events: list[Event] = []
        for command in commands:
            before = self.plan.SerializeToString(deterministic=True)
            now = datetime(self.today.year, self.today.month, self.today.day, 1, tzinfo=UTC)
            events = decide(Planning(self.plan, actor, self.rules, now, self.known), command)
            for event in events:
                after = evolve(self.plan, event)
                assert self.plan.SerializeToString(deterministic=True) == before
                self.plan, before = after, after.SerializeToString(deterministic=True)
            self.events += events
        return [event.DESCRIPTOR.name for event in events]

    def refused(self, *commands: Any, actor: str = "planner") -> StatusError:
        """Why the last command is refused."""
        self.do(*commands[:-1])
        with pytest.raises(StatusError) as refusal:
            self.do(commands[-1], actor=actor)
        return refusal.value

    def after(self, days: int) -> "Desk":
        self.today += days * DAY
        return self

    @property
    def due(self) -> date:
        return as_date(self.plan.deadline.due_date)


SUBMIT = rpc_pb.SubmitPlanRequest()
CREATE = req.plan()
ADD = req.add([req.task(1, FIRM)])
READY = (CREATE, ADD)
SUBMITTED = (*READY, SUBMIT)
# How a plan comes into each state.
WAYS: Mapping[str, Sequence[tuple[str, Any]]] = {
    "UNSPECIFIED": [],
    "DRAFT": [("planner", command) for command in READY],
    "SUBMITTED": [("planner", command) for command in SUBMITTED],
}
WAYS = {
    **WAYS,
    "RETURNED": [*WAYS["SUBMITTED"], ("head", req.RETURN)],
    "APPROVED": [*WAYS["SUBMITTED"], ("head", req.APPROVE)],
    "PUBLISHED": [*WAYS["SUBMITTED"], ("head", req.APPROVE), ("planner", req.PUBLISH)],
    "WITHDRAWN": [*WAYS["DRAFT"], ("planner", req.WITHDRAW)],
}
EXPIRE, RECOUNT = rpc_pb.ExpirePlanDeadlineRequest(), rpc_pb.RecountPlanDeadlineRequest()
# Each command, the events in each state that allows it, and the reason in any other.
TABLE: list[tuple[Any, dict[str, str], str]] = [
    (CREATE, {"UNSPECIFIED": "PlanCreated"}, "YEARLY_PLAN_EXISTS"),
    (
        req.add([req.task(2, FIRM)]),
        {"DRAFT": "TasksAdded", "RETURNED": "TasksAdded"},
        "NOT_A_DRAFT",
    ),
    (
        rpc_pb.RemoveTasksRequest(task_ids=["1"]),
        {"DRAFT": "TasksRemoved", "RETURNED": "TasksRemoved"},
        "NOT_A_DRAFT",
    ),
    (SUBMIT, {"DRAFT": "PlanSubmitted", "RETURNED": "PlanSubmitted"}, "NOT_A_DRAFT"),
    (req.RETURN, {"SUBMITTED": "PlanReturned"}, "NOT_SUBMITTED"),
    (req.APPROVE, {"SUBMITTED": "PlanApproved"}, "NOT_SUBMITTED"),
    (req.PUBLISH, {"APPROVED": "PlanPublished"}, "NOT_APPROVED"),
    (
        req.WITHDRAW,
        dict.fromkeys(("DRAFT", "SUBMITTED", "RETURNED", "APPROVED", "PUBLISHED"), "PlanWithdrawn"),
        "PLAN_WITHDRAWN",
    ),
    (EXPIRE, dict.fromkeys(WAYS, ""), ""),
    (RECOUNT, dict.fromkeys(WAYS, ""), ""),
]


def at(state: str, known: Known | None = None) -> Desk:
    """A plan in that state."""
    desk = Desk(known=known or Known(req.department(), REGISTER))
    for actor, command in WAYS[state]:
        desk.do(command, actor=actor)
    assert pb.PlanState.Name(desk.plan.state) == f"PLAN_STATE_{state}"
    return desk


def test_the_table_has_every_command_and_every_state() -> None:
    assert {type(command) for command, _, _ in TABLE} == set(DECISIONS)
    assert {f"PLAN_STATE_{state}" for state in WAYS} == set(pb.PlanState.keys())
    named = {name for _, events, _ in TABLE for name in events.values() if name}
    late = {"PlanDeadlinePassed", "PlanDeadlineRecounted"}
    assert {event.DESCRIPTOR.name for event in get_args(Event)} == named | late
    assert set(ALLOWED) == set(DECISIONS) - {type(EXPIRE), type(RECOUNT)}


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize(
    ("command", "events", "reason"), TABLE, ids=[type(row[0]).__name__ for row in TABLE]
)
def test_each_command_is_carried_out_or_refused_by_the_state(
    command: Any, events: dict[str, str], reason: str, state: str
) -> None:
    desk = at(state)
    if state in events:
        assert desk.do(command, actor="somebody") == ([events[state]] if events[state] else [])
        return
    error = desk.refused(command, actor="somebody")
    assert (error.reason, error.metadata["resource"]) == (reason, "plans/1")
    created = isinstance(command, rpc_pb.CreatePlanRequest)
    wanted = code_pb2.ALREADY_EXISTS if created else code_pb2.FAILED_PRECONDITION
    assert error.code == wanted


def test_whoever_submitted_a_plan_does_not_approve_it() -> None:
    desk = at("SUBMITTED")
    assert desk.refused(req.APPROVE, actor="planner").reason == "OWN_PLAN"
    desk.do(req.RETURN, actor="head")
    desk.do(SUBMIT, actor="head")
    assert desk.refused(req.APPROVE, actor="head").reason == "OWN_PLAN"
    assert desk.do(req.APPROVE, actor="planner") == ["PlanApproved"]
    assert (desk.plan.submitter, desk.plan.approver) == ("head", "planner")


def test_a_campaign_says_scope_and_limits() -> None:
    error = Desk().refused(req.plan(pb.PLAN_KIND_SPECIAL, purpose=" "))
    assert (error.reason, error.violations[0][0]) == ("PURPOSE_REQUIRED", "purpose")
    assert Desk().do(req.plan(pb.PLAN_KIND_SPECIAL)) == ["PlanCreated"]
    assert Desk().do(req.plan(purpose="")) == ["PlanCreated"]


def test_approval_and_publication_have_their_days() -> None:
    desk = at("SUBMITTED")
    assert desk.plan.deadline.rule.id == "inspection.plan_approval"
    # 20 working days from 5 January 2026: new year's week-end work and the spring festival are in the way.
    assert desk.due == date(2026, 2, 2)
    desk.do(req.APPROVE, actor="head")
    assert desk.plan.deadline.rule.id == "inspection.plan_publication"
    desk.do(req.PUBLISH)
    assert not desk.plan.HasField("deadline")


def test_a_deadline_that_passed_is_told_once_and_only_after_its_last_day() -> None:
    desk = at("SUBMITTED")
    expire = rpc_pb.ExpirePlanDeadlineRequest(deadline_id=desk.plan.deadline.id)
    desk.today = desk.due
    assert desk.do(expire) == []
    assert desk.after(1).do(rpc_pb.ExpirePlanDeadlineRequest(deadline_id="other")) == []
    assert desk.do(expire) == ["PlanDeadlinePassed"]
    assert desk.plan.overdue
    assert desk.do(expire) == []
    assert desk.do(req.APPROVE, actor="head") == ["PlanApproved"]
    assert not desk.plan.overdue


def test_what_is_done_late_says_so_though_nobody_told_that_the_time_had_come() -> None:
    desk = at("SUBMITTED")
    desk.today = desk.due + DAY
    assert desk.do(req.RETURN, actor="head") == ["PlanDeadlinePassed", "PlanReturned"]
    assert not desk.plan.overdue


def test_a_deadline_moves_when_the_calendar_of_its_year_is_published() -> None:
    desk = Desk(today=date(2026, 12, 21))
    desk.do(*SUBMITTED)
    assert desk.plan.deadline.provisional
    before = desk.due
    desk.rules = replace(RULES, calendar=UP_TO_2026.with_year(HOLIDAY_OF_2027))
    assert desk.do(RECOUNT) == ["PlanDeadlineRecounted"]
    assert not desk.plan.deadline.provisional
    assert desk.due == before + 3 * DAY  # 4 January was to be the first of three working days more
    assert desk.do(RECOUNT) == []


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("INVALID_DATE", {"to_date": day(date(2026, 2, 28))}),
    ("INVALID_DATE", {"from_date": pb.Task().from_date}),
    ("OUTSIDE_YEAR", {"from_date": day(date(2025, 12, 31))}),
    ("OUTSIDE_YEAR", {"to_date": day(date(2027, 1, 1))}),
    ("NOT_ON_REGISTER", {"enterprise": uscc(9)}),
    ("SENSORLESS", {"enterprise": SPARED}),
    ("ITEM_NOT_PUBLISHED", {"items": ["ecology.permit", "ecology.curtains"]}),
    ("ITEM_OF_OTHER_FIELD", {"items": ["fire.exits"]}),
    ("NOT_DRAWN", {"draw": "draws/1"}),
]


@pytest.mark.parametrize(("reason", "fields"), FAULTS)
def test_a_task_that_may_not_be_planned_is_refused_by_name(
    reason: str, fields: dict[str, Any]
) -> None:
    known = Known(req.department(), {**REGISTER, uscc(9): None}, drawn={"draws/1": {OTHER}})
    wrong = req.task(7, **{"enterprise": FIRM, **fields})
    error = Desk(known=known).refused(CREATE, req.add([req.task(1, FIRM), wrong]))
    assert (error.code, error.reason) == (code_pb2.INVALID_ARGUMENT, "TASKS_REFUSED")
    ((path, text),) = error.violations
    assert path == "tasks[1]"
    assert text.startswith(f"{reason}: ")


def test_an_item_for_other_industries_is_refused() -> None:
    known = Known(req.department(field="housing"), REGISTER)
    of_builders = ["housing.construction"]
    desk = Desk(known=known)
    error = desk.refused(CREATE, req.add([req.task(1, FIRM, items=of_builders)]))
    assert error.violations[0][1].startswith("ITEM_NOT_FOR_INDUSTRY")
    assert desk.do(req.add([req.task(1, OTHER, items=of_builders)])) == ["TasksAdded"]


def test_who_is_monitored_without_visits_is_visited_where_a_law_demands_it() -> None:
    assert Desk().do(CREATE, req.add([req.task(1, SPARED, statutory=True)]), SUBMIT)


def test_what_changed_since_a_task_was_put_in_is_found_when_the_plan_is_reported() -> None:
    gone = req.target(FIRM)
    gone.remove_time.GetCurrentTime()
    desk = at("DRAFT")
    desk.known = Known(req.department(), {**REGISTER, FIRM: gone})
    error = desk.refused(SUBMIT)
    assert (error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "TASKS_REFUSED")
    assert error.violations[0][0] == 'tasks["1"]'
    desk.known = Known(req.department(), {})
    assert desk.refused(SUBMIT).reason == "TASKS_CHANGED"


def test_ids_are_given_once_and_numbers_never_twice() -> None:
    desk = at("DRAFT")
    error = desk.refused(req.add([req.task(1, FIRM), req.task(2, FIRM), req.task(2, FIRM)]))
    assert [path for path, _ in error.violations] == ["tasks[0]", "tasks[2]"]
    desk.do(rpc_pb.RemoveTasksRequest(task_ids=["1"]), ADD, req.add([req.task(3, OTHER)]))
    assert [(each.id, each.number) for each in desk.plan.tasks] == [("1", 2), ("3", 3)]
    assert desk.plan.task_count == 2
    error = desk.refused(rpc_pb.RemoveTasksRequest(task_ids=["1", "2"]))
    assert (error.reason, error.violations[0][0]) == ("NO_SUCH_TASK", "task_ids[1]")


def test_a_plan_holds_so_many_tasks_and_no_plan_is_without() -> None:
    desk = Desk()
    assert desk.refused(CREATE, SUBMIT).reason == "NO_TASKS"
    desk.plan.tasks.extend(req.tasks([FIRM] * MOST_TASKS, first=2))
    assert desk.refused(ADD).reason == "PLAN_FULL"


def test_a_plan_over_the_cap_is_refused_task_by_task() -> None:
    """A firm of grade B is visited twice a year in Yangzhou; one of A once."""
    third, also = req.task(3, FIRM), req.task(4, OTHER)
    desk = at("DRAFT")
    desk.known = replace(desk.known, elsewhere={FIRM: 1, OTHER: 1})
    error = desk.refused(req.add([req.task(2, FIRM), third, also]), SUBMIT)
    assert (error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "CAP_EXCEEDED")
    assert error.violations == (
        ('tasks["2"]', f"CAP_EXCEEDED: {FIRM}, grade B: cap 2, found 4"),
        ('tasks["3"]', f"CAP_EXCEEDED: {FIRM}, grade B: cap 2, found 4"),
        ('tasks["4"]', f"CAP_EXCEEDED: {OTHER}, grade A: cap 1, found 2"),
    )
    assert desk.do(rpc_pb.RemoveTasksRequest(task_ids=["2", "3", "4"]), SUBMIT)


def test_of_many_refusals_the_first_are_named_and_the_others_counted() -> None:
    desk = Desk()
    desk.do(CREATE, req.add(req.tasks([FIRM] * 102)))
    error = desk.refused(SUBMIT)
    assert len(error.violations) == MOST_NAMED == 50
    assert error.metadata["refused"] == "100"
    assert "50 more" in error.message


def test_a_law_s_own_visit_is_planned_beyond_the_cap_and_takes_a_place_under_it() -> None:
    by_law = [req.task(n, FIRM, statutory=True) for n in (2, 3, 4)]
    error = at("DRAFT").refused(req.add(by_law), SUBMIT)
    assert [path for path, _ in error.violations] == ['tasks["1"]']
    desk = Desk()
    assert desk.do(CREATE, req.add(by_law), SUBMIT) == ["PlanSubmitted"]


@pytest.mark.parametrize(
    ("district", "grade", "cap"),
    [
        ("321000", "A", 1),
        ("321000", "B", 2),
        ("321000", "D", None),
        ("321000", "", 2),
        ("321000", "Z", 2),
        ("310104", "A", None),
        ("310104", "D", 1),
        ("330000", "", 2),
    ],
)
def test_the_cap_is_that_of_the_grade_and_never_above_that_of_the_place(
    district: str, grade: str, cap: int | None
) -> None:
    assert cap_of(grade, RULES.at(district), MONDAY) == cap


def test_a_grade_s_higher_cap_gives_way_to_that_of_the_place() -> None:
    class Lenient(Rules):
        def number(self, rule_id: str, on: date) -> int:
            return 1

    lenient = Lenient(RULES.book, RULES.calendar, "321000")
    assert cap_of("B", lenient, MONDAY) == 1
    assert cap_of("D", lenient, MONDAY) is None


COUNTING: Sequence[tuple[str, str]] = [("321000", "daily_and_special"), ("CN", "all")]


@pytest.mark.parametrize(("district", "choice"), COUNTING)
def test_which_kinds_count_is_local(district: str, choice: str) -> None:
    assert caps.counted_kinds(RULES.at(district), MONDAY) == caps.COUNTS[choice]
    assert RULES.choice("inspection.cap_counts", MONDAY) in caps.COUNTS


ENTERPRISES = ("x", "y", "z")
visits = st.builds(
    CountedTask,
    task=st.uuids().map(str),
    enterprise=st.sampled_from(ENTERPRISES),
    kind=st.sampled_from([pb.KIND_DAILY, pb.KIND_SPECIAL, pb.KIND_CASE]),
    statutory=st.booleans(),
)
limits = st.fixed_dictionaries(
    {each: st.builds(Limit, st.just("B"), st.none() | st.integers(0, 4)) for each in ENTERPRISES}
)


@settings(deadline=None)
@given(
    st.lists(st.lists(visits, max_size=12), max_size=5),
    limits,
    st.sampled_from(sorted(caps.COUNTS)),
)
def test_no_set_of_accepted_plans_breaks_a_cap_and_no_law_s_visit_is_refused(
    plans: list[list[CountedTask]], limits: dict[str, Limit], choice: str
) -> None:
    counted = caps.COUNTS[choice]
    held: list[CountedTask] = []
    for plan in plans:
        count = Counter(each.enterprise for each in held if each.kind in counted)
        refused = overruns(plan, count, limits, counted)
        by_task = {each.task: each for each in plan}
        for over in refused:
            visit = by_task[over.task]
            assert not visit.statutory
            assert visit.kind in counted - {pb.KIND_CASE}
            assert over.found > over.cap == limits[visit.enterprise].cap
        # Without what was refused the plan is accepted, and nothing was refused that had a place.
        names = {over.task for over in refused}
        kept = [each for each in plan if each.task not in names]
        assert overruns(kept, count, limits, counted) == []
        for over in refused:
            assert overruns([*kept, by_task[over.task]], count, limits, counted)
        held += kept
    for enterprise, (_, cap) in limits.items():
        chosen = [
            each
            for each in held
            if each.enterprise == enterprise
            and each.kind in counted
            and each.kind != pb.KIND_CASE
            and not each.statutory
        ]
        assert cap is None or len(chosen) <= cap

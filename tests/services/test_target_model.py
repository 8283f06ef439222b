"""How a target is graded, and what may happen to it: pure functions under the real rules."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest
from google.rpc import code_pb2
from google.type.date_pb2 import Date
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from rpc.errors import StatusError
from rules import as_date, months_after
from services.inspection.targets import grading
from services.inspection.targets.evolve import Event, evolve
from services.inspection.targets.model import ALLOWED, Scene, decide
from tests.services import targets as req
from tests.services.histories import messages
from tests.services.targets import BASE, POINTS, TODAY, fact

DAY = timedelta(days=1)
NOW = datetime(2026, 9, 7, 1, tzinfo=UTC)
SCENE = Scene("planner", req.RULES, NOW)
YANGZHOU, XUHUI = req.RULES.at("321000"), req.RULES.at("310104")


def target(*facts: pb.Fact, **fields: Any) -> pb.Target:
    return pb.Target(name=req.TARGET, district="321000", facts=facts, **fields)


def score(*facts: pb.Fact, day: date = TODAY, **fields: Any) -> int:
    """What the target scores, before it is held within its bounds."""
    found = grading.grade(target(*facts, **fields), YANGZHOU, day)
    return sum(each.points for each in found.reasons)


# What a fact weighs.

KINDS = [kind.removeprefix("FACT_KIND_") for kind in pb.FactKind.DESCRIPTOR.values_by_name]
SOURCES = st.sampled_from(["penaltyCases/1", "problems/1", "problems/2"])
LAST_YEAR = months_after(TODAY, -12)


@st.composite
def facts_of(draw: st.DrawFn) -> pb.Fact:
    kind = draw(st.sampled_from([each for each in KINDS if each != "UNSPECIFIED"]))
    level = draw(st.sampled_from(sorted(POINTS.get(kind.lower(), {"general": 0}))))
    on = LAST_YEAR + draw(st.integers(-40, 365)) * DAY
    return fact(kind, min(on, TODAY), level, draw(SOURCES), str(draw(st.integers(0, 3))))


HISTORIES = st.lists(facts_of(), max_size=8, unique_by=lambda each: each.id)


@given(HISTORIES, st.booleans())
def test_the_reasons_add_up_to_the_score_that_is_held_within_its_bounds(
    history: list[pb.Fact], key_unit: bool
) -> None:
    found = grading.grade(target(*history, key_unit=key_unit), YANGZHOU, TODAY)
    total = sum(each.points for each in found.reasons)
    assert found.score == min(max(total, 0), 100)
    bands = YANGZHOU.grades(TODAY)
    (band,) = [each for each in bands if each.grade == found.grade]
    assert found.score >= band.from_score
    assert not [each for each in bands if band.from_score < each.from_score <= found.score]
    assert len({each.fact for each in found.reasons if each.fact}) == len(
        [each for each in found.reasons if each.fact]
    )


@given(HISTORIES, st.randoms(use_true_random=False))
def test_the_order_of_facts_does_not_matter(
    history: list[pb.Fact], shuffled: random.Random
) -> None:
    found = grading.grade(target(*history), YANGZHOU, TODAY)
    shuffled.shuffle(history)
    assert grading.grade(target(*history), YANGZHOU, TODAY) == found


@given(HISTORIES)
def test_a_lapsed_fact_weighs_nothing_and_gives_no_reason(history: list[pb.Fact]) -> None:
    found = grading.grade(target(*history), YANGZHOU, TODAY)
    alive = [each for each in history if as_date(each.date) >= LAST_YEAR]
    assert grading.grade(target(*alive), YANGZHOU, TODAY) == found
    late = months_after(TODAY, 13)
    assert grading.grade(target(*history), YANGZHOU, late) == grading.grade(
        target(), YANGZHOU, late
    )


@given(HISTORIES)
def test_a_repair_restores_what_its_source_weighed(history: list[pb.Fact]) -> None:
    source = "penaltyCases/1"
    repair = fact("REPAIR", TODAY, source=source, name="repair")
    others = [each for each in history if each.source != source]
    assert score(*history, repair) == score(*others)


@given(HISTORIES)
def test_the_grade_is_looked_at_again_when_the_first_fact_stops_weighing(
    history: list[pb.Fact],
) -> None:
    found = grading.grade(target(*history), YANGZHOU, TODAY)
    heavy = {each.fact for each in found.reasons if each.points and each.fact}
    assert found.HasField("review") is bool(heavy)
    if not heavy:
        return
    last = as_date(found.review.due_date)
    points = {each.fact: each.points for each in found.reasons if each.points}
    for day, same in ((last, True), (last + DAY, False)):
        then = grading.grade(target(*history), YANGZHOU, day)
        assert ({each.fact: each.points for each in then.reasons if each.points} == points) is same
    begins = datetime.combine(last, datetime.min.time(), UTC) + timedelta(hours=16)
    assert found.review.due_time.ToDatetime(UTC) == begins


@pytest.mark.parametrize(
    ("facts", "weighs"),
    [
        ([], []),
        ([fact("PENALTY", TODAY, "serious")], [("penalty", "serious")]),
        (
            [fact("PENALTY", TODAY, "minor"), fact("HONOUR", TODAY)],
            [("penalty", "minor"), ("honour", "general")],
        ),
        # Closed, it weighs less; two closures lighten it no more than one.
        ([fact("PROBLEM", TODAY, "general", "p/1")], [("problem", "general")]),
        (
            [
                fact("PROBLEM", TODAY, "general", "p/1"),
                fact("PROBLEM_CLOSED", TODAY, "general", "p/1"),
                fact("PROBLEM_CLOSED", TODAY, "general", "p/1", "again"),
            ],
            [("problem", "general"), ("problem_closed", "general")],
        ),
        # A closure lightens by the level of the problem, not by its own.
        (
            [
                fact("PROBLEM", TODAY, "minor", "p/1"),
                fact("PROBLEM_CLOSED", TODAY, "serious", "p/1"),
            ],
            [("problem", "minor"), ("problem_closed", "minor")],
        ),
        # Of another source, of an earlier day, or of a problem that has lapsed it lightens nothing.
        (
            [fact("PROBLEM", TODAY, source="p/1"), fact("PROBLEM_CLOSED", TODAY, source="p/2")],
            [("problem", "general")],
        ),
        (
            [
                fact("PROBLEM", TODAY, source="p/1"),
                fact("PROBLEM_CLOSED", TODAY - DAY, source="p/1"),
            ],
            [("problem", "general")],
        ),
        (
            [
                fact("PROBLEM", LAST_YEAR - DAY, source="p/1"),
                fact("PROBLEM_CLOSED", TODAY, source="p/1"),
            ],
            [],
        ),
        # A repair takes away what was, not what comes after it.
        (
            [
                fact("PENALTY", TODAY - 9 * DAY, source="c/1"),
                fact("REPAIR", TODAY - 5 * DAY, source="c/1"),
                fact("OVERDUE", TODAY, source="c/1"),
            ],
            [("overdue", "general")],
        ),
        ([fact("PENALTY", LAST_YEAR)], [("penalty", "general")]),
        ([fact("PENALTY", LAST_YEAR - DAY)], []),
    ],
)
def test_facts_weigh_as_the_table_says(facts: list[pb.Fact], weighs: list[tuple[str, str]]) -> None:
    assert score(*facts) == BASE + sum(POINTS[factor][level] for factor, level in weighs)


def test_a_key_unit_weighs_and_what_is_repaired_is_said() -> None:
    assert score(key_unit=True) == BASE + POINTS["key_unit"]["general"]
    penalty = fact("PENALTY", TODAY, "serious", "c/1")
    found = grading.grade(target(penalty, fact("REPAIR", TODAY, source="c/1")), YANGZHOU, TODAY)
    (said,) = [each for each in found.reasons if each.fact == penalty.id]
    assert (said.points, said.factor, said.level) == (0, "penalty", "serious")
    assert said.explanation == "行政处罚（严重）2026-09-07，已信用修复，不计分"
    assert not found.HasField("review")


def test_which_letter_is_best_is_for_the_place_to_say() -> None:
    good = [fact("HONOUR", TODAY, name=str(n)) for n in range(3)]
    bad = [fact("PENALTY", TODAY, "serious", name=str(n)) for n in range(3)]
    for facts, here, there in ((good, "A", "D"), ([], "B", "C"), (bad, "D", "A")):
        assert grading.grade(target(*facts), YANGZHOU, TODAY).grade == here
        found = grading.grade(target(*facts), XUHUI, TODAY)
        assert (found.grade, found.rule.version[:6]) == (there, "310104")


# What may happen to a target.


def listed(*facts: pb.Fact) -> pb.Target:
    return after(pb.Target(name=req.TARGET), req.register(), *(req.record(each) for each in facts))


def after(state: pb.Target, *commands: Any, scene: Scene = SCENE) -> pb.Target:
    for command in commands:
        for event in decide(state, command, scene):
            state = evolve(state, event)
    return state


REMOVE = rpc_pb.RemoveTargetRequest(reason="注销")
REVIEW = rpc_pb.ReviewGradeRequest()
RECORD = req.record(fact("PENALTY", TODAY))
STATES = {
    "UNREGISTERED": pb.Target(name=req.TARGET),
    "LISTED": listed(fact("ALERT", TODAY)),
    "REMOVED": after(listed(fact("ALERT", TODAY)), REMOVE),
}
ROWS: list[tuple[Any, dict[str, list[str]]]] = [
    (
        req.register(),
        {"UNREGISTERED": ["TargetRegistered", "TargetGraded"], "REMOVED": ["TargetRegistered"]},
    ),
    (
        rpc_pb.UpdateTargetRequest(profile=req.profile(address="新址")),
        {"LISTED": ["TargetUpdated"]},
    ),
    (REMOVE, {"LISTED": ["TargetRemoved"]}),
    (RECORD, {"LISTED": ["FactRecorded", "TargetGraded"]}),
    (REVIEW, {"LISTED": [], "REMOVED": []}),
]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("command", "expected"), ROWS, ids=lambda each: type(each).__name__)
def test_a_command_comes_in_the_states_that_allow_it_and_in_no_other(
    command: Any, expected: dict[str, list[str]], state: str
) -> None:
    if state in expected:
        events = decide(STATES[state], command, SCENE)
        assert [each.DESCRIPTOR.name for each in events] == expected[state]
        return
    with pytest.raises(StatusError) as refusal:
        decide(STATES[state], command, SCENE)
    assert refusal.value.code == code_pb2.FAILED_PRECONDITION
    assert refusal.value.reason == ALLOWED[type(command)][1]
    assert refusal.value.metadata["state"] == state


def test_every_command_has_its_row() -> None:
    assert {type(command) for command, _ in ROWS} == set(ALLOWED)


def test_a_fact_that_changes_the_grade_says_so_with_old_new_and_every_reason() -> None:
    serious = fact("PENALTY", TODAY, "serious", "penaltyCases/1")
    recorded, graded = decide(listed(), req.record(serious), SCENE)
    assert recorded.fact == serious
    assert (graded.old_grade, graded.old_score) == ("B", BASE)
    assert (graded.grading.grade, graded.grading.score) == (
        "D",
        BASE + POINTS["penalty"]["serious"],
    )
    assert [each.factor for each in graded.grading.reasons] == ["base", "penalty"]
    assert graded.grading.reasons[1].explanation == "行政处罚（严重）2026-09-07"


def test_a_fact_is_recorded_once_and_another_of_its_id_is_refused() -> None:
    known = fact("PENALTY", TODAY)
    state = listed(known)
    assert decide(state, req.record(known), SCENE) == []
    other = pb.Fact()
    other.CopyFrom(known)
    other.level = "serious"
    with pytest.raises(StatusError) as refusal:
        decide(state, req.record(other), SCENE)
    assert refusal.value.reason == "FACT_DIFFERS"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (fact("PENALTY", TODAY + DAY), "FUTURE_DATE"),
        (fact("PENALTY", LAST_YEAR - DAY), "FACT_LAPSED"),
        (fact("PENALTY", TODAY, "enormous"), "UNKNOWN_LEVEL"),
        (pb.Fact(kind=pb.FACT_KIND_PENALTY, date=Date(year=2026)), "INVALID_DATE"),
        (fact("PENALTY", date(2014, 12, 31)), "NO_RULE_IN_FORCE"),
    ],
)
def test_what_cannot_be_a_fact_is_refused(bad: pb.Fact, reason: str) -> None:
    with pytest.raises(StatusError) as refusal:
        decide(listed(), req.record(bad), SCENE)
    assert refusal.value.reason == reason


def test_a_fact_is_kept_as_long_as_it_weighs_or_answers() -> None:
    report = fact("SELF_MONITORING", TODAY, answers=["annual_report"])
    alert = fact("ALERT", TODAY, name="old")
    state = listed(report, alert)
    # A report of a year, of whose days a leap year has one more than the period of twelve months.
    for days, kept in ((364, {report.id, alert.id}), (366, set())):
        later = replace(SCENE, now=NOW + days * DAY)
        found = after(state, REVIEW, scene=later)
        assert {each.id for each in found.facts} == kept
    assert {each.id for each in state.facts} == {report.id, alert.id}


def test_a_grade_is_looked_at_again_without_effect_until_a_fact_lapses_and_once_then() -> None:
    state = listed(fact("PENALTY", TODAY, "serious"), fact("ALERT", TODAY + -30 * DAY))
    last = as_date(state.grading.review.due_date)
    assert last == months_after(TODAY - 30 * DAY, 12)
    for day, events in ((last, []), (last + DAY, ["TargetGraded"])):
        scene = replace(SCENE, now=datetime(day.year, day.month, day.day, 1, tzinfo=UTC))
        assert [each.DESCRIPTOR.name for each in decide(state, REVIEW, scene)] == events
    state = after(state, REVIEW, scene=scene)
    assert decide(state, REVIEW, scene) == []
    assert [each.kind for each in state.facts] == [pb.FACT_KIND_PENALTY]
    (dropped,) = decide(listed(fact("ALERT", TODAY)), REVIEW, replace(scene, now=NOW + 366 * DAY))
    assert len(dropped.lapsed_facts) == 1


def test_a_move_to_another_place_grades_by_the_law_of_that_place() -> None:
    move = rpc_pb.UpdateTargetRequest(profile=req.profile(district="310104"))
    updated, graded = decide(listed(), move, SCENE)
    assert (updated.profile.district, graded.old_grade, graded.grading.grade) == (
        "310104",
        "B",
        "C",
    )


def test_who_comes_back_on_the_register_is_graded_by_the_facts_it_had() -> None:
    state = after(listed(fact("PENALTY", TODAY, "serious")), REMOVE)
    back = after(state, req.register())
    assert (back.grading.grade, len(back.facts)) == ("D", 1)
    assert not back.HasField("remove_time")


@settings(max_examples=30)
@given(st.lists(st.sampled_from(get_args(Event)).flatmap(messages), max_size=4))
def test_any_history_can_be_folded(history: list[Any]) -> None:
    state = pb.Target()
    for event in history:
        state = evolve(state, event)

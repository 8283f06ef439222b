"""What data answer before anybody goes, under the real rules of a place."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import plan_pb2
from bihuan.inspection.v1 import target_pb2 as known
from rules import CheckItem, Rules
from services.inspection.inspections.precheck import answers, recognised
from tests.services import on_site as req
from tests.services.on_site import (
    ECOLOGY,
    EMERGENCY,
    FIRST,
    RULES,
    Visit,
    fact,
    id_,
    item,
    participant,
)

DAY = timedelta(days=1)
MONITORING, FACILITIES = (
    RULES.items(FIRST)[f"ecology.{word}"] for word in ("monitoring", "facilities")
)
MONITORED = known.FACT_KIND_SELF_MONITORING
LIMIT = MONITORING.answer_days
REPORT = fact("report", MONITORED, FIRST - 30 * DAY, "self_monitoring")


def problem(word: str, days: int, *answers: str, **fields: Any) -> known.Fact:
    return fact(
        word,
        known.FACT_KIND_PROBLEM,
        FIRST - days * DAY,
        *answers,
        **{"compliant": False, **fields},
    )


def settled(
    word: str, days: int, kind: known.FactKind.ValueType = known.FACT_KIND_PROBLEM_CLOSED
) -> known.Fact:
    return fact(f"{word}-settled", kind, FIRST - days * DAY, source=f"facts/{word}")


def alert(word: str, days: int, **fields: Any) -> known.Fact:
    return fact(word, known.FACT_KIND_ALERT, FIRST - days * DAY, **{"compliant": False, **fields})


# What is known, oldest first, and on what the answer to self-monitoring rests: None if nothing answers.
FACTS: dict[str, tuple[list[known.Fact], list[str] | None]] = {
    "nothing is known": ([], None),
    "a report in time": ([REPORT], ["report"]),
    "a report on the last day": (
        [fact("old", MONITORED, FIRST - LIMIT * DAY, "self_monitoring")],
        ["old"],
    ),
    "a report a day too old": (
        [fact("old", MONITORED, FIRST - (LIMIT + 1) * DAY, "self_monitoring")],
        None,
    ),
    "a report of tomorrow": ([fact("new", MONITORED, FIRST + DAY, "self_monitoring")], None),
    "a report on something else": ([fact("other", MONITORED, FIRST, "permit_report")], None),
    "a report that is not as it must be": (
        [fact("bad", MONITORED, FIRST, "self_monitoring", compliant=False)],
        None,
    ),
    "a good report after a bad one": (
        [fact("bad", MONITORED, FIRST - 40 * DAY, "self_monitoring", compliant=False), REPORT],
        ["report"],
    ),
    "a bad report after a good one": (
        [REPORT, fact("bad", MONITORED, FIRST - 29 * DAY, "self_monitoring", compliant=False)],
        None,
    ),
    "a bad report of the same day, told later": (
        [REPORT, fact("bad", MONITORED, FIRST - 30 * DAY, "self_monitoring", compliant=False)],
        None,
    ),
    "a bad report on something else": (
        [REPORT, fact("bad", MONITORED, FIRST, "permit_report", compliant=False)],
        ["report"],
    ),
    "an open problem": ([REPORT, problem("open", 5)], None),
    "a problem that was open before the report": ([problem("open", 200), REPORT], None),
    "a problem that is closed": ([REPORT, problem("open", 5), settled("open", 1)], ["report"]),
    "a problem that was repaired": (
        [REPORT, problem("open", 5), settled("open", 1, known.FACT_KIND_REPAIR)],
        ["report"],
    ),
    "a problem that will be closed tomorrow": (
        [REPORT, problem("open", 5), settled("open", -1)],
        None,
    ),
    "a problem that came back": (
        [REPORT, problem("open", 9), settled("open", 8), problem("again", 5, source="facts/open")],
        None,
    ),
    "another problem that is closed": ([REPORT, problem("open", 5), settled("other", 1)], None),
    "an open problem of what the data say": ([REPORT, problem("open", 5, "self_monitoring")], None),
    "an open problem of something else": (
        [REPORT, problem("open", 5, "permit_report")],
        ["report"],
    ),
    "an alert since": ([REPORT, alert("alarm", 5)], None),
    "an alert of the day of the report": ([REPORT, alert("alarm", 30)], None),
    "an alert before the report": ([alert("alarm", 31), REPORT], ["report"]),
    "an alert that was repaired": (
        [REPORT, alert("alarm", 5), settled("alarm", 1, known.FACT_KIND_REPAIR)],
        ["report"],
    ),
    "a penalty that answers nothing": (
        [fact("fine", known.FACT_KIND_PENALTY, FIRST, "self_monitoring")],
        None,
    ),
}


@pytest.mark.parametrize("what", FACTS)
def test_the_newest_word_on_a_question_answers_it_unless_something_speaks_against_it(
    what: str,
) -> None:
    facts, basis = FACTS[what]
    (answer,) = answers([MONITORING], known.Target(facts=facts), RULES, FIRST)
    assert answer.off_site == (basis is not None)
    if basis is not None:
        assert answer.basis == tuple(map(id_, basis))
    assert answer.reason


def test_what_speaks_against_an_answer_is_its_basis() -> None:
    target = known.Target(facts=[REPORT, problem("open", 5), alert("alarm", 4)])
    (answer,) = answers([MONITORING], target, RULES, FIRST)
    assert answer.basis == (id_("open"), id_("alarm"))
    assert "未整改问题" in answer.reason
    assert "属实预警" in answer.reason


def test_no_data_answer_an_item_that_the_list_wants_looked_at() -> None:
    target = known.Target(facts=[REPORT])
    found = answers([FACILITIES, MONITORING], target, RULES, FIRST)
    assert [(each.item, each.off_site) for each in found] == [
        ("ecology.facilities", False),
        ("ecology.monitoring", True),
    ]


class Lenient(Rules):
    """A place that goes on site for what is general or graver."""

    def choice(self, rule_id: str, on: date) -> str:
        return (
            "general" if rule_id == "inspection.on_site_threshold" else super().choice(rule_id, on)
        )


@pytest.mark.parametrize(
    ("level", "strict", "lenient"),
    [
        ("minor", False, True),
        ("general", False, False),
        ("serious", False, False),
        ("level_of_another_table", False, False),
    ],
)
def test_a_place_says_from_which_gravity_on_somebody_goes(
    level: str, strict: bool, lenient: bool
) -> None:
    target = known.Target(facts=[REPORT, problem("open", 5, level=level)])
    places = (RULES, Lenient(RULES.book, RULES.calendar, RULES.jurisdiction))
    found = [answers([MONITORING], target, rules, FIRST)[0].off_site for rules in places]
    assert found == [strict, lenient]


FACT = st.builds(
    fact,
    st.uuids().map(str),
    st.sampled_from(sorted(known.FactKind.values()[1:])),
    st.integers(-200, 10).map(lambda days: FIRST + days * DAY),
    st.sampled_from(["self_monitoring", "permit_report"]),
    level=st.sampled_from(["minor", "general", "serious"]),
    compliant=st.booleans(),
)


@given(st.lists(FACT, max_size=8), st.integers(0, 5))
def test_more_that_is_bad_never_answers_more(facts: list[known.Fact], days: int) -> None:
    before = answers([MONITORING], known.Target(facts=facts), RULES, FIRST)[0].off_site
    for bad in (
        problem("worse", days),
        alert("worse", days),
        fact("worse", MONITORED, FIRST, "self_monitoring", compliant=False),
    ):
        (after,) = answers([MONITORING], known.Target(facts=[*facts, bad]), RULES, FIRST)
        assert after.off_site <= before
        assert not (after.off_site and days == 0)


@given(st.lists(FACT, max_size=8))
def test_whatever_answers_is_known_compliant_and_new_enough(facts: list[known.Fact]) -> None:
    (answer,) = answers([MONITORING], known.Target(facts=facts), RULES, FIRST)
    by_id = {each.id: each for each in facts}
    for basis in answer.basis if answer.off_site else ():
        day = date(by_id[basis].date.year, by_id[basis].date.month, by_id[basis].date.day)
        assert by_id[basis].compliant
        assert FIRST - LIMIT * DAY <= day <= FIRST
        assert "self_monitoring" in by_id[basis].answers


def earlier(
    word: str, days: int, check: pb.Check.ValueType = pb.CHECK_PASSED, of: str = ECOLOGY
) -> pb.Inspection:
    """An inspection some days ago in which facilities came to that."""
    noted = req.passed(
        word, "ecology.facilities", check=check, device_time=req.at(req.MORNING - days * DAY)
    )
    return pb.Inspection(
        name=f"inspections/{id_(word)}", participants=[participant(of, entries=[noted])]
    )


PASSED, FAILED, NONE = pb.CHECK_PASSED, pb.CHECK_FAILED, pb.CHECK_NOT_APPLICABLE
# Earlier inspections, newest first, facts, and which of them answers.
LOOKS: dict[str, tuple[list[pb.Inspection], list[known.Fact], str]] = {
    "never looked at": ([], [], ""),
    "passed lately": ([earlier("a", 30)], [], "a"),
    "passed, found by another department": ([earlier("a", 30, of=EMERGENCY)], [], "a"),
    "passed on the last day that counts": ([earlier("a", 184)], [], "a"),
    "passed a day too early": ([earlier("a", 185)], [], ""),
    "did not apply": ([earlier("a", 30, NONE)], [], ""),
    "did not apply since it passed": ([earlier("b", 3, NONE), earlier("a", 30)], [], "a"),
    "failed": ([earlier("a", 30, FAILED)], [], ""),
    "failed since it passed": ([earlier("b", 3, FAILED), earlier("a", 30)], [], ""),
    "passed since it failed": ([earlier("b", 3), earlier("a", 30, FAILED)], [], "b"),
    "looked at tomorrow": ([earlier("a", -1)], [], ""),
    "passed, and a problem is open": ([earlier("a", 30)], [problem("open", 5)], ""),
    "passed, and an alert since": ([earlier("a", 30)], [alert("alarm", 5)], ""),
    "passed after an alert": ([earlier("a", 30)], [alert("alarm", 31)], "a"),
}


@pytest.mark.parametrize("what", LOOKS)
@pytest.mark.parametrize("backwards", [False, True])
def test_the_last_look_at_an_item_answers_it_if_it_passed_lately(
    what: str, backwards: bool
) -> None:
    looks, facts, basis = LOOKS[what]
    order = looks[::-1] if backwards else looks
    (answer,) = recognised([FACILITIES], known.Target(facts=facts), order, RULES, FIRST)
    assert answer.off_site == bool(basis)
    if basis:
        assert answer.basis == (f"inspections/{id_(basis)}",)


def arranged(*participants: pb.Participant, **fields: Any) -> Visit:
    """An inspection before its code, with a report on self-monitoring known."""
    of = participants or req.JOINT
    visit = Visit(req.inspection(pb.STATE_ARRANGED, of, **fields))
    return visit.knowing(target=known.Target(facts=[REPORT]))


def answered(visit: Visit) -> list[str]:
    return [
        one.id for each in visit.inspection.participants for one in each.items if one.answered_by
    ]


def test_a_precheck_says_of_every_item_whether_somebody_must_look() -> None:
    visit = arranged()
    assert visit.do(req.PRECHECK) == ["PrecheckMade"]
    made: Any = visit.events[-1]
    assert [(each.department, each.item, each.off_site) for each in made.answers] == [
        (ECOLOGY, "ecology.monitoring", True),
        (ECOLOGY, "ecology.facilities", False),
        # Whoever does not take part is asked nothing.
        (EMERGENCY, "emergency.hazards", False),
    ]
    assert made.answers[0].basis == [id_("report")]
    assert answered(visit) == ["ecology.monitoring"]
    assert visit.state == "ARRANGED"
    assert visit.open == {"VISIT 0": req.LAST}


def test_the_same_outcome_again_is_no_event_and_another_one_is() -> None:
    visit = arranged()
    visit.do(req.PRECHECK)
    assert visit.do(req.PRECHECK) == []
    visit = visit.knowing(earlier=(earlier("a", 30),))
    assert visit.do(req.PRECHECK) == ["PrecheckMade"]
    assert answered(visit) == ["ecology.monitoring", "ecology.facilities"]
    visit = visit.knowing(target=known.Target(facts=[problem("open", 1)]))
    # What was answered stays answered; of what is left the reason is new.
    assert visit.do(req.PRECHECK) == []
    assert answered(visit) == ["ecology.monitoring", "ecology.facilities"]


def test_nothing_found_is_a_decision_too() -> None:
    visit = arranged().knowing(target=known.Target())
    assert visit.do(req.PRECHECK) == ["PrecheckMade"]
    assert visit.do(req.PRECHECK) == []
    assert answered(visit) == []


@pytest.mark.parametrize("missed", [False, True])
def test_with_nothing_left_for_anybody_the_inspection_is_over(missed: bool) -> None:
    visit = arranged(participant(ECOLOGY, item("ecology.monitoring")), req.JOINT[2])
    if missed:
        visit.do(req.miss(pb.DUTY_VISIT))
    visit.do(req.PRECHECK)
    assert visit.state == "OFF_SITE"
    assert visit.open == {}
    assert not visit.inspection.standing.overdue
    assert visit.inspection.HasField("close_time")
    assert visit.refused(req.PRECHECK).reason == "NOT_BEFORE_CODE"


def test_one_department_with_something_to_look_at_goes() -> None:
    visit = arranged(
        participant(ECOLOGY, item("ecology.monitoring")),
        participant(EMERGENCY, item("emergency.hazards")),
    )
    visit.do(req.PRECHECK)
    assert visit.state == "ARRANGED"
    assert [each.department for each in visit.proceeding().going] == [EMERGENCY]


# What is not answered by data that would answer it: why.
LOOKED_AT: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a law demands the visit": ({"statutory": True}, {}, "法定检查"),
    "a clue": ({}, {"kind": plan_pb2.KIND_CASE}, "个案检查"),
}


@pytest.mark.parametrize("what", LOOKED_AT)
def test_neither_data_nor_earlier_inspections_answer(what: str) -> None:
    fields, of_all, reason = LOOKED_AT[what]
    visit = arranged(participant(ECOLOGY, item("ecology.monitoring", **fields)), **of_all)
    visit = visit.knowing(earlier=(earlier("a", 30),))
    assert visit.do(req.PRECHECK) == ["PrecheckMade"]
    assert visit.state == "ARRANGED"
    (one,) = visit.inspection.participants[0].items
    assert not one.answered_by
    assert reason in one.open_reason
    assert visit.do(req.PRECHECK) == []


def test_an_item_that_is_listed_no_more_is_not_answered() -> None:
    visit = arranged(participant(ECOLOGY, item("ecology.gone")))
    visit.do(req.PRECHECK)
    assert "清单" in visit.inspection.participants[0].items[0].open_reason


def test_the_items_of_the_list_keep_their_shape() -> None:
    """The cases above rest on these settings of the place."""
    assert isinstance(MONITORING, CheckItem)
    assert (MONITORING.answered_by, FACILITIES.answered_by) == (("self_monitoring",), ())

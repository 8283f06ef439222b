"""Grades and published items as rules: what a place may say, and what ours say."""

from datetime import date
from decimal import Decimal

import pytest
from pydantic import ValidationError

from bihuan.inspection.v1.target_pb2 import FactKind
from rules import RuleBook, Rules, WorkingCalendar
from rules.kinds import CheckItem, Version

NATION = Rules(RuleBook.load(), WorkingCalendar.load())
YANGZHOU, SHAANXI, XUHUI = NATION.at("321000"), NATION.at("610100"), NATION.at("310104")
NOW = date(2026, 11, 2)
CITED = {"valid_from": date(2020, 1, 1), "citation": "某", "confidence": "LOW", "source": "test"}


def grade(letter: str, score: int) -> dict[str, object]:
    return {"grade": letter, "name": letter, "from_score": score, "sampling": 0.5}


def item(name: str) -> dict[str, object]:
    return {"id": name, "name": name, "standard": "某", "basis": "某"}


def test_shaanxis_bands_are_those_of_its_scheme() -> None:
    """A from 90, B from 60, C from 40, D below (F30)."""
    assert [(each.grade, each.from_score) for each in SHAANXI.grades(NOW)] == [
        ("A", 90),
        ("B", 60),
        ("C", 40),
        ("D", 0),
    ]


def test_which_letter_is_best_is_local() -> None:
    assert NATION.grades(NOW)[0].grade == "A"
    assert XUHUI.grades(NOW)[0].grade == "D"
    assert [each.cap for each in XUHUI.grades(NOW)] == [each.cap for each in NATION.grades(NOW)]


def test_the_worse_a_grade_the_more_of_it_is_drawn() -> None:
    for place in (NATION, YANGZHOU, SHAANXI, XUHUI):
        shares = [each.sampling for each in place.grades(NOW)]
        assert shares == sorted(shares)
        assert shares[-1] == Decimal(1)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"grades": [grade("A", 0), grade("B", 60)]}, "from the highest score down to 0"),
        ({"grades": [grade("A", 90), grade("B", 60)]}, "from the highest score down to 0"),
        ({"grades": [grade("A", 60), grade("A", 0)]}, "grade A is given twice"),
        ({"items": [item("fire.exits"), item("fire.exits")]}, r"item fire\.exits is given twice"),
        ({"items": [item("fire")]}, "should match pattern"),
        ({"grades": [grade("A", 0)], "items": [item("fire.exits")]}, "a version is one of"),
    ],
)
def test_what_cannot_be_is_refused(says: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Version.model_validate({**CITED, **says})


@pytest.mark.parametrize(
    ("industries", "industry", "concerned"),
    [
        ((), "C2614", True),
        (("C26",), "C2614", True),
        (("C26",), "C2", False),
        (("A", "C13"), "C1320", True),
        (("A", "C13"), "G5411", False),
    ],
)
def test_an_item_is_for_industries_by_the_beginning_of_their_code(
    industries: tuple[str, ...], industry: str, concerned: bool
) -> None:
    checked = CheckItem.model_validate({**item("fire.exits"), "industries": industries})
    assert checked.concerns(industry) == concerned
    assert checked.field == "fire"


def test_every_kind_of_fact_that_weighs_has_its_points_in_every_place() -> None:
    weighing = {
        name.removeprefix("FACT_KIND_").lower()
        for name, number in FactKind.items()
        if number not in (0, FactKind.Value("FACT_KIND_REPAIR"), FactKind.Value("FACT_KIND_DATA"))
    }
    for place in (NATION, YANGZHOU):
        factors = {each.id for each in place.factors("inspection.grade_points", NOW)}
        assert weighing <= factors
        assert "key_unit" in factors


def test_what_data_can_answer_says_how_old_they_may_be() -> None:
    for place in (NATION, YANGZHOU):
        for each in place.items(NOW).values():
            assert bool(each.answered_by) == (each.answer_days > 0), each.id

"""Which version of a rule applies, and that the data are whole."""

from datetime import date
from pathlib import Path

import pytest

from rules import RuleBook, Rules, UnknownRule, WorkingCalendar, YearCalendar, parse_calendar

LOCAL = """
- id: rectification.verification
  name: 核实
  versions:
    - {jurisdiction: 150200, valid_from: 2026-01-01, valid_to: 2027-01-01, value: 3,
       unit: working_days, citation: 包头市规定, confidence: LOW, source: test}
"""


@pytest.mark.parametrize(
    ("place", "on", "days"),
    [
        ("150203", date(2026, 6, 1), 3),
        ("150200", date(2026, 1, 1), 3),
        ("150203", date(2025, 12, 31), 5),
        ("150203", date(2027, 1, 1), 5),
        ("441900", date(2026, 6, 1), 5),
        ("CN", date(2026, 6, 1), 5),
    ],
)
def test_a_place_overrides_the_country_while_in_force(
    tmp_path: Path, place: str, on: date, days: int
) -> None:
    (tmp_path / "baotou.yaml").write_text(LOCAL)
    (tmp_path / "none.yaml").write_text("# nothing of its own yet")
    rules = Rules(RuleBook.load(tmp_path), WorkingCalendar.load()).at(place)
    assert rules.rule("rectification.verification", on).version.value == days


def test_a_rule_not_yet_in_force_is_unknown() -> None:
    with pytest.raises(UnknownRule, match=r"penalty\.payment .* 2020-01-01"):
        RuleBook.load().rule("penalty.payment", date(2020, 1, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {id: Bad, name: x, versions: []}", "rule Bad: id: "),
        (
            LOCAL.replace("value: 3", "value: 0"),
            r"rule rectification\.verification: versions\.0\.value: ",
        ),
        (LOCAL.replace("unit: working_days,", ""), "go together"),
        (
            LOCAL.replace("valid_to: 2027", "valid_to: 2026"),
            "2026-01-01 does not lie after 2026-01-01",
        ),
        (LOCAL.replace("150200", "Baotou"), r"jurisdiction: "),
        (LOCAL.replace("value: 3", "value: 3, value: 4"), "value is given twice"),
        (LOCAL + LOCAL, r"rule rectification\.verification: two versions for 150200 on 2026-01-01"),
        ("a: b", "not a list of rules"),
        ("- [", "not YAML"),
    ],
)
def test_bad_data_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "local.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"^local\.yaml: .*{message}"):
        RuleBook.load(tmp_path)


def test_a_folder_of_rules_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no folder of rules at .*nowhere"):
        RuleBook.load(tmp_path / "nowhere")


@pytest.mark.parametrize("place", ["Baotou", "", "15020", "050200", "１５０２００", "150200\n"])
def test_a_place_is_a_division_code(place: str) -> None:
    with pytest.raises(ValueError, match="division code"):
        Rules(RuleBook.load(), WorkingCalendar.load()).at(place)
    with pytest.raises(ValueError, match="division code"):
        RuleBook.load().rule("penalty.payment", date(2026, 1, 1), place)


@pytest.mark.parametrize(
    ("rule", "before"),
    [
        ("penalty.limitation", "行政处罚法第三十六条"),
        ("penalty.limitation_with_harm", "行政处罚法第三十六条"),
        ("rectification.reinspection", "环境保护主管部门实施按日连续处罚办法第十条"),
    ],
)
def test_the_code_is_cited_from_the_day_it_is_in_force(rule: str, before: str) -> None:
    book = RuleBook.load()
    assert book.rule(rule, date(2026, 8, 14)).version.citation == before
    assert "生态环境法典" in book.rule(rule, date(2026, 8, 15)).version.citation


def test_every_version_names_its_law_and_source() -> None:
    for rule in RuleBook.load().every():
        assert rule.version.citation
        assert rule.version.source


def test_the_calendar_of_2026_is_the_published_one() -> None:
    calendar = WorkingCalendar.load()
    weekdays_off = {
        (day.month, day.day) for day in calendar.years[2026].holidays if day.weekday() < 5
    }
    assert weekdays_off == {
        (1, 1), (1, 2), (2, 16), (2, 17), (2, 18), (2, 19), (2, 20), (2, 23), (4, 6), (5, 1),
        (5, 4), (5, 5), (6, 19), (9, 25), (10, 1), (10, 2), (10, 5), (10, 6), (10, 7),
    }  # fmt: skip
    assert {(day.month, day.day) for day in calendar.years[2026].working_weekends} == {
        (1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year: 2027\nholidays: {2026-01-01: 元旦}\nsource: s", "not a day of 2027"),
        ("year: 2027\nholidays: {2027-01-01: 元旦}", "source"),
        ("year: 2027\nholidays: {2027-01-01: ''}\nsource: s", "2027-01-01 has no occasion"),
        (
            "year: 2027\nholidays: {2027-01-01: 元旦, '2027-01-01': 元旦}\nsource: s",
            "2027-01-01 is given twice",
        ),
        ("year: 2027\nholidays: {2027-02-30: 元旦}\nsource: s", "day is out of range"),
        (
            "year: 2027\nholidays: {}\nworking_weekends: {2027-01-04: 元旦}\nsource: s",
            "cannot be a working weekend",
        ),
        ("nonsense", "dictionary"),
    ],
)
def test_a_bad_calendar_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s)^2027\.yaml: .*{message}"):
        parse_calendar(text, "2027.yaml")


def test_days_of_last_december_come_by_publishing_that_year_again() -> None:
    known = WorkingCalendar.load()
    year = known.years[2026]
    again = YearCalendar(
        year=2026,
        holidays={**year.holidays, date(2026, 12, 31): "元旦"},
        working_weekends=year.working_weekends,
        source="made up for the test",
    )
    assert known.day(date(2026, 12, 31)).working
    assert not known.with_year(again).day(date(2026, 12, 31)).working

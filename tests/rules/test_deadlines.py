"""The worked examples of the tables of law, and what holds for every deadline."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan.types.v1.deadline_pb2 import Deadline, DeadlineStep
from rules import RuleBook, Rules, WorkingCalendar, YearCalendar, as_date, explain, surcharge

RULES = Rules(RuleBook.load(), WorkingCalendar.load())
DAY = timedelta(days=1)
KNOWN = st.dates(date(2024, 1, 1), date(2026, 8, 1))
ANY = st.dates(date(2024, 1, 1), date(2027, 12, 1))
LATER = st.integers(1, 60).map(timedelta)
PERIODS = st.sampled_from(
    ["penalty.payment", "penalty.statement", "enforcement.demand", "rectification.follow_up"]
)
NEW_YEAR_2027 = YearCalendar(
    year=2027,
    holidays={date(2027, 1, day): "元旦" for day in (1, 2, 3)} | {date(2027, 3, 18): "调休"},
    source="made up for the test",
)


@pytest.mark.parametrize(
    ("rule", "origin", "due"),
    [
        ("penalty.payment", date(2026, 9, 18), date(2026, 10, 8)),
        ("penalty.statement", date(2026, 9, 24), date(2026, 10, 9)),
        ("penalty.hearing_request", date(2026, 9, 24), date(2026, 10, 9)),
        ("penalty.statement", date(2026, 2, 11), date(2026, 2, 25)),
        ("enforcement.demand", date(2026, 9, 24), date(2026, 10, 15)),
        ("penalty.filing", date(2026, 9, 10), date(2026, 9, 28)),
        ("penalty.filing_extended", date(2026, 9, 10), date(2026, 10, 10)),
        ("penalty.decision_extended", date(2026, 1, 12), date(2026, 5, 12)),
        ("penalty.limitation", date(2024, 9, 18), date(2026, 9, 18)),
        ("penalty.limitation_with_harm", date(2021, 9, 18), date(2026, 9, 18)),
        ("remedy.reconsideration", date(2026, 9, 18), date(2026, 11, 17)),
        ("remedy.suit", date(2026, 9, 18), date(2027, 3, 18)),
        ("enforcement.court_application", date(2027, 3, 18), date(2027, 6, 18)),
    ],
)
def test_worked_examples_of_section_2(rule: str, origin: date, due: date) -> None:
    deadline = RULES.deadline(rule, origin, "d")
    assert as_date(deadline.due_date) == due
    assert deadline.provisional == (due.year == 2027)


@pytest.mark.parametrize(
    ("on", "fen"),
    [
        (date(2026, 10, 8), 0),
        (date(2026, 10, 9), 3_000_00),
        (date(2026, 11, 10), 99_000_00),
        (date(2026, 11, 11), 100_000_00),
        (date(2027, 1, 1), 100_000_00),
    ],
)
def test_surcharge_grows_three_percent_a_day_up_to_the_fine(on: date, fen: int) -> None:
    rule = RULES.rule("penalty.surcharge", date(2026, 9, 18))
    days = (on - date(2026, 10, 8)).days
    assert surcharge(rule, 100_000_00 * days, 100_000_00) == fen


@given(PERIODS | st.just("remedy.suit"), ANY)
def test_the_last_day_alone_is_the_due_date_that_is_explained(rule_id: str, origin: date) -> None:
    last = RULES.until(RULES.rule(rule_id, date(2026, 9, 18)), origin)
    assert last == as_date(RULES.deadline(rule_id, origin, "d").due_date)


def test_overdue_begins_at_midnight_after_the_due_date_in_shanghai() -> None:
    deadline = RULES.deadline("penalty.payment", date(2026, 9, 18), "d")
    assert deadline.due_time.ToDatetime(UTC) == datetime(2026, 10, 8, 16, tzinfo=UTC)


def test_months_end_on_the_last_day_of_a_shorter_month() -> None:
    deadline = RULES.deadline("remedy.suit", date(2025, 8, 31), "d")
    assert as_date(deadline.due_date) == date(2026, 2, 28)


def test_a_due_date_explains_itself() -> None:
    assert explain(RULES.deadline("penalty.statement", date(2026, 9, 24), "d")) == [
        "2026-09-24 起算日，当日不计",
        "2026-09-25 至 2026-09-27 不计 中秋节",
        "2026-09-28 至 2026-09-30 计入",
        "2026-10-01 至 2026-10-07 不计 国庆节",
        "2026-10-08 至 2026-10-09 计入",
        "期限届满日 2026-10-09",
        "依据 生态环境行政处罚办法第四十四条、行政处罚法第八十五条（penalty.statement CN@2023-07-01）",
    ]


def test_a_provisional_deadline_moves_when_its_calendar_is_published() -> None:
    before = RULES.deadline("remedy.suit", date(2026, 9, 18), "d")
    known = Rules(RULES.book, RULES.calendar.with_year(NEW_YEAR_2027))
    after = known.recount(before)
    assert as_date(after.due_date) == date(2027, 3, 19)
    assert not after.provisional


def test_an_extension_keeps_the_id_and_what_was_counted_before() -> None:
    first = RULES.deadline("rectification.order", date(2026, 9, 1), "rectify-1.1", days=10)
    later = RULES.extended(first, date(2026, 10, 3))
    assert later.id == first.id
    assert list(later.steps[: len(first.steps)]) == list(first.steps)
    assert as_date(later.due_date) == date(2026, 10, 8)
    assert explain(later)[:-1] == [
        "2026-09-01 起算日，当日不计",
        "2026-09-02 至 2026-09-11 计入",
        "2026-09-12 至 2026-10-03 末日经决定确定",
        "2026-10-04 至 2026-10-08 末日为休息日，顺延 国庆节",
        "期限届满日 2026-10-08",
    ]


def test_a_set_date_rolls_off_a_holiday_on_a_working_day_rule_too() -> None:
    deadline = RULES.deadline("penalty.statement", date(2026, 9, 24), "d", due=date(2026, 10, 3))
    assert as_date(deadline.set_date) == date(2026, 10, 3)
    assert as_date(deadline.due_date) == date(2026, 10, 8)


def test_a_set_date_moves_when_its_calendar_is_published() -> None:
    first = RULES.deadline("rectification.order", date(2026, 12, 1), "d", due=date(2027, 1, 1))
    later = RULES.extended(first, date(2027, 3, 18))
    known = Rules(RULES.book, RULES.calendar.with_year(NEW_YEAR_2027))
    for before, due in ((first, date(2027, 1, 4)), (later, date(2027, 3, 19))):
        assert before.provisional
        after = known.recount(before)
        assert as_date(after.due_date) == due
        assert not after.provisional
        assert _stepped(after) == _days(date(2026, 12, 1), due)


@pytest.mark.parametrize("due", [date(2026, 8, 31), date(2026, 9, 1)])
def test_a_set_date_must_lie_after_the_origin(due: date) -> None:
    with pytest.raises(ValueError, match=f"{due} does not lie after 2026-09-01"):
        RULES.deadline("rectification.order", date(2026, 9, 1), "d", due=due)


@pytest.mark.parametrize("due", [date(2026, 9, 10), date(2026, 9, 11)])
def test_an_extension_must_be_later(due: date) -> None:
    first = RULES.deadline("rectification.order", date(2026, 9, 1), "d", days=10)
    with pytest.raises(ValueError, match=f"{due} of an extension does not lie after 2026-09-11"):
        RULES.extended(first, due)


@pytest.mark.parametrize("days", [0, -1])
def test_a_period_is_at_least_one_long(days: int) -> None:
    with pytest.raises(ValueError, match=f"a period of {days} working_days is shorter than 1"):
        RULES.deadline("penalty.statement", date(2026, 9, 1), "d", days=days)


@pytest.mark.parametrize("level", [-1, 0, 5])
def test_a_level_outside_the_ladder_has_no_deadline(level: int) -> None:
    assert RULES.rung(level, date(2026, 9, 1)) is None
    with pytest.raises(ValueError, match=f"no rung {level} on 2026-09-01"):
        RULES.rung_deadline(level, date(2026, 9, 1), "d")


@given(PERIODS, ANY, LATER, LATER)
def test_the_steps_cover_every_day_once(
    rule: str, origin: date, later: timedelta, again: timedelta
) -> None:
    for deadline in _deadlines(rule, origin, later, again):
        assert _stepped(deadline) == _days(origin, as_date(deadline.due_date))


@given(KNOWN, st.integers(1, 60))
def test_working_days_are_those_a_naive_count_finds(origin: date, number: int) -> None:
    deadline = RULES.deadline("penalty.statement", origin, "d", days=number)
    between = _days(origin + DAY, as_date(deadline.due_date))
    assert sum(_is_worked(day) for day in between) == number
    assert _is_worked(between[-1])


@given(PERIODS, KNOWN)
def test_a_rolling_deadline_never_ends_on_a_holiday(rule: str, origin: date) -> None:
    assert _is_worked(as_date(RULES.deadline(rule, origin, "d").due_date))


@given(PERIODS, KNOWN, st.integers(0, 40))
def test_a_later_start_never_ends_earlier(rule: str, origin: date, days: int) -> None:
    later = origin + timedelta(days=days)
    first, second = (as_date(RULES.deadline(rule, day, "d").due_date) for day in (origin, later))
    assert first <= second


@given(PERIODS, ANY, LATER, LATER)
def test_counting_again_by_the_same_calendar_changes_nothing(
    rule: str, origin: date, later: timedelta, again: timedelta
) -> None:
    for deadline in _deadlines(rule, origin, later, again):
        assert RULES.recount(deadline) == deadline


def test_reminders_come_before_the_due_time_and_after_the_origin() -> None:
    deadline: Deadline = RULES.deadline("rectification.order", date(2026, 9, 1), "d", days=1)
    assert not deadline.remind_times
    deadline = RULES.deadline("rectification.order", date(2026, 9, 1), "d")
    reminders = [time.ToDatetime() for time in deadline.remind_times]
    assert reminders == sorted(reminders) == [datetime(2026, 9, 28, 1), datetime(2026, 9, 30, 1)]
    assert deadline.steps[-1].kind == DeadlineStep.KIND_ROLLED


def _deadlines(rule: str, origin: date, later: timedelta, again: timedelta) -> list[Deadline]:
    """By the rule, and on a set date; each also extended once and twice."""
    found = [
        RULES.deadline(rule, origin, "d"),
        RULES.deadline(rule, origin, "d", due=origin + later),
    ]
    for more in (later, again):
        found += [RULES.extended(first, as_date(first.due_date) + more) for first in found[-2:]]
    return found


def _stepped(deadline: Deadline) -> list[date]:
    return [
        day
        for step in deadline.steps
        for day in _days(as_date(step.first_date), as_date(step.last_date))
    ]


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _is_worked(day: date) -> bool:
    year = RULES.calendar.years[day.year]
    return day in year.working_weekends or (day.weekday() < 5 and day not in year.holidays)

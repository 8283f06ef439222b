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
    assert surcharge(rule, 100_000_00, date(2026, 10, 8), on) == fen


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
    assert RULES.recount(later) == later


def test_a_set_date_must_lie_after_the_origin() -> None:
    with pytest.raises(ValueError, match="does not lie after"):
        RULES.deadline("rectification.order", date(2026, 9, 1), "d", due=date(2026, 9, 1))


@given(PERIODS, KNOWN)
def test_the_steps_cover_every_day_once(rule: str, origin: date) -> None:
    deadline = RULES.deadline(rule, origin, "d")
    days = [
        day
        for step in deadline.steps
        for day in _days(as_date(step.first_date), as_date(step.last_date))
    ]
    assert days == _days(origin, as_date(deadline.due_date))


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


@given(PERIODS, st.dates(date(2026, 1, 1), date(2027, 12, 1)))
def test_counting_again_by_the_same_calendar_changes_nothing(rule: str, origin: date) -> None:
    deadline = RULES.deadline(rule, origin, "d")
    assert RULES.recount(deadline) == deadline


def test_reminders_come_before_the_due_time_and_after_the_origin() -> None:
    deadline: Deadline = RULES.deadline("rectification.order", date(2026, 9, 1), "d", days=1)
    assert not deadline.remind_times
    deadline = RULES.deadline("rectification.order", date(2026, 9, 1), "d")
    reminders = [time.ToDatetime() for time in deadline.remind_times]
    assert reminders == sorted(reminders) == [datetime(2026, 9, 28, 1), datetime(2026, 9, 30, 1)]
    assert deadline.steps[-1].kind == DeadlineStep.KIND_ROLLED


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _is_worked(day: date) -> bool:
    year = RULES.calendar.years[day.year]
    return day in year.working_weekends or (day.weekday() < 5 and day not in year.holidays)

"""Merging: nothing lost, nothing moved further than the law lets it, and no plan with fewer visits."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inspection.inspections.merging import (
    PlannedVisit,
    Visit,
    Window,
    allowed,
    lead,
    merge,
)

JANUARY = date(2026, 1, 1)
DAY = timedelta(days=1)
FIRM, OTHER = "91130200699229617X", "91350100M000100Y43"


def task(
    name: str,
    first: date,
    days: int = 1,
    department: str = "departments/a",
    items: tuple[str, ...] = ("ecology.permit",),
    **more: bool,
) -> PlannedVisit:
    last = first + (days - 1) * DAY
    return PlannedVisit(name, department, FIRM, first, last, items, **more)


@st.composite
def plans(draw: st.DrawFn, most: int = 7, firms: int = 2) -> list[PlannedVisit]:
    """Tasks of three departments on one or two enterprises, within 80 days around the new year."""
    made = []
    for number in range(draw(st.integers(0, most))):
        first = date(2025, 12, 1) + draw(st.integers(0, 80)) * DAY
        made.append(
            PlannedVisit(
                name=f"plans/p/tasks/{number}",
                department=f"departments/{draw(st.sampled_from('abc'))}",
                enterprise=draw(st.sampled_from((FIRM, OTHER)[:firms])),
                first=first,
                last=first + draw(st.integers(0, 12)) * DAY,
                items=tuple(draw(st.sets(st.sampled_from(("x.a", "x.b", "x.c")), min_size=1))),
                statutory=draw(st.booleans()),
                alone=draw(st.integers(0, 5)) == 0,
            )
        )
    return made


DAYS = st.integers(0, 20)
TODAY = st.integers(0, 100).map(lambda days: date(2025, 11, 20) + days * DAY)


def common(tasks: Sequence[PlannedVisit], days: int, today: date) -> Window | None:
    """The days that suit them all, if they may be one visit."""
    if len({each.enterprise for each in tasks}) > 1:
        return None
    if len(tasks) > 1 and any(each.alone for each in tasks):
        return None
    windows = [allowed(each, days, today) for each in tasks]
    met = Window(max(each.first for each in windows), min(each.last for each in windows))
    return met if met.first <= met.last else None


def fewest(tasks: Sequence[PlannedVisit], days: int, today: date) -> int:
    """By trying: puts the first task with each group of the others that it can meet."""
    if not tasks:
        return 0
    head, rest = tasks[0], tasks[1:]
    best = len(tasks)
    for size in range(len(rest) + 1):
        for group in combinations(rest, size):
            if common([head, *group], days, today):
                left = [each for each in rest if each not in group]
                best = min(best, 1 + fewest(left, days, today))
    return best


@given(plans(), DAYS, TODAY)
def test_no_task_is_lost_or_doubled(tasks: list[PlannedVisit], days: int, today: date) -> None:
    visits = merge(tasks, days, today)
    assert Counter(each for visit in visits for each in visit.tasks) == Counter(tasks)
    assert all(each.enterprise == visit.enterprise for visit in visits for each in visit.tasks)


@given(plans(), DAYS, TODAY)
def test_a_visit_lies_in_the_days_allowed_to_each_of_its_tasks(
    tasks: list[PlannedVisit], days: int, today: date
) -> None:
    for visit in merge(tasks, days, today):
        assert visit.allowed == common(visit.tasks, days, today)
        assert visit.allowed.first <= visit.window.first
        assert visit.window.first <= visit.window.last <= visit.allowed.last


@given(plans(), DAYS)
def test_a_statutory_task_stays_on_its_days(tasks: list[PlannedVisit], days: int) -> None:
    for visit in merge(tasks, days, JANUARY - 60 * DAY):
        for each in visit.tasks:
            if each.statutory:
                assert each.first <= visit.window.first
                assert visit.window.last <= each.last


@given(plans(), DAYS, TODAY)
def test_a_task_made_alone_is_alone(tasks: list[PlannedVisit], days: int, today: date) -> None:
    for visit in merge(tasks, days, today):
        assert len(visit.tasks) == 1 or not any(each.alone for each in visit.tasks)


@given(plans(), DAYS, TODAY)
def test_no_two_visits_could_be_one(tasks: list[PlannedVisit], days: int, today: date) -> None:
    for one, other in combinations(merge(tasks, days, today), 2):
        assert common([*one.tasks, *other.tasks], days, today) is None


@given(plans(), DAYS, TODAY)
def test_no_two_witnesses_can_meet(tasks: list[PlannedVisit], days: int, today: date) -> None:
    named = {each.name: each for each in tasks}
    visits = merge(tasks, days, today)
    assert all(visit.witness in {each.name for each in visit.tasks} for visit in visits)
    for one, other in combinations(visits, 2):
        assert common([named[one.witness], named[other.witness]], days, today) is None


@given(plans(firms=1), DAYS, TODAY)
def test_no_plan_has_fewer_visits(tasks: list[PlannedVisit], days: int, today: date) -> None:
    assert len(merge(tasks, days, today)) == fewest(tasks, days, today)


@given(plans(), DAYS, TODAY, st.randoms(use_true_random=False))
def test_the_order_of_the_tasks_changes_nothing(
    tasks: list[PlannedVisit], days: int, today: date, chance: object
) -> None:
    shuffled = list(tasks)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(iter(shuffled), days, today) == merge(tasks, days, today)


@given(plans(firms=1), DAYS, TODAY)
def test_the_days_proposed_are_those_on_which_most_tasks_stay(
    tasks: list[PlannedVisit], days: int, today: date
) -> None:
    def staying(visit: Visit, day: date) -> int:
        return sum(each.first <= day <= each.last for each in visit.tasks)

    def each_day(window: Window) -> list[date]:
        return [window.first + n * DAY for n in range((window.last - window.first).days + 1)]

    for visit in merge(tasks, days, today):
        most = max(staying(visit, day) for day in each_day(visit.allowed))
        assert {staying(visit, day) for day in each_day(visit.window)} == {most}


@pytest.mark.parametrize(
    ("given_task", "window"),
    [
        (task("1", date(2026, 6, 10), 3), (date(2026, 5, 26), date(2026, 6, 27))),
        (task("1", date(2026, 6, 10), 3, statutory=True), (date(2026, 6, 10), date(2026, 6, 12))),
        (task("1", date(2026, 1, 5)), (date(2026, 1, 1), date(2026, 1, 20))),
        (task("1", date(2026, 12, 28)), (date(2026, 12, 13), date(2026, 12, 31))),
    ],
)
def test_a_task_moves_within_its_year_and_a_statutory_one_not(
    given_task: PlannedVisit, window: tuple[date, date]
) -> None:
    assert allowed(given_task, 15, JANUARY) == window


@pytest.mark.parametrize("statutory", [False, True])
def test_nothing_is_planned_into_the_past_and_a_late_task_is_caught_up_at_once(
    statutory: bool,
) -> None:
    today = date(2026, 6, 11)
    under_way = task("1", date(2026, 6, 10), 3, statutory=statutory)
    assert allowed(under_way, 15, today).first == today
    late = task("1", date(2026, 3, 1), 3, statutory=statutory)
    assert allowed(late, 15, today) == (today, today + 2 * DAY)
    assert [visit.window.first for visit in merge([late], 15, today)] == [today]


def test_of_a_chain_the_middle_goes_with_one_neighbour() -> None:
    chain = [task(name, JANUARY + 100 * DAY + n * 20 * DAY) for n, name in enumerate("abc")]
    first, second = merge(chain, 15, JANUARY)
    assert [each.name for each in first.tasks] == ["a", "b"]
    assert [each.name for each in second.tasks] == ["c"]


def test_days_on_which_both_were_planned_are_preferred() -> None:
    april = date(2026, 4, 1)
    (visit,) = merge([task("1", april, 20), task("2", april + 10 * DAY, 30)], 15, JANUARY)
    assert visit.window == (april + 10 * DAY, april + 19 * DAY)
    assert visit.allowed == (date(2026, 3, 27), date(2026, 5, 5))


def test_of_days_that_are_as_good_the_earliest_are_proposed_and_of_stays_the_longer() -> None:
    april = date(2026, 4, 1)
    alike = [task("1", april, 5), task("2", april + 10 * DAY, 5)]
    assert merge(alike, 15, JANUARY)[0].window == (april, april + 4 * DAY)
    longer = [task("1", april, 5), task("2", april + 10 * DAY, 6)]
    assert merge(longer, 15, JANUARY)[0].window == (april + 10 * DAY, april + 15 * DAY)


def test_a_single_task_stays_where_it_was_planned() -> None:
    (visit,) = merge([task("1", date(2026, 4, 1), 20)], 15, JANUARY)
    assert visit.window == (date(2026, 4, 1), date(2026, 4, 20))
    assert visit.departments == ("departments/a",)


def test_a_name_given_twice_and_days_the_wrong_way_round_are_refused() -> None:
    one = task("plans/p/tasks/1", JANUARY)
    with pytest.raises(ValueError, match="plans/p/tasks/1 comes twice"):
        merge([one, one._replace(first=JANUARY + DAY, last=JANUARY + DAY)], 15, JANUARY)
    with pytest.raises(ValueError, match="lies before first day"):
        merge([one._replace(last=JANUARY - DAY)], 15, JANUARY)


A, B = "departments/a", "departments/b"


@pytest.mark.parametrize(
    ("tasks", "leads"),
    [
        ([task("1", JANUARY), task("2", JANUARY, department=B, items=("x.a", "x.b"))], B),
        (
            [task("1", JANUARY), task("2", JANUARY), task("3", JANUARY, department=B)],
            A,  # an item asked for twice is one item
        ),
        ([task("1", JANUARY), task("2", JANUARY, department=B, statutory=True)], B),
        ([task("1", JANUARY, department=B), task("2", JANUARY)], A),
    ],
)
def test_who_has_most_items_leads_then_who_is_bound_then_the_first(
    tasks: list[PlannedVisit], leads: str
) -> None:
    assert lead(tasks) == leads
    assert lead(tasks[::-1]) == leads

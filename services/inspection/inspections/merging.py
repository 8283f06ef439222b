"""Merges planned tasks of several departments on one enterprise into as few visits as there can be. Pure.

Comprehensive inspection (综合查一次): 国办发〔2024〕54号 has departments come together where their visits
lie near in time. How near is rule `inspection.merge_days`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

DAY = timedelta(days=1)


class PlannedVisit(NamedTuple):
    """One task of a plan (检查任务). Days are legal ones, Asia/Shanghai, both ends included.

    name: "plans/…/tasks/…"; department: "departments/…"; enterprise: its USCC; items: ids of the published
    list; statutory: a law sets its days; alone: it must not be merged, for example unannounced at night.
    """

    name: str
    department: str
    enterprise: str
    first: date
    last: date
    items: tuple[str, ...]
    statutory: bool = False
    alone: bool = False


class Window(NamedTuple):
    """Days from `first` to `last`, both included."""

    first: date
    last: date


class Visit(NamedTuple):
    """One arrival at one enterprise on one occasion, of however many departments.

    window: the days proposed; allowed: the days that suit every task, `window` among them; witness: name
    of the task that proves that the visit is needed (see `merge`).
    """

    enterprise: str
    window: Window
    allowed: Window
    tasks: tuple[PlannedVisit, ...]
    witness: str

    @property
    def departments(self) -> tuple[str, ...]:
        """Whoever comes, by name, each once."""
        return tuple(sorted({task.department for task in self.tasks}))


class _Fit(NamedTuple):
    """A task with the days allowed to it, in the order in which they are stabbed."""

    last: date
    first: date
    name: str
    task: PlannedVisit


def allowed(task: PlannedVisit, merge_days: int, not_before: date) -> Window:
    """The days on which a task may be carried out, planned from the day `not_before` on.

    A task that no law dates may lie up to `merge_days` calendar days earlier or later, within the calendar
    years of its days; a statutory one keeps its days. Nothing is planned into the past. A task whose days
    have all passed is late and not lost: it gets as many days as it had, from `not_before` on. ValueError
    if its last day lies before its first.
    """
    if task.last < task.first:
        raise ValueError(f"{task.name}: last day {task.last} lies before first day {task.first}")
    first, last = task.first, task.last
    if not task.statutory:
        first = max(first - merge_days * DAY, date(first.year, 1, 1))
        last = min(last + merge_days * DAY, date(last.year, 12, 31))
    if last < not_before:
        return Window(not_before, not_before + (task.last - task.first))
    return Window(max(first, not_before), last)


def merge(tasks: Iterable[PlannedVisit], merge_days: int, not_before: date) -> list[Visit]:
    """The visits that the tasks become, ordered by enterprise, then by day; the same for any order of input.

    For each enterprise its tasks' allowed days are intervals, and a visit is a day that lies in each of its
    tasks': the fewest visits are the fewest points that stab all intervals. Taking the earliest end that is
    not stabbed yet is optimal (Gavril, SIAM J. Comput. 1 (1972) 180-187: minimum clique cover of an interval
    graph). O(n log n) for n tasks.

    What is promised: each task is in one visit, on days allowed to it; tasks marked alone are alone; no plan
    of the same tasks has fewer visits. The `witness` tasks, whose last allowed days were the points, prove
    that: no two of an enterprise can be carried out on one day (or one of them is made alone), so that each
    needs a visit of its own. For the same reason no two visits of the result could be made one.

    What is not promised: that any two tasks which could meet do. Where A can meet B and B can meet C but A
    cannot meet C, B goes with one of them: the earlier. Nor that least is moved: days are chosen afterwards,
    within what suits all tasks of a visit (see `_proposed`). Two tasks of one department are merged like any
    others; looks that a law wants apart are statutory and stay on their days.

    ValueError if a name comes twice for an enterprise, or as `allowed`.
    """
    by_enterprise: defaultdict[str, list[_Fit]] = defaultdict(list)
    for task in tasks:
        first, last = allowed(task, merge_days, not_before)
        by_enterprise[task.enterprise].append(_Fit(last, first, task.name, task))
    return [
        visit
        for enterprise in sorted(by_enterprise)
        for visit in _visits(enterprise, by_enterprise[enterprise])
    ]


def lead(tasks: Sequence[PlannedVisit]) -> str:
    """Which department leads a visit of these tasks, at least one: a rule of thumb, no law names one.

    Whoever has most items to check, since it stays longest; of equals one with a statutory task, since its
    days are fixed; of equals the first by name.
    """
    items: defaultdict[str, set[str]] = defaultdict(set)
    for task in tasks:
        items[task.department].update(task.items)
    bound = {task.department for task in tasks if task.statutory}
    return min(items, key=lambda each: (-len(items[each]), each not in bound, each))


def _visits(enterprise: str, fits: list[_Fit]) -> list[Visit]:
    """The visits of one enterprise: every group, and every task alone."""
    if len({fit.name for fit in fits}) < len(fits):
        names = [fit.name for fit in fits]
        doubled = min(name for name in names if names.count(name) > 1)
        raise ValueError(f"{doubled} comes twice for enterprise {enterprise}")
    groups = [[fit] for fit in fits if fit.task.alone]
    stabbed: list[_Fit] = []
    for fit in sorted(fit for fit in fits if not fit.task.alone):
        if stabbed and fit.first <= stabbed[0].last:
            stabbed.append(fit)
        else:
            stabbed = [fit]
            groups.append(stabbed)
    return sorted((_visit(enterprise, group) for group in groups), key=_when)


def _visit(enterprise: str, group: list[_Fit]) -> Visit:
    """A group as a visit; its first is the witness, whose last allowed day is the earliest of all."""
    common = Window(max(fit.first for fit in group), group[0].last)
    ordered = sorted((fit.task for fit in group), key=lambda task: (task.department, task.name))
    return Visit(enterprise, _proposed(ordered, common), common, tuple(ordered), group[0].name)


def _when(visit: Visit) -> tuple[Window, str]:
    return visit.window, visit.witness


def _proposed(tasks: Sequence[PlannedVisit], common: Window) -> Window:
    """Of the common days those on which most tasks stay where they were planned: the longest such run, of
    equals the earliest; all common days where each task has to move. A sweep over the ends of windows.
    """
    latest = max(common.first, max(task.first for task in tasks))
    earliest = min(common.last, min(task.last for task in tasks))
    if latest <= earliest:  # mostly all can stay
        return Window(latest, earliest)
    changes: defaultdict[date, int] = defaultdict(int)
    for task in tasks:
        first, last = max(task.first, common.first), min(task.last, common.last)
        if first <= last:
            changes[first] += 1
            changes[last + DAY] -= 1
    changes[common.last + DAY] += 0
    best, longest, count, since = 0, common, 0, common.first
    for day in sorted(changes):
        run = Window(since, day - DAY)
        if count > best or (count == best and count and _days(run) > _days(longest)):
            best, longest = count, run
        if changes[day]:
            count, since = count + changes[day], day
    return longest


def _days(window: Window) -> int:
    return (window.last - window.first).days

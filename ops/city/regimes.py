"""The regimes that are compared: each mechanism on or off, by the code of the services."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from math import ceil
from typing import NamedTuple

from bihuan.inspection.v1 import target_pb2 as pb
from ops.city import assumptions as given
from ops.city.generator import Enterprise
from ops.city.history import Known, as_known, each_alone
from ops.city.plans import months, new_plan, task
from rules import Grade, Rules, as_date
from services.inspection.inspections.merging import DAY, PlannedVisit, Visit, Window, merge
from services.inspection.inspections.precheck import answers
from services.inspection.plans.caps import cap_of
from services.inspection.targets.grading import grade

NEW_YEAR = date(given.YEAR, 1, 1)


class Regime(NamedTuple):
    """Which mechanisms work."""

    grading: bool = False
    merging: bool = False
    data: bool = False


ALONE, MERGING, GRADING = Regime(), Regime(merging=True), Regime(grading=True)
ALL = Regime(True, True, True)
EVERY = tuple(
    Regime(grading, merging, data)
    for data in (False, True)
    for grading in (False, True)
    for merging in (False, True)
)


class Arranged(NamedTuple):
    """What a regime makes of a year: its visits, and how many items data answered instead of a look."""

    visits: list[Visit]
    off_site: int


class Screened(NamedTuple):
    """A task after data were looked at: what is left to look at on site, and how many items data answered."""

    open: tuple[str, ...]
    answered: int


def graded(targets: Mapping[str, pb.Target], rules: Rules) -> dict[str, pb.Target]:
    """The targets with the grade of 1 January."""
    found = {}
    for uscc, target in targets.items():
        then = as_known(target, NEW_YEAR)
        found[uscc] = pb.Target()
        found[uscc].CopyFrom(target)
        found[uscc].grading.CopyFrom(grade(then, rules, NEW_YEAR))
    return found


class Year:
    """A year of a city under one regime or another."""

    def __init__(self, known: Known, past: Sequence[PlannedVisit], rules: Rules) -> None:
        self._city = known.city
        self._past = past
        self._rules = rules
        self._targets = graded(known.targets, rules)
        self._items = rules.items(NEW_YEAR)
        self._grades = {each.grade: each for each in rules.grades(NEW_YEAR)}
        self._screened: dict[str, Screened] = {}
        self.planned = self._graded_plan()
        self._clues = tuple(self._all_clues())

    @property
    def grades(self) -> dict[str, int]:
        """How many enterprises have each grade."""
        letters = [target.grading.grade for target in self._targets.values()]
        return {each: letters.count(each) for each in self._grades}

    def arrange(self, regime: Regime) -> Arranged:
        """The visits of the regime."""
        tasks = list(self.planned if regime.grading else self._past)
        off_site = 0
        if regime.data:
            tasks, off_site = self._data_first(tasks)
        if not regime.merging:
            return Arranged(each_alone(tasks), off_site)
        days = self._rules.number("inspection.merge_days", NEW_YEAR)
        return Arranged(merge(tasks, days, NEW_YEAR), off_site)

    def cap(self, uscc: str) -> int | None:
        """The most visits of that enterprise by one body; None for any number."""
        return cap_of(self._targets[uscc].grading.grade, self._rules, NEW_YEAR)

    def _graded_plan(self) -> list[PlannedVisit]:
        """What a law demands, as it was planned; and of each register the share of each grade, by lot."""
        rng = self._city.chance("graded plan")
        owed = [each for each in self._past if each.statutory]
        count = defaultdict[tuple[str, str], int](int)
        for each in owed:
            count[each.department, each.enterprise] += 1
        made = owed
        for field, department in self._city.departments.items():
            plan = new_plan(rng)
            for enterprise, times in self._drawn(field):
                left = times - count[department.name, enterprise.uscc]
                for number, window in enumerate(months(rng, given.YEAR, left)):
                    one = task(self._city, plan, field, enterprise, number, window)
                    made.append(one._replace(alone=rng.random() < given.ALONE_SHARE))
        return made

    def _drawn(self, field: str) -> Iterator[tuple[Enterprise, int]]:
        """Whom the lot chose, and how often each is visited."""
        rng = self._city.chance(f"lot of {field}")
        pools: defaultdict[str, list[Enterprise]] = defaultdict(list)
        for each in self._city.register(field):
            pools[self._targets[each.uscc].grading.grade].append(each)
        for letter, rule in self._grades.items():
            pool = pools[letter]
            for each in rng.sample(pool, ceil(rule.sampling * len(pool))):
                yield each, self._times(rule)

    def _times(self, rule: Grade) -> int:
        cap = cap_of(rule.grade, self._rules, NEW_YEAR)
        if cap is None:
            return given.TIMES_WITHOUT_CAP
        return cap if rule.sampling > given.HIGH_RISK_FROM else min(cap, 1)

    def _data_first(self, tasks: Sequence[PlannedVisit]) -> tuple[list[PlannedVisit], int]:
        """The tasks with what is left to look at on site, then clues; and how many items data answered."""
        remain, answered = [], 0
        for each in tasks:
            if each.statutory:
                remain.append(each)
                continue
            screened = self._screen(each)
            answered += screened.answered
            if screened.open:
                remain.append(each._replace(items=screened.open))
        looks = defaultdict[tuple[str, str], list[PlannedVisit]](list)
        for each in remain:
            for item in each.items:
                looks[each.enterprise, item].append(each)
        clues = [
            clue
            for clue in self._clues
            if not any(_meet(clue, each) for each in looks[clue.enterprise, clue.items[0]])
        ]
        return [*remain, *clues], answered

    def _screen(self, task: PlannedVisit) -> Screened:
        """What data say of the items of a task on the first of its days."""
        if task.name not in self._screened:
            asked = [self._items[each] for each in task.items]
            found = answers(asked, self._targets[task.enterprise], self._rules, task.first)
            left = tuple(each.item for each in found if not each.off_site)
            self._screened[task.name] = Screened(left, len(found) - len(left))
        return self._screened[task.name]

    def _all_clues(self) -> Iterator[PlannedVisit]:
        """A task for each report of the year that shows something amiss: to look at that item on site."""
        plan = new_plan(self._city.chance("clues"))
        for uscc, target in self._targets.items():
            for fact in target.facts:
                if fact.compliant or not fact.answers or fact.date.year != given.YEAR:
                    continue
                yield from self._clues_of(plan, self._city.enterprises[uscc], target, fact)

    def _clues_of(
        self, plan: str, enterprise: Enterprise, target: pb.Target, fact: pb.Fact
    ) -> Iterator[PlannedVisit]:
        day = as_date(fact.date)
        window = Window(day + DAY, day + given.CLUE_DAYS * DAY)
        for field in enterprise.fields:
            asked = self._city.items_of(field, enterprise)
            concerned = [item for item in asked if set(item.answered_by) & set(fact.answers)]
            for answer in answers(concerned, target, self._rules, day):
                if not answer.off_site and fact.id in answer.basis:
                    clue = task(self._city, plan, field, enterprise, 0, window)
                    name = f"{plan}/tasks/{fact.id}"
                    # It keeps its days, as a statutory one: merging must not send anybody before the report.
                    yield clue._replace(name=name, items=(answer.item,), statutory=True)


def _meet(one: PlannedVisit, other: PlannedVisit) -> bool:
    return one.first <= other.last and other.first <= one.last

"""What is known of a city's enterprises when the year begins, and what data tell during it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

from bihuan.inspection.v1 import target_pb2 as pb
from ops.city import assumptions as given
from ops.city.generator import City, Enterprise, existing
from ops.city.outcome import Find, inspect, of_the_year
from ops.city.plans import past_plan
from rules.deadline import as_date, as_message
from services.inspection.inspections.merging import PlannedVisit, Visit, merge

DAY = timedelta(days=1)
# The longest time between two reports, in days, that keeps data no older than an item wants.
PERIODS = (365, 182, 91)
KINDS: Mapping[str, pb.FactKind.ValueType] = {
    "self_monitoring": pb.FACT_KIND_SELF_MONITORING,
    "permit_report": pb.FACT_KIND_PERMIT_REPORT,
}


class Known(NamedTuple):
    """city: with what is left of its violations; punished: field and enterprise of penalties; targets: by
    USCC, as the register has them, with every fact of both years in order of its day.
    """

    city: City
    punished: frozenset[tuple[str, str]]
    targets: Mapping[str, pb.Target]


def known(city: City) -> Known:
    """Plays the year before with plans as in the past, and keeps what became known."""
    year, rng = given.YEAR - 1, city.chance("history")
    visits = each_alone(past_plan(city, year))
    findings = inspect(city, visits, rng)
    after = city._replace(violations=findings.left)
    facts = _Facts(city, rng)
    punished = set[tuple[str, str]]()
    hit = {find.visit for find in findings.finds}
    for number, visit in enumerate(visits):
        if number not in hit:
            facts.add(visit.enterprise, findings.days[number], pb.FACT_KIND_CLEAN_INSPECTION)
    for find in findings.finds:
        if facts.of_find(find):
            punished.add((find.violation.item.partition(".")[0], find.violation.enterprise))
    facts.of_others(year)
    facts.of_data()
    return Known(after, frozenset(punished), facts.targets())


def each_alone(tasks: Iterable[PlannedVisit]) -> list[Visit]:
    """Every task as a visit of its own, on the days that it was planned for."""
    return merge((task._replace(alone=True) for task in tasks), 0, date(given.YEAR - 1, 1, 1))


def as_known(target: pb.Target, day: date) -> pb.Target:
    """The target with the facts of that day and before."""
    upto = 0
    for fact in target.facts:
        if as_date(fact.date) > day:
            break
        upto += 1
    seen = pb.Target(
        name=target.name,
        display_name=target.display_name,
        district=target.district,
        industry=target.industry,
        key_unit=target.key_unit,
        facts=target.facts[:upto],
    )
    if target.HasField("grading"):
        seen.grading.CopyFrom(target.grading)
    return seen


class _Facts:
    """Facts as they come, by enterprise and day."""

    def __init__(self, city: City, rng: Random) -> None:
        self._city = city
        self._rng = rng
        self._facts: defaultdict[str, list[tuple[date, pb.Fact]]] = defaultdict(list)

    def add(
        self,
        uscc: str,
        day: date,
        kind: pb.FactKind.ValueType,
        level: str = "general",
        source: str = "",
        answers: str = "",
        compliant: bool = True,
    ) -> None:
        """A fact of that day; its source a resource of its own if none is given."""
        fact_id = str(UUID(int=self._rng.getrandbits(128), version=4))
        fact = pb.Fact(
            id=fact_id,
            kind=kind,
            level=level,
            source=source or f"records/{fact_id}",
            date=as_message(day),
            answers=[answers] if answers else [],
            compliant=compliant,
        )
        self._facts[uscc].append((day, fact))

    def of_find(self, find: Find) -> bool:
        """A problem, put right in time or not; whether it ended in a penalty, too."""
        violation, rng = find.violation, self._rng
        uscc, gravity = violation.enterprise, violation.gravity
        problem = f"problems/{UUID(int=rng.getrandbits(128), version=4)}"
        self.add(uscc, find.day, pb.FACT_KIND_PROBLEM, gravity, problem, compliant=False)
        by_then = find.day + given.CLOSED_DAYS * DAY
        if rng.random() < given.CLOSED_SHARE:
            self.add(uscc, by_then, pb.FACT_KIND_PROBLEM_CLOSED, gravity, problem)
        else:
            self.add(uscc, by_then, pb.FACT_KIND_OVERDUE, source=problem, compliant=False)
        if rng.random() >= given.PENALISED[gravity]:
            return False
        self.add(uscc, find.day, pb.FACT_KIND_PENALTY, gravity, compliant=False)
        return True

    def of_others(self, year: int) -> None:
        """Complaints, alerts and honours of the year."""
        rng = self._rng
        for violation in of_the_year(self._city, year):
            uscc = violation.enterprise
            day = violation.first + rng.random() * (violation.last - violation.first)
            if rng.random() < given.COMPLAINT_SHARE and day.year == year:
                self.add(uscc, day, pb.FACT_KIND_COMPLAINT, compliant=False)
            watched = violation.item.startswith("ecology.") and self._city.enterprises[uscc].key
            if rng.random() < given.ALERT_SHARE and watched and day.year == year:
                level = "serious" if violation.gravity == "serious" else "general"
                self.add(uscc, day, pb.FACT_KIND_ALERT, level, compliant=False)
        for enterprise in self._city.enterprises.values():
            if enterprise.honoured:
                day = date(year, 1, 1) + rng.randrange(365) * DAY
                self.add(enterprise.uscc, day, pb.FACT_KIND_HONOUR)

    def of_data(self) -> None:
        """Every report of both years of all that data can answer."""
        for enterprise in self._city.enterprises.values():
            for field in enterprise.fields:
                for item in self._city.items_of(field, enterprise):
                    for word in item.answered_by:
                        if word in enterprise.data:
                            self._report(enterprise, item.id, word, item.answer_days)

    def targets(self) -> dict[str, pb.Target]:
        """The register, with all facts in order."""
        return {
            uscc: pb.Target(
                name=f"targets/{uscc}",
                display_name=each.display_name,
                district=each.district,
                industry=each.industry,
                key_unit=each.key,
                facts=[fact for _, fact in sorted(self._facts[uscc], key=lambda made: made[0])],
            )
            for uscc, each in self._city.enterprises.items()
        }

    def _report(self, enterprise: Enterprise, item: str, word: str, answer_days: int) -> None:
        for day in self._due(answer_days):
            if self._rng.random() >= given.ARRIVES:
                continue
            violations = existing(self._city.violations.get((enterprise.uscc, item), ()), day)
            seen = given.SEEN_IN_DATA if violations else given.FALSE_ALARM
            bad = self._rng.random() < seen
            kind = KINDS.get(word, pb.FACT_KIND_DATA)
            self.add(enterprise.uscc, day, kind, answers=word, compliant=not bad)

    def _due(self, answer_days: int) -> Iterator[date]:
        period = next(each for each in PERIODS if each <= answer_days)
        day = date(given.YEAR - 1, 1, 1) + self._rng.randrange(period) * DAY
        while day.year <= given.YEAR:
            yield day
            day += period * DAY

"""What visits find: which hidden violations they see, and what became of the city's year."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from ops.city import assumptions as given
from ops.city.generator import City, Violation
from services.inspection.inspections.merging import Visit


class Look(NamedTuple):
    """A look at one item: on which day, by which of the visits."""

    day: date
    visit: int


class Find(NamedTuple):
    """A violation that was found: on which day, by which of the visits."""

    violation: Violation
    day: date
    visit: int


class Findings(NamedTuple):
    """finds: what was found; days: of each visit; left: what the violations are by then. One that was found
    ends on that day; one that was looked at in vain needs so many looks less.
    """

    finds: tuple[Find, ...]
    days: tuple[date, ...]
    left: Mapping[tuple[str, str], tuple[Violation, ...]]


class Outcome(NamedTuple):
    """A year's figures. arrivals: departments at enterprises, as if each came alone; joint: visits of several
    departments; hits: visits that found something; off_site: items that data answered; existing, found:
    violations by gravity.
    """

    visits: int
    joint: int
    arrivals: int
    hits: int
    off_site: int
    existing: Mapping[str, int]
    found: Mapping[str, int]

    def detection(self, gravity: str = "") -> float:
        """Share of the year's violations that was found: of all alike, or of one gravity."""
        if gravity:
            return self.found.get(gravity, 0) / max(self.existing.get(gravity, 0), 1)
        return sum(self.found.values()) / max(sum(self.existing.values()), 1)


def inspect(city: City, visits: Sequence[Visit], rng: Random) -> Findings:
    """Makes the visits, each on a day of its window drawn evenly, and looks at what its tasks say."""
    days = tuple(_drawn(visit, rng) for visit in visits)
    looks: defaultdict[tuple[str, str], set[Look]] = defaultdict(set)
    for number, visit in enumerate(visits):
        for task in visit.tasks:
            for item in task.items:
                looks[visit.enterprise, item].add(Look(days[number], number))
    finds: list[Find] = []
    left = dict(city.violations)
    for key in looks.keys() & city.violations.keys():
        ordered = sorted(looks[key])
        seen = [_seen(violation, ordered) for violation in city.violations[key]]
        finds += [find for _, find in seen if find]
        left[key] = tuple(violation for violation, _ in seen)
    return Findings(tuple(sorted(finds)), days, left)


def outcome(city: City, visits: Sequence[Visit], off_site: int, rng: Random) -> Outcome:
    """The year of these visits; `off_site`: how many items data answered besides."""
    findings = inspect(city, visits, rng)
    return Outcome(
        visits=len(visits),
        joint=sum(len(visit.departments) > 1 for visit in visits),
        arrivals=sum(len(visit.departments) for visit in visits),
        hits=len({find.visit for find in findings.finds}),
        off_site=off_site,
        existing=Counter(each.gravity for each in of_the_year(city)),
        found=Counter(find.violation.gravity for find in findings.finds),
    )


def of_the_year(city: City, year: int = given.YEAR) -> Iterator[Violation]:
    """The violations that exist on some day of the year, if nobody finds them."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    for violations in city.violations.values():
        yield from (each for each in violations if each.first <= last and each.last >= first)


def _seen(violation: Violation, looks: Sequence[Look]) -> tuple[Violation, Find | None]:
    """It after these looks, and how it was found if it was."""
    timely = [look for look in looks if violation.exists(look.day)]
    if len(timely) < violation.looks:
        return violation._replace(looks=violation.looks - len(timely)), None
    day, visit = timely[violation.looks - 1]
    return violation._replace(last=day), Find(violation, day, visit)


def _drawn(visit: Visit, rng: Random) -> date:
    first, last = visit.window
    return first + timedelta(days=rng.randint(0, (last - first).days))

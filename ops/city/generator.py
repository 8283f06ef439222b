"""A city from a seed: its departments, its enterprises, and the violations in them that nobody knows of."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from math import exp
from random import Random
from typing import NamedTuple

from ops.city import assumptions as given
from ops.city.registry import (
    AUTHORITY,
    ENTERPRISE,
    enterprise_name,
    person_name,
    social_credit_code,
)
from rules import CheckItem, Rules

DAY = timedelta(days=1)
YEAR_DAYS = 365.25


class Department(NamedTuple):
    """name: "departments/" and its USCC; inspectors: their names."""

    name: str
    display_name: str
    field: str
    inspectors: tuple[str, ...]


class Enterprise(NamedTuple):
    """fields: those whose departments have it in their registers; key, fire_key: a key unit of ecology, of
    fire safety; data: kinds of data that it gives; honoured: it had an honour the year before.
    """

    uscc: str
    display_name: str
    district: str
    industry: str
    fields: tuple[str, ...]
    key: bool
    fire_key: bool
    data: tuple[str, ...]
    honoured: bool

    def owes(self, field: str) -> bool:
        """Whether a law demands a visit each year by the department of that field."""
        return {
            "ecology": self.key,
            "fire": self.fire_key,
            "emergency": self.industry.startswith(given.HAZARDOUS),
        }.get(field, False)


class Violation(NamedTuple):
    """A violation of an item, from `first` to `last` unless it is found before.

    looks: the how manieth look at the item while it exists sees it.
    """

    enterprise: str
    item: str
    gravity: str
    first: date
    last: date
    looks: int

    def exists(self, day: date) -> bool:
        """Whether it exists on that day, if nobody has found it."""
        return self.first <= day <= self.last


class City(NamedTuple):
    """departments: by field; enterprises: by USCC; items: by field; violations: by enterprise and item."""

    seed: int
    departments: Mapping[str, Department]
    enterprises: Mapping[str, Enterprise]
    items: Mapping[str, tuple[CheckItem, ...]]
    violations: Mapping[tuple[str, str], tuple[Violation, ...]]

    def chance(self, what: str) -> Random:
        """Chance of its own for each purpose, so that one does not disturb the others."""
        return Random(f"{self.seed}/{what}")

    def items_of(self, field: str, enterprise: Enterprise) -> tuple[CheckItem, ...]:
        """What the department of the field checks there."""
        return tuple(item for item in self.items[field] if item.concerns(enterprise.industry))

    def register(self, field: str) -> list[Enterprise]:
        """The enterprises that the department of the field supervises, in their order."""
        return [each for each in self.enterprises.values() if field in each.fields]


def generate(seed: int, rules: Rules, enterprises: int = given.ENTERPRISES) -> City:
    """The city of that seed with so many enterprises; the same seed gives the same city."""
    city = populate(seed, rules, enterprises)
    violations: dict[tuple[str, str], tuple[Violation, ...]] = {}
    rng = city.chance("violations")
    for each in city.enterprises.values():
        violations.update(_violations(city, each, rng))
    return city._replace(violations=violations)


def populate(seed: int, rules: Rules, enterprises: int) -> City:
    """The same city with nothing amiss in it."""
    listed = rules.items(date(given.YEAR, 1, 1)).values()
    items = {
        field: tuple(item for item in listed if item.field == field) for field in given.OFFICES
    }
    bare = City(seed, {}, {}, items, {})
    city = bare._replace(enterprises={each.uscc: each for each in _enterprises(bare, enterprises)})
    return city._replace(departments={each.field: each for each in _departments(city)})


def one_of(rng: Random, shares: Mapping[str, float]) -> str:
    """A key by its share."""
    return rng.choices(tuple(shares), tuple(shares.values()))[0]


def existing(found: Sequence[Violation], day: date) -> list[Violation]:
    """Those of one item, by first day, that exist on that day."""
    upto = bisect_right(found, day, key=lambda each: each.first)
    return [each for each in found[:upto] if day <= each.last]


def _departments(city: City) -> Iterator[Department]:
    rng = city.chance("departments")
    for field, office in given.OFFICES.items():
        name = "departments/" + social_credit_code(rng, AUTHORITY, given.CITY)
        number = max(2, len(city.register(field)) // given.TARGETS_OF_INSPECTOR)
        inspectors = tuple(person_name(rng) for _ in range(number))
        yield Department(name, office.name, field, inspectors)


def _enterprises(city: City, number: int) -> Iterator[Enterprise]:
    rng, names, codes = city.chance("enterprises"), set[str](), set[str]()
    districts = {code: share for code, (_, share) in given.DISTRICTS.items()}
    industries = {code: share for code, (_, share) in given.INDUSTRIES.items()}
    while len(codes) < number:
        district, industry = one_of(rng, districts), one_of(rng, industries)
        uscc = social_credit_code(rng, ENTERPRISE, district)
        if uscc in codes:
            continue
        codes.add(uscc)
        trade = given.INDUSTRIES[industry][0]
        blank = Enterprise(
            uscc=uscc,
            display_name=enterprise_name(rng, given.DISTRICTS[district][0], trade, names),
            district=district,
            industry=industry,
            fields=(),
            key=rng.random() < given.KEY_SHARE,
            fire_key=rng.random() < given.FIRE_KEY_SHARE,
            data=tuple(word for word in given.DATA if rng.random() < given.share_of(word)),
            honoured=rng.random() < given.HONOUR_SHARE,
        )
        yield blank._replace(fields=tuple(_fields(city, blank, rng)))


def _fields(city: City, enterprise: Enterprise, rng: Random) -> Iterator[str]:
    """Whoever is owed a visit knows the enterprise; of the others chance decides."""
    for field, office in given.OFFICES.items():
        known = rng.random() < office.share
        if (known or enterprise.owes(field)) and city.items_of(field, enterprise):
            yield field


def _violations(
    city: City, enterprise: Enterprise, rng: Random
) -> Iterator[tuple[tuple[str, str], tuple[Violation, ...]]]:
    """By item, in the order in which they arise: a Poisson process, its rate the enterprise's propensity."""
    propensity = _log_normal(rng, given.PROPENSITY_SIGMA)
    for field in enterprise.fields:
        rate = given.VIOLATIONS_A_YEAR * propensity * _log_normal(rng, given.FIELD_SIGMA)
        for item in city.items_of(field, enterprise):
            found = tuple(_arising(rng, enterprise.uscc, item.id, rate / YEAR_DAYS))
            if found:
                yield (enterprise.uscc, item.id), found


def _arising(rng: Random, uscc: str, item: str, rate: float) -> Iterator[Violation]:
    """rate: how many arise in a day."""
    days, after = (date(given.YEAR + 1, 1, 1) - given.RUN_UP).days, rng.expovariate(rate)
    while after < days:
        first = given.RUN_UP + int(after) * DAY
        lasts = int(rng.expovariate(1 / given.DURATION_DAYS)) * DAY
        yield Violation(
            uscc, item, one_of(rng, given.GRAVITY), first, first + lasts, _until_seen(rng)
        )
        after += rng.expovariate(rate)


def _until_seen(rng: Random) -> int:
    looks = 1
    while rng.random() >= given.SEEN_ON_SITE:
        looks += 1
    return looks


def _log_normal(rng: Random, sigma: float) -> float:
    """Of mean 1."""
    return exp(rng.gauss(-sigma * sigma / 2, sigma))

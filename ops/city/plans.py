"""Plans of departments: as they were made in the past, blind to risk."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from random import Random
from uuid import UUID

from ops.city import assumptions as given
from ops.city.generator import City, Enterprise, one_of
from services.inspection.inspections.merging import PlannedVisit, Window

MONTHS = 12


def past_plan(
    city: City, year: int, punished: Collection[tuple[str, str]] = ()
) -> list[PlannedVisit]:
    """Every department's tasks of that year; `punished`: field and enterprise of last year's penalties."""
    rng = city.chance(f"past plan {year}")
    once, twice = given.PAST_ONCE, given.PAST_TWICE
    times = {"0": 1 - once - twice, "1": once, "2": twice}
    tasks: list[PlannedVisit] = []
    for field in city.departments:
        plan = new_plan(rng)
        for enterprise in city.register(field):
            number = int(one_of(rng, times))
            if (field, enterprise.uscc) in punished:
                number = max(number, given.PUNISHED_TIMES)
            if enterprise.owes(field):
                number = max(number, given.STATUTORY_TIMES)
            windows = months(rng, year, number)
            tasks += _tasks(city, plan, field, enterprise, windows, rng)
    return tasks


def new_plan(rng: Random) -> str:
    """The resource name of a plan."""
    return f"plans/{UUID(int=rng.getrandbits(128), version=4)}"


def months(rng: Random, year: int, number: int) -> list[Window]:
    """So many windows of a month: the year has as many parts of equal length, and each one of them."""
    part = MONTHS // max(number, 1)
    drawn = (n * part + rng.randrange(part) + 1 for n in range(number))
    return [_month(year, each) for each in drawn]


def task(
    city: City, plan: str, field: str, enterprise: Enterprise, number: int, window: Window
) -> PlannedVisit:
    """A task of all that the department checks there, neither statutory nor alone."""
    return PlannedVisit(
        name=f"{plan}/tasks/{enterprise.uscc}-{number}",
        department=city.departments[field].name,
        enterprise=enterprise.uscc,
        first=window.first,
        last=window.last,
        items=tuple(item.id for item in city.items_of(field, enterprise)),
    )


def _tasks(
    city: City,
    plan: str,
    field: str,
    enterprise: Enterprise,
    windows: Sequence[Window],
    rng: Random,
) -> Iterator[PlannedVisit]:
    """One for each window: first those that a law demands, the others at times alone."""
    owed = given.STATUTORY_TIMES if enterprise.owes(field) else 0
    for number, window in enumerate(windows):
        statutory = number < owed
        alone = not statutory and rng.random() < given.ALONE_SHARE
        made = task(city, plan, field, enterprise, number, window)
        yield made._replace(statutory=statutory, alone=alone)


def _month(year: int, month: int) -> Window:
    following = date(year + month // MONTHS, month % MONTHS + 1, 1)
    return Window(date(year, month, 1), following - timedelta(days=1))

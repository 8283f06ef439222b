"""How a comparison is shown: tables for people, JSON for programs."""

from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table

from ops.city.comparison import OneCity, Spread
from ops.city.regimes import ALL, ALONE, EVERY, GRADING, MERGING, Regime

ASKED = {
    ALONE: "alone as in the past",
    MERGING: "merging only",
    GRADING: "grading only",
    ALL: "all mechanisms",
}
Figure = Callable[[OneCity], float]


def tables(cities: Sequence[OneCity]) -> Group:
    """The four regimes, the spread over seeds, and what each mechanism brings."""
    return Group(_regimes(cities), _spread(cities), _mechanisms(cities))


def as_json(cities: Sequence[OneCity]) -> dict[str, Any]:
    """Every figure of every city, and the spreads."""
    return {
        "cities": [_city(city) for city in cities],
        "spread": {
            name(regime): {
                title: Spread.of([figure(city) for city in cities])._asdict()
                for title, figure in _figures(regime).items()
            }
            for regime in EVERY
        },
        "mechanisms": {
            each: Spread.of([city.share_of(each) for city in cities])._asdict()
            for each in Regime._fields
        },
    }


def name(regime: Regime) -> str:
    """A regime in words."""
    on = [field for field, works in regime._asdict().items() if works]
    return ASKED.get(regime) or " and ".join(on) + (" only" if len(on) == 1 else "")


def _city(city: OneCity) -> dict[str, Any]:
    return {
        "seed": city.seed,
        "enterprises": city.enterprises,
        "tasks": city.tasks,
        "grades": city.grades,
        "regimes": {name(regime): each._asdict() for regime, each in city.outcomes.items()},
    }


def _figures(regime: Regime) -> dict[str, Figure]:
    return {
        "visits": lambda city: city.outcomes[regime].visits,
        "visits spared": lambda city: city.saved(regime),
        "found": lambda city: city.outcomes[regime].detection(),
        "serious found": lambda city: city.outcomes[regime].detection("serious"),
        "detection against alone": lambda city: city.detection(regime),
        "serious against alone": lambda city: city.detection(regime, "serious"),
    }


def _regimes(cities: Sequence[OneCity]) -> Table:
    table = _table(f"a year of {cities[0].enterprises:,} enterprises, {_seeds(cities)}")
    table.add_column("regime", no_wrap=True)
    for column in ("visits", "joint", "spared", "hits", "off site", "found", "serious"):
        table.add_column(column, justify="right")
    for regime in ASKED:
        each = [city.outcomes[regime] for city in cities]
        table.add_row(
            ASKED[regime],
            f"{mean(one.visits for one in each):,.0f}",
            f"{mean(one.joint for one in each):,.0f}",
            f"{mean(city.saved(regime) for city in cities):.1%}",
            f"{mean(one.hits / max(one.visits, 1) for one in each):.1%}",
            f"{mean(one.off_site for one in each):,.0f}",
            f"{mean(one.detection() for one in each):.1%}",
            f"{mean(one.detection('serious') for one in each):.1%}",
        )
    return table


def _spread(cities: Sequence[OneCity]) -> Table:
    table = _table(f"all mechanisms against alone, {_seeds(cities)}")
    for column in ("figure", "mean", "least", "most", "deviation"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    figures = _figures(ALL)
    for title in ("visits spared", "detection against alone", "serious against alone"):
        spread = Spread.of([figures[title](city) for city in cities])
        table.add_row(title, *(f"{value:.1%}" for value in spread))
    return table


def _mechanisms(cities: Sequence[OneCity]) -> Table:
    table = _table("what each mechanism brings")
    for column in ("mechanism", "by itself", "found", "missing from all", "found", "its share"):
        table.add_column(column, justify="left" if column == "mechanism" else "right")
    for mechanism in Regime._fields:
        alone = ALONE._replace(**{mechanism: True})
        without = ALL._replace(**{mechanism: False})
        table.add_row(
            mechanism,
            f"{mean(city.saved(alone) for city in cities):.1%}",
            f"{mean(city.detection(alone) for city in cities):.1%}",
            f"{mean(city.saved(without) for city in cities):.1%}",
            f"{mean(city.detection(without) for city in cities):.1%}",
            f"{mean(city.share_of(mechanism) for city in cities):.1%}",
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)


def _seeds(cities: Sequence[OneCity]) -> str:
    if len(cities) == 1:
        return f"seed {cities[0].seed}"
    return f"mean of seeds {cities[0].seed} to {cities[-1].seed}"

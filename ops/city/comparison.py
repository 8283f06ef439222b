"""Compares the regimes in cities of several seeds: visits, violations found, what each mechanism brings."""

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from statistics import mean, pstdev
from typing import NamedTuple

from ops.city import assumptions as given
from ops.city.generator import generate
from ops.city.history import known
from ops.city.outcome import Outcome, outcome
from ops.city.plans import past_plan
from ops.city.regimes import ALONE, EVERY, Regime, Year
from rules import RuleBook, Rules, WorkingCalendar


class OneCity(NamedTuple):
    """What every regime made of the city of a seed. tasks: how many the plans as in the past have; grades:
    how many enterprises have each.
    """

    seed: int
    enterprises: int
    tasks: int
    grades: Mapping[str, int]
    outcomes: Mapping[Regime, Outcome]

    def saved(self, regime: Regime) -> float:
        """Share of the visits of every department alone that are spared."""
        return 1 - self.outcomes[regime].visits / self.outcomes[ALONE].visits

    def detection(self, regime: Regime, gravity: str = "") -> float:
        """Violations found for each that is found by every department alone: at least 1 is as good."""
        return self.outcomes[regime].detection(gravity) / self.outcomes[ALONE].detection(gravity)

    def share_of(self, mechanism: str) -> float:
        """What a mechanism adds to the share of visits spared by all, the mean over every order in which they
        may be brought in (Shapley 1953): the mechanisms' shares add up to that of all.
        """
        gains = []
        for order in permutations(Regime._fields):
            before = Regime(**dict.fromkeys(order[: order.index(mechanism)], True))
            gains.append(self.saved(before._replace(**{mechanism: True})) - self.saved(before))
        return mean(gains)


class Spread(NamedTuple):
    """One figure over several seeds; `deviation` is the standard deviation of these seeds."""

    mean: float
    least: float
    most: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(mean(values), min(values), max(values), pstdev(values))


def compare(
    seed: int = 1,
    seeds: int = 1,
    enterprises: int = given.ENTERPRISES,
    told: Callable[[OneCity], None] = lambda _: None,
    assumed: Mapping[str, float] | None = None,
) -> list[OneCity]:
    """Every regime in the cities of `seeds` seeds from `seed` on; `told` is called after each city.

    assumed: numbers that differ from the assumptions, by name. Deterministic: the same seed gives the same
    figures. ValueError if there is no seed, no enterprise, or no such assumption.
    """
    if seeds < 1 or enterprises < 1:
        raise ValueError(f"{seeds} seeds and {enterprises} enterprises leave nothing to compare")
    rules = Rules(RuleBook.load(), WorkingCalendar.load(), given.CITY)
    found = []
    with given.assuming(assumed or {}):
        for each in range(seed, seed + seeds):
            found.append(one_city(each, rules, enterprises))
            told(found[-1])
    return found


def one_city(seed: int, rules: Rules, enterprises: int) -> OneCity:
    """Every regime in the city of that seed."""
    facts = known(generate(seed, rules, enterprises))
    past = past_plan(facts.city, given.YEAR, facts.punished)
    year = Year(facts, past, rules)
    outcomes = {}
    for regime in EVERY:
        visits, off_site = year.arrange(regime)
        chance = facts.city.chance(f"days of {regime}")
        outcomes[regime] = outcome(facts.city, visits, off_site, chance)
    return OneCity(seed, enterprises, len(past), year.grades, outcomes)

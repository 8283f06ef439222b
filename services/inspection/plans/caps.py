"""How often a department may plan to inspect one enterprise in a year (年度检查频次上限). Pure.

国办发〔2024〕54号 has each field publish the most inspections a year; how many that are, which kinds count
and what a grade changes is local: rules `inspection.cap`, `inspection.cap_counts` and `inspection.grades`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import NamedTuple, TypeAlias

from bihuan.inspection.v1 import plan_pb2 as pb
from rules import Rules

Kind: TypeAlias = pb.Kind.ValueType
COUNTS: Mapping[str, frozenset[Kind]] = {
    "daily": frozenset({pb.KIND_DAILY}),
    "daily_and_special": frozenset({pb.KIND_DAILY, pb.KIND_SPECIAL}),
    "all": frozenset({pb.KIND_DAILY, pb.KIND_SPECIAL, pb.KIND_CASE}),
}


class CountedTask(NamedTuple):
    """A task as far as caps go. `statutory`: a law demands it."""

    task: str
    enterprise: str
    kind: Kind
    statutory: bool = False


class Limit(NamedTuple):
    """The most visits a year of one enterprise, None for any number, and the grade that it follows from."""

    grade: str
    cap: int | None


class Overrun(NamedTuple):
    """A task beyond the cap: so many visits that count were found, by all plans of the year."""

    task: str
    enterprise: str
    grade: str
    cap: int
    found: int


def counted_kinds(rules: Rules, day: date) -> frozenset[Kind]:
    """Which kinds of inspection count towards the cap (rule inspection.cap_counts). Raises UnknownRule."""
    return COUNTS[rules.choice("inspection.cap_counts", day)]


def cap_of(grade: str, rules: Rules, day: date) -> int | None:
    """The most inspections a year of an enterprise with that letter, "" for none; None: no cap.

    The cap of the grade, but not more than that of the place; that of the place for a letter that is not, or
    no more, one of its grades. Raises UnknownRule.
    """
    most = rules.number("inspection.cap", day)
    for each in rules.grades(day):
        if each.grade == grade:
            return None if each.cap is None else min(each.cap, most)
    return most


def overruns(
    visits: Iterable[CountedTask],
    elsewhere: Mapping[str, int],
    limits: Mapping[str, Limit],
    counted: Collection[Kind],
) -> list[Overrun]:
    """Which of a plan's visits exceed the caps, enterprise by enterprise.

    elsewhere: of each enterprise how many visits that count the department's other plans of the year hold;
    limits: of each enterprise. Visits that a law demands and those on a clue take their places first and are
    never refused; the others get what is left, the first put in first.
    """
    by_enterprise: defaultdict[str, list[CountedTask]] = defaultdict(list)
    for visit in visits:
        if visit.kind in counted:
            by_enterprise[visit.enterprise].append(visit)
    found: list[Overrun] = []
    for enterprise, planned in by_enterprise.items():
        grade, cap = limits[enterprise]
        if cap is None:
            continue
        before = elsewhere.get(enterprise, 0)
        chosen = [visit for visit in planned if not _must_be(visit)]
        left = max(cap - before - (len(planned) - len(chosen)), 0)
        in_all = before + len(planned)
        found += [Overrun(v.task, enterprise, grade, cap, in_all) for v in chosen[left:]]
    return found


def _must_be(visit: CountedTask) -> bool:
    return visit.statutory or visit.kind == pb.KIND_CASE

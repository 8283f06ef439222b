"""The grade of a target by credit and risk: base, points of each fact that weighs, reasons. Pure.

Which letters there are and which of them is best is the business of rules/ alone (domain: grades are local).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.types.v1.deadline_pb2 import Deadline
from rules import GRADES, Factor, Level, Rules, as_date

BASE, POINTS, PERIOD = "inspection.grade_base", "inspection.grade_points", "inspection.fact_period"
# Factors of the table that are no kinds of fact.
BASE_FACTOR, KEY_UNIT, GENERAL = "base", "key_unit", "general"
LEAST, MOST = 0, 100  # the scale of a score, as in rules.Grade
PROBLEM, CLOSED = pb.FACT_KIND_PROBLEM, pb.FACT_KIND_PROBLEM_CLOSED
Table = Mapping[str, Factor]


def grade(target: pb.Target, rules: Rules, day: date) -> pb.Grading:
    """The grade of `target` on `day` (Asia/Shanghai) by `rules`, those of its place; grade_time is left out.

    Base and points of every fact within its period, held within 0 to 100. A repair (信用修复) takes away what
    its source had weighed by then; a closure (整改销号) lightens one problem of its source by what the table
    gives for that problem's level. The order of the facts does not matter. Raises UnknownRule where the place
    has no such rules.
    """
    table = _table(rules, day)
    facts = sorted((fact for fact in target.facts if weighs(fact, rules, day)), key=_order)
    reasons = [_base(rules, day), *_standing(target, table), *_of_facts(facts, table)]
    score = min(max(sum(each.points for each in reasons), LEAST), MOST)
    found = next(each for each in rules.grades(day) if score >= each.from_score)
    grading = pb.Grading(
        grade=found.grade,
        score=score,
        reasons=reasons,
        rule=rules.reference(GRADES, day),
        points_rule=rules.reference(POINTS, day),
    )
    heavy = {each.fact for each in reasons if each.points}
    if review := _review((fact for fact in facts if fact.id in heavy), rules):
        grading.review.CopyFrom(review)
    return grading


def weighs(fact: pb.Fact, rules: Rules, day: date) -> bool:
    """Whether the fact is within its period on `day`: from its own day until the last one of the period that
    the rule of that day sets. Raises UnknownRule.
    """
    since = as_date(fact.date)
    return since <= day <= rules.until(rules.rule(PERIOD, since), since)


def answers(fact: pb.Fact, rules: Rules, day: date) -> bool:
    """Whether the fact can answer some item of the published list off site on `day`. Raises UnknownRule."""
    told, age = set(fact.answers), day - as_date(fact.date)
    return bool(told) and any(
        told.intersection(item.answered_by)
        and timedelta() <= age <= timedelta(days=item.answer_days)
        for item in rules.items(day).values()
    )


def lapsed(target: pb.Target, rules: Rules, day: date) -> list[str]:
    """Ids of the facts that neither weigh nor answer any more on `day`. Raises UnknownRule."""
    return [
        fact.id
        for fact in target.facts
        if not weighs(fact, rules, day) and not answers(fact, rules, day)
    ]


def known_level(fact: pb.Fact, rules: Rules, day: date) -> bool:
    """Whether the table of points has the fact's level; so it is where the table has no such factor at all,
    as the fact then weighs nothing. Raises UnknownRule.
    """
    levels = levels_of(fact.kind, rules, day)
    return not levels or fact.level in levels


def levels_of(kind: pb.FactKind.ValueType, rules: Rules, day: date) -> tuple[str, ...]:
    """Levels that the table of points has for a kind of fact; none where it weighs nothing. Raises
    UnknownRule.
    """
    factor = _table(rules, day).get(factor_of(kind))
    return tuple(level.id for level in factor.levels) if factor else ()


def factor_of(kind: pb.FactKind.ValueType) -> str:
    """The factor of the table of points that a kind of fact is."""
    return pb.FactKind.Name(kind).removeprefix("FACT_KIND_").lower()


def _table(rules: Rules, day: date) -> Table:
    return {factor.id: factor for factor in rules.factors(POINTS, day)}


def _base(rules: Rules, day: date) -> pb.GradeReason:
    rule = rules.rule(BASE, day)
    points = rules.number(BASE, day)
    return pb.GradeReason(factor=BASE_FACTOR, level=GENERAL, points=points, explanation=rule.name)


def _standing(target: pb.Target, table: Table) -> Iterable[pb.GradeReason]:
    """What the record of the target itself weighs."""
    if target.key_unit and (found := _level(table, KEY_UNIT, GENERAL)):
        factor, level = found
        yield pb.GradeReason(
            factor=factor.id, level=level.id, points=level.points, explanation=factor.name
        )


def _of_facts(facts: list[pb.Fact], table: Table) -> Iterable[pb.GradeReason]:
    """A reason for each fact that the table has points for, in the order of `facts`."""
    repaired, closed = _repaired(facts), _closures(facts)
    for fact in facts:
        lightened = closed.get(fact.id)
        if fact.kind == CLOSED and lightened is None:
            continue
        level = lightened.level if lightened else fact.level
        found = _level(table, factor_of(fact.kind), level)
        if found is None:
            continue
        told = f"{found[0].name}（{found[1].name}）{as_date(fact.date)}"
        cancelled = fact.id in repaired
        yield pb.GradeReason(
            fact=fact.id,
            factor=found[0].id,
            level=level,
            points=0 if cancelled else found[1].points,
            explanation=f"{told}，已信用修复，不计分" if cancelled else told,
        )


def _repaired(facts: list[pb.Fact]) -> set[str]:
    """Ids of the facts that a repair of their source, of that day or later, has cancelled."""
    repairs: dict[str, date] = {}
    for fact in facts:
        if fact.kind == pb.FACT_KIND_REPAIR:
            repairs[fact.source] = max(as_date(fact.date), repairs.get(fact.source, date.min))
    return {fact.id for fact in facts if as_date(fact.date) <= repairs.get(fact.source, date.min)}


def _closures(facts: list[pb.Fact]) -> dict[str, pb.Fact]:
    """The problem that each closure lightens, by the closure's id: the oldest of its source that was found by
    then, is not repaired and that no earlier closure has lightened. A closure of nothing is left out.
    """
    repaired, open_, found = _repaired(facts), defaultdict[str, list[pb.Fact]](list), {}
    for fact in sorted(facts, key=lambda each: (as_date(each.date), each.kind == CLOSED, each.id)):
        if fact.kind == PROBLEM and fact.id not in repaired:
            open_[fact.source].append(fact)
        elif fact.kind == CLOSED and open_[fact.source]:
            found[fact.id] = open_[fact.source].pop(0)
    return found


def _level(table: Table, factor_id: str, level_id: str) -> tuple[Factor, Level] | None:
    factor = table.get(factor_id)
    levels = factor.levels if factor else ()
    level = next((each for each in levels if each.id == level_id), None)
    return (factor, level) if factor and level else None


def _review(heavy: Iterable[pb.Fact], rules: Rules) -> Deadline | None:
    """The deadline whose end is the first moment at which one of these facts weighs no more."""
    ends = []
    for fact in heavy:
        since = as_date(fact.date)
        ends.append((rules.until(rules.rule(PERIOD, since), since), since))
    if not ends:
        return None
    last, since = min(ends)
    return rules.deadline(PERIOD, since, f"review@{last:%Y%m%d}")


def _order(fact: pb.Fact) -> tuple[date, str]:
    return as_date(fact.date), fact.id

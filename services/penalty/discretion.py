"""How the amount of a fine follows from the law and the facts: which law, its range, the table. Pure."""

from collections.abc import Iterable, Sequence
from datetime import date

from bihuan.penalty.v1 import discretion_pb2 as pb
from bihuan.penalty.v1.penalty_case_pb2 import DailyBasis, Respondent, Violation
from rpc.errors import StatusError, invalid_argument
from rules import Factor, Offence, Party, Rules, UnknownRule

TABLE = "penalty.discretion"
APOLOGY = "penalty.apology_reduction"
DAILY = "penalty.daily"
YUAN = 100
LAWS = {
    "unchanged": pb.LAW_CHOICE_UNCHANGED,
    "conduct": pb.LAW_CHOICE_CONDUCT,
    "decision": pb.LAW_CHOICE_DECISION,
}


def party(respondent: Respondent) -> Party:
    """How the law's amounts see a party: a sole trader (个体工商户) is treated as a person."""
    return "entity" if respondent.kind == Respondent.KIND_ENTITY else "person"


def find_offence(
    rules: Rules, violation: Violation, conduct: date, decision: date, who: Party = "entity"
) -> Offence:
    """The offence with its range by the law that applies (生态环境法典第一千零五十七条).

    INVALID_ARGUMENT UNKNOWN_OFFENCE if the rules have none of that id; OFFENCE_NOT_IN_FORCE if it was
    none on the day of the conduct, or is none any more.
    """
    try:
        return rules.offence(violation.offence, conduct, decision, who)
    except UnknownRule as error:
        raise _no_offence(rules, violation.offence, conduct, decision) from error


def require_known(rules: Rules, violation: Violation, conduct: date, decision: date) -> None:
    """INVALID_ARGUMENT UNKNOWN_OFFENCE if the rules have none of that id, in force then or not."""
    try:
        find_offence(rules, violation, conduct, decision)
    except StatusError as error:
        if error.reason == "UNKNOWN_OFFENCE":
            raise


def assess(
    rules: Rules,
    violation: Violation,
    factors: Sequence[pb.FactorLevel],
    conduct: date,
    decision_date: date,
    who: Party = "entity",
) -> pb.Discretion:
    """What the table in force on the day of the decision comes to; nothing is chosen yet.

    Amounts in fen; computed: floor and so many hundredths of the range, whole yuan, rounded down. Raises
    as `find_offence`, and INVALID_ARGUMENT INVALID_FACTORS unless every factor of the table is given
    once, at a level that it has.
    """
    offence = find_offence(rules, violation, conduct, decision_date, who)
    reckoning = _reckon(rules.factors(TABLE, decision_date), factors)
    points = min(max(sum(line.points for line in reckoning), 0), 100)
    width = offence.ceiling_fen - offence.floor_fen
    computed = offence.floor_fen + width * points // 100
    return pb.Discretion(
        offence=offence.reference,
        law_choice=LAWS[offence.law],
        floor_fen=offence.floor_fen,
        ceiling_fen=offence.ceiling_fen,
        factors=factors,
        reckoning=reckoning,
        table=rules.reference(TABLE, decision_date),
        points=points,
        computed_fen=computed // YUAN * YUAN,
    )


def daily(rules: Rules, basis: DailyBasis, on: date) -> pb.Discretion:
    """A daily penalty (按日连续处罚): the original fine for each day, in fen. The law leaves no range."""
    amount = int(basis.original_fine_fen * basis.days * rules.ratio(DAILY, on))
    return pb.Discretion(
        offence=rules.reference(DAILY, on),
        law_choice=pb.LAW_CHOICE_UNCHANGED,
        floor_fen=amount,
        ceiling_fen=amount,
        computed_fen=amount,
        daily_fen=amount,
    )


def reduce_for_apology(
    rules: Rules, discretion: pb.Discretion, proposed_fen: int, on: date
) -> pb.Discretion:
    """`discretion` with the reduction for apology and service (道歉承诺从轻处罚): the rule's share of the
    proposed fine, whole fen, rounded down, never under the floor. UnknownRule where the place has none.
    """
    share = int(proposed_fen * rules.ratio(APOLOGY, on))
    reduced = _copy(discretion)
    reduced.apology_reduction_fen = max(min(share, proposed_fen - discretion.floor_fen), 0)
    return reduced


def expected_fen(discretion: pb.Discretion) -> int:
    """The computed amount less the reduction, never under the floor, in fen: differ, and say why."""
    return max(discretion.computed_fen - discretion.apology_reduction_fen, discretion.floor_fen)


def choose(discretion: pb.Discretion, chosen_fen: int, reason: str) -> pb.Discretion:
    """`discretion` with what was chosen in fen; 0 for what is expected. A reason is kept where it differs.

    INVALID_ARGUMENT OUTSIDE_STATUTORY_RANGE if the law does not allow it, DIFFERENCE_UNEXPLAINED if it
    differs from the computed amount less the reduction and no reason is given.
    """
    expected = expected_fen(discretion)
    chosen = chosen_fen or expected
    floor, ceiling = discretion.floor_fen, discretion.ceiling_fen
    if not floor <= chosen <= ceiling:
        raise invalid_argument(
            "OUTSIDE_STATUTORY_RANGE",
            f"{chosen} fen lies outside {floor} to {ceiling} fen ({discretion.offence.citation})",
            [("chosen_fen", f"must be from {floor} to {ceiling}")],
            floor_fen=str(floor),
            ceiling_fen=str(ceiling),
        )
    if chosen != expected and not reason.strip():
        raise invalid_argument(
            "DIFFERENCE_UNEXPLAINED",
            f"{chosen} fen differs from the {expected} fen that the table comes to",
            [("difference_reason", "is needed where the amount differs")],
            expected_fen=str(expected),
        )
    decided = _copy(discretion)
    decided.chosen_fen = chosen
    decided.difference_reason = reason if chosen != expected else ""
    return decided


def _no_offence(rules: Rules, offence: str, conduct: date, decision: date) -> StatusError:
    known = [rule.id for rule in rules.offences(decision)]
    if offence in known:
        return invalid_argument(
            "OFFENCE_NOT_IN_FORCE",
            f"{offence} was no offence in {rules.jurisdiction} on {conduct}",
            [("violation.conduct_date", f"no rule of {offence} was in force on {conduct}")],
        )
    if rules.book.find(offence, conduct, rules.jurisdiction) is not None:
        return invalid_argument(
            "OFFENCE_NOT_IN_FORCE",
            f"{offence} is no offence in {rules.jurisdiction} any more",
            [("violation.offence", f"no rule of {offence} is in force on {decision}")],
        )
    return invalid_argument(
        "UNKNOWN_OFFENCE",
        f"no offence {offence} in {rules.jurisdiction} on {decision}",
        [("violation.offence", f"must be one of {', '.join(known)}")],
    )


def _reckon(table: Sequence[Factor], found: Sequence[pb.FactorLevel]) -> list[pb.Reckoning]:
    """A line for each factor of the table, in its order. INVALID_ARGUMENT INVALID_FACTORS."""
    levels = {
        (factor.id, level.id): pb.Reckoning(
            factor=factor.name, level=level.name, points=level.points
        )
        for factor in table
        for level in factor.levels
    }
    if wrong := [*_misfits(table, found), *_missing(table, found)]:
        raise invalid_argument(
            "INVALID_FACTORS", "what was found does not fit the table of discretion", wrong
        )
    at = {each.factor: each.level for each in found}
    return [levels[factor.id, at[factor.id]] for factor in table]


def _misfits(table: Sequence[Factor], found: Sequence[pb.FactorLevel]) -> Iterable[tuple[str, str]]:
    levels = {factor.id: [level.id for level in factor.levels] for factor in table}
    seen: set[str] = set()
    for index, each in enumerate(found):
        if each.factor not in levels:
            yield f"factors[{index}].factor", f"must be one of {', '.join(levels)}"
        elif each.factor in seen:
            yield f"factors[{index}].factor", f"{each.factor} is given twice"
        elif each.level not in levels[each.factor]:
            yield f"factors[{index}].level", f"must be one of {', '.join(levels[each.factor])}"
        seen.add(each.factor)


def _missing(table: Sequence[Factor], found: Sequence[pb.FactorLevel]) -> Iterable[tuple[str, str]]:
    given = {each.factor for each in found}
    for factor in table:
        if factor.id not in given:
            names = ", ".join(level.id for level in factor.levels)
            yield "factors", f"lacks {factor.id}, one of {names}"


def _copy(discretion: pb.Discretion) -> pb.Discretion:
    copy = pb.Discretion()
    copy.CopyFrom(discretion)
    return copy

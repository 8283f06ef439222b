"""How a fine follows from the law and the facts, with the arithmetic written out. Amounts in fen."""

from datetime import date
from pathlib import Path

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from bihuan.penalty.v1 import discretion_pb2 as pb
from bihuan.penalty.v1.penalty_case_pb2 import DailyBasis, Respondent, Violation
from rpc.errors import StatusError
from rules import RuleBook, Rules, UnknownRule, WorkingCalendar
from services.penalty import discretion

RULES = Rules(RuleBook.load(), WorkingCalendar.load(), "441900")
OLD, NEW, NOW = date(2026, 8, 14), date(2026, 8, 15), date(2026, 11, 2)
TABLE = RULES.factors(discretion.TABLE, NOW)
POINTS = {(factor.id, level.id): level.points for factor in TABLE for level in factor.levels}
NONE = {
    "harm": "none",
    "scale": "slight",
    "duration": "under_1_month",
    "repeat": "first",
    "cooperation": "normal",
    "correction": "in_time",
}
# 10 + 14 + 5 + 10 + 0 + 0 = 39
SOME = {
    **NONE,
    "harm": "minor",
    "scale": "large",
    "duration": "1_to_3_months",
    "repeat": "second",
}
# 30 + 20 + 15 + 20 + 5 + 10 = 100
WORST = {
    "harm": "serious",
    "scale": "huge",
    "duration": "over_6_months",
    "repeat": "third_or_more",
    "cooperation": "obstructive",
    "correction": "refused",
}
# 0 + 0 + 0 + 0 - 5 - 10 = -15
BEST = {**NONE, "cooperation": "active", "correction": "restored"}
OWN = """
- id: penalty.discretion
  name: 某地裁量基准
  versions:
    - jurisdiction: "150200"
      valid_from: 2020-01-01
      citation: 某规定
      confidence: LOW
      source: test
      factors:
        - id: harm
          name: 后果
          levels: [{id: some, name: 有, points: 39}, {id: grave, name: 重, points: 80}]
        - id: repeat
          name: 再犯
          levels: [{id: no_repeat, name: 无, points: 0}, {id: again, name: 有, points: 80}]
- id: offence.small
  name: 某
  versions:
    - {valid_from: 2020-01-01, valid_to: 2026-10-01, range_yuan: {entity: [1, 50]},
       citation: 某规定, confidence: LOW, source: test}
"""
LEVELS = st.fixed_dictionaries(
    {factor.id: st.sampled_from([level.id for level in factor.levels]) for factor in TABLE}
)
OFFENCES = st.sampled_from([rule.id.removeprefix("offence.") for rule in RULES.offences(NEW)])


def found(levels: dict[str, str]) -> list[pb.FactorLevel]:
    return [pb.FactorLevel(factor=factor, level=level) for factor, level in levels.items()]


def assess(
    offence: str = "exceed_permit",
    levels: dict[str, str] = SOME,
    conduct: date = NEW,
    decision: date = NOW,
    respondent: Respondent.Kind.ValueType = Respondent.KIND_ENTITY,
    rules: Rules = RULES,
) -> pb.Discretion:
    violation = Violation(offence=f"offence.{offence}")
    who = discretion.party(Respondent(kind=respondent))
    return discretion.assess(rules, violation, found(levels), conduct, decision, who)


@pytest.fixture
def own(tmp_path: Path) -> Rules:
    """A place with a table of its own, and an offence of 1 to 50 yuan until October."""
    (tmp_path / "own.yaml").write_text(OWN)
    return Rules(RuleBook.load(tmp_path), RULES.calendar, "150203")


@pytest.mark.parametrize(
    ("offence", "levels", "points", "fen"),
    [
        # 100 000 + 900 000 x 39 % = 451 000
        ("exceed_permit", SOME, 39, 451_000_00),
        # 20 000 + 180 000 x 39 % = 90 200
        ("no_auto_monitor", SOME, 39, 90_200_00),
        # 20 000 + 30 000 x 39 % = 31 700
        ("facility_not_as_permitted", SOME, 39, 31_700_00),
        # Nothing weighs: the floor. All at its worst: the ceiling. What lightens, never under the floor.
        ("no_permit", NONE, 0, 200_000_00),
        ("no_permit", WORST, 100, 1_000_000_00),
        ("no_permit", BEST, 0, 200_000_00),
        # 30 - 5 - 10 = 15; 100 000 + 900 000 x 15 % = 235 000
        ("exceed_standard", {**BEST, "harm": "serious"}, 15, 235_000_00),
    ],
)
def test_the_amount_is_the_floor_and_so_many_hundredths_of_the_range(
    offence: str, levels: dict[str, str], points: int, fen: int
) -> None:
    assert (assess(offence, levels).points, assess(offence, levels).computed_fen) == (points, fen)


def test_an_assessment_says_how_it_came_about() -> None:
    answer = assess(levels=dict(reversed(SOME.items())))
    assert (answer.floor_fen, answer.ceiling_fen) == (100_000_00, 1_000_000_00)
    assert answer.offence.citation == "生态环境法典第一千一百零三条"
    assert answer.table.id == "penalty.discretion"
    assert [each.factor for each in answer.factors] == list(reversed(SOME))
    assert [(line.factor, line.level, line.points) for line in answer.reckoning] == [
        ("危害后果", "危害后果轻微", 10),
        ("超标倍数或违法规模", "超标一倍以上不足三倍或规模大", 14),
        ("持续时间", "一个月以上不足三个月", 5),
        ("两年内受环境行政处罚次数", "第二次", 10),
        ("配合调查情况", "配合调查", 0),
        ("改正情况", "按期改正", 0),
    ]
    assert (answer.chosen_fen, answer.difference_reason) == (0, "")


@pytest.mark.parametrize(
    ("offence", "conduct", "decision", "law", "citation", "fen"),
    [
        # Old 200 000 to a million, new from 100 000: 100 000 + 900 000 x 39 %
        ("exceed_permit", OLD, NOW, pb.LAW_CHOICE_DECISION, "生态环境法典", 451_000_00),
        # Before the Code is in force: 200 000 + 800 000 x 39 % = 512 000
        ("exceed_permit", OLD, OLD, pb.LAW_CHOICE_UNCHANGED, "排污许可管理条例", 512_000_00),
        # Old 5 000 to 20 000, new heavier: 5 000 + 15 000 x 39 % = 10 850
        ("no_ledger", OLD, NOW, pb.LAW_CHOICE_CONDUCT, "排污许可管理条例", 10_850_00),
        # The same range: 200 000 + 800 000 x 39 %
        ("no_permit", OLD, NOW, pb.LAW_CHOICE_CONDUCT, "排污许可管理条例", 512_000_00),
        ("no_permit", NEW, NOW, pb.LAW_CHOICE_UNCHANGED, "生态环境法典", 512_000_00),
    ],
)
def test_old_conduct_meets_old_law_unless_the_new_is_lighter(
    offence: str,
    conduct: date,
    decision: date,
    law: pb.LawChoice.ValueType,
    citation: str,
    fen: int,
) -> None:
    answer = assess(offence, conduct=conduct, decision=decision)
    assert (answer.law_choice, answer.computed_fen) == (law, fen)
    assert answer.offence.citation.startswith(citation)


@pytest.mark.parametrize(
    ("kind", "fen"),
    [
        # 100 000 + 900 000 x 39 %; 50 000 + 150 000 x 39 % = 108 500
        (Respondent.KIND_ENTITY, 451_000_00),
        (Respondent.KIND_SOLE_TRADER, 108_500_00),
        (Respondent.KIND_PERSON, 108_500_00),
    ],
)
def test_persons_have_a_range_of_their_own_where_the_law_has_one(
    kind: Respondent.Kind.ValueType, fen: int
) -> None:
    assert assess("falsified_data", respondent=kind).computed_fen == fen


def test_fractions_of_a_yuan_are_dropped(own: Rules) -> None:
    # 1 + 49 x 39 % = 20.11
    answer = assess("small", {"harm": "some", "repeat": "no_repeat"}, decision=NEW, rules=own)
    assert answer.computed_fen == 20_00


def test_points_beyond_a_hundred_are_the_ceiling(own: Rules) -> None:
    # 80 + 80 = 160
    answer = assess("no_permit", {"harm": "grave", "repeat": "again"}, rules=own)
    assert (answer.points, answer.computed_fen) == (100, 1_000_000_00)


@pytest.mark.parametrize(
    ("offence", "conduct", "reason", "field", "says"),
    [
        ("bad_smell", NEW, "UNKNOWN_OFFENCE", "violation.offence", "offence.exceed_permit, "),
        ("falsified_data", OLD, "OFFENCE_NOT_IN_FORCE", "violation.conduct_date", "2026-08-14"),
        ("small", NEW, "OFFENCE_NOT_IN_FORCE", "violation.offence", "2026-11-02"),
    ],
)
def test_what_is_no_offence_is_refused(
    own: Rules, offence: str, conduct: date, reason: str, field: str, says: str
) -> None:
    with pytest.raises(StatusError) as refusal:
        assess(offence, conduct=conduct, rules=own)
    assert (refusal.value.code, refusal.value.reason) == (code_pb2.INVALID_ARGUMENT, reason)
    [(path, text)] = refusal.value.violations
    assert path == field
    assert says in text


@pytest.mark.parametrize(
    ("factors", "violations"),
    [
        (
            [*found(SOME), pb.FactorLevel(factor="weather", level="fine")],
            [
                (
                    "factors[6].factor",
                    "must be one of harm, scale, duration, repeat, cooperation, correction",
                )
            ],
        ),
        (
            found({**SOME, "harm": "awful"}),
            [("factors[0].level", "must be one of none, minor, moderate, serious")],
        ),
        ([*found(SOME), *found({"harm": "none"})], [("factors[6].factor", "harm is given twice")]),
        (found(SOME)[1:], [("factors", "lacks harm, one of none, minor, moderate, serious")]),
        (
            [*found(SOME)[1:5], pb.FactorLevel(factor="correction", level="never")],
            [
                ("factors[4].level", "must be one of restored, in_time, late, refused"),
                ("factors", "lacks harm, one of none, minor, moderate, serious"),
            ],
        ),
    ],
)
def test_factors_that_do_not_fit_the_table_are_refused_one_by_one(
    factors: list[pb.FactorLevel], violations: list[tuple[str, str]]
) -> None:
    with pytest.raises(StatusError) as refusal:
        discretion.assess(RULES, Violation(offence="offence.no_permit"), factors, NEW, NOW)
    assert refusal.value.code == code_pb2.INVALID_ARGUMENT
    assert refusal.value.reason == "INVALID_FACTORS"
    assert list(refusal.value.violations) == violations


@pytest.mark.parametrize(
    ("levels", "proposed", "reduction"),
    [
        # 451 000 x 0.5
        (SOME, 451_000_00, 225_500_00),
        # 5 points: 100 000 + 45 000; half would leave 72 500, and the floor is 100 000.
        ({**NONE, "duration": "1_to_3_months"}, 145_000_00, 45_000_00),
        (NONE, 100_000_00, 0),
        # Half a fen is not given.
        (SOME, 451_000_01, 225_500_00),
    ],
)
def test_an_apology_halves_the_proposed_fine_down_to_the_floor(
    levels: dict[str, str], proposed: int, reduction: int
) -> None:
    before = assess(levels=levels)
    after = discretion.reduce_for_apology(RULES, before, proposed, NOW)
    assert after.apology_reduction_fen == reduction
    assert before.apology_reduction_fen == 0
    chosen = discretion.choose(after, 0, "")
    assert chosen.chosen_fen == before.computed_fen - reduction >= before.floor_fen


def test_there_is_no_apology_where_the_place_has_no_rule() -> None:
    with pytest.raises(UnknownRule, match=r"penalty\.apology_reduction"):
        discretion.reduce_for_apology(RULES.at("150203"), assess(), 451_000_00, NOW)


@pytest.mark.parametrize(
    ("fen", "reason", "refused"),
    [
        (0, "", ""),
        (451_000_00, "", ""),
        (100_000_00, "情节特殊", ""),
        (1_000_000_00, "情节特殊", ""),
        (99_999_99, "情节特殊", "OUTSIDE_STATUTORY_RANGE"),
        (1_000_000_01, "情节特殊", "OUTSIDE_STATUTORY_RANGE"),
        (1, "", "OUTSIDE_STATUTORY_RANGE"),
        (450_999_99, "", "DIFFERENCE_UNEXPLAINED"),
        (460_000_00, " ", "DIFFERENCE_UNEXPLAINED"),
    ],
)
def test_the_choice_keeps_to_the_range_and_explains_itself(
    fen: int, reason: str, refused: str
) -> None:
    if not refused:
        chosen = discretion.choose(assess(), fen, reason)
        assert (chosen.chosen_fen, chosen.difference_reason) == (fen or 451_000_00, reason)
        return
    with pytest.raises(StatusError) as refusal:
        discretion.choose(assess(), fen, reason)
    assert (refusal.value.code, refusal.value.reason) == (code_pb2.INVALID_ARGUMENT, refused)
    field = "chosen_fen" if refused == "OUTSIDE_STATUTORY_RANGE" else "difference_reason"
    assert [path for path, _ in refusal.value.violations] == [field]


def test_a_reason_for_no_difference_is_not_kept() -> None:
    assert discretion.choose(assess(), 451_000_00, "无").difference_reason == ""


def test_a_daily_penalty_is_the_original_fine_for_each_day() -> None:
    basis = DailyBasis(days=17, original_fine_fen=451_000_00)
    answer = discretion.daily(RULES, basis, NOW)
    # 451 000 x 17 = 7 667 000, above the ceiling of the offence
    assert answer.daily_fen == answer.computed_fen == 7_667_000_00
    assert "第一千零六十条" in answer.offence.citation
    assert discretion.choose(answer, 0, "").chosen_fen == 7_667_000_00
    with pytest.raises(StatusError, match="OUTSIDE_STATUTORY_RANGE"):
        discretion.choose(answer, 451_000_00, "酌情")


@given(OFFENCES, LEVELS, st.dates(NEW, NOW), st.sampled_from(list(Respondent.Kind.values())[1:]))
def test_whatever_was_found_the_amount_lies_within_the_law(
    offence: str,
    levels: dict[str, str],
    conduct: date,
    kind: Respondent.Kind.ValueType,
) -> None:
    answer = assess(offence, levels, conduct, respondent=kind)
    assert 0 <= answer.points <= 100
    assert answer.floor_fen <= answer.computed_fen <= answer.ceiling_fen
    assert answer.computed_fen % 100 == 0
    assert discretion.choose(answer, 0, "").chosen_fen == answer.computed_fen


@given(OFFENCES, LEVELS, LEVELS)
def test_more_points_never_cost_less(
    offence: str, one: dict[str, str], other: dict[str, str]
) -> None:
    lighter, heavier = sorted((one, other), key=lambda each: sum(POINTS[at] for at in each.items()))
    assert assess(offence, lighter).computed_fen <= assess(offence, heavier).computed_fen


@given(LEVELS, st.integers(100_000_00, 1_000_000_00))
def test_an_apology_never_goes_under_the_floor_nor_beyond_half(
    levels: dict[str, str], proposed: int
) -> None:
    answer = discretion.reduce_for_apology(RULES, assess(levels=levels), proposed, NOW)
    assert 0 <= answer.apology_reduction_fen <= proposed // 2
    assert proposed - answer.apology_reduction_fen >= answer.floor_fen
    assert discretion.choose(answer, 0, "").chosen_fen >= answer.floor_fen

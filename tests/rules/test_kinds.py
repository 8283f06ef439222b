"""What each kind of rule may say, and that the law of penalties says it in its place and nowhere else."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan.penalty.v1.document_pb2 import DocumentKind
from bihuan.types.v1.deadline_pb2 import CONFIDENCE_LOW
from rules import Party, Rule, RuleBook, Rules, UnknownRule, WorkingCalendar, as_date
from rules.kinds import Version
from rules.lighter import applying

NATION = Rules(RuleBook.load(), WorkingCalendar.load())
DONGGUAN, BAOTOU = NATION.at("441900"), NATION.at("150203")
CODE, NOW = date(2026, 8, 15), date(2026, 11, 2)
OFFENCES = [rule.id for rule in NATION.offences(NOW)]
CITED = "citation: 某规定, confidence: LOW, source: test"


def _file(says: str, rule: str = "local.rule", place: str = "150200") -> str:
    return f"""
- id: {rule}
  name: 某
  versions:
    - {{jurisdiction: {place}, valid_from: 2020-01-01, {says}, {CITED}}}
"""


def _load(folder: Path, text: str) -> Rules:
    (folder / "local.yaml").write_text(text)
    return Rules(RuleBook.load(folder), NATION.calendar, "150203")


@pytest.mark.parametrize(
    ("says", "read", "value"),
    [
        ("ratio: 0.05", Rules.ratio, Decimal("0.05")),
        ("ratio: 1", Rules.ratio, Decimal(1)),
        ("number: 120", Rules.number, 120),
        ("number: 0", Rules.number, 0),
        ("choice: each, options: [each, first]", Rules.choice, "each"),
    ],
)
def test_a_kind_reads_back(
    tmp_path: Path, says: str, read: Callable[[Rules, str, date], Any], value: Any
) -> None:
    assert read(_load(tmp_path, _file(says)), "local.rule", NOW) == value


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("note: x", r"versions\.0: .*a version is one of: value, rungs, .*; this has none"),
        ("ratio: 0.5, number: 3", r"versions\.0: .*one of: .*; this has \['ratio', 'number'\]"),
        ("ratio: 0", r"versions\.0\.ratio: "),
        ("ratio: 1.01", r"versions\.0\.ratio: "),
        ("ratio: half", r"versions\.0\.ratio: "),
        ("number: -1", r"versions\.0\.number: "),
        ("number: 1.5", r"versions\.0\.number: "),
        ("amounts_yuan: {person: 5000}", r"versions\.0\.amounts_yuan\.entity: Field required"),
        ("amounts_yuan: {person: 1, entity: -1}", r"versions\.0\.amounts_yuan\.entity: "),
        ("amounts_yuan: {person: 1, entity: 2, others: 3}", r"amounts_yuan\.others: "),
        ("choice: Each", r"versions\.0\.choice: "),
        (
            "choice: both, options: [each, first]",
            r"versions\.0: choice: both is none of each, firs",
        ),
        ("ratio: 0.5, options: [each]", r"versions\.0: .*options and choice go together"),
        ("number: 1, roll: next_working_day", "roll and value go together"),
        ("number: 1, remind_before: [1]", "remind_before and value go together"),
        ("ratio: 0.5, cap_ratio: 1", "cap_ratio and daily_rate go together"),
        ("number: 1, unit: months", "unit and value go together"),
        ("rungs: []", r"versions\.0\.rungs: "),
        ("series: {}", r"versions\.0\.series: "),
        ("series: {decision: ''}", r"versions\.0\.series\.decision: "),
        ("series: {Decision: 环罚字}", r"versions\.0\.series\.Decision"),
        ("range_yuan: {person: [1, 2]}", r"versions\.0\.range_yuan\.entity: Field required"),
        ("range_yuan: {entity: [2, 1]}", r"range_yuan\.entity: .*ceiling 1 lies below the floor 2"),
        ("range_yuan: {entity: [-1, 1]}", r"versions\.0\.range_yuan\.entity"),
        ("range_yuan: {entity: [1]}", r"versions\.0\.range_yuan\.entity"),
        ("factors: []", r"versions\.0\.factors: "),
        ("factors: [{id: a, name: 甲, levels: []}]", r"versions\.0\.factors\.0\.levels: "),
        (
            "factors: [{id: a, name: 甲, levels: [{id: x, name: 一, points: 101}]}]",
            r"versions\.0\.factors\.0\.levels\.0\.points: ",
        ),
        (
            "factors: [{id: a, name: 甲, levels: ["
            "{id: x, name: 一, points: 1}, {id: x, name: 二, points: 2}]}]",
            r"versions\.0\.factors\.0: .*level x is given twice",
        ),
        (
            "factors: [{id: a, name: 甲, levels: [{id: x, name: 一, points: 1}]},"
            " {id: a, name: 乙, levels: [{id: x, name: 一, points: 1}]}]",
            r"versions\.0: .*factor a is given twice",
        ),
    ],
)
def test_a_version_that_says_it_wrong_is_refused_by_field(
    tmp_path: Path, says: str, message: str
) -> None:
    with pytest.raises(ValueError, match=rf"^local\.yaml: rule local\.rule: .*{message}"):
        _load(tmp_path, _file(says))


@pytest.mark.parametrize(
    ("rule", "says", "message"),
    [
        ("penalty.payment", "ratio: 0.5", "ratio where CN has value"),
        ("penalty.plan_start", "choice: never", "choice: never is none of grant, payment_due"),
        (
            "penalty.late_application",
            "choice: never, options: [never]",
            "choice: never is none of refused, with_pledge",
        ),
        (
            "document.series",
            "series: {decision: 包环罚字}",
            "series: lacks consent, correction_order",
        ),
        ("penalty.plan_gap", "number: 3", "number where 441900 has value"),
    ],
)
def test_a_place_keeps_to_the_shape_of_the_rule(
    tmp_path: Path, rule: str, says: str, message: str
) -> None:
    with pytest.raises(ValueError, match=rf"^local\.yaml: rule {rule}: versions\.0: {message}"):
        _load(tmp_path, _file(says, rule))


@pytest.mark.parametrize(
    "read",
    [
        lambda: NATION.ratio("penalty.payment", NOW),
        lambda: NATION.number("penalty.payment", NOW),
        lambda: NATION.amount("penalty.payment", "entity", NOW),
        lambda: NATION.choice("penalty.payment", NOW),
        lambda: NATION.factors("penalty.payment", NOW),
        lambda: NATION.offence("penalty.payment", NOW, NOW),
        lambda: NATION.deadline("penalty.discretion", NOW, "d"),
    ],
)
def test_a_rule_read_as_another_kind_says_so(read: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"rule penalty\.(payment|discretion) is "):
        read()


@pytest.mark.parametrize(
    ("rule", "origin", "due"),
    [
        # 12 January and 150 days: 19 + 28 + 31 + 30 + 31 to the end of May, and 11.
        ("penalty.decision_extended_again", date(2026, 1, 12), date(2026, 6, 11)),
        # 28, 29, 30 September; 8, 9, 10 (a working Saturday), 12 October.
        ("penalty.hearing_notice", date(2026, 9, 24), date(2026, 10, 12)),
        # 30 days, and the holiday on which they end does not matter.
        ("penalty.public_notice_service", date(2026, 9, 1), date(2026, 10, 1)),
        # 20 (a working Sunday), 21 to 24, 28, 29 September.
        ("penalty.publication", date(2026, 9, 18), date(2026, 9, 29)),
        ("penalty.publication_withdrawal", date(2026, 9, 24), date(2026, 9, 30)),
        # 3 October is a holiday until the 7th.
        ("remedy.suit_after_reconsideration", date(2026, 9, 18), date(2026, 10, 8)),
        ("penalty.plan_review", date(2026, 9, 18), date(2026, 10, 8)),
        # 28, 29, 30 September, 8, 9 October.
        ("penalty.plan_grace", date(2026, 9, 24), date(2026, 10, 9)),
        ("penalty.plan_breach", date(2026, 9, 24), date(2026, 10, 9)),
    ],
)
def test_periods_of_national_law_run_in_every_place(rule: str, origin: date, due: date) -> None:
    for rules in (NATION, DONGGUAN, BAOTOU):
        assert as_date(rules.deadline(rule, origin, "d").due_date) == due


@pytest.mark.parametrize(
    ("rule", "origin", "due"),
    [
        # 1 October is a holiday until the 7th.
        ("penalty.plan_deferral", date(2026, 4, 1), date(2026, 10, 8)),
        # 9 October 2027 is a Saturday.
        ("penalty.plan_total", date(2025, 10, 9), date(2027, 10, 11)),
        # February has no 31st, and its 28th is a Sunday.
        ("penalty.plan_total_litigation", date(2026, 8, 31), date(2027, 3, 1)),
        # 31 October 2026 is a Saturday.
        ("penalty.plan_gap", date(2026, 7, 31), date(2026, 11, 2)),
        ("penalty.volunteer_service", date(2026, 7, 1), date(2026, 10, 8)),
        # 28, 29, 30 September; 8, 9, 10 (a working Saturday), 12 October.
        ("penalty.apology", date(2026, 9, 24), date(2026, 10, 12)),
        ("penalty.apology_after_obstacle", date(2026, 9, 24), date(2026, 9, 30)),
    ],
)
def test_periods_of_dongguan_run_in_dongguan_only(rule: str, origin: date, due: date) -> None:
    assert as_date(DONGGUAN.deadline(rule, origin, "d").due_date) == due
    for rules in (NATION, BAOTOU):
        with pytest.raises(UnknownRule, match=rule):
            rules.deadline(rule, origin, "d")


def test_an_instalment_is_reminded_of_five_and_one_working_days_before() -> None:
    # Due on Monday 2 November 2026, 9 in the morning in Shanghai is 1 in UTC.
    reminders = DONGGUAN.deadline("penalty.plan_gap", date(2026, 7, 31), "d").remind_times
    assert [each.ToDatetime() for each in reminders] == [
        datetime(2026, 10, 26, 1),
        datetime(2026, 10, 30, 1),
    ]


@pytest.mark.parametrize(
    ("read", "rule", "value", "first"),
    [
        (Rules.ratio, "penalty.plan_minimum", Decimal("0.05"), date(2025, 10, 1)),
        (Rules.ratio, "penalty.plan_minimum_litigation", Decimal("0.30"), date(2025, 10, 1)),
        (Rules.ratio, "penalty.apology_reduction", Decimal("0.5"), date(2024, 8, 1)),
        (Rules.number, "penalty.volunteer_tenths", 120, date(2025, 10, 1)),
        (Rules.number, "penalty.apology_tenths", 60, date(2024, 8, 1)),
    ],
)
def test_dongguan_caps_what_other_places_do_not(
    read: Callable[[Rules, str, date], Any], rule: str, value: Any, first: date
) -> None:
    assert read(DONGGUAN, rule, first) == value
    with pytest.raises(UnknownRule):
        read(DONGGUAN, rule, first.replace(year=first.year - 1))
    with pytest.raises(UnknownRule):
        read(BAOTOU, rule, NOW)


@pytest.mark.parametrize(
    ("rule", "nation", "dongguan"),
    [
        ("penalty.plan_minimum_applies_to", "each", "each"),
        ("penalty.plan_start", "grant", "grant"),
        ("penalty.plan_default", "revocation", "revocation"),
        ("penalty.surcharge_base", "unpaid", "unpaid"),
        ("penalty.plan_short_track", "litigation_and_enforcement", "litigation_and_enforcement"),
        ("penalty.late_application", "refused", "with_pledge"),
    ],
)
def test_where_the_law_is_open_a_choice_says_how_it_is_read(
    rule: str, nation: str, dongguan: str
) -> None:
    assert NATION.choice(rule, NOW) == BAOTOU.choice(rule, NOW) == nation
    assert DONGGUAN.choice(rule, NOW) == dongguan
    if rule != "penalty.late_application":
        assert NATION.reference(rule, NOW).confidence == CONFIDENCE_LOW


@pytest.mark.parametrize(
    "rule", ["penalty.hearing_amount", "penalty.discussion_amount", "penalty.legal_review_amount"]
)
def test_large_amounts_are_in_fen_and_unsure(rule: str) -> None:
    assert BAOTOU.amount(rule, "person", NOW) == 5_000_00
    assert BAOTOU.amount(rule, "entity", NOW) == 200_000_00
    assert NATION.reference(rule, NOW).confidence == CONFIDENCE_LOW


def test_each_kind_of_document_has_a_series_in_every_place() -> None:
    kinds = [
        name.removeprefix("DOCUMENT_KIND_").lower()
        for name, number in DocumentKind.items()
        if number
    ]
    for rules in (NATION, DONGGUAN):
        assert len({rules.series(kind, NOW) for kind in kinds}) == len(kinds)
    assert (NATION.series("decision", NOW), DONGGUAN.series("decision", NOW)) == (
        "环罚字",
        "东环罚字",
    )
    with pytest.raises(UnknownRule, match="no kind letter in 441900"):
        DONGGUAN.series("letter", NOW)


@pytest.mark.parametrize(
    ("offence", "floor", "ceiling", "article"),
    [
        ("no_self_monitoring", 20_000, 200_000, "第一千零八十六条"),
        ("no_ledger", 20_000, 200_000, "第一千零八十六条"),
        ("no_auto_monitor", 20_000, 200_000, "第一千零八十六条"),
        ("falsified_data", 100_000, 1_000_000, "第一千零八十八条"),
        ("no_permit", 200_000, 1_000_000, "第一千一百零二条"),
        ("no_permit_noise", 20_000, 200_000, "第一千一百零二条"),
        ("exceed_permit", 100_000, 1_000_000, "第一千一百零三条"),
        ("exceed_permit_noise", 20_000, 200_000, "第一千一百零三条"),
        ("facility_not_as_permitted", 20_000, 50_000, "第一千一百零四条"),
        ("facility_not_effective", 50_000, 200_000, "第一千一百零四条"),
        ("exceed_standard", 100_000, 1_000_000, "第一千一百零七条"),
        ("exceed_standard_noise", 20_000, 200_000, "第一千一百零七条"),
        ("evade_supervision", 100_000, 1_000_000, "第一千一百零八条"),
        ("no_disclosure", 20_000, 200_000, "第一千一百一十条"),
        ("abnormal_transmission", 20_000, 200_000, "生态环境监测条例第四十二条"),
    ],
)
def test_the_code_sets_the_range_of_conduct_since(
    offence: str, floor: int, ceiling: int, article: str
) -> None:
    found = BAOTOU.offence(f"offence.{offence}", CODE, NOW)
    assert (found.floor_fen, found.ceiling_fen) == (floor * 100, ceiling * 100)
    assert found.law == "unchanged"
    assert article in found.reference.citation


@pytest.mark.parametrize(
    ("offence", "conduct", "law", "floor", "ceiling"),
    [
        # Permit Regulation art. 34: 200 000 to a million; the Code's floor is lower.
        ("exceed_permit", date(2026, 8, 14), "decision", 100_000, 1_000_000),
        ("evade_supervision", date(2026, 8, 14), "decision", 100_000, 1_000_000),
        # The same range: the law of the conduct.
        ("no_permit", date(2026, 8, 14), "conduct", 200_000, 1_000_000),
        ("exceed_standard", date(2026, 8, 14), "conduct", 100_000, 1_000_000),
        ("evade_supervision", date(2021, 2, 28), "conduct", 100_000, 1_000_000),
        # Permit Regulation art. 37: 5 000 to 20 000; the Code is heavier.
        ("no_ledger", date(2026, 8, 14), "conduct", 5_000, 20_000),
        # Permit Regulation art. 36: 20 000 to 200 000; the Code's ceiling is 50 000.
        ("facility_not_as_permitted", date(2026, 8, 14), "decision", 20_000, 50_000),
        # The same ceiling, and the Code's floor is higher.
        ("facility_not_effective", date(2026, 8, 14), "conduct", 20_000, 200_000),
    ],
)
def test_old_conduct_meets_old_law_unless_the_new_is_lighter(
    offence: str, conduct: date, law: str, floor: int, ceiling: int
) -> None:
    found = NATION.offence(f"offence.{offence}", conduct, NOW)
    assert (found.law, found.floor_fen, found.ceiling_fen) == (law, floor * 100, ceiling * 100)


def test_a_range_of_its_own_for_persons() -> None:
    found = NATION.offence("offence.falsified_data", CODE, NOW, "person")
    assert (found.floor_fen, found.ceiling_fen) == (50_000_00, 200_000_00)
    same = NATION.offence("offence.no_permit", CODE, NOW, "person")
    assert (same.floor_fen, same.ceiling_fen) == (200_000_00, 1_000_000_00)


@pytest.mark.parametrize(
    ("conduct", "decision"), [(date(2026, 8, 14), NOW), (CODE, date(2026, 8, 14))]
)
def test_what_was_or_is_no_offence_is_unknown(conduct: date, decision: date) -> None:
    with pytest.raises(UnknownRule, match=r"offence\.falsified_data .* 2026-08-14"):
        NATION.offence("offence.falsified_data", conduct, decision)


RANGE = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(sorted)
PARTIES = st.sampled_from(["person", "entity"])


def _range(valid_from: date, entity: list[int], person: list[int] | None) -> Rule:
    version = Version.model_validate(
        {
            "valid_from": valid_from,
            "range_yuan": {"entity": entity, "person": person},
            "citation": "某规定",
            "confidence": "LOW",
            "source": "test",
        }
    )
    return Rule(id="offence.any", name="某", version=version)


@given(RANGE, st.none() | RANGE, RANGE, st.none() | RANGE, PARTIES)
def test_the_law_applied_is_never_heavier_than_that_of_the_conduct(
    old: list[int],
    old_person: list[int] | None,
    new: list[int],
    new_person: list[int] | None,
    party: Party,
) -> None:
    before, after = _range(date(2020, 1, 1), old, old_person), _range(CODE, new, new_person)
    conduct, found = applying(before, before, party), applying(before, after, party)
    assert found.ceiling_fen <= conduct.ceiling_fen
    assert (found.ceiling_fen, found.floor_fen) <= (conduct.ceiling_fen, conduct.floor_fen)
    assert found.floor_fen <= found.ceiling_fen


@given(st.sampled_from(OFFENCES), st.dates(date(2018, 1, 1), NOW), st.dates(date(2018, 1, 1), NOW))
def test_no_real_offence_is_punished_more_by_a_later_law(
    offence: str, one: date, other: date
) -> None:
    conduct, decision = sorted((one, other))
    then = NATION.book.find(offence, conduct)
    if then is None:
        with pytest.raises(UnknownRule):
            NATION.offence(offence, conduct, decision)
    else:
        ranges = then.version.range_yuan
        assert ranges is not None
        assert NATION.offence(offence, conduct, decision).ceiling_fen <= ranges.entity.ceiling * 100

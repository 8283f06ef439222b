"""Plans that the rules of a place allow and those they do not, and what is offered for a wish."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.penalty.v1 import account_pb2 as pb
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from bihuan.types.v1.deadline_pb2 import CONFIDENCE_LOW
from rpc.errors import StatusError
from rules import Rules, YearCalendar
from services.penalty.terms import Bounds, bounds_without_case, check, propose
from tests.services.fines import BAOTOU, DONGGUAN, UP_TO_2026, planned, reading, terms

START = date(2026, 9, 15)  # a Tuesday
FINE = 100_000_00
NON, SUED, COURT = pb.TRACK_NON_LITIGATION, pb.TRACK_LITIGATION, pb.TRACK_ENFORCEMENT
DEFERRAL, INSTALMENTS = pb.PLAN_KIND_DEFERRAL, pb.PLAN_KIND_INSTALMENTS
GUIDELINE = "东生态规〔2025〕2号"
QUARTERS = [date(2026, 12, 15), date(2027, 3, 15), date(2027, 6, 15), date(2027, 9, 15)]


def bounds(track: Any = NON, rules: Rules = DONGGUAN, on: date = START, fine: int = FINE) -> Bounds:
    return bounds_without_case(rules, on, track, fine)


def parts(*fen: int, days: list[date] = QUARTERS) -> pb.PlanTerms:
    return terms(*zip(days, fen, strict=False))


def refusal(limits: Bounds, offered: pb.PlanTerms) -> StatusError:
    with pytest.raises(StatusError) as refused:
        check(limits, offered)
    assert refused.value.code == code_pb2.INVALID_ARGUMENT
    return refused.value


HALF = FINE // 2
TWO_YEARS = [date(2026, 12, 15), date(2027, 3, 15), date(2027, 6, 15), date(2027, 9, 15)]
TWO_YEARS += [date(2027, 12, 15), date(2028, 3, 15), date(2028, 6, 15), date(2028, 9, 15)]


@pytest.mark.parametrize(
    ("track", "offered"),
    [
        # Deferral: six months after 2026-09-15 is 2027-03-15, a Monday.
        (NON, terms((date(2027, 3, 15), FINE))),
        (SUED, terms((date(2027, 3, 15), FINE))),
        # Eight instalments over exactly two years, each three months after the one before.
        (NON, parts(*[FINE // 8] * 8, days=TWO_YEARS)),
        # 5 % of 100,000 yuan is 5,000.
        (NON, parts(5_000_00, 95_000_00)),
        # Litigation and enforcement: 30 % of 100,000 yuan is 30,000, over six months.
        (SUED, parts(30_000_00, 70_000_00)),
        (COURT, parts(30_000_00, 70_000_00)),
    ],
)
def test_terms_within_the_rules_are_allowed(track: Any, offered: pb.PlanTerms) -> None:
    check(bounds(track), offered)


@pytest.mark.parametrize(
    ("track", "offered", "reason", "path", "rule"),
    [
        (
            NON,
            terms((date(2027, 3, 16), FINE)),
            "DEFERRAL_TOO_LONG",
            "payments[0].due_date",
            "deferral",
        ),
        (
            NON,
            parts(HALF, HALF, days=[date(2026, 12, 16), date(2027, 3, 15)]),
            "GAP_TOO_LONG",
            "payments[0].due_date",
            "gap",
        ),
        (
            NON,
            parts(HALF, HALF, days=[date(2026, 12, 15), date(2027, 3, 16)]),
            "GAP_TOO_LONG",
            "payments[1].due_date",
            "gap",
        ),
        (
            NON,
            parts(*[11_000_00] * 8, 12_000_00, days=[*TWO_YEARS, date(2028, 9, 18)]),
            "PLAN_TOO_LONG",
            "payments[8].due_date",
            "total",
        ),
        (
            SUED,
            parts(33_000_00, 33_000_00, 34_000_00),
            "PLAN_TOO_LONG",
            "payments[2].due_date",
            "total_litigation",
        ),
        (
            NON,
            parts(4_999_99, 95_000_01),
            "INSTALMENT_TOO_SMALL",
            "payments[0].amount_fen",
            "minimum",
        ),
        (
            NON,
            parts(95_000_01, 4_999_99),
            "INSTALMENT_TOO_SMALL",
            "payments[1].amount_fen",
            "minimum",
        ),
        (
            COURT,
            parts(29_999_99, 70_000_01),
            "INSTALMENT_TOO_SMALL",
            "payments[0].amount_fen",
            "minimum_litigation",
        ),
        (NON, parts(HALF, HALF - 1), "SUM_MISMATCH", "payments", ""),
        (
            NON,
            parts(HALF, HALF, days=QUARTERS[1::-1]),
            "DATES_NOT_ASCENDING",
            "payments[1].due_date",
            "",
        ),
        (NON, parts(HALF, HALF, days=[START, START]), "DATE_IN_PAST", "payments[0].due_date", ""),
        # 2026-10-01 is a holiday, 2026-10-11 a Sunday; Saturday 2026-10-10 is worked.
        (
            NON,
            parts(HALF, HALF, days=[date(2026, 10, 1), QUARTERS[0]]),
            "NOT_A_WORKING_DAY",
            "payments[0].due_date",
            "",
        ),
        (
            NON,
            parts(HALF, HALF, days=[date(2026, 10, 10), date(2026, 10, 11)]),
            "NOT_A_WORKING_DAY",
            "payments[1].due_date",
            "",
        ),
        (
            NON,
            parts(HALF, HALF, days=[QUARTERS[0], date(9000, 1, 1)]),
            "DATE_TOO_FAR",
            "payments[1].due_date",
            "",
        ),
        (
            NON,
            pb.PlanTerms(kind=INSTALMENTS, payments=parts(FINE).payments),
            "TOO_FEW_INSTALMENTS",
            "payments",
            "",
        ),
        (
            NON,
            pb.PlanTerms(kind=DEFERRAL, payments=parts(HALF, HALF).payments),
            "NOT_ONE_PAYMENT",
            "payments",
            "",
        ),
    ],
)
def test_terms_outside_a_rule_are_refused_naming_the_field_and_the_rule(
    track: Any, offered: pb.PlanTerms, reason: str, path: str, rule: str
) -> None:
    refused = refusal(bounds(track), offered)
    assert (refused.reason, refused.violations[0][0]) == (reason, f"terms.{path}")
    if rule:
        assert refused.metadata["rule"] == f"penalty.plan_{rule}"
        assert GUIDELINE in refused.metadata["citation"]
        assert GUIDELINE in refused.message


def test_a_day_that_is_none_is_refused() -> None:
    offered = parts(HALF, HALF)
    offered.payments[1].due_date.month = 13
    refused = refusal(bounds(), offered)
    assert (refused.reason, refused.violations[0][0]) == (
        "INVALID_DATE",
        "terms.payments[1].due_date",
    )


def test_the_least_instalment_is_a_share_of_the_fine_rounded_up() -> None:
    # 5 % of 1,000.01 yuan is 5,000.05 fen, so 5,001.
    limits = bounds(fine=100_001)
    check(limits, parts(5_001, 95_000))
    assert refusal(limits, parts(5_000, 95_001)).reason == "INSTALMENT_TOO_SMALL"


def test_caps_that_end_on_a_rest_day_move_to_the_next_working_day() -> None:
    # 2026-07-01 + 3 months is 2026-10-01: the holiday ends on 2026-10-08, a Thursday.
    limits = bounds(on=date(2026, 7, 1))
    check(limits, terms((date(2026, 10, 8), HALF), (date(2026, 12, 15), HALF)))
    late = terms((date(2026, 10, 9), HALF), (date(2026, 12, 15), HALF))
    assert refusal(limits, late).reason == "GAP_TOO_LONG"
    # The next period counts from the day that was set: 2026-10-08 + 3 months.
    check(limits, terms((date(2026, 10, 8), HALF), (date(2027, 1, 8), HALF)))


@pytest.mark.parametrize(
    ("rule", "choice", "track", "offered"),
    [
        # Only the first payment is held to the least share.
        ("penalty.plan_minimum_applies_to", "first", NON, parts(5_000_00, 100, 94_999_00)),
        # "诉讼" read as a pending suit only, or as enforcement only.
        ("penalty.plan_short_track", "litigation", COURT, parts(5_000_00, 95_000_00)),
        ("penalty.plan_short_track", "enforcement", SUED, parts(5_000_00, 95_000_00)),
    ],
)
def test_an_unsure_point_is_read_as_its_rule_says(
    rule: str, choice: str, track: Any, offered: pb.PlanTerms
) -> None:
    check(bounds(track, reading(rule, choice)), offered)
    assert refusal(bounds(track), offered).reason == "INSTALMENT_TOO_SMALL"


def test_another_place_caps_no_plan() -> None:
    years = [date(2027, 9, 15), date(2030, 9, 16)]
    check(bounds(rules=BAOTOU), parts(1, FINE - 1, days=years))
    check(bounds(COURT, rules=BAOTOU), terms((date(2029, 9, 17), FINE)))


def wish(**fields: Any) -> rpc_pb.ProposePlanRequest:
    return rpc_pb.ProposePlanRequest(**fields)


def offered_days(**fields: Any) -> list[date]:
    (only,) = propose(bounds(), wish(kind=INSTALMENTS, **fields)).proposals
    return [day for day, _ in planned(only.terms)]


def test_eight_equal_quarterly_instalments_over_two_years() -> None:
    (only,) = propose(bounds(fine=100_000_05), wish(instalments=8, interval_months=3)).proposals
    assert [day for day, _ in planned(only.terms)] == TWO_YEARS
    # 10,000,005 fen / 8 = 1,250,000 and 5 left, which the last takes.
    assert [fen for _, fen in planned(only.terms)] == [12_500_00] * 7 + [12_500_05]
    assert only.provisional


def test_a_first_payment_as_wished_and_the_rest_in_equal_parts() -> None:
    (only,) = propose(
        bounds(), wish(instalments=4, interval_months=1, first_fen=40_000_00)
    ).proposals
    assert [fen for _, fen in planned(only.terms)] == [40_000_00, 20_000_00, 20_000_00, 20_000_00]


def test_payments_at_the_end_of_months() -> None:
    days = offered_days(instalments=5, interval_months=1, month_end=True)
    # 2026-10-31 is a Saturday, so 11-02; 2027-01-31 and 2027-02-28 are Sundays, so the next Mondays.
    assert days == [
        date(2026, 11, 2),
        date(2026, 11, 30),
        date(2026, 12, 31),
        date(2027, 2, 1),
        date(2027, 3, 1),
    ]


def test_quarterly_month_ends_keep_the_gap() -> None:
    # 2026-12-31 lies more than three months after 2026-09-15, so they begin in November. 2028-02-29 + 3
    # months is 2028-05-29: the end of May would be too late, and so on.
    days = offered_days(instalments=8, interval_months=3, month_end=True)
    assert days[0] == date(2026, 11, 30)
    assert days[5:] == [date(2028, 2, 29), date(2028, 5, 29), date(2028, 8, 29)]


def test_a_month_end_that_is_no_working_day_does_not_leave_its_month_where_the_gap_forbids_it() -> (
    None
):
    # 2027-07-31 is a Saturday, and the Monday after it more than three months after 2027-04-30.
    limits = bounds(on=date(2026, 11, 24))
    asked = wish(instalments=4, interval_months=3, month_end=True)
    (only,) = propose(limits, asked).proposals
    assert [day for day, _ in planned(only.terms)][1:3] == [date(2027, 4, 30), date(2027, 7, 30)]


def test_the_same_day_of_shorter_months() -> None:
    limits = bounds(on=date(2026, 8, 31))
    (only,) = propose(limits, wish(instalments=4, interval_months=2)).proposals
    # 10-31 is a Saturday: 11-02. 12-31. 2027-02-28 is a Sunday: 03-01. 04-30.
    assert [day for day, _ in planned(only.terms)] == [
        date(2026, 11, 2),
        date(2026, 12, 31),
        date(2027, 3, 1),
        date(2027, 4, 30),
    ]


def test_a_deferral_runs_as_long_as_it_may_or_as_wished() -> None:
    for fields, day in [({}, date(2027, 3, 15)), ({"interval_months": 2}, date(2026, 11, 16))]:
        (only,) = propose(bounds(), wish(kind=DEFERRAL, **fields)).proposals
        assert (planned(only.terms), only.interval_months) == ([(day, FINE)], 0)


def test_one_payment_is_a_deferral_whatever_else_is_wished() -> None:
    (only,) = propose(bounds(), wish(instalments=1, interval_months=2)).proposals
    assert planned(only.terms) == [(date(2026, 11, 16), FINE)]
    assert "must come to" in propose(bounds(), wish(instalments=1, first_fen=1)).objection


def test_a_plan_within_known_years_is_not_provisional() -> None:
    found = propose(bounds(), wish(instalments=3, interval_months=1))
    assert [each.provisional for each in found.proposals] == [False]


def test_all_that_is_allowed_is_offered_the_fewest_first() -> None:
    found = propose(bounds(SUED), wish())
    offered = [
        (each.terms.kind, len(each.terms.payments), each.interval_months)
        for each in found.proposals
    ]
    # Six months and 30 %: two or three instalments, one, two or three months apart.
    assert offered == [
        (DEFERRAL, 1, 0),
        (INSTALMENTS, 2, 1),
        (INSTALMENTS, 2, 2),
        (INSTALMENTS, 2, 3),
        (INSTALMENTS, 3, 1),
        (INSTALMENTS, 3, 2),
    ]
    unsure = {rule.id for rule in found.rules if rule.confidence == CONFIDENCE_LOW}
    assert unsure == {
        "penalty.plan_start",
        "penalty.plan_short_track",
        "penalty.plan_minimum_applies_to",
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": INSTALMENTS, "interval_months": 4}, ["penalty.plan_gap", "2026-12-15"]),
        ({"instalments": 9, "interval_months": 3}, ["penalty.plan_total", "2028-09-15"]),
        ({"instalments": 21, "interval_months": 1}, ["penalty.plan_minimum", "500000 fen"]),
        ({"instalments": 2, "first_fen": FINE}, ["payment 2", "amount_fen", "at least"]),
        ({"kind": DEFERRAL, "interval_months": 7}, ["penalty.plan_deferral", "2027-03-15"]),
        ({"kind": DEFERRAL, "instalments": 2}, ["one payment"]),
    ],
)
def test_where_no_plan_meets_the_wish_the_rule_is_named(
    fields: dict[str, Any], said: list[str]
) -> None:
    found = propose(bounds(), wish(**fields))
    assert not found.proposals
    assert all(words in found.objection for words in said), found.objection


WISHES = st.builds(
    rpc_pb.ProposePlanRequest,
    kind=st.sampled_from([0, 1, 2]),
    instalments=st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 20, 24]),
    first_fen=st.just(0) | st.integers(0, 200_00),
    interval_months=st.integers(0, 4),
    month_end=st.booleans(),
)
PLACES = st.sampled_from(
    [DONGGUAN, DONGGUAN, BAOTOU, reading("penalty.plan_minimum_applies_to", "first")]
)


@settings(deadline=None, max_examples=150)
@given(
    WISHES,
    PLACES,
    st.sampled_from([NON, SUED, COURT]),
    st.dates(date(2025, 10, 1), date(2027, 12, 31)),
    st.integers(1, 1000_00) | st.integers(1, 10**12),
)
def test_every_plan_proposed_is_accepted_on_working_days_only(
    asked: rpc_pb.ProposePlanRequest, rules: Rules, track: Any, on: date, fine: int
) -> None:
    limits = bounds(track, rules, on, fine)
    found = propose(limits, asked)
    assert bool(found.objection) != bool(found.proposals)
    for each in found.proposals:
        check(limits, each.terms)
        payments = planned(each.terms)
        assert all(rules.calendar.day(day).working for day, _ in payments)
        assert sum(fen for _, fen in payments) == fine
        assert asked.kind in (0, each.terms.kind)
        assert asked.instalments in (0, len(payments))
        assert asked.first_fen in (0, payments[0][1])


def test_a_calendar_published_since_moves_what_is_offered() -> None:
    holiday = YearCalendar(year=2027, holidays={date(2027, 3, 15): "调休"}, source="made up")
    rules = replace(DONGGUAN, calendar=UP_TO_2026.with_year(holiday))
    (only,) = propose(bounds(rules=rules), wish(kind=DEFERRAL)).proposals
    assert (planned(only.terms)[0][0], only.provisional) == (date(2027, 3, 16), False)

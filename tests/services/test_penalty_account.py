"""What is owed on a fine as of any day: the fixed answers with their arithmetic, and what always holds."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.penalty.v1 import account_pb2 as pb
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from rules import as_date
from services.penalty.account import refilled, statement, unpaid_fine
from tests.services.fines import DONGGUAN, DUE, SERVED, Fine, account, message

DAY = timedelta(days=1)
YUAN = 100
FINE = 100_000 * YUAN


def paid(found: pb.Account, *payments: tuple[date, int]) -> pb.Account:
    for day, fen in payments:
        number = f"P{len(found.payments) + 1}"
        found.payments.add(reference=number, amount_fen=fen, pay_date=message(day))
    return found


def sums(found: pb.Account, as_of: date) -> tuple[int, int, int, int]:
    """Surcharge, paid, outstanding, overpaid."""
    told = statement(found, DONGGUAN, as_of)
    return told.surcharge_fen, told.paid_fen, told.outstanding_fen, told.overpaid_fen


@pytest.mark.parametrize(
    ("payments", "as_of", "expected"),
    [
        # In time, to the last day of it: no surcharge.
        ([(DUE, FINE)], DUE + 60 * DAY, (0, FINE, 0, 0)),
        # On the day after the due date: one day, 100,000 x 3 % = 3,000 yuan.
        ([(DUE + DAY, FINE)], DUE + DAY, (3_000_00, FINE, 3_000_00, 0)),
        # Surcharge stops with the fine: it bears none itself.
        ([(DUE + DAY, FINE)], DUE + 90 * DAY, (3_000_00, FINE, 3_000_00, 0)),
        (
            [(DUE + DAY, FINE), (DUE + 9 * DAY, 3_000_00)],
            DUE + 90 * DAY,
            (3_000_00, 103_000_00, 0, 0),
        ),
        # Nothing paid, day 33: 33 x 3,000 = 99,000; day 34 would be 102,000, the cap is 100,000.
        ([], date(2026, 11, 10), (99_000_00, 0, 199_000_00, 0)),
        ([], date(2026, 11, 11), (100_000_00, 0, 200_000_00, 0)),
        ([], date(2027, 6, 1), (100_000_00, 0, 200_000_00, 0)),
        # Partly in time: 40,000 on the due date; 60,000 x 3 % x 10 days = 18,000.
        ([(DUE, 40_000_00)], DUE + 10 * DAY, (18_000_00, 40_000_00, 78_000_00, 0)),
        # 50,000 on day 10 after the due date: 10 x 3,000 + 5 x 1,500 = 37,500 by day 15.
        ([(DUE + 10 * DAY, 50_000_00)], DUE + 15 * DAY, (37_500_00, 50_000_00, 87_500_00, 0)),
        # Too much in time: 20,000 over.
        ([(DUE, 120_000_00)], DUE + 90 * DAY, (0, FINE, 0, 20_000_00)),
        # Reported in another order, the same: 30,000 on day 0, 70,000 on day 2: 2 x 70,000 x 3 % = 4,200.
        (
            [(DUE + 2 * DAY, 70_000_00), (DUE, 30_000_00)],
            DUE + 5 * DAY,
            (4_200_00, FINE, 4_200_00, 0),
        ),
        # One fen left: 0.03 fen a day, a whole fen only after 34 days, which is the cap.
        ([(DUE, FINE - 1)], DUE + 33 * DAY, (0, FINE - 1, 1, 0)),
        ([(DUE, FINE - 1)], DUE + 34 * DAY, (1, FINE - 1, 2, 0)),
        ([], SERVED - DAY, (0, 0, 0, 0)),
    ],
)
def test_the_surcharge_of_a_day_is_counted_on_what_is_unpaid_at_its_start(
    payments: list[tuple[date, int]], as_of: date, expected: tuple[int, int, int, int]
) -> None:
    assert sums(paid(account(FINE), *payments), as_of) == expected


def test_a_lowered_fine_counts_from_the_start_and_its_difference_is_waived() -> None:
    found = account(FINE)
    found.fine_fen = 60_000_00
    told = statement(found, DONGGUAN, DUE + 10 * DAY)
    # 60,000 x 3 % x 10 = 18,000 of surcharge, as if the fine had always been 60,000.
    assert (told.due_fen, told.surcharge_fen, told.waived_fen) == (118_000_00, 18_000_00, 40_000_00)
    assert told.outstanding_fen == 78_000_00
    # The cap is the fine as it stands.
    assert statement(found, DONGGUAN, DUE + 99 * DAY).surcharge_fen == 60_000_00


def test_both_ends_of_a_pause_bear_no_surcharge() -> None:
    found = account(FINE)
    found.pauses.add(from_date=message(DUE + 3 * DAY), to_date=message(DUE + 5 * DAY))
    # Days 1 and 2, then 6 and 7.
    by_day = [statement(found, DONGGUAN, DUE + n * DAY).surcharge_fen for n in range(8)]
    assert by_day == [0, 3_000_00, 6_000_00, 6_000_00, 6_000_00, 6_000_00, 9_000_00, 12_000_00]
    found.pauses[0].ClearField("to_date")
    assert statement(found, DONGGUAN, DUE + 500 * DAY).surcharge_fen == 6_000_00


def test_the_terms_recorded_last_are_in_force_from_their_day() -> None:
    found = account(FINE)
    # Late plan from day 3 after the due date on; revoked on day 10, so due on it.
    found.terms.add(from_date=message(DUE + 3 * DAY))
    found.terms.add(from_date=message(DUE + 11 * DAY), due_date=message(DUE + 10 * DAY))
    by_day = [statement(found, DONGGUAN, DUE + n * DAY).surcharge_fen for n in (2, 3, 10, 11, 12)]
    assert by_day == [6_000_00, 6_000_00, 6_000_00, 9_000_00, 12_000_00]


def test_the_whole_fine_bears_surcharge_where_the_rule_says_so() -> None:
    found = paid(account(FINE), (DUE, 40_000_00))
    found.surcharge_base = pb.SURCHARGE_BASE_FINE
    assert statement(found, DONGGUAN, DUE + 2 * DAY).surcharge_fen == 6_000_00
    # Paid in full on day 2: none after it.
    paid(found, (DUE + 2 * DAY, 60_000_00))
    assert statement(found, DONGGUAN, DUE + 9 * DAY).surcharge_fen == 6_000_00


def test_a_statement_tells_line_by_line_how_it_came_about() -> None:
    found = paid(account(FINE), (DUE + 40 * DAY, FINE), (DUE + 2 * DAY, 50_000_00))
    found.reductions.add(amount_fen=5_000_00, reduce_date=message(DUE + 41 * DAY), reason="已整改")
    found.refunds.add(reference="R1", amount_fen=100, refund_date=message(DUE + 50 * DAY))
    kind = pb.StatementLine
    told = [
        (
            (as_date(line.date) - DUE).days,
            line.kind,
            line.amount_fen // 100,
            line.balance_fen // 100,
        )
        for line in statement(found, DONGGUAN, DUE + 60 * DAY).lines
    ]
    # 2 x 3,000; then 50,000 x 3 % = 1,500 a day for 38 days: 57,000.
    assert told == [
        (-20, kind.KIND_FINE, 100_000, 100_000),
        (2, kind.KIND_SURCHARGE, 6_000, 106_000),
        (2, kind.KIND_PAYMENT, -50_000, 56_000),
        (40, kind.KIND_SURCHARGE, 57_000, 113_000),
        (40, kind.KIND_PAYMENT, -100_000, 13_000),
        (41, kind.KIND_SURCHARGE_REDUCED, -5_000, 8_000),
        (50, kind.KIND_REFUND, 1, 8_001),
    ]
    notes = [line.note for line in statement(found, DONGGUAN, DUE + 60 * DAY).lines]
    assert notes[1] == "2026-10-09 至 2026-10-10"
    assert notes[3] == "2026-10-11 至 2026-11-17"


def test_a_surcharge_line_ends_on_the_day_the_cap_is_reached() -> None:
    (_, line) = statement(account(FINE), DONGGUAN, date(2027, 3, 1)).lines
    assert line.note == "2026-10-09 至 2026-11-11"


def test_no_more_surcharge_is_given_up_than_had_accrued() -> None:
    found = account(FINE)
    found.reductions.add(amount_fen=6_000_00, reduce_date=message(DUE + 2 * DAY))
    assert sums(found, DUE + 2 * DAY) == (6_000_00, 0, FINE, 0)
    # An older payment comes to light: of 2 x 1,500 = 3,000 no 6,000 can be given up.
    paid(found, (DUE, 50_000_00))
    told = statement(found, DONGGUAN, DUE + 2 * DAY)
    assert (told.surcharge_fen, told.waived_fen) == (3_000_00, 3_000_00)


def test_the_surcharge_goes_by_the_version_that_the_decision_announced() -> None:
    fine = Fine(FINE)
    fine.until(DUE + 5 * DAY)
    assert fine.case.account.surcharge_rule.version == "CN@2021-07-15"
    assert fine.owes().surcharge_fen == 15_000_00


def test_payments_fill_instalments_in_order_of_their_days() -> None:
    plan = pb.Plan(state=pb.Plan.STATE_ACTIVE, paid_before_fen=100)
    for number, fen in enumerate([300, 300, 400], 1):
        plan.instalments.add(number=number, amount_fen=fen, state=pb.Instalment.STATE_DUE)
    found = paid(account(1100), (DUE + 2 * DAY, 150), (DUE, 200), (DUE + DAY, 100))
    after = refilled(plan, found.payments)
    # By day 200, 300, 450; the plan began at 100, so 350 went to it: 300 and 50 of the second.
    assert [each.paid_fen for each in after.instalments] == [300, 50, 0]
    assert as_date(after.instalments[0].pay_date) == DUE + 2 * DAY
    assert after.state == pb.Plan.STATE_ACTIVE
    paid(found, (DUE + 5 * DAY, 651))
    after = refilled(plan, found.payments)
    assert [each.paid_fen for each in after.instalments] == [300, 300, 400]
    assert after.state == pb.Plan.STATE_COMPLETED


DAYS = st.integers(-30, 500)
FEN = st.integers(1, 3_000_00)
REPORTS = st.lists(st.tuples(st.integers(-20, 400), FEN), max_size=8)


@st.composite
def accounts(draw: st.DrawFn) -> pb.Account:
    found = account(draw(FEN))
    if draw(st.booleans()):
        found.fine_fen = draw(st.integers(0, found.original_fine_fen))
    found.surcharge_base = draw(st.sampled_from([1, 2]))
    for start, length, due in draw(
        st.lists(st.tuples(DAYS, st.integers(0, 90), st.booleans()), max_size=4)
    ):
        found.terms.add(
            from_date=message(DUE + start * DAY),
            due_date=message(DUE + (start + length) * DAY) if due else None,
        )
    for start, length in draw(st.lists(st.tuples(DAYS, st.integers(0, 90)), max_size=3)):
        end = DUE + (start + length) * DAY
        found.pauses.add(from_date=message(DUE + start * DAY), to_date=message(end))
    for day, fen in draw(st.lists(st.tuples(DAYS, FEN), max_size=3)):
        found.reductions.add(amount_fen=fen, reduce_date=message(DUE + day * DAY))
    return paid(found, *((DUE + day * DAY, fen) for day, fen in draw(REPORTS)))


@settings(deadline=None, max_examples=300)
@given(accounts(), DAYS)
def test_fen_are_conserved_on_every_day(found: pb.Account, day: int) -> None:
    as_of = DUE + day * DAY
    told = statement(found, DONGGUAN, as_of)
    assert told.paid_fen + told.outstanding_fen + told.waived_fen == told.due_fen
    assert 0 <= told.surcharge_fen <= found.fine_fen
    assert min(told.paid_fen, told.outstanding_fen, told.waived_fen, told.overpaid_fen) >= 0
    assert told.paid_fine_fen <= told.paid_fen
    assert unpaid_fine(found, as_of) <= told.outstanding_fen
    reported = sum(each.amount_fen for each in found.payments if as_date(each.pay_date) <= as_of)
    assert told.paid_fen + told.overpaid_fen == reported
    balances = [line.balance_fen for line in told.lines] or [0]
    assert balances[-1] == told.outstanding_fen - told.overpaid_fen
    assert sum(line.amount_fen for line in told.lines) == balances[-1]
    # Whatever order the bank reports in, and the surcharge never falls from one day to the next.
    shuffled = pb.Account()
    shuffled.CopyFrom(found)
    shuffled.payments.sort(key=lambda payment: payment.reference[::-1] + str(payment.amount_fen))
    assert sums(shuffled, as_of) == sums(found, as_of)
    assert told.surcharge_fen <= statement(found, DONGGUAN, as_of + DAY).surcharge_fen


def test_a_known_reference_records_nothing_and_another_amount_for_it_is_refused() -> None:
    fine = Fine(FINE)
    assert fine.pay(40_000_00, reference="B1") == ["PaymentRecorded"]
    assert fine.pay(40_000_00, reference="B1") == []
    again = rpc_pb.RecordPaymentRequest(reference="B1", amount_fen=1, pay_date=message(fine.today))
    assert fine.refused(again).reason == "REFERENCE_REUSED"
    fine.until(fine.today + DAY)
    again = rpc_pb.RecordPaymentRequest(
        reference="B1", amount_fen=40_000_00, pay_date=message(fine.today)
    )
    assert fine.refused(again).reason == "REFERENCE_REUSED"

"""What is owed on a fine as of any day, from what happened to its account. Pure, exact, integer fen.

A day bears surcharge on what is unpaid at its start, if it lies after the due date of the terms in force on
it and in no pause (行政处罚法第七十二条、第七十三条). Payments go to the fine first.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from itertools import accumulate, pairwise
from typing import NamedTuple

from bihuan.penalty.v1 import account_pb2 as pb
from rules import Rule, Rules, as_date, surcharge
from services.penalty.proceeding import day_message

DAY = timedelta(days=1)
LINE = pb.StatementLine
INSTALMENT = pb.Instalment
PLAN = pb.Plan
IN_FORCE = frozenset({PLAN.STATE_ACTIVE, PLAN.STATE_IN_GRACE, PLAN.STATE_BREACHED})
ENDED = frozenset({INSTALMENT.STATE_PAID, INSTALMENT.STATE_CANCELLED})


class Stretch(NamedTuple):
    """Consecutive days, both ends included, each bearing surcharge on the same sum in fen."""

    first: date
    last: date
    base: int


class _Entry(NamedTuple):
    """What a line of the statement comes from. On one day the kinds follow in this order."""

    day: date
    kind: LINE.Kind.ValueType
    amount: int
    note: str = ""


def statement(account: pb.Account, rules: Rules, as_of: date) -> pb.AccountStatement:
    """The account at the end of `as_of`, by what is recorded: after the last record nothing is paid.

    Nothing is owed before the account's first day; a fine that was lowered counts so from the start.
    """
    lines = _lines(account, rules, as_of)
    sums = dict.fromkeys(LINE.Kind.values(), 0)
    for line in lines:
        sums[line.kind] += line.amount_fen
    original, charged = sums[LINE.KIND_FINE], sums[LINE.KIND_SURCHARGE]
    waived = -sums[LINE.KIND_FINE_LOWERED] - sums[LINE.KIND_SURCHARGE_REDUCED]
    paid = -sums[LINE.KIND_PAYMENT] - sums[LINE.KIND_REFUND]
    owed = original + charged - waived
    return pb.AccountStatement(
        as_of=day_message(as_of),
        due_fen=original + charged,
        surcharge_fen=charged,
        paid_fen=min(paid, owed),
        paid_fine_fen=min(paid, original + sums[LINE.KIND_FINE_LOWERED]),
        waived_fen=waived,
        outstanding_fen=max(owed - paid, 0),
        overpaid_fen=max(paid - owed, 0),
        lines=lines,
    )


def unpaid_fine(account: pb.Account, as_of: date) -> int:
    """Fine unpaid at the end of `as_of` in fen, without surcharge."""
    return max(_fine(account, as_of) - _Paid(account).by(as_of), 0)


def payment_date(account: pb.Account) -> date:
    """The last day on which the fine could be paid without surcharge, as the decision set it."""
    return as_date(account.terms[0].due_date)


def stretches(account: pb.Account, as_of: date) -> list[Stretch]:
    """The days up to `as_of` that bear surcharge, as if it had no cap; oldest first."""
    paid, found = _Paid(account), []
    for first, after in pairwise(_changes(account, as_of)):
        unpaid = max(account.fine_fen - paid.by(first - DAY), 0)
        if unpaid and _runs(account, first):
            whole = account.surcharge_base == pb.SURCHARGE_BASE_FINE
            base = account.fine_fen if whole else unpaid
            found.append(Stretch(first, after - DAY, base))
    return found


def refilled(plan: pb.Plan, payments: Sequence[pb.Payment]) -> pb.Plan:
    """`plan` in force with its instalments filled in order by what was paid, and its state after that.

    The order of reports does not matter. What was paid before the plan fills nothing. An instalment that
    is overdue stays so until it is paid; a breach is not undone unless nothing is left to be paid.
    """
    after = pb.Plan()
    after.CopyFrom(plan)
    by_day = sorted(payments, key=lambda payment: as_date(payment.pay_date))
    sums = list(accumulate(payment.amount_fen for payment in by_day))
    total, end = sums[-1] if sums else 0, plan.paid_before_fen
    for each in after.instalments:
        if each.state == INSTALMENT.STATE_CANCELLED:
            continue
        start, end = end, end + each.amount_fen
        each.paid_fen = min(max(total - start, 0), each.amount_fen)
        if each.paid_fen == each.amount_fen:
            each.state = INSTALMENT.STATE_PAID
            each.pay_date.CopyFrom(by_day[bisect_left(sums, end)].pay_date)
    if all(each.state in ENDED for each in after.instalments):
        after.state = PLAN.STATE_COMPLETED
    elif after.state == PLAN.STATE_IN_GRACE and not missed(after):
        after.state = PLAN.STATE_ACTIVE
    return after


def missed(plan: pb.Plan) -> list[pb.Instalment]:
    """Its instalments that are overdue."""
    return [each for each in plan.instalments if each.state == INSTALMENT.STATE_OVERDUE]


def service_owed(plan: pb.Plan) -> bool:
    """Whether volunteer service is pledged with it and not all proved."""
    return plan.pledge.done_tenths < plan.pledge.required_tenths


def _lines(account: pb.Account, rules: Rules, as_of: date) -> list[pb.StatementLine]:
    lines: list[pb.StatementLine] = []
    balance = reducible = 0
    entries = [*_facts(account), *_charges(account, rules, as_of)]
    for day, kind, amount, note in sorted(entries, key=lambda entry: entry[:2]):
        if day > as_of:
            break
        if kind == LINE.KIND_SURCHARGE_REDUCED:
            # No more is given up than had accrued, should an older payment come to light.
            amount = max(amount, -reducible)
        if kind in (LINE.KIND_SURCHARGE, LINE.KIND_SURCHARGE_REDUCED):
            reducible += amount
        balance += amount
        lines.append(
            LINE(
                date=day_message(day), kind=kind, amount_fen=amount, balance_fen=balance, note=note
            )
        )
    return lines


def _facts(account: pb.Account) -> Iterator[_Entry]:
    for term in account.terms[:1]:
        yield _Entry(as_date(term.from_date), LINE.KIND_FINE, account.original_fine_fen)
        if lowered := account.original_fine_fen - account.fine_fen:
            yield _Entry(as_date(term.from_date), LINE.KIND_FINE_LOWERED, -lowered)
    for given in account.reductions:
        day = as_date(given.reduce_date)
        yield _Entry(day, LINE.KIND_SURCHARGE_REDUCED, -given.amount_fen, given.reason)
    for payment in account.payments:
        day = as_date(payment.pay_date)
        yield _Entry(day, LINE.KIND_PAYMENT, -payment.amount_fen, payment.reference)
    for refund in account.refunds:
        day = as_date(refund.refund_date)
        yield _Entry(day, LINE.KIND_REFUND, refund.amount_fen, refund.reference)


def _charges(account: pb.Account, rules: Rules, as_of: date) -> Iterator[_Entry]:
    """What each stretch adds to the surcharge, dated the last day on which it adds anything."""
    kept, fen_days, charged = account.surcharge_rule, 0, 0
    for first, last, base in stretches(account, as_of):
        rule = rules.book.version(kept.id, kept.version)
        by = partial(_charged, rule, account.fine_fen, fen_days, base)
        days = (last - first).days + 1
        if (after := by(days)) > charged:
            until = first + (bisect_left(range(days), after, key=by) - 1) * DAY
            yield _Entry(until, LINE.KIND_SURCHARGE, after - charged, f"{first} 至 {until}")
        fen_days, charged = fen_days + base * days, after


def _charged(rule: Rule, fine: int, fen_days: int, base: int, days: int) -> int:
    return surcharge(rule, fen_days + base * days, fine)


class _Paid:
    """What was paid, less what was paid back, by the end of any day."""

    def __init__(self, account: pb.Account) -> None:
        moved = [(as_date(each.pay_date), each.amount_fen) for each in account.payments]
        moved += [(as_date(each.refund_date), -each.amount_fen) for each in account.refunds]
        moved.sort()
        self.days = [day for day, _ in moved]
        self._sums = list(accumulate((amount for _, amount in moved), initial=0))

    def by(self, day: date) -> int:
        """Fen by the end of `day`."""
        return self._sums[bisect_right(self.days, day)]


def _fine(account: pb.Account, on: date) -> int:
    known = account.terms and as_date(account.terms[0].from_date) <= on
    return account.fine_fen if known else 0


def _changes(account: pb.Account, as_of: date) -> list[date]:
    """The days from which another sum may bear surcharge, or none, and the day after `as_of`."""
    begins = {as_date(term.from_date) for term in account.terms}
    ends = {as_date(term.due_date) for term in account.terms if term.HasField("due_date")}
    begins |= {as_date(pause.from_date) for pause in account.pauses}
    ends |= {as_date(pause.to_date) for pause in account.pauses if pause.HasField("to_date")}
    ends |= set(_Paid(account).days) | {as_date(each.reduce_date) for each in account.reductions}
    days = begins | {day + DAY for day in ends}
    return [*sorted(day for day in days if day <= as_of), as_of + DAY]


def _runs(account: pb.Account, day: date) -> bool:
    """Whether the surcharge runs on `day`: the terms recorded last that are in force have a due date
    before it, and it lies in no pause.
    """
    found = [term for term in account.terms if as_date(term.from_date) <= day]
    if not found or not found[-1].HasField("due_date") or day <= as_date(found[-1].due_date):
        return False
    return not any(
        as_date(pause.from_date) <= day
        and not (pause.HasField("to_date") and as_date(pause.to_date) < day)
        for pause in account.pauses
    )

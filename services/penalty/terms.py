"""Which plans of deferral or instalments the rules of a place allow, and which they do not. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from bihuan.penalty.v1 import account_pb2 as pb
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from bihuan.penalty.v1 import penalty_case_pb2 as case_pb
from bihuan.types.v1.deadline_pb2 import RuleReference
from rpc.errors import StatusError, invalid_argument
from rules import Rule, Rules, as_date, months_after
from rules.deadline import reference
from services.penalty.account import payment_date, unpaid_fine
from services.penalty.proceeding import Proceeding, day_message

GAP, DEFERRAL, START = "penalty.plan_gap", "penalty.plan_deferral", "penalty.plan_start"
TOTAL, TOTAL_LITIGATION = "penalty.plan_total", "penalty.plan_total_litigation"
MINIMUM, MINIMUM_LITIGATION = "penalty.plan_minimum", "penalty.plan_minimum_litigation"
APPLIES_TO, SHORT_TRACK = "penalty.plan_minimum_applies_to", "penalty.plan_short_track"
SHORT_TRACKS = {
    "litigation_and_enforcement": {pb.TRACK_LITIGATION, pb.TRACK_ENFORCEMENT},
    "litigation": {pb.TRACK_LITIGATION},
    "enforcement": {pb.TRACK_ENFORCEMENT},
}
PAYMENT_PATH = re.compile(r"terms\.payments\[(\d+)\]\.(\w+)$")
# As many payments as the terms of a plan hold in the proto, and as far as its dates may reach at all.
MOST_PAYMENTS = 24
FURTHEST = timedelta(days=3660)


@dataclass(frozen=True)
class Bounds:
    """What terms must keep within.

    on: the day of the grant, whose law holds; fine_fen: the whole fine, of which the least payment is a
    share; unpaid_fen: what the payments come to; start: the caps on the whole count from it; gap_start:
    the first period counts from it.
    """

    rules: Rules
    on: date
    track: pb.Track.ValueType
    fine_fen: int
    unpaid_fen: int
    start: date
    gap_start: date

    def find(self, rule_id: str) -> Rule | None:
        """The rule, or None where it does not exist: no cap."""
        return self.rules.book.find(rule_id, self.on, self.rules.jurisdiction)

    @property
    def short(self) -> bool:
        """The caps of litigation hold."""
        return self.track in SHORT_TRACKS[self.rules.choice(SHORT_TRACK, self.on)]

    @property
    def total(self) -> Rule | None:
        """The cap on all instalments together."""
        return self.find(TOTAL_LITIGATION if self.short else TOTAL)

    @property
    def minimum(self) -> Rule | None:
        """The least share of the fine that is paid at a time."""
        return self.find(MINIMUM_LITIGATION if self.short else MINIMUM)

    @property
    def minimum_fen(self) -> int:
        """The least payment in fen, rounded up; 0 where there is none."""
        rule = self.minimum
        if rule is None:
            return 0
        part, whole = self.rules.ratio(rule.id, self.on).as_integer_ratio()
        return -(-self.fine_fen * part // whole)

    def until(self, rule: Rule | None, origin: date) -> date:
        """The last day that the rule allows from `origin`; where there is none, FURTHEST."""
        return self.rules.until(rule, origin) if rule else self.on + FURTHEST

    def references(self, kind: pb.PlanKind.ValueType) -> list[RuleReference]:
        """The rules that a plan of this kind is checked against; both kinds' if not stated."""
        found = [self.find(START)]
        if kind != pb.PLAN_KIND_INSTALMENTS:
            found.append(self.find(DEFERRAL))
        if kind != pb.PLAN_KIND_DEFERRAL:
            found += [self.total, self.find(GAP), self.minimum]
            found += [self.find(SHORT_TRACK), self.find(APPLIES_TO)]
        return [reference(rule) for rule in found if rule]


def track_of(case: case_pb.PenaltyCase) -> pb.Track.ValueType:
    """The stage at which terms are granted now."""
    if case.standing.state == case_pb.STATE_ENFORCING:
        return pb.TRACK_ENFORCEMENT
    pending = (each for each in case.remedies if each.outcome == each.OUTCOME_UNSPECIFIED)
    sued = any(each.kind == case_pb.Remedy.KIND_SUIT for each in pending)
    return pb.TRACK_LITIGATION if sued else pb.TRACK_NON_LITIGATION


def bounds_of(p: Proceeding, on: date | None = None) -> Bounds:
    """What terms granted in this case on that day, or else today, must keep within.

    Terms that replace a plan go on counting from the start of the last one of the same stage.
    """
    account, track, on = p.case.account, track_of(p.case), on or p.today
    counts_from_due = account.terms and p.rules.choice(START, on) == "payment_due"
    start = payment_date(account) if counts_from_due else on
    for replaced in _replaced(p.case):
        if replaced.track == track:
            start = as_date(replaced.start_date)
            break
    unpaid = unpaid_fine(account, p.today)
    return Bounds(p.rules, on, track, account.fine_fen, unpaid, start, max(start, on))


def _replaced(case: case_pb.PenaltyCase) -> Iterator[pb.Plan]:
    """The plan in force and those that it took the place of, one after the other; the latest first."""
    for plan in reversed(case.plans[: case.standing.plan]):
        if plan.number < case.standing.plan and plan.state != pb.Plan.STATE_RESCHEDULED:
            return
        yield plan


def bounds_without_case(rules: Rules, on: date, track: pb.Track.ValueType, fine_fen: int) -> Bounds:
    """What terms for a fine of which no case is here must keep within, granted on that day."""
    stage = track or pb.TRACK_NON_LITIGATION
    return Bounds(rules, on, stage, fine_fen, fine_fen, on, on)


def check(bounds: Bounds, terms: pb.PlanTerms) -> None:
    """Refuses terms that the rules do not allow.

    INVALID_ARGUMENT naming the field, and in the metadata the rule with its citation where it is one.
    """
    days = planned_days(terms, "terms")
    _check_days(bounds, days)
    if terms.kind == pb.PLAN_KIND_DEFERRAL:
        _check_deferral(bounds, days)
    else:
        _check_instalments(bounds, terms, days)
    total = sum(payment.amount_fen for payment in terms.payments)
    if total != bounds.unpaid_fen:
        text = f"must come to {bounds.unpaid_fen} fen, what is unpaid of the fine, not {total}"
        raise _refusal("SUM_MISMATCH", "terms.payments", text)


def planned_days(terms: pb.PlanTerms, field: str) -> list[date]:
    """The days of the payments. INVALID_ARGUMENT if one is no day."""
    days = []
    for n, payment in enumerate(terms.payments):
        due = payment.due_date
        try:
            days.append(date(due.year, due.month, due.day))
        except ValueError as error:
            path = f"{field}.payments[{n}].due_date"
            raise _refusal("INVALID_DATE", path, f"must be a whole date: {error}") from error
    return days


def _check_days(bounds: Bounds, days: Sequence[date]) -> None:
    for n, day in enumerate(days):
        field = f"terms.payments[{n}].due_date"
        if day <= bounds.on:
            raise _refusal("DATE_IN_PAST", field, f"must lie after {bounds.on}, not on {day}")
        if day > bounds.on + FURTHEST:
            text = f"must lie within {FURTHEST.days} days of {bounds.on}"
            raise _refusal("DATE_TOO_FAR", field, text)
        if n and day <= days[n - 1]:
            text = f"must lie after the one before, {days[n - 1]}"
            raise _refusal("DATES_NOT_ASCENDING", field, text)
        found = bounds.rules.calendar.day(day)
        if not found.working:
            following = bounds.rules.calendar.on_or_after(day)
            text = f"must be a working day: {day} is none ({found.reason}), {following} is"
            raise _refusal("NOT_A_WORKING_DAY", field, text)


def _check_deferral(bounds: Bounds, days: Sequence[date]) -> None:
    if len(days) != 1:
        raise _refusal("NOT_ONE_PAYMENT", "terms.payments", "must be one payment for a deferral")
    rule = bounds.find(DEFERRAL)
    limit = bounds.until(rule, bounds.start)
    if days[0] > limit:
        text = f"must not lie after {limit}, counted from {bounds.start}"
        raise _refusal("DEFERRAL_TOO_LONG", "terms.payments[0].due_date", text, rule)


def _check_instalments(bounds: Bounds, terms: pb.PlanTerms, days: Sequence[date]) -> None:
    if len(days) < 2:
        raise _refusal("TOO_FEW_INSTALMENTS", "terms.payments", "must be two payments or more")
    gap, total = bounds.find(GAP), bounds.total
    for n, (before, day) in enumerate(pairwise([bounds.gap_start, *days])):
        if day > (limit := bounds.until(gap, before)):
            text = f"must not lie after {limit}, counted from {before}"
            raise _refusal("GAP_TOO_LONG", f"terms.payments[{n}].due_date", text, gap)
    if days[-1] > (limit := bounds.until(total, bounds.start)):
        field = f"terms.payments[{len(days) - 1}].due_date"
        text = f"must not lie after {limit}, counted from {bounds.start}"
        raise _refusal("PLAN_TOO_LONG", field, text, total)
    _check_amounts(bounds, [payment.amount_fen for payment in terms.payments])


def _check_amounts(bounds: Bounds, amounts: Sequence[int]) -> None:
    only_first = bounds.rules.choice(APPLIES_TO, bounds.on) == "first"
    minimum, least = bounds.minimum, bounds.minimum_fen
    for n, amount in enumerate(amounts):
        field = f"terms.payments[{n}].amount_fen"
        if amount < 1:
            raise _refusal("INSTALMENT_TOO_SMALL", field, "must be at least 1 fen")
        if amount < least and not (n and only_first):
            text = f"must be at least {least} fen, of a fine of {bounds.fine_fen}"
            raise _refusal("INSTALMENT_TOO_SMALL", field, text, minimum)


def _refusal(reason: str, field: str, text: str, rule: Rule | None = None) -> StatusError:
    if rule is None:
        return invalid_argument(reason, f"{field} {text}", [(field, text)])
    cited = f"{rule.id}, {rule.version.citation}"
    return invalid_argument(
        reason,
        f"{field} {text} ({cited})",
        [(field, text)],
        rule=rule.id,
        rule_version=rule.version_id,
        citation=rule.version.citation,
    )


def propose(bounds: Bounds, wish: rpc_pb.ProposePlanRequest) -> rpc_pb.ProposePlanResponse:
    """The plans that keep the rules and meet the wish, the fewest payments first; each passes `check`.

    If there is none, `objection` says which rule stands against the wish and what it allows.
    """
    answer = rpc_pb.ProposePlanResponse(rules=bounds.references(wish.kind))
    if not bounds.unpaid_fen:
        answer.objection = "nothing is unpaid of the fine"
        return answer
    for interval, terms in _candidates(bounds, wish):
        try:
            check(bounds, terms)
        except StatusError as refusal:
            answer.objection = answer.objection or _objection(terms, refusal)
        else:
            years = {payment.due_date.year for payment in terms.payments}
            provisional = not all(map(bounds.rules.calendar.knows, years))
            answer.proposals.add(terms=terms, interval_months=interval, provisional=provisional)
    if answer.proposals:
        answer.objection = ""
        by_size = sorted(answer.proposals, key=_size)
        del answer.proposals[:]
        answer.proposals.extend(by_size)
    return answer


def _objection(terms: pb.PlanTerms, refusal: StatusError) -> str:
    """Why no plan is allowed, by the payment of the plan that was tried: the wish names no terms."""
    for path, _ in refusal.violations:
        if found := PAYMENT_PATH.match(path):
            number = int(found.group(1))
            payment = terms.payments[number]
            tried = f"payment {number + 1}, {as_date(payment.due_date)}, {payment.amount_fen} fen"
            return f"{tried}: {found.group(2)} {refusal.message.removeprefix(path).strip()}"
    return refusal.message


def _candidates(
    bounds: Bounds, wish: rpc_pb.ProposePlanRequest
) -> Iterator[tuple[int, pb.PlanTerms]]:
    """What would meet the wish, allowed or not, with the months between payments; 0 for a deferral."""
    either = wish.kind == pb.PLAN_KIND_UNSPECIFIED
    open_size = not (wish.instalments or wish.first_fen or wish.interval_months)
    at_once = either and (wish.instalments == 1 or open_size)
    if at_once or wish.kind == pb.PLAN_KIND_DEFERRAL:
        rule = bounds.find(DEFERRAL)
        months = wish.interval_months or _longest(bounds, rule, bounds.start)
        count = wish.instalments or 1
        days = _days(bounds, rule, bounds.start, months, wish.month_end, count)
        yield 0, _terms(bounds, pb.PLAN_KIND_DEFERRAL, days, wish.first_fen)
    if wish.kind == pb.PLAN_KIND_DEFERRAL or (either and wish.instalments == 1):
        return
    gap = bounds.find(GAP)
    any_interval = range(1, _longest(bounds, gap, bounds.gap_start) + 1)
    for months in [wish.interval_months] if wish.interval_months else any_interval:
        count = wish.instalments or MOST_PAYMENTS
        days = _days(bounds, gap, bounds.gap_start, months, wish.month_end, count)
        for size in [count] if wish.instalments else _sizes(bounds, days):
            kind = pb.PLAN_KIND_INSTALMENTS
            yield months, _terms(bounds, kind, days[:size], wish.first_fen)


def _longest(bounds: Bounds, rule: Rule | None, origin: date) -> int:
    """How many months the rule allows from `origin`; 1 where there is none."""
    limit, months = bounds.until(rule, origin), 1
    while rule and months_after(origin, months + 1) <= limit:
        months += 1
    return months


def _sizes(bounds: Bounds, days: Sequence[date]) -> Sequence[int]:
    """How many payments end in time."""
    limit = bounds.until(bounds.total, bounds.start)
    return [n for n in range(2, len(days) + 1) if days[n - 1] <= limit] or [2]


def _days(
    bounds: Bounds, rule: Rule | None, origin: date, months: int, month_end: bool, count: int
) -> list[date]:
    """`count` working days, `months` from one to the next.

    A day that is no working day moves to the next. One that the shorter months or such a move would put
    beyond what `rule` allows after the one before, though meant for that month, falls on the last day
    allowed.
    """
    shift = 0
    if month_end and _planned(bounds, origin, months, True) > bounds.until(rule, origin):
        shift = 1
    days: list[date] = []
    for n in range(1, count + 1):
        day = _planned(bounds, origin, n * months - shift, month_end)
        limit = bounds.until(rule, days[-1] if days else origin)
        meant = months_after(origin, n * months - shift)
        if day > limit and (meant.year, meant.month) <= (limit.year, limit.month):
            day = limit
        days.append(day)
    return days


def _planned(bounds: Bounds, origin: date, months: int, month_end: bool) -> date:
    day = months_after(origin, months)
    if month_end:
        day = months_after(day.replace(day=1), 1) - timedelta(days=1)
    return bounds.rules.calendar.on_or_after(day)


def _terms(
    bounds: Bounds, kind: pb.PlanKind.ValueType, days: Sequence[date], first_fen: int
) -> pb.PlanTerms:
    """Equal payments on these days, after a first one of `first_fen` if given; the last takes the rest."""
    count = len(days)
    share = bounds.unpaid_fen // count
    amounts = [share] * count
    if first_fen:
        amounts = [first_fen] + [(bounds.unpaid_fen - first_fen) // max(count - 1, 1)] * (count - 1)
    if count > 1:
        amounts[-1] = bounds.unpaid_fen - sum(amounts[:-1])
    payments = [
        pb.PlannedPayment(due_date=day_message(day), amount_fen=amount)
        for day, amount in zip(days, amounts, strict=True)
    ]
    return pb.PlanTerms(kind=kind, payments=payments)


def _size(proposal: rpc_pb.Proposal) -> tuple[int, int]:
    return len(proposal.terms.payments), proposal.interval_months

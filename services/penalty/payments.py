"""Money that came in, went back or was given up. Pure."""

from dataclasses import replace

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from rpc.errors import StatusError, invalid_argument
from rules import as_date
from services.penalty.account import statement, unpaid_fine
from services.penalty.evolve import Event, evolve
from services.penalty.plans import in_force, last_plan, missed_before, progressed
from services.penalty.proceeding import Proceeding, day_message
from services.penalty.settlement import OWING, settled

PAYABLE = OWING | {pb.STATE_PERFORMED}
ENDED = frozenset({pb.STATE_CLOSED, pb.STATE_WITHDRAWN, pb.STATE_NOT_FILED})


def record_payment(p: Proceeding, command: rpc_pb.RecordPaymentRequest) -> list[Event]:
    """A payment that the bank reports; nothing if it is known already.

    Raises FAILED_PRECONDITION: REFERENCE_REUSED, PAYMENT_ON_CLOSED_CASE, NOTHING_TO_PAY before a fine is
    served; INVALID_ARGUMENT for a day in the future or before the decision.
    """
    case, day = p.case, p.day(command.pay_date, "pay_date")
    payment = money.Payment(
        reference=command.reference,
        amount_fen=command.amount_fen,
        pay_date=day_message(day),
        record_time=p.time,
    )
    if _is_known(p, payment):
        return []
    if case.standing.state in ENDED:
        raise p.refuse("PAYMENT_ON_CLOSED_CASE", f"{case.name} has ended; nothing is paid on it")
    if case.standing.state not in PAYABLE or not case.HasField("account"):
        raise p.refuse("NOTHING_TO_PAY", f"no fine of {case.name} is to be paid")
    if day < (decided := as_date(case.decision.decide_date)):
        text = f"must not lie before the decision, {decided}"
        raise invalid_argument("BEFORE_DECISION", f"pay_date {text}", [("pay_date", text)])
    missed = missed_before(p, day)
    for event in missed:
        p = replace(p, case=evolve(p.case, event))
    return [*missed, _recorded(p, payment)]


def refund_overpayment(p: Proceeding, command: rpc_pb.RefundOverpaymentRequest) -> list[Event]:
    """Money paid back; nothing if it is known already.

    Raises FAILED_PRECONDITION REFERENCE_REUSED; INVALID_ARGUMENT MORE_THAN_OVERPAID on that day or today.
    """
    day = p.day(command.refund_date, "refund_date")
    refund = money.Refund(
        reference=command.reference,
        amount_fen=command.amount_fen,
        refund_date=day_message(day),
    )
    for known in p.case.account.refunds:
        if known.reference == command.reference:
            if known == refund:
                return []
            raise _reused(p, known.reference, known.amount_fen, str(as_date(known.refund_date)))
    days = (day, p.today)
    over = min(statement(p.case.account, p.rules, each).overpaid_fen for each in days)
    if command.amount_fen > over:
        text = f"must not exceed what is overpaid, {over} fen"
        raise invalid_argument("MORE_THAN_OVERPAID", f"amount_fen {text}", [("amount_fen", text)])
    account = money.Account()
    account.CopyFrom(p.case.account)
    account.refunds.append(refund)
    occurrence = settled(p, account, last_plan(p))
    return [ev.OverpaymentRefunded(occurrence=occurrence, refund=refund)]


def reduce_surcharge(p: Proceeding, command: rpc_pb.ReduceSurchargeRequest) -> list[Event]:
    """Surcharge given up. Raises INVALID_ARGUMENT MORE_THAN_SURCHARGE beyond what is outstanding of it."""
    account = money.Account()
    account.CopyFrom(p.case.account)
    found = statement(account, p.rules, p.today)
    left = found.outstanding_fen - unpaid_fine(account, p.today)
    if command.amount_fen > left:
        text = f"must not exceed what is outstanding of the surcharge, {left} fen"
        raise invalid_argument("MORE_THAN_SURCHARGE", f"amount_fen {text}", [("amount_fen", text)])
    reduction = money.SurchargeReduction(
        amount_fen=command.amount_fen,
        reduce_date=day_message(p.today),
        reason=command.reason,
    )
    account.reductions.append(reduction)
    occurrence = settled(p, account, last_plan(p))
    return [ev.SurchargeReduced(occurrence=occurrence, reduction=reduction)]


def _recorded(p: Proceeding, payment: money.Payment) -> Event:
    account = money.Account()
    account.CopyFrom(p.case.account)
    account.payments.append(payment)
    plan = in_force(p)
    after = progressed(p, plan, account) if plan else None
    occurrence = settled(p, account, after or last_plan(p))
    return ev.PaymentRecorded(occurrence=occurrence, payment=payment, plan=after)


def _is_known(p: Proceeding, payment: money.Payment) -> bool:
    """Whether the bank reported it before. FAILED_PRECONDITION REFERENCE_REUSED if it was another."""
    for known in p.case.account.payments:
        if known.reference == payment.reference:
            if (known.amount_fen, known.pay_date) == (payment.amount_fen, payment.pay_date):
                return True
            raise _reused(p, known.reference, known.amount_fen, str(as_date(known.pay_date)))
    return False


def _reused(p: Proceeding, reference: str, amount_fen: int, day: str) -> StatusError:
    return p.refuse(
        "REFERENCE_REUSED",
        f"{reference} is recorded with {amount_fen} fen on {day}",
        reference=reference,
        amount_fen=str(amount_fen),
        day=day,
    )

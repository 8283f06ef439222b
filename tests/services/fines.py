"""A fine that was served, for tests of what becomes of it: commands, days that pass, and its statement."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.type.date_pb2 import Date

from bihuan.penalty.v1 import account_pb2 as pb
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from bihuan.penalty.v1 import penalty_case_pb2 as case_pb
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar, as_date
from services.penalty import payments, plans
from services.penalty.account import statement
from services.penalty.evolve import Event, evolve
from services.penalty.proceeding import Proceeding, due_date
from services.penalty.settlement import DUTIES, settled
from services.penalty.terms import bounds_of

BUILT_IN = WorkingCalendar.load().years
UP_TO_2026 = WorkingCalendar({year: BUILT_IN[year] for year in BUILT_IN if year <= 2026})
BOOK = RuleBook.load()
DONGGUAN = Rules(BOOK, UP_TO_2026, "441900")
BAOTOU = Rules(BOOK, UP_TO_2026, "150203")
SERVED = date(2026, 9, 18)  # a Friday; 15 days on is a holiday, so the fine is due on 2026-10-08
DUE = date(2026, 10, 8)
DAY = timedelta(days=1)
DECISIONS: dict[type, Callable[[Proceeding, Any], list[Event]]] = {
    rpc_pb.RecordPaymentRequest: payments.record_payment,
    rpc_pb.RefundOverpaymentRequest: payments.refund_overpayment,
    rpc_pb.ReduceSurchargeRequest: payments.reduce_surcharge,
    rpc_pb.ApplyForPlanRequest: plans.apply_for_plan,
    rpc_pb.GrantPlanRequest: plans.grant_plan,
    rpc_pb.RefusePlanRequest: plans.refuse_plan,
    rpc_pb.RevokePlanRequest: plans.revoke_plan,
    rpc_pb.ExcuseBreachRequest: plans.excuse_breach,
    rpc_pb.RecordVolunteerServiceRequest: plans.record_volunteer_service,
}


def message(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


def morning(day: date) -> datetime:
    """09:00 in Shanghai."""
    return datetime.combine(day, time(9), ZoneInfo("Asia/Shanghai")).astimezone(UTC)


def terms(*payments: tuple[date, int]) -> pb.PlanTerms:
    """A deferral if it is one payment, else instalments."""
    kind = pb.PLAN_KIND_DEFERRAL if len(payments) == 1 else pb.PLAN_KIND_INSTALMENTS
    planned = [pb.PlannedPayment(due_date=message(day), amount_fen=fen) for day, fen in payments]
    return pb.PlanTerms(kind=kind, payments=planned)


def account(fine_fen: int, served: date = SERVED, rules: Rules = DONGGUAN) -> pb.Account:
    """What service of a decision opens."""
    due = rules.deadline("penalty.payment", served, "").due_date
    return pb.Account(
        original_fine_fen=fine_fen,
        fine_fen=fine_fen,
        terms=[pb.PaymentTerm(from_date=message(served), due_date=due)],
        surcharge_rule=rules.reference("penalty.surcharge", served),
        surcharge_base=pb.SURCHARGE_BASE_UNPAID,
    )


@dataclass
class Fine:
    """A case in which a fine was served, on the day `today`, under the law as it is known."""

    fine_fen: int = 100_000_00
    today: date = SERVED
    rules: Rules = DONGGUAN
    served: date = SERVED
    case: case_pb.PenaltyCase = field(init=False)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        decision = case_pb.Decision(fine_fen=self.fine_fen, decide_date=message(self.served))
        standing = case_pb.Standing(state=case_pb.STATE_PAYING, unpaid_fine_fen=self.fine_fen)
        self.start = case_pb.PenaltyCase(
            name="penaltyCases/1",
            respondent=case_pb.Respondent(display_name="东莞某纸业有限公司", uscc="9144"),
            decision=decision,
            standing=standing,
            account=account(self.fine_fen, self.served, self.rules),
        )
        self.case = self.start
        p = self.proceeding
        standing.deadlines.extend(
            [
                p.open(
                    case_pb.DUTY_PAYMENT, "penalty.payment", self.served, amount_fen=self.fine_fen
                ),
                p.open(case_pb.DUTY_SUIT, "remedy.suit", self.served),
            ]
        )
        self.start.standing.CopyFrom(standing)

    @property
    def proceeding(self) -> Proceeding:
        return Proceeding(self.case, "officer", self.rules, morning(self.today))

    def take(self, events: Iterable[Event]) -> list[str]:
        """Fold events that were decided on; their names."""
        events = list(events)
        for event in events:
            self.case = evolve(self.case, event)
        self.events += events
        return [event.DESCRIPTOR.name for event in events]

    def do(self, command: Any) -> list[str]:
        """Carry out a command; the names of its events."""
        return self.take(DECISIONS[type(command)](self.proceeding, command))

    def refused(self, command: Any) -> StatusError:
        """Why a command is refused; the case is left as it was."""
        before = self.case.SerializeToString(deterministic=True)
        with pytest.raises(StatusError) as refusal:
            self.do(command)
        assert self.case.SerializeToString(deterministic=True) == before
        return refusal.value

    def until(self, day: date) -> list[str]:
        """Let days pass, each deadline about money that passes told at once; the names of the events."""
        told = []
        while ended := [each for each in self._awaited() if due_date(each.deadline) < day]:
            self.today = max(self.today, due_date(ended[0].deadline) + DAY)
            told += self.take(plans.expire(self.proceeding, ended[0]))
        self.today = day
        return told

    def _awaited(self) -> list[case_pb.OpenDeadline]:
        return [each for each in self.case.standing.deadlines if each.duty in DUTIES]

    def pay(self, fen: int, on: date | None = None, reference: str = "") -> list[str]:
        """A payment reported today."""
        number = reference or f"P{len(self.case.account.payments) + 1}"
        day = message(on or self.today)
        return self.do(rpc_pb.RecordPaymentRequest(reference=number, amount_fen=fen, pay_date=day))

    def apply(self, **fields: Any) -> list[str]:
        """An application today."""
        grounds = [pb.HARDSHIP_GROUND_BUSINESS]
        return self.do(rpc_pb.ApplyForPlanRequest(grounds=grounds, statement="订单骤减", **fields))

    def grant(self, *payments: tuple[date, int]) -> list[str]:
        """The application granted today."""
        return self.do(rpc_pb.GrantPlanRequest(terms=terms(*payments), reasons="情况属实"))

    def sue(self) -> list[str]:
        """A suit accepted today."""
        kind, day = case_pb.Remedy.KIND_SUIT, message(self.today)
        remedy = case_pb.Remedy(kind=kind, accept_date=day, fine_fen=self.case.account.fine_fen)
        occurrence = self.proceeding.occurrence(closes=[case_pb.DUTY_SUIT])
        return self.take([ev.RemedyAccepted(occurrence=occurrence, remedy=remedy)])

    def conclude(self, fen: int) -> list[str]:
        """The suit concluded today, the fine being `fen` after it."""
        p, remedy, account = self.proceeding, case_pb.Remedy(), pb.Account()
        remedy.CopyFrom(self.case.remedies[-1])
        changed = fen != remedy.fine_fen
        remedy.outcome = remedy.OUTCOME_CHANGED if changed else remedy.OUTCOME_UPHELD
        remedy.fine_fen = fen
        remedy.conclude_date.CopyFrom(message(self.today))
        account.CopyFrom(self.case.account)
        account.fine_fen = fen
        account.pauses[-1].to_date.CopyFrom(message(self.today))
        plan = plans.after_change(p, fen)
        occurrence = settled(p, account, plan or plans.last_plan(p))
        return self.take([ev.RemedyConcluded(occurrence=occurrence, remedy=remedy, plan=plan)])

    def let_time_to_sue_end(self) -> None:
        """The right lapses."""
        kept = [each for each in self.case.standing.deadlines if each.duty != case_pb.DUTY_SUIT]
        standing = self._copy().standing
        del standing.deadlines[:]
        standing.deadlines.extend(kept)

    def _copy(self) -> case_pb.PenaltyCase:
        copy = case_pb.PenaltyCase()
        copy.CopyFrom(self.case)
        self.case = copy
        return copy

    def bounds(self) -> Any:
        return bounds_of(self.proceeding)

    def owes(self, on: date | None = None) -> pb.AccountStatement:
        """The statement."""
        return statement(self.case.account, self.rules, on or self.today)

    @property
    def plan(self) -> pb.Plan:
        return self.case.plans[-1]

    @property
    def plan_state(self) -> str:
        return str(pb.Plan.State.Name(self.plan.state)).removeprefix("STATE_")

    @property
    def states(self) -> list[str]:
        """The states of the last plan's instalments."""
        names = (pb.Instalment.State.Name(each.state) for each in self.plan.instalments)
        return [name.removeprefix("STATE_") for name in names]

    @property
    def open(self) -> dict[str, date]:
        """The duties open, with their last day."""
        return {
            case_pb.Duty.Name(each.duty).removeprefix("DUTY_"): due_date(each.deadline)
            for each in self.case.standing.deadlines
        }

    @property
    def overdue(self) -> set[str]:
        names = map(case_pb.Duty.Name, self.case.standing.overdue)
        return {name.removeprefix("DUTY_") for name in names}

    @property
    def state(self) -> str:
        return str(case_pb.State.Name(self.case.standing.state)).removeprefix("STATE_")

    def replayed(self) -> case_pb.PenaltyCase:
        """The case folded again from its events."""
        case = self.start
        for event in self.events:
            case = evolve(case, event)
        return case


def days(plan: pb.Plan) -> list[date]:
    """The last days of its instalments."""
    return [due_date(each.deadline) for each in plan.instalments]


def planned(offered: pb.PlanTerms) -> list[tuple[date, int]]:
    """Days and fen of terms."""
    return [(as_date(each.due_date), each.amount_fen) for each in offered.payments]


def reading(rule_id: str, choice: str, rules: Rules = DONGGUAN) -> Rules:
    """The law where that rule is read in another way."""
    book = RuleBook.load()
    versions = book._versions[rule_id]
    book._versions[rule_id] = [each.model_copy(update={"choice": choice}) for each in versions]
    return replace(rules, book=book)

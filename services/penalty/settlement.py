"""Where a case stands once something about its money has changed. Pure."""

from collections.abc import Collection, Iterable
from datetime import date

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from services.penalty.account import (
    IN_FORCE,
    INSTALMENT,
    PLAN,
    missed,
    service_owed,
    statement,
    unpaid_fine,
)
from services.penalty.proceeding import Proceeding

COURT_APPLICATION = "enforcement.court_application"
# What a plan in force stands in place of, and what it brings.
UNPLANNED = frozenset({pb.DUTY_PAYMENT, pb.DUTY_DEMAND, pb.DUTY_COURT_APPLICATION})
PLANNED = frozenset({pb.DUTY_INSTALMENT, pb.DUTY_GRACE, pb.DUTY_BREACH, pb.DUTY_VOLUNTEER_SERVICE})
DUTIES = UNPLANNED | PLANNED | {pb.DUTY_APPLICATION_REVIEW}
OWING = frozenset({pb.STATE_PAYING, pb.STATE_ENFORCING})


def settled(
    p: Proceeding,
    account: money.Account,
    plan: money.Plan | None,
    *,
    opens: Iterable[pb.OpenDeadline] = (),
    closes: Collection[pb.Duty.ValueType] = (),
    passed: pb.OpenDeadline | None = None,
    state: pb.State.ValueType | None = None,
    ended: date | None = None,
) -> ev.Occurrence:
    """What an event says that leaves the case with this account and this plan, the last one if any.

    The case is PERFORMED once nothing is outstanding today. Of the plan in force the next instalment is
    open; a plan that ended with something outstanding leaves payment overdue, and the application to the
    court opens if the time to sue is over. opens, closes: duties besides, about money or not; passed: a
    deadline just missed; state: where the case goes for other reasons; ended: the day on which the plan
    ended, if not today.
    """
    standing, ends = p.case.standing, {*DUTIES, *closes}
    owed = statement(account, p.rules, p.today).outstanding_fen
    performed = not owed and (state or standing.state) in OWING
    after = _After(plan, bool(owed), unpaid_fine(account, p.today))
    kept = [each for each in standing.deadlines if each.duty in DUTIES - set(closes)]
    found = [*(each for each in kept if each != passed), *opens]
    overdue = DUTIES.intersection(standing.overdue) - set(closes)
    if passed:
        overdue |= {passed.duty}
    if owed and standing.plan and not after.in_force:
        overdue |= {pb.DUTY_PAYMENT}
        if may_go_to_court(p.case) and not p.opened(pb.DUTY_COURT_APPLICATION):
            found.append(p.open(pb.DUTY_COURT_APPLICATION, COURT_APPLICATION, ended or p.today))
    return p.occurrence(
        pb.STATE_PERFORMED if performed else state,
        opens=after.deadlines(found),
        closes=ends,
        misses={duty for duty in overdue if after.is_due(duty)},
        plan=plan.number if plan and after.in_force else 0,
        unpaid_fine_fen=after.unpaid_fen,
    )


def may_go_to_court(case: pb.PenaltyCase) -> bool:
    """The time to sue is over, no remedy is pending, and the court was not applied to."""
    rights = {pb.DUTY_RECONSIDERATION, pb.DUTY_SUIT}
    pending = any(each.outcome == pb.Remedy.OUTCOME_UNSPECIFIED for each in case.remedies)
    suable = any(each.duty in rights for each in case.standing.deadlines)
    return case.standing.state == pb.STATE_PAYING and not pending and not suable


class _After:
    """Which duties stand beside a plan and what is owed."""

    def __init__(self, plan: money.Plan | None, owing: bool, unpaid_fen: int) -> None:
        self.plan = plan or money.Plan()
        self.in_force = self.plan.state in IN_FORCE
        self.owing, self.unpaid_fen = owing, unpaid_fen

    def is_due(self, duty: pb.Duty.ValueType) -> bool:
        """Whether the duty can be open or overdue."""
        if duty not in DUTIES:
            return True
        if duty == pb.DUTY_VOLUNTEER_SERVICE:
            kept = self.in_force or self.plan.state == PLAN.STATE_COMPLETED
            return kept and service_owed(self.plan)
        if not self.owing:
            return False
        if duty == pb.DUTY_BREACH:
            return self.plan.state == PLAN.STATE_BREACHED
        if duty in PLANNED:
            return self.in_force and bool(missed(self.plan))
        return not (self.in_force and duty in UNPLANNED)

    def deadlines(self, found: Iterable[pb.OpenDeadline]) -> list[pb.OpenDeadline]:
        """Those of `found` that stand, each with its amount as it is now, and the next instalment."""
        after = [stands for each in found if (stands := self._stands(each))]
        ahead = (each for each in self.plan.instalments if each.state == INSTALMENT.STATE_DUE)
        if self.in_force and (instalment := next(ahead, None)):
            opened = pb.OpenDeadline(
                duty=pb.DUTY_INSTALMENT,
                party=pb.PARTY_RESPONDENT,
                deadline=instalment.deadline,
                amount_fen=instalment.amount_fen - instalment.paid_fen,
                instalment=instalment.number,
            )
            after.append(opened)
        return after

    def _stands(self, deadline: pb.OpenDeadline) -> pb.OpenDeadline | None:
        if deadline.duty == pb.DUTY_INSTALMENT or not self.is_due(deadline.duty):
            return None
        after = pb.OpenDeadline()
        after.CopyFrom(deadline)
        if deadline.duty == pb.DUTY_PAYMENT:
            after.amount_fen = self.unpaid_fen
        if deadline.duty == pb.DUTY_GRACE:
            instalment = self.plan.instalments[deadline.instalment - 1]
            if instalment not in missed(self.plan) or self.plan.state != PLAN.STATE_IN_GRACE:
                return None
            after.amount_fen = instalment.amount_fen - instalment.paid_fen
        return after

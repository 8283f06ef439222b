"""What follows when a deadline's time comes, or a calendar moves it. Pure."""

from dataclasses import replace
from typing import Any

from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.types.v1.deadline_pb2 import Deadline
from rules import as_date
from services import deadlines
from services.penalty import plans
from services.penalty.defence import DEFENCE
from services.penalty.evolve import Event, evolve
from services.penalty.proceeding import RIGHTS, Proceeding, due_date
from services.penalty.remedies import court_window
from services.penalty.settlement import DUTIES, settled

# The duty of the bureau that a command fulfils, and the field that says when; on the day it comes if none.
FULFILS: dict[type[Any], tuple[pb.Duty.ValueType, str]] = {
    rpc_pb.FileCaseRequest: (pb.DUTY_FILING, ""),
    rpc_pb.DeclineFilingRequest: (pb.DUTY_FILING, ""),
    rpc_pb.DecideCaseRequest: (pb.DUTY_DECISION, ""),
    rpc_pb.ServeDecisionRequest: (pb.DUTY_SERVICE, "act_date"),
    rpc_pb.PublishDecisionRequest: (pb.DUTY_PUBLICATION, "publish_date"),
    rpc_pb.WithdrawPublicationRequest: (pb.DUTY_PUBLICATION_WITHDRAWAL, ""),
    rpc_pb.RecordReinspectionRequest: (pb.DUTY_REINSPECTION, "inspect_date"),
    pay_pb.GrantPlanRequest: (pb.DUTY_APPLICATION_REVIEW, ""),
    pay_pb.RefusePlanRequest: (pb.DUTY_APPLICATION_REVIEW, ""),
}


def expire(p: Proceeding, command: rpc_pb.ExpireDeadlineRequest) -> list[Event]:
    """A right lapses, a duty is overdue. Nothing if it was met, moved, or its time has not come."""
    if moved := _recounted(p, 0):
        return [moved]
    for each in p.case.standing.deadlines:
        if each.deadline.id == command.deadline_id and deadlines.passed(each.deadline, p.now):
            return _passed(p, each)
    return []


def unseen(p: Proceeding, command: Any) -> list[Event]:
    """That a duty is fulfilled after its time, where nobody has told yet that the time had come."""
    duty, field = FULFILS.get(type(command), (pb.DUTY_UNSPECIFIED, ""))
    day = as_date(getattr(command, field)) if field else p.today
    late = [
        each
        for each in p.case.standing.deadlines
        if each.duty == duty and due_date(each.deadline) < day
    ]
    return [event for each in late[:1] if not _recounted(p, 0) for event in _passed(p, each)]


def recount(p: Proceeding, command: rpc_pb.RecountDeadlinesRequest) -> list[Event]:
    """Deadlines counted again: provisional ones, and those counted into the year published."""
    moved = _recounted(p, command.calendar_year)
    return [moved] if moved else []


def _passed(p: Proceeding, passed: pb.OpenDeadline) -> list[Event]:
    if passed.duty in DUTIES:
        return plans.expire(p, passed)
    if passed.duty not in RIGHTS:
        occurrence = p.occurrence(closes={passed.duty}, misses={passed.duty})
        return [ev.DeadlinePassed(occurrence=occurrence, deadline=passed, missed=True)]
    lapsed = p.occurrence(
        pb.STATE_TO_DECIDE if _heard(p.case, passed) else None,
        opens=_after_lapse(p, passed),
        closes={passed.duty},
    )
    return [ev.DeadlinePassed(occurrence=lapsed, deadline=passed)]


def _heard(case: pb.PenaltyCase, lapsed: pb.OpenDeadline) -> bool:
    """Whether the party's days to state and to ask for a hearing are all over, unused or not."""
    if case.standing.state != pb.STATE_NOTIFIED or lapsed.duty not in DEFENCE:
        return False
    left = {each.duty for each in case.standing.deadlines} - {lapsed.duty}
    return not left & DEFENCE


def _after_lapse(p: Proceeding, lapsed: pb.OpenDeadline) -> list[pb.OpenDeadline]:
    """The way to the court, once nobody can sue any more and something is unpaid without a plan."""
    standing = p.case.standing
    unpaid = standing.state == pb.STATE_PAYING and not standing.plan
    return [court_window(p)] if lapsed.duty == pb.DUTY_SUIT and unpaid else []


def _recounted(p: Proceeding, year: int) -> ev.DeadlinesRecounted | None:
    def again(deadline: Deadline) -> Deadline:
        return deadlines.again(deadline, year, True, p.rules, p.now)

    opens, moved = [], []
    for each in p.case.standing.deadlines:
        counted = pb.OpenDeadline()
        counted.CopyFrom(each)
        counted.deadline.CopyFrom(again(each.deadline))
        opens.append(counted)
        if counted != each:
            moved.append(each.deadline.id)
    plan = plans.recount(p, again)
    if not moved and plan is None:
        return None
    occurrence = p.occurrence(
        opens=opens,
        closes={each.duty for each in opens},
        misses=set(p.case.standing.overdue),
    )
    event = ev.DeadlinesRecounted(occurrence=occurrence, deadline_ids=moved, plan=plan)
    after = evolve(p.case, event)
    if after.account != p.case.account:
        # With the payment date the surcharge moves: it may be that nothing is owed any more.
        then = replace(p, case=after)
        event.occurrence.CopyFrom(settled(then, after.account, plans.last_plan(then)))
    return event

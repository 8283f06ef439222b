"""What follows when a deadline's time comes, or a calendar moves it. Pure."""

from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.types.v1.deadline_pb2 import Deadline
from services import deadlines
from services.penalty import plans
from services.penalty.defence import DEFENCE
from services.penalty.evolve import Event
from services.penalty.proceeding import RIGHTS, Proceeding
from services.penalty.remedies import court_window
from services.penalty.settlement import DUTIES


def expire(p: Proceeding, command: rpc_pb.ExpireDeadlineRequest) -> list[Event]:
    """A right lapses, a duty is overdue. Nothing if it was met, moved, or its time has not come."""
    if moved := _recounted(p, 0):
        return [moved]
    for each in p.case.standing.deadlines:
        if each.deadline.id == command.deadline_id and deadlines.passed(each.deadline, p.now):
            return _passed(p, each)
    return []


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
    return ev.DeadlinesRecounted(occurrence=occurrence, deadline_ids=moved, plan=plan)

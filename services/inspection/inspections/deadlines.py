"""What follows when a deadline's time comes, a calendar moves it, or the inspection is called off. Pure."""

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from services import deadlines
from services.inspection.inspections.evolve import Event
from services.inspection.inspections.on_site import require_not_begun
from services.inspection.inspections.participation import silence
from services.inspection.inspections.proceeding import Proceeding


def expire(p: Proceeding, command: rpc_pb.ExpireDeadlineRequest) -> list[Event]:
    """An invitation is answered by silence, a duty is overdue. Nothing if it was met, moved, or its time has
    not come.
    """
    if moved := _recounted(p, 0):
        return [moved]
    for each in p.inspection.standing.deadlines:
        if each.deadline.id == command.deadline_id and deadlines.passed(each.deadline, p.now):
            return silence(p, each) if each.duty == pb.DUTY_ANSWER else [_missed(p, each)]
    return []


def recount(p: Proceeding, command: rpc_pb.RecountDeadlinesRequest) -> list[Event]:
    """Deadlines counted again: provisional ones, and those counted into the year published."""
    moved = _recounted(p, command.calendar_year)
    return [moved] if moved else []


def cancel(p: Proceeding, command: rpc_pb.CancelInspectionRequest) -> list[Event]:
    """Called off: nothing is due any more, its code is revoked, its tasks are open again. Not once somebody
    was there.
    """
    require_not_begun(p)
    standing = p.inspection.standing
    closes = {*(each.deadline.id for each in standing.deadlines), *standing.overdue}
    occurrence = p.occurrence(pb.STATE_CANCELLED, closes=closes)
    return [ev.InspectionCancelled(occurrence=occurrence, reason=command.reason)]


def _missed(p: Proceeding, passed: pb.OpenDeadline) -> ev.DeadlinePassed:
    occurrence = p.occurrence(misses={passed.deadline.id})
    return ev.DeadlinePassed(occurrence=occurrence, deadline=passed, missed=True)


def _recounted(p: Proceeding, year: int) -> ev.DeadlinesRecounted | None:
    opens, moved = [], []
    for each in p.inspection.standing.deadlines:
        counted = pb.OpenDeadline()
        counted.CopyFrom(each)
        counted.deadline.CopyFrom(deadlines.again(each.deadline, year, True, p.rules, p.now))
        opens.append(counted)
        if counted != each:
            moved.append(each.deadline.id)
    if not moved:
        return None
    ids = {each.deadline.id for each in p.inspection.standing.deadlines}
    return ev.DeadlinesRecounted(
        occurrence=p.occurrence(opens=opens, closes=ids), deadline_ids=moved
    )

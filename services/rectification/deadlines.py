"""Which deadlines of a problem are open, and which of them a calendar may move. Pure."""

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.types.v1.deadline_pb2 import Deadline
from services.deadlines import due


def open_deadlines(deadlines: Iterable[Deadline]) -> list[pb.OpenDeadline]:
    """The days on which they end, in order, each with all that end on it."""
    days: dict[int, list[Deadline]] = {}
    for deadline in sorted(deadlines, key=due):
        days.setdefault(due(deadline), []).append(deadline)
    return [_day(ending) for ending in days.values()]


def _day(ending: list[Deadline]) -> pb.OpenDeadline:
    reminders = {time.ToNanoseconds() for each in ending for time in each.remind_times}
    day = pb.OpenDeadline(
        deadline_ids=[each.id for each in ending],
        due_date=ending[0].due_date,
        due_time=ending[0].due_time,
    )
    for nanoseconds in sorted(reminders):
        time = Timestamp()
        time.FromNanoseconds(nanoseconds)
        day.remind_times.append(time)
    return day


def is_awaited(item: pb.RectificationItem) -> bool:
    """Whether the item is still to be handed in, and nobody has said that it is overdue."""
    return item.state == pb.RectificationItem.STATE_OUTSTANDING and not item.overdue


def with_deadline(item: pb.RectificationItem, deadline: Deadline) -> pb.RectificationItem:
    """`item` with this deadline; it is not overdue by another."""
    changed = pb.RectificationItem()
    changed.CopyFrom(item)
    changed.deadline.CopyFrom(deadline)
    changed.overdue = item.overdue and deadline == item.deadline
    return changed


def movable(problem: pb.Problem) -> list[Deadline]:
    """The deadlines that a calendar may move, if they have not passed."""
    if not problem.HasField("next_step"):
        return []
    found = [
        item.deadline
        for item in problem.items
        if item.state != pb.RectificationItem.STATE_ACCEPTED and not item.overdue
    ]
    if problem.next_step.step != pb.STEP_RECTIFY and not problem.overdue:
        found.append(problem.next_step.deadline)
    if problem.escalation.HasField("next_deadline"):
        found.append(problem.escalation.next_deadline)
    return found

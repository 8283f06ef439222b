"""Which deadlines have passed, and which of them a calendar may still move. Pure."""

from datetime import datetime
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.types.v1.deadline_pb2 import Deadline
from rules import Rules


class Ending(Protocol):
    """What ends at an instant."""

    @property
    def due_time(self) -> Timestamp: ...


def passed(deadline: Ending, now: datetime) -> bool:
    """Whether it has ended at `now` (UTC)."""
    return deadline.due_time.ToDatetime(now.tzinfo) <= now


def due(deadline: Deadline) -> int:
    """What deadlines are ordered by."""
    return deadline.due_time.ToNanoseconds()


def counted_into(deadline: Deadline, year: int) -> bool:
    """Whether days of that year were looked at to count it."""
    return bool(deadline.origin_date.year <= year <= deadline.due_date.year)


def may_move(deadline: Deadline, year: int, awaited: bool, now: datetime) -> bool:
    """Whether the calendar of `year` may move it. `awaited`: its miss is not recorded.

    What has passed stays, unless that was by a calendar not known then and nobody has acted on it.
    """
    if passed(deadline, now):
        return awaited and deadline.provisional
    return deadline.provisional or counted_into(deadline, year)


def again(deadline: Deadline, year: int, awaited: bool, rules: Rules, now: datetime) -> Deadline:
    """It, counted again by the calendars known now if the calendar of `year` may move it; else itself."""
    if not may_move(deadline, year, awaited, now):
        return deadline
    counted = rules.recount(deadline)
    # What the rule says of itself by now is no reason to move.
    counted.rule.CopyFrom(deadline.rule)
    return counted

"""When a loop acts by itself: reminders, ends of deadlines and whatever else is to happen at a time."""

from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from rules.clock import Clock

REMIND, DUE = "remind", "due"
# An expiry may reach a service whose clock lags: told again after a second, then ever more rarely.
AGAIN, LONGEST = timedelta(seconds=1), timedelta(hours=1)
DOUBLINGS = 12  # from a second to more than an hour


class Alarm(NamedTuple):
    """Something to do at a legal time unless an event comes first.

    day: what falls due; its alarms ring one after the other. due_date: the last day in time.
    """

    at: datetime
    kind: str
    day: str
    key: str
    deadline_id: str
    due_date: Date


class Ringing(Protocol):
    """What the state of every loop holds of its alarms."""

    @property
    def rung_alarms(self) -> MutableSequence[str]:
        """Keys of those that rang already."""

    @property
    def put_off(self) -> Any:
        """Repeated messages: key of the alarm, not_before, attempts."""


class Ending(Protocol):
    """What is known of a deadline: its last day, its end, and when to remind before it."""

    @property
    def due_date(self) -> Date:
        """The last day in time."""

    @property
    def due_time(self) -> Timestamp:
        """The instant from which it is overdue."""

    @property
    def remind_times(self) -> Iterable[Timestamp]:
        """When to remind."""


def of_deadline(deadline: Ending, deadline_id: str, day: str) -> Iterator[Alarm]:
    """The reminders of a deadline and its end."""
    for time in deadline.remind_times:
        at = time.ToDatetime(UTC)
        key = f"{day}/{REMIND}-{at:%Y%m%d}"
        yield Alarm(at, REMIND, day, key, deadline_id, deadline.due_date)
    at = deadline.due_time.ToDatetime(UTC)
    yield Alarm(at, DUE, day, f"{day}/{DUE}", deadline_id, deadline.due_date)


def armed(loop: Ringing, alarms: Iterable[Alarm]) -> list[Alarm]:
    """Of `alarms` those that are still to ring."""
    rung = set(loop.rung_alarms)
    return [alarm for alarm in alarms if alarm.key not in rung]


def next_alarm(
    loop: Ringing, alarms: Iterable[Alarm], clock: Clock
) -> tuple[datetime, Alarm] | None:
    """The alarm that rings next, and when (UTC, real time)."""
    not_before = {each.alarm: each.not_before.ToDatetime(UTC) for each in loop.put_off}
    waiting = [
        (max(clock.real(alarm.at), not_before.get(alarm.key, clock.real(alarm.at))), alarm)
        for alarm in armed(loop, alarms)
    ]
    return min(waiting, key=lambda each: each[0], default=None)


def ring(loop: Ringing, alarms: Sequence[Alarm], alarm: Alarm, now: datetime) -> Alarm:
    """What to do at `now` (legal) as `alarm` rings: of all that passed for its day while the loop could
    not run, the last. Reminders among them have rung; an end rings until the service agrees.
    """
    passed = [
        each
        for each in armed(loop, alarms)
        if each.day == alarm.day and each.at <= max(now, alarm.at)
    ]
    loop.rung_alarms.extend(each.key for each in passed if each.kind == REMIND)
    return max(passed, key=lambda each: each.at)


def attempt(loop: Ringing, alarm: Alarm) -> int:
    """How often the alarm was told, this time included."""
    told = [int(each.attempts) for each in loop.put_off if each.alarm == alarm.key]
    return 1 + sum(told)


def put_off(loop: Ringing, alarms: Iterable[Alarm], alarm: Alarm, now: datetime) -> None:
    """Ring again later than `now` (real), after twice the time of the last."""
    attempts = attempt(loop, alarm)
    kept = {each.key for each in armed(loop, alarms)} - {alarm.key}
    _keep(loop, kept)
    again = loop.put_off.add(alarm=alarm.key, attempts=attempts)
    again.not_before.FromDatetime(now + min(AGAIN * 2 ** min(attempts - 1, DOUBLINGS), LONGEST))


def settle(loop: Ringing, alarm: Alarm) -> None:
    """It has rung."""
    loop.rung_alarms.append(alarm.key)
    _keep(loop, {each.alarm for each in loop.put_off} - {alarm.key})


def date_text(day: Date) -> str:
    """A day as it stands in keys."""
    return f"{day.year:04}{day.month:02}{day.day:02}"


def _keep(loop: Ringing, keys: set[str]) -> None:
    kept = [each for each in loop.put_off if each.alarm in keys]
    del loop.put_off[:]
    loop.put_off.extend(kept)

"""When the loop of a problem acts by itself: reminders, ends of deadlines, rungs of the ladder."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from google.type.date_pb2 import Date

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from bihuan.rectification.v1.problem_loop_pb2 import ProblemStanding as Standing
from bihuan.rectification.v1.problem_loop_pb2 import PutOff
from rules.clock import Clock

REMIND, DUE, ESCALATE = "remind", "due", "escalate"
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


def alarms(case: Loop | Standing) -> list[Alarm]:
    """Of every open deadline its reminders and its end, and the next rung once one was missed."""
    found = [alarm for day in case.next_step.open_deadlines for alarm in _of(case, day)]
    if case.overdue and case.escalation.HasField("next_deadline"):
        rung = case.escalation.next_deadline
        day, at = f"{rung.id}@{_text(rung.due_date)}", rung.due_time.ToDatetime(UTC)
        found.append(Alarm(at, ESCALATE, day, f"{day}/{ESCALATE}", rung.id, rung.due_date))
    return found


def _of(case: Loop | Standing, deadline: pb.OpenDeadline) -> Iterator[Alarm]:
    # Not by the deadline's id: of several due on a day some may be handed in.
    step = pb.Step.Name(case.next_step.step).removeprefix("STEP_").lower()
    day = f"{step}-{case.round}@{_text(deadline.due_date)}"
    first, due_date = deadline.deadline_ids[0], deadline.due_date
    for time in deadline.remind_times:
        at = time.ToDatetime(UTC)
        yield Alarm(at, REMIND, day, f"{day}/{REMIND}-{at:%Y%m%d}", first, due_date)
    yield Alarm(deadline.due_time.ToDatetime(UTC), DUE, day, f"{day}/{DUE}", first, due_date)


def has_open(standing: Standing, alarm: Alarm) -> bool:
    """Whether the service has the very deadline open whose end the alarm is."""
    return alarm.key in {each.key for each in alarms(standing)}


def next_alarm(loop: Loop, clock: Clock) -> tuple[datetime, Alarm] | None:
    """The alarm that rings next, and when (UTC, real time)."""
    not_before = {each.alarm: each.not_before.ToDatetime(UTC) for each in loop.put_off}
    waiting = [
        (max(clock.real(alarm.at), not_before.get(alarm.key, clock.real(alarm.at))), alarm)
        for alarm in _armed(loop)
    ]
    return min(waiting, key=lambda each: each[0], default=None)


def ring(loop: Loop, alarm: Alarm, now: datetime) -> Alarm:
    """What to do at `now` (legal) as `alarm` rings: of all that passed for its day while the loop could
    not run, the last. Reminders among them have rung; an end rings until the service agrees.
    """
    passed = [
        each for each in _armed(loop) if each.day == alarm.day and each.at <= max(now, alarm.at)
    ]
    loop.rung_alarms.extend(each.key for each in passed if each.kind == REMIND)
    return max(passed, key=lambda each: each.at)


def attempt(loop: Loop, alarm: Alarm) -> int:
    """How often the alarm was told, this time included."""
    return 1 + sum(each.attempts for each in loop.put_off if each.alarm == alarm.key)


def put_off(loop: Loop, alarm: Alarm, now: datetime) -> None:
    """Ring again later than `now` (real), after twice the time of the last."""
    attempts = attempt(loop, alarm)
    again = PutOff(alarm=alarm.key, attempts=attempts)
    again.not_before.FromDatetime(now + min(AGAIN * 2 ** min(attempts - 1, DOUBLINGS), LONGEST))
    armed = {each.key for each in _armed(loop)} - {alarm.key}
    others = [each for each in loop.put_off if each.alarm in armed]
    del loop.put_off[:]
    loop.put_off.extend([*others, again])


def settle(loop: Loop, alarm: Alarm) -> None:
    """It has rung."""
    loop.rung_alarms.append(alarm.key)
    others = [each for each in loop.put_off if each.alarm != alarm.key]
    del loop.put_off[:]
    loop.put_off.extend(others)


def _armed(loop: Loop) -> list[Alarm]:
    rung = set(loop.rung_alarms)
    return [alarm for alarm in alarms(loop) if alarm.key not in rung]


def _text(day: Date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"

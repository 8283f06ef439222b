"""Counts legal periods and says step by step how each due date came about."""

import calendar as months
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from bihuan.types.v1.deadline_pb2 import (
    CONFIDENCE_HIGH,
    CONFIDENCE_LOW,
    CONFIDENCE_MEDIUM,
    Deadline,
    DeadlineStep,
    Period,
    RuleReference,
)
from rules.book import Rule
from rules.calendar import WorkingCalendar
from rules.clock import DAY, SHANGHAI
from rules.kinds import Unit

REMIND_AT = time(9)
UNITS = {
    Unit.WORKING_DAYS: Period.UNIT_WORKING_DAYS,
    Unit.CALENDAR_DAYS: Period.UNIT_CALENDAR_DAYS,
    Unit.MONTHS: Period.UNIT_MONTHS,
}
CONFIDENCES = {"HIGH": CONFIDENCE_HIGH, "MEDIUM": CONFIDENCE_MEDIUM, "LOW": CONFIDENCE_LOW}


def count(
    rule: Rule, period: Period, origin: date, deadline_id: str, calendar: WorkingCalendar
) -> Deadline:
    """The deadline `period` after `origin`, which is not counted (Civil Procedure Law art. 85)."""
    steps = _Steps(calendar)
    steps.add(DeadlineStep.KIND_ORIGIN, origin)
    if period.unit == Period.UNIT_WORKING_DAYS:
        last = steps.working_days(origin, period.length)
    else:
        last = _later(origin, period)
        steps.add(DeadlineStep.KIND_COUNTED, origin + DAY, last)
    deadline = Deadline(id=deadline_id, origin_date=as_message(origin), period=period)
    return _finish(deadline, rule, steps, last, calendar)


def last_day(rule: Rule, period: Period, origin: date, calendar: WorkingCalendar) -> date:
    """The due date that `count` explains, where nobody asks how it came about."""
    if period.unit == Period.UNIT_WORKING_DAYS:
        return _Steps(calendar).working_days(origin, period.length)
    last = _later(origin, period)
    return calendar.on_or_after(last) if rule.version.roll == "next_working_day" else last


def set_on(rule: Rule, due: date, deadline: Deadline, calendar: WorkingCalendar) -> Deadline:
    """`deadline` with its last day set to `due`, which lies after the steps that it has already.

    A set date rolls off a holiday whatever its rule says (Civil Procedure Law art. 85).
    """
    steps = _Steps(calendar, deadline.steps)
    if not steps.all:
        steps.add(DeadlineStep.KIND_ORIGIN, as_date(deadline.origin_date))
    steps.add(DeadlineStep.KIND_SET, as_date(steps.all[-1].last_date) + DAY, due)
    changed = Deadline(id=deadline.id, origin_date=deadline.origin_date, set_date=as_message(due))
    return _finish(changed, rule, steps, due, calendar)


def recount(rule: Rule, deadline: Deadline, calendar: WorkingCalendar) -> Deadline:
    """`deadline` counted again by `calendar`; equal to it if the calendar says nothing new."""
    if deadline.HasField("period"):
        origin = as_date(deadline.origin_date)
        return count(rule, deadline.period, origin, deadline.id, calendar)
    before = Deadline(id=deadline.id, origin_date=deadline.origin_date)
    sets = [n for n, step in enumerate(deadline.steps) if step.kind == DeadlineStep.KIND_SET]
    before.steps.extend(deadline.steps[: sets[-1]])
    return set_on(rule, as_date(deadline.set_date), before, calendar)


def explain(deadline: Deadline) -> list[str]:
    """How `deadline` came about, a line a step, in Chinese."""
    said = {
        DeadlineStep.KIND_ORIGIN: "起算日，当日不计",
        DeadlineStep.KIND_COUNTED: "计入",
        DeadlineStep.KIND_SKIPPED: "不计",
        DeadlineStep.KIND_ROLLED: "末日为休息日，顺延",
        DeadlineStep.KIND_SET: "末日经决定确定",
    }
    lines = [
        " ".join(filter(None, [_span(step), said[step.kind], step.reason]))
        for step in deadline.steps
    ]
    provisional = "（暂定，待节假日安排公布后重算）" if deadline.provisional else ""
    lines.append(f"期限届满日 {as_date(deadline.due_date)}{provisional}")
    lines.append(f"依据 {deadline.rule.citation}（{deadline.rule.id} {deadline.rule.version}）")
    return lines


def as_date(value: Date) -> date:
    """A google.type.Date as a date."""
    return date(value.year, value.month, value.day)


def as_message(day: date) -> Date:
    """A date as a google.type.Date."""
    return Date(year=day.year, month=day.month, day=day.day)


class _Steps:
    """Steps as they are made: days in order, neighbours of one kind and reason joined."""

    def __init__(self, calendar: WorkingCalendar, steps: Iterable[DeadlineStep] = ()) -> None:
        self.all = list(steps)
        self.provisional = False
        self._calendar = calendar

    def add(
        self,
        kind: DeadlineStep.Kind.ValueType,
        first: date,
        last: date | None = None,
        why: str = "",
    ) -> None:
        """A step from `first` to `last`, joined to the one before where that is of its kind."""
        last = last or first
        before = self.all[-1] if self.all else DeadlineStep()
        if (before.kind, before.reason) == (kind, why) and kind != DeadlineStep.KIND_SET:
            before.last_date.CopyFrom(as_message(last))
            return
        self.all.append(
            DeadlineStep(
                kind=kind, first_date=as_message(first), last_date=as_message(last), reason=why
            )
        )

    def working_days(self, origin: date, number: int) -> date:
        """Counts `number` working days after `origin`; the last of them."""
        day = origin
        while number:
            day += DAY
            if self.works(day):
                number -= 1
                self.add(DeadlineStep.KIND_COUNTED, day, why=self._calendar.day(day).reason)
            else:
                self.add(DeadlineStep.KIND_SKIPPED, day, why=self._calendar.day(day).reason)
        return day

    def roll(self, day: date) -> date:
        """The first working day from `day` on, a step made if that is another day."""
        while not self.works(day):
            self.add(DeadlineStep.KIND_ROLLED, day + DAY, why=self._calendar.day(day).reason)
            day += DAY
        return day

    def works(self, day: date) -> bool:
        found = self._calendar.day(day)
        self.provisional = self.provisional or not found.known
        return found.working


def _finish(
    deadline: Deadline, rule: Rule, steps: _Steps, last: date, calendar: WorkingCalendar
) -> Deadline:
    rolls = deadline.HasField("set_date") or rule.version.roll == "next_working_day"
    due = steps.roll(last) if rolls else last
    deadline.due_date.CopyFrom(as_message(due))
    deadline.due_time.CopyFrom(_instant(due + DAY, time()))
    origin = as_date(deadline.origin_date)
    for days in sorted(rule.version.remind_before, reverse=True):
        remind = _working_days_before(due, days, calendar)
        if remind > origin:
            deadline.remind_times.append(_instant(remind, REMIND_AT))
    deadline.provisional = steps.provisional
    deadline.rule.CopyFrom(reference(rule))
    deadline.steps.extend(steps.all)
    return deadline


def reference(rule: Rule) -> RuleReference:
    """What a fact keeps of the rule that it rests on."""
    return RuleReference(
        id=rule.id,
        version=rule.version_id,
        citation=rule.version.citation,
        confidence=CONFIDENCES[rule.version.confidence],
    )


def months_after(day: date, number: int) -> date:
    """The same day number `number` months later, or else that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + number, 12)
    return date(year, month + 1, min(day.day, months.monthrange(year, month + 1)[1]))


def _later(origin: date, period: Period) -> date:
    if period.unit == Period.UNIT_CALENDAR_DAYS:
        return origin + timedelta(days=period.length)
    return months_after(origin, period.length)


def _working_days_before(day: date, number: int, calendar: WorkingCalendar) -> date:
    while number:
        day -= DAY
        number -= calendar.day(day).working
    return day


def _instant(day: date, at: time) -> Timestamp:
    instant = Timestamp()
    instant.FromDatetime(datetime.combine(day, at, SHANGHAI).astimezone(UTC))
    return instant


def _span(step: DeadlineStep) -> str:
    first, last = as_date(step.first_date), as_date(step.last_date)
    return f"{first}" if first == last else f"{first} 至 {last}"

"""The calendar aggregate: a year's working days, published again when they change. Pure."""

from collections.abc import Iterable
from datetime import date, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.calendar.v1 import calendar_service_pb2 as pb
from rpc.errors import invalid_argument
from rules import YearCalendar


def decide(
    calendar: pb.Calendar, command: pb.PublishCalendarRequest, actor: str, now: datetime
) -> list[pb.CalendarPublished]:
    """What follows from `command` by `actor` at `now` (legal time, UTC); nothing if nothing changes.

    Raises INVALID_ARGUMENT for a day that does not exist, lies in another year, or is given twice.
    """
    holidays = _days(command.year, command.holidays, "holidays")
    working = _days(command.year, command.working_weekends, "working_weekends")
    for day in working:
        if day in holidays or day.weekday() < 5:
            raise invalid_argument(
                "NOT_A_WORKING_WEEKEND",
                f"{day} cannot be a working weekend",
                [("working_weekends", f"{day} is a weekday or a holiday")],
            )
    same = (list(calendar.holidays), list(calendar.working_weekends), calendar.source)
    if same == (list(command.holidays), list(command.working_weekends), command.source):
        return []
    published = pb.CalendarPublished(
        year=command.year,
        holidays=command.holidays,
        working_weekends=command.working_weekends,
        source=command.source,
        publisher=actor,
    )
    published.publish_time.FromDatetime(now)
    return [published]


def evolve(calendar: pb.Calendar, event: pb.CalendarPublished) -> pb.Calendar:
    """The calendar after `event`. Never fails."""
    return pb.Calendar(
        name=calendar.name,
        etag=calendar.etag,
        year=event.year,
        holidays=event.holidays,
        working_weekends=event.working_weekends,
        source=event.source,
        publish_time=Timestamp(seconds=event.publish_time.seconds, nanos=event.publish_time.nanos),
    )


def year_calendar(event: pb.CalendarPublished) -> YearCalendar:
    """What deadlines are counted by."""
    return YearCalendar(
        year=event.year,
        holidays=_days(event.year, event.holidays, "holidays"),
        working_weekends=_days(event.year, event.working_weekends, "working_weekends"),
        source=event.source,
    )


def _days(year: int, days: Iterable[pb.SpecialDay], field: str) -> dict[date, str]:
    found: dict[date, str] = {}
    for index, special in enumerate(days):
        path = f"{field}[{index}].date"
        try:
            day = date(special.date.year, special.date.month, special.date.day)
        except ValueError as error:
            raise invalid_argument(
                "INVALID_DATE", f"{path}: {error}", [(path, str(error))]
            ) from error
        if day.year != year or day in found:
            text = f"must be a day of {year}, given once"
            raise invalid_argument("INVALID_DATE", f"{path}: {text}", [(path, text)])
        found[day] = special.occasion
    return found

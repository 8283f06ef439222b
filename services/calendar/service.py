"""CalendarService: publishes the calendars that deadlines are counted by."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from google.type.date_pb2 import Date
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.calendar.v1 import calendar_service_pb2 as pb
from bihuan.calendar.v1 import calendar_service_pb2_grpc
from eventstore import EventStore
from rpc.errors import not_found
from rpc.identity import current_identity
from rules import Clock, YearCalendar
from services.aggregate import Aggregate, Commands
from services.calendar import model
from services.calendar.shelf import CATEGORY, CalendarShelf

Context: TypeAlias = Any


async def _no_view(conn: AsyncConnection, calendar: pb.Calendar) -> None:
    """Calendars are few; the shelf has them all."""


CALENDAR = Aggregate(
    category=CATEGORY,
    blank=lambda name: pb.Calendar(name=name),
    evolve=model.evolve,
    events=(pb.CalendarPublished,),
    project=_no_view,
    key=lambda name: uuid5(NAMESPACE_URL, f"bihuan:{name}"),
)


class CalendarService(calendar_service_pb2_grpc.CalendarServiceServicer):
    """Serves the calendars on the shelf."""

    def __init__(self, store: EventStore, shelf: CalendarShelf, clock: Clock) -> None:
        self._commands = Commands(store, CALENDAR)
        self._shelf = shelf
        self._clock = clock

    async def PublishCalendar(
        self, request: pb.PublishCalendarRequest, context: Context
    ) -> pb.Calendar:
        calendar = await self._commands.create(
            f"calendars/{request.year}",
            request,
            lambda known: model.decide(
                known, request, current_identity().subject, self._clock.now()
            ),
        )
        await self._shelf.require(request.year)
        return calendar

    async def GetCalendar(self, request: pb.GetCalendarRequest, context: Context) -> pb.Calendar:
        published, version = await self._commands.get(request.name)
        if version:
            return published
        year = int(request.name.rpartition("/")[2])
        known = self._shelf.rules.calendar.years.get(year)
        if known is None:
            raise not_found("bihuan.dev/Calendar", request.name)
        return _resource(known)


def _resource(calendar: YearCalendar) -> pb.Calendar:
    return pb.Calendar(
        name=f"calendars/{calendar.year}",
        year=calendar.year,
        holidays=_special(calendar.holidays),
        working_weekends=_special(calendar.working_weekends),
        source=calendar.source,
    )


def _special(days: Mapping[date, str]) -> list[pb.SpecialDay]:
    return [
        pb.SpecialDay(date=Date(year=day.year, month=day.month, day=day.day), occasion=occasion)
        for day, occasion in sorted(days.items())
    ]

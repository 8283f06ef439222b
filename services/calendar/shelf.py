"""The rules with the calendars known so far: those built in and those published since, by the feed."""

from typing import cast

from bihuan.calendar.v1.calendar_service_pb2 import CalendarPublished
from eventstore import EventStore, Filter, RecordedEvent
from rpc.errors import unavailable
from rules import RuleBook, Rules, WorkingCalendar
from services.calendar.model import year_calendar
from services.events import read

CATEGORY = "calendar.year"
CALENDARS = Filter(categories=(CATEGORY,))


class CalendarShelf:
    """Keeps `rules` current in one process. Catch up before serving, then follow."""

    def __init__(self, store: EventStore, book: RuleBook) -> None:
        self.rules = Rules(book, WorkingCalendar.load())
        self._store = store
        self._book = book
        self._position = 0

    async def catch_up(self) -> None:
        """Take in every calendar published so far."""
        while True:
            page = await self._store.read(self._position, 500, CALENDARS)
            for event in page.events:
                self._take(event)
            self._position = page.next
            if page.next == page.head:
                return

    async def follow(self) -> None:
        """Take in calendars as they are published, until cancelled."""
        async for event in self._store.follow(self._position, CALENDARS):
            self._take(event)

    async def require(self, year: int) -> None:
        """Make sure that the calendar of `year` is known here, or say UNAVAILABLE to retry."""
        await self.catch_up()
        if not self.rules.calendar.knows(year):
            raise unavailable("CALENDAR_UNKNOWN", f"the calendar of {year} is not published yet", 5)

    def _take(self, event: RecordedEvent) -> None:
        at = (event.stream, event.version, event.position)
        meant = read(event.type, event.data, *at, known=(CalendarPublished,))
        for published in cast(tuple[CalendarPublished, ...], meant):
            calendar = self.rules.calendar.with_year(year_calendar(published))
            self.rules = Rules(self._book, calendar)

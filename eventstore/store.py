"""The event store as its callers see it: append, load, read, follow, and claim a request."""

# ruff: noqa: A002 - `filter` is the word.

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import Any, NoReturn

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eventstore import requests
from eventstore.engine import backoff, driver, pause
from eventstore.errors import ForeignStream, WrongExpectedVersion
from eventstore.events import (
    EVERYTHING,
    MAX_DATA_BYTES,
    Filter,
    Metadata,
    NewEvent,
    Page,
    RecordedEvent,
)
from eventstore.feed import COLUMNS, advance, read_page, recorded
from eventstore.wakeup import Wakeup

APPEND = "SELECT eventstore.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
LOAD = (
    f"SELECT {COLUMNS} FROM eventstore.event e WHERE e.stream = $1 AND e.version > $2"
    " ORDER BY e.version"
)


class EventStore:
    """The log in one database. Make one a process; every method is safe to call concurrently.

    `append`, `load`, `claim` and `answer` work in the caller's transaction; the others use
    connections of their own. `poll` is how often, in seconds, waiting readers look unasked.
    """

    claim = staticmethod(requests.claim)
    answer = staticmethod(requests.answer)

    def __init__(self, engine: AsyncEngine, *, poll: float = 1.0) -> None:
        self.engine = engine
        self.poll = poll
        self._wakeup = Wakeup(engine)

    async def append(
        self,
        conn: AsyncConnection,
        stream: str,
        expected_version: int,
        events: Sequence[NewEvent],
        metadata: Metadata,
    ) -> int:
        """Append to `<domain>.<aggregate>-<id>`, all or nothing, and return its new version.

        A new stream is at version 0. Without events nothing happens. Raises WrongExpectedVersion,
        ForeignStream, or ValueError if an event is larger than MAX_DATA_BYTES.
        """
        if not events:
            return expected_version
        for event in events:
            if len(event.data) > MAX_DATA_BYTES:
                raise ValueError(f"{event.type} has {len(event.data)} bytes, over {MAX_DATA_BYTES}")
        parameters = (
            stream,
            expected_version,
            [event.id for event in events],
            [event.type for event in events],
            [event.data for event in events],
            metadata.actor,
            metadata.correlation_id,
            metadata.causation_id,
            metadata.request_id,
            metadata.traceparent,
        )
        try:
            return int((await conn.exec_driver_sql(APPEND, parameters)).scalar_one())
        except DBAPIError as error:
            _refused(error, stream, expected_version)

    async def load(
        self, conn: AsyncConnection, stream: str, after_version: int = 0
    ) -> list[RecordedEvent]:
        """The events of a stream in order; their `position` is None, it may not be dealt yet."""
        rows = await conn.exec_driver_sql(LOAD, (stream, after_version))
        return [recorded(row) for row in rows]

    async def read(self, after: int, limit: int, filter: Filter = EVERYTHING) -> Page:
        """Up to `limit` events after position `after`; everything committed before is in reach.

        A page may be empty while `next < head`: read on. Raises PositionBeyondHead.
        """
        async with self.engine.connect() as conn:
            return await read_page(await driver(conn), after, limit, filter)

    async def head(self) -> int:
        """The highest position, once everything committed has one."""
        async with self.engine.connect() as conn:
            return await advance(await driver(conn))

    def announce(self) -> None:
        """After a commit: have the new events dealt and readers woken, soon. Never raises."""
        self._wakeup.announce()

    async def pages(
        self,
        after: int,
        filter: Filter = EVERYTHING,
        limit: int = 500,
    ) -> AsyncGenerator[Page]:
        """Endless pages, each moving on from the last; goes on after PostgreSQL was away."""
        delays = backoff()
        while True:
            bell = self._wakeup.bell()
            try:
                page = await self.read(after, limit, filter)
            except Exception as error:
                await pause(error, delays, "the feed")
                continue
            delays = backoff()
            if page.next > after:
                yield page
                after = page.next
            if page.next == page.head:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.poll):
                        await bell.wait()

    async def follow(
        self,
        after: int = 0,
        filter: Filter = EVERYTHING,
    ) -> AsyncGenerator[RecordedEvent]:
        """Endless events after position `after`, each once, in order, soon after its commit."""
        async with aclosing(self.pages(after, filter)) as pages:
            async for page in pages:
                for event in page.events:
                    yield event

    async def close(self) -> None:
        """Finish announcing and stop listening. The engine stays its maker's to dispose of."""
        await self._wakeup.close()


def _refused(error: DBAPIError, stream: str, expected: int) -> NoReturn:
    cause: Any = error.orig.__cause__ if error.orig else None
    match getattr(cause, "sqlstate", None):
        case "BH001":
            raise WrongExpectedVersion(stream, expected, int(cause.detail)) from error
        case "42501":
            raise ForeignStream(str(cause)) from error
        case "42602":
            raise ValueError(str(cause)) from error
    raise error

"""The event store as its callers see it: append, load, read, follow, and claim a request."""

# ruff: noqa: A002 - `filter` is the word.

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eventstore import requests, snapshot
from eventstore.engine import Kept, backoff, begun, driver, engine_for, pause
from eventstore.errors import WrongExpectedVersion, refused
from eventstore.events import (
    EVERYTHING,
    Filter,
    Metadata,
    NewEvent,
    NewStream,
    Page,
    RecordedEvent,
    refuse_large,
)
from eventstore.feed import COLUMNS, advance, read_page, read_tail, recorded, streams_of
from eventstore.recorder import VERSION, Recorder, columns
from eventstore.wakeup import Wakeup

APPEND_NEW = "SELECT eventstore.append_each($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
APPEND = "SELECT eventstore.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
# The head by subqueries: so the partitions that cannot hold the stream are not looked at.
LOAD = (
    f"SELECT {COLUMNS}, NULL FROM eventstore.event e WHERE e.stream = $1 AND e.version > $2"
    " AND e.id >= (SELECT first_id FROM eventstore.stream WHERE stream = $1)"
    " AND e.id <= (SELECT last_id FROM eventstore.stream WHERE stream = $1) ORDER BY e.version"
)
# Of many streams, whatever lies between the first of their events and the last.
LOAD_MANY = (
    f"SELECT {COLUMNS}, NULL FROM eventstore.event e WHERE e.stream = ANY($1)"
    " AND e.id >= (SELECT min(first_id) FROM eventstore.stream WHERE stream = ANY($1))"
    " AND e.id <= (SELECT max(last_id) FROM eventstore.stream WHERE stream = ANY($1))"
    " ORDER BY e.stream, e.version"
)


class EventStore:
    """The log in one database. Make one a process; every method is safe to call concurrently.

    `append`, `load`, `claim`, `answer` and those of snapshots work in the caller's transaction; the
    others use connections of their own. `poll` is how often, in seconds, waiting readers look unasked.
    """

    claim = staticmethod(requests.claim)
    answer = staticmethod(requests.answer)
    load_from_snapshot = staticmethod(snapshot.load_from_snapshot)
    keep_snapshot = staticmethod(snapshot.keep_snapshot)

    def __init__(self, engine: AsyncEngine, *, poll: float = 1.0) -> None:
        self.engine = engine
        self.poll = poll
        self._reading = Kept(engine)
        self._wakeup = Wakeup(engine)
        self._recorder = Recorder(engine, self._wakeup.announce)

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
        refuse_large(events)
        connection = await begun(conn)
        try:
            version = await connection.fetchval(
                APPEND,
                stream,
                expected_version,
                [event.id for event in events],
                [event.type for event in events],
                [event.data for event in events],
                *metadata,
            )
        except asyncpg.PostgresError as error:
            refused(error, error)
        if version is None:
            actual = await connection.fetchval(VERSION, stream) or 0
            raise WrongExpectedVersion(stream, expected_version, actual)
        return int(version)

    async def append_new(self, conn: AsyncConnection, streams: Sequence[NewStream]) -> list[bool]:
        """Append the first events of many streams in one round trip; of each whether it was new. To one that
        was not, nothing is appended. Raises as `append`.
        """
        if not streams:
            return []
        refuse_large([event for stream in streams for event in stream.events])
        try:
            versions = await (await begun(conn)).fetchval(APPEND_NEW, *columns(streams))
        except asyncpg.PostgresError as error:
            refused(error, error)
        return [version is not None for version in versions]

    async def record(
        self, stream: str, expected_version: int, events: Sequence[NewEvent], metadata: Metadata
    ) -> int:
        """As `append`, in a transaction of the store's own, and announced. Under load it shares
        one with others of this process; each is refused, or durable, for itself.
        """
        if not events:
            return expected_version
        refuse_large(events)
        return await self._recorder.record(stream, expected_version, events, metadata)

    async def load(
        self, conn: AsyncConnection, stream: str, after_version: int = 0
    ) -> list[RecordedEvent]:
        """The events of a stream in order; their `position` is None, it may not be dealt yet."""
        rows = await driver(conn).fetch(LOAD, stream, after_version)
        return [recorded(row) for row in rows]

    async def load_many(self, conn: AsyncConnection, streams: Sequence[str]) -> list[RecordedEvent]:
        """As `load`, of whole streams, one after another."""
        return [recorded(row) for row in await (await begun(conn)).fetch(LOAD_MANY, streams)]

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection for a few quick reads, had for less than one of the engine. What it is used
        to write is rolled back.
        """
        return self._reading.connect()

    async def read(
        self, after: int, limit: int, filter: Filter = EVERYTHING, *, known_head: int = 0
    ) -> Page:
        """Up to `limit` events after position `after`.

        What was committed before is in reach, but for what another is dealing at this moment. A page
        may be empty while `next < head`: read on. `known_head` spares the look for newer events
        while there are some to read before it. Raises PositionBeyondHead.
        """
        async with self.reading() as conn:
            return await read_page(driver(conn), after, limit, filter, known_head)

    async def head(self) -> int:
        """The highest position, once everything committed has one."""
        async with self.reading() as conn:
            return await advance(driver(conn), wait=True)

    async def tail(self, limit: int, filter: Filter = EVERYTHING) -> list[RecordedEvent]:
        """The last `limit` events, in order."""
        async with self.reading() as conn:
            return await read_tail(driver(conn), limit, filter)

    async def streams_of(self, case: str) -> tuple[str, ...]:
        """The streams of a case, named by the UUID `case` or mentioning this text in an event.

        Looks at every event: for people, not for programs.
        """
        async with self.engine.connect() as conn:
            return await streams_of(driver(conn), case)

    def announce(self) -> None:
        """After a commit: have the new events dealt and readers woken, soon. Never raises."""
        self._wakeup.announce()

    async def pages(
        self,
        after: int,
        filter: Filter = EVERYTHING,
        limit: int = 1000,
    ) -> AsyncGenerator[Page]:
        """Endless pages, each moving on from the last; goes on after PostgreSQL was away."""
        delays = backoff()
        head = 0
        while True:
            bell = self._wakeup.bell()
            try:
                head = max(head, self._wakeup.head)
                page = await self.read(after, limit, filter, known_head=head)
            except Exception as error:
                await pause(error, delays, "the feed")
                head = 0  # an older copy may have been restored meanwhile
                continue
            delays = backoff()
            head = page.head
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
        """Finish announcing, stop listening, give back what is kept. The engine stays its maker's."""
        await self._recorder.close()
        await self._wakeup.close()
        await self._reading.close()


@asynccontextmanager
async def open_store(
    database_url: str, role: str | None = None, *, pool_size: int = 10
) -> AsyncGenerator[EventStore]:
    """The log of a database as `role`, with an engine of its own; both are closed with the block."""
    engine = engine_for(database_url, role, pool_size=pool_size)
    store = EventStore(engine)
    try:
        yield store
    finally:
        await store.close()
        await engine.dispose()

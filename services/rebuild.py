"""Builds a service's views again from the log beside the live ones, compares, and mends the live ones.

The log alone says what the views should be; no snapshot is looked at. Services go on meanwhile: only
where something differs are their writes held up, for as long as it takes to compare once more and to
take the differences over.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore import EventStore
from eventstore.wakeup import exclusive
from services import beside
from services.beside import Difference
from services.projections import PROJECTIONS, Projection

Progress = Callable[[int, int], None]
"""Told how many events were folded, and how many there are."""

STREAMS_AT_ONCE, EVENTS_AT_ONCE = 200, 2000
# Behind a lock that waits, every writer waits: it gives up soon and asks again.
LOCK_MILLISECONDS, LOCK_ATTEMPTS, LOCK_PAUSE_SECONDS = 3000, 20, 1.0
LOCK_NOT_HAD = ("55P03", "40P01")  # timed out, or deadlocked

FOLDED = 'CREATE TEMP TABLE folded (stream text COLLATE "C" PRIMARY KEY, version integer NOT NULL)'
# The heads are written in the transaction of the events, so none can be missed: no position is needed.
BEHIND = """
SELECT s.stream, s.version FROM eventstore.stream s LEFT JOIN pg_temp.folded f USING (stream)
WHERE s.stream > :after AND s.stream < :category || '.' AND f.version IS DISTINCT FROM s.version
ORDER BY s.stream LIMIT :limit
"""
NOTE = text("""
INSERT INTO pg_temp.folded VALUES (:stream, :version)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version
""")
READ = text("SELECT count(*), coalesce(sum(version), 0) FROM pg_temp.folded")
TOTAL = text("""
SELECT coalesce(sum(version), 0) FROM eventstore.stream
WHERE stream > :category || '-' AND stream < :category || '.'
""")


class WritersBusy(Exception):
    """A transaction holds on to the views: nothing was changed."""


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild read, and how each live table differed from it; `mended`: it no longer does."""

    service: str
    streams: int
    events: int
    tables: tuple[Difference, ...]
    mended: bool = False

    @property
    def differs(self) -> bool:
        """Whether a live table differed."""
        return any(self.tables)


async def rebuild(
    store: EventStore, service: str, *, only_check: bool, progress: Progress = lambda *_: None
) -> Rebuilt:
    """Rebuild the views of `service`, with an engine that acts as its role.

    Whatever ends it early leaves the live views as they were. Raises UnknownEvent, EventUnreadable,
    WritersBusy, or KeyError for a service without views.
    """
    projection = PROJECTIONS[service]
    async with exclusive(store.engine) as conn:
        rebuilding = _Rebuilding(store, conn, service, projection, progress)
        await rebuilding.build()
        found = await rebuilding.compare()
        if only_check or not found.differs:
            return found
        return await rebuilding.swap()


class _Rebuilding:
    def __init__(
        self,
        store: EventStore,
        conn: AsyncConnection,
        service: str,
        projection: Projection,
        progress: Progress,
    ) -> None:
        self._store = store
        self._conn = conn
        self._service = service
        self._aggregates = projection.aggregates
        self._tables = projection.tables
        self._progress = progress
        self._folded = self._total = 0

    async def build(self) -> None:
        """Fold every stream, a transaction for some at a time, until hardly any has moved since."""
        async with self._conn.begin():
            await beside.make(self._conn, self._tables)
            await self._conn.execute(text(FOLDED))
            for aggregate in self._aggregates:
                of = {"category": aggregate.category}
                self._total += await self._conn.scalar(TOTAL, of) or 0
        while await self._pass() > STREAMS_AT_ONCE:
            pass
        async with self._conn.begin():
            await beside.analyse(self._conn, self._tables)

    async def compare(self) -> Rebuilt:
        """Compare as of one moment, at which events and live views belong together. Nobody waits."""
        async with self._conn.begin():
            await self._conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            await self._catch_up()
            return await self._compared()

    async def swap(self) -> Rebuilt:
        """Stop writers, catch up, and let the live tables say what the log says."""
        for _ in range(LOCK_ATTEMPTS):
            try:
                return await self._swap()
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in LOCK_NOT_HAD:
                    raise
            await asyncio.sleep(LOCK_PAUSE_SECONDS)
        raise WritersBusy(
            f"a transaction holds on to the views of {self._service}: try again later"
        )

    async def _swap(self) -> Rebuilt:
        async with self._conn.begin():
            await self._conn.execute(text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
            names = ", ".join(table.fullname for table in self._tables)
            await self._conn.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
            await self._catch_up()
            found = await self._compared()
            for table, difference in zip(self._tables, found.tables, strict=True):
                if difference:
                    await beside.take_over(self._conn, table)
        return replace(found, mended=True)

    async def _compared(self) -> Rebuilt:
        found = [await beside.compare(self._conn, table) for table in self._tables]
        streams, events = (await self._conn.execute(READ)).one()
        return Rebuilt(self._service, streams, events, tuple(found))

    async def _pass(self) -> int:
        """Fold what is behind, each batch in its own transaction; how many streams that were."""
        folded = 0
        for aggregate in self._aggregates:
            after = f"{aggregate.category}-"
            while after:
                async with self._conn.begin():
                    count, after = await self._batch(aggregate, after)
                folded += count
        return folded

    async def _catch_up(self) -> None:
        """Fold what is behind in the transaction under way."""
        for aggregate in self._aggregates:
            after = f"{aggregate.category}-"
            while after:
                _, after = await self._batch(aggregate, after)

    async def _batch(self, aggregate: Any, after: str) -> tuple[int, str]:
        """Fold some streams behind, from `after` on; how many, and the last of them, "" at the end."""
        of = {"after": after, "category": aggregate.category, "limit": STREAMS_AT_ONCE}
        streams = _few([(row[0], row[1]) for row in await self._conn.execute(text(BEHIND), of)])
        if not streams:
            return 0, ""
        recorded = await self._store.load_many(self._conn, streams)
        notes = []
        for stream, events in groupby(recorded, attrgetter("stream")):
            state = aggregate.fold(aggregate.blank(""), events)
            await aggregate.project(self._conn, state)
            notes.append({"stream": stream, "version": int(state.etag)})
        await self._conn.execute(NOTE, notes)
        self._folded += len(recorded)
        self._total = max(self._total, self._folded)
        self._progress(self._folded, self._total)
        return len(notes), streams[-1]


def _few(heads: Sequence[tuple[str, int]]) -> list[str]:
    """As many streams, from the first, as have EVENTS_AT_ONCE together, but one at least."""
    streams: list[str] = []
    events = 0
    for stream, version in heads:
        events += version
        if streams and events > EVENTS_AT_ONCE:
            break
        streams.append(stream)
    return streams

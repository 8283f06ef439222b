"""A named reader that acts on events once: its checkpoint moves together with what it writes."""

# ruff: noqa: A002 - `filter` is the word.

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore.engine import backoff, pause
from eventstore.errors import CheckpointMoved
from eventstore.events import EVERYTHING, Filter, Page, RecordedEvent
from eventstore.store import EventStore
from eventstore.wakeup import exclusive

Handle = Callable[[AsyncConnection, Sequence[RecordedEvent]], Awaitable[None]]
Act = Callable[[Sequence[RecordedEvent]], Awaitable[None]]
_Take = Callable[[AsyncConnection, int, Page], Awaitable[None]]

LOCK = text("SELECT pg_try_advisory_lock(hashtextextended('eventstore.subscription/' || :name, 0))")
BEGIN = text("INSERT INTO eventstore.checkpoint VALUES (:name, 0) ON CONFLICT DO NOTHING")
POSITION = text("SELECT position FROM eventstore.checkpoint WHERE name = :name")
MOVE = text(
    "UPDATE eventstore.checkpoint SET position = :next, updated_at = clock_timestamp()"
    " WHERE name = :name AND position = :position"
)


class Subscription:
    """Delivers the events that pass `filter` in order, up to `batch` at a time.

    Whenever it has caught up, it lets `pause` seconds pass before it delivers again. Of all runners
    under one `name`, in any process, one delivers and the others stand by.
    """

    def __init__(
        self,
        store: EventStore,
        name: str,
        filter: Filter = EVERYTHING,
        *,
        batch: int = 100,
        pause: float = 0.0,
    ) -> None:
        self.name = name
        self._store = store
        self._filter = filter
        self._batch = batch
        self._pause = pause

    async def run(self, handle: Handle) -> None:
        """Wait for our turn, then deliver from the checkpoint on, until cancelled.

        What `handle` writes with the connection it is given commits together with the checkpoint.
        Its exceptions roll both back and end the run. A lost PostgreSQL does not: delivery resumes
        from the checkpoint, so effects outside the database may be repeated.
        """

        async def take(conn: AsyncConnection, position: int, page: Page) -> None:
            async with conn.begin():
                # First the checkpoint: a lost connection shows before the handler acts.
                await self._move(conn, position, page.next)
                if page.events:
                    await handle(conn, page.events)

        await self._run(take)

    async def run_outside(self, act: Act) -> None:
        """As `run`, for what acts outside the database alone, however long that takes.

        The checkpoint moves afterwards, so a crash repeats the last batch. No transaction is open
        meanwhile: it would hold up vacuuming, and `advance` could forget no id that came to nothing.
        """

        async def take(conn: AsyncConnection, position: int, page: Page) -> None:
            if page.events:
                await self._check(conn, position)
                await act(page.events)
            async with conn.begin():
                await self._move(conn, position, page.next)

        await self._run(take)

    async def position(self) -> int:
        """The position up to which everything was handled; 0 before the first run."""
        async with self._store.engine.connect() as conn:
            return await conn.scalar(POSITION, {"name": self.name}) or 0

    async def lag(self) -> int:
        """How many positions of the log are not handled yet."""
        position = await self.position()
        return await self._store.head() - position

    async def _run(self, take: _Take) -> None:
        delays = backoff()
        while True:
            try:
                async with self._turn() as conn:
                    delays = backoff()
                    await self._deliver(conn, take)
            except Exception as error:
                await pause(error, delays, f"subscription {self.name}")

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[AsyncConnection]:
        # The lock lives and dies with the connection that the handler writes on: no zombie can
        # commit. Asking again holds no snapshot; waiting in PostgreSQL would stop all vacuuming.
        async with exclusive(self._store.engine) as conn:
            while not await conn.scalar(LOCK, {"name": self.name}):
                await conn.commit()
                await asyncio.sleep(self._store.poll)
            await conn.commit()
            yield conn

    async def _deliver(self, conn: AsyncConnection, take: _Take) -> None:
        async with conn.begin():
            await conn.execute(BEGIN, {"name": self.name})
            position = int(await conn.scalar(POSITION, {"name": self.name}) or 0)
        async with aclosing(self._store.pages(position, self._filter, self._batch)) as pages:
            async for page in pages:
                await take(conn, position, page)
                position = page.next
                if position == page.head:
                    await asyncio.sleep(self._pause)

    async def _move(self, conn: AsyncConnection, position: int, to: int) -> None:
        moved = await conn.execute(MOVE, {"name": self.name, "position": position, "next": to})
        if moved.rowcount != 1:
            raise CheckpointMoved(f"checkpoint of {self.name} is no longer {position}")

    async def _check(self, conn: AsyncConnection, position: int) -> None:
        async with conn.begin():
            found = await conn.scalar(POSITION, {"name": self.name})
        if found != position:
            raise CheckpointMoved(f"checkpoint of {self.name} is no longer {position}")

"""Wakes the readers of one process soon after a commit, anywhere; polling covers what it misses."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eventstore.engine import Kept, backoff, driver

CHANNEL = "eventstore"
log = logging.getLogger(__name__)


class Wakeup:
    """Rings a bell whenever positions were dealt, and has them dealt after a commit."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.head = 0
        """The highest position that this process was told of."""
        self._engine = engine
        self._dealing = Kept(engine)
        self._bell = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._due = False

    def bell(self) -> asyncio.Event:
        """The next ring. Take it before reading, so that a ring while reading is not missed."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="eventstore.listen")
        return self._bell

    def announce(self) -> None:
        """Have positions dealt, and every process notified, in the background: one call at a time.

        Whoever deals notifies, and one does at a time: NOTIFY in each appending transaction would
        make all writers commit one after another.
        """
        self._due = True
        if self._announcing is None or self._announcing.done():
            self._announcing = asyncio.create_task(self._announce(), name="eventstore.announce")

    async def close(self) -> None:
        """Stop listening; what was announced is still dealt."""
        if self._announcing is not None:
            await self._announcing
        await self._dealing.close()
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None

    def _ring(self, *notification: Any) -> None:
        if notification:
            self.head = max(self.head, int(notification[-1]))
        self._bell.set()
        self._bell = asyncio.Event()

    async def _announce(self) -> None:
        while self._due:
            self._due = False
            try:
                async with self._dealing.connect() as conn:
                    # Waits its turn: the one dealing now may have looked before our commit.
                    await driver(conn).fetchval("SELECT eventstore.advance(true)")
            except Exception as error:
                log.warning("positions not dealt, the next reader will: %s", error)

    async def _listen(self) -> None:
        delays = backoff()
        while True:
            try:
                async with exclusive(self._engine) as conn:
                    connection = driver(conn)
                    lost = asyncio.Event()
                    connection.add_termination_listener(lambda _, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, self._ring)
                    delays = backoff()
                    self._ring()  # for what was missed while away
                    await lost.wait()
            except Exception as error:  # whatever it is: readers poll meanwhile
                log.warning("not listening for events, will try again: %s", error)
                await asyncio.sleep(next(delays))
            finally:
                self.head = 0  # an older copy may have been restored meanwhile


@asynccontextmanager
async def exclusive(engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
    """A connection that is closed afterwards, since it holds session state: LISTEN, or a lock."""
    async with engine.connect() as conn:
        try:
            yield conn
        finally:
            await conn.invalidate()

"""Connections to PostgreSQL: one kind of engine for all, and what counts as PostgreSQL lost."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

CONNECT_SECONDS = 10
log = logging.getLogger(__name__)
# 08 connection lost, 57P0x shutting down or starting up, 53 disk, memory or connections used up.
_LOST = ("08", "57P0", "53")


def engine_for(database_url: str, role: str | None = None, *, pool_size: int = 10) -> AsyncEngine:
    """An engine whose connections act as `role` from their first statement.

    `database_url` is any libpq URL: postgresql://user@host/name, or ?host=/dir for a Unix socket.
    The pool holds `pool_size` connections and as many again under load.
    """
    dsn = make_url(database_url).set(drivername="postgresql")
    # Dealing positions and claiming requests rely on a new snapshot for each statement; a page of
    # the log is no work for several processes. A client that hangs in a transaction would hold up
    # vacuuming, and the forgetting of ids that came to nothing.
    settings = {
        "idle_in_transaction_session_timeout": "5min",
        "default_transaction_isolation": "read committed",
        "timezone": "UTC",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
    }
    if role is not None:
        settings["role"] = role

    async def connect(*_: object, **__: object) -> Any:
        try:
            return await asyncpg.connect(
                dsn.render_as_string(hide_password=False),
                timeout=CONNECT_SECONDS,
                server_settings={"application_name": "bihuan", **settings},
            )
        except (OSError, TimeoutError) as error:
            where = f"{dsn.host or dsn.query.get('host', 'localhost')}/{dsn.database}"
            raise asyncpg.ConnectionFailureError(f"cannot reach {where}: {error}") from error

    engine = create_async_engine(
        dsn.set(drivername="postgresql+asyncpg"),
        async_creator=connect,
        pool_size=pool_size,
        max_overflow=pool_size,
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, *_: object) -> None:
    # asyncpg sees the socket close, so this finds a dead connection without a round trip.
    if connection.driver_connection.is_closed():
        raise DisconnectionError("PostgreSQL closed the connection")


def driver(connection: AsyncConnection) -> Any:
    """The asyncpg connection beneath: for the log's own statements, which SQLAlchemy would slow down.

    They are in the transaction that SQLAlchemy began by its first statement, or in none.
    """
    beneath = connection.sync_connection
    if beneath is None:
        raise RuntimeError("the connection is not open")
    return beneath.connection.driver_connection


class Kept:
    """Keeps one connection at hand, as to take one from the pool costs as much as a small read."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._free: AsyncConnection | None = None
        self._closed = False

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncConnection]:
        """The connection, or while another task has it one from the pool. Not after an error: then
        it goes back to the pool, which looks at it again.
        """
        conn, self._free = self._free, None
        if conn is not None and driver(conn).is_closed():
            await conn.close()
            conn = None
        if conn is None:
            conn = await self._engine.connect()
        kept = False
        try:
            yield conn
            if conn.in_transaction():
                await conn.rollback()
            if self._free is None and not self._closed:
                self._free, kept = conn, True
        finally:
            if not kept:
                await conn.close()

    async def close(self) -> None:
        """Give it back, or have it given back by whoever has it."""
        self._closed = True
        if self._free is not None:
            await self._free.close()
            self._free = None


async def begun(connection: AsyncConnection) -> Any:
    """As `driver`, with the transaction begun: SQLAlchemy begins one by its first statement only."""
    beneath = driver(connection)
    if not beneath.is_in_transaction():
        await connection.exec_driver_sql("SELECT")
    return beneath


def is_unavailable(error: BaseException) -> bool:
    """Whether `error` says that PostgreSQL is away for now: the same call may succeed later."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        error = error.orig or error
        # SQLAlchemy's own class again, around what asyncpg raised.
        error = error.__cause__ or error
    if isinstance(error, DisconnectionError | PoolExhausted):
        return True
    # What asyncpg says of a connection that was cut off in the middle of something.
    if isinstance(error, asyncpg.InternalClientError):
        return "cannot switch to state" in str(error)
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error)
    return str(getattr(error, "sqlstate", None) or "").startswith(_LOST)


async def pause(error: Exception, delays: Iterator[float], what: str) -> None:
    """Wait before `what` is tried again if PostgreSQL is away; raise any other error.

    A cancelled task may find PostgreSQL gone while it cleans up: it stays cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error
    if not is_unavailable(error):
        raise error
    log.warning("%s lost PostgreSQL, will retry: %s", what, error)
    await asyncio.sleep(next(delays))


def backoff(first: float = 0.05, most: float = 2.0) -> Iterator[float]:
    """Seconds to wait before each further attempt, doubling without end up to `most`."""
    delay = first
    while True:
        yield delay
        delay = min(delay * 2, most)

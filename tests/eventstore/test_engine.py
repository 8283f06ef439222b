"""Engines: they act as their role, and tell PostgreSQL's absence from a caller's mistake."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from eventstore import EventStore, engine_for, is_unavailable
from eventstore.engine import Kept, driver


async def scalar(store: EventStore, statement: str) -> object:
    async with store.engine.connect() as conn:
        return await conn.scalar(text(statement))


async def test_an_engine_acts_as_its_role_even_after_reset(
    as_role: Callable[[str], EventStore],
) -> None:
    store = as_role("bihuan_shop")
    assert await scalar(store, "SELECT current_user::text") == "bihuan_shop"
    async with store.engine.connect() as conn:
        await conn.execute(text("RESET ROLE"))
        assert await conn.scalar(text("SELECT current_user::text")) == "bihuan_shop"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
async def test_any_postgresql_url_will_do(database_url: str, scheme: str) -> None:
    engine = engine_for(database_url.replace("postgresql", scheme, 1))
    assert await scalar(EventStore(engine), "SELECT 1") == 1
    await engine.dispose()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.CannotConnectNowError("starting up"), True),
        (asyncpg.AdminShutdownError("shutting down"), True),
        (asyncpg.CrashShutdownError("crashed"), True),
        (asyncpg.TooManyConnectionsError("full"), True),
        (asyncpg.ConnectionDoesNotExistError("gone"), True),
        (asyncpg.InterfaceError("the underlying connection is closed"), True),
        (PoolExhausted("QueuePool limit"), True),
        (asyncpg.InterfaceError("another operation is in progress"), False),
        (asyncpg.InternalClientError("cannot switch to state 11; another operation (2)"), True),
        (asyncpg.InternalClientError("something else"), False),
        (asyncpg.DiskFullError("no space left"), True),
        (asyncpg.UniqueViolationError("twice"), False),
        (asyncpg.QueryCanceledError("cancelled"), False),
        (ConnectionRefusedError("of another service"), False),
        (ValueError("closed"), False),
    ],
)
def test_only_an_absent_postgresql_is_unavailable(error: Exception, expected: bool) -> None:
    assert is_unavailable(error) is expected


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (asyncpg.InternalClientError("cannot switch to state 12; another operation (2)"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InternalClientError("a bug of asyncpg"), False),
        (asyncpg.DivisionByZeroError("1/0"), False),
    ],
)
def test_what_sqlalchemy_wraps_twice_is_looked_through(cause: Exception, expected: bool) -> None:
    """As in the first connection of an engine, where it does not ask whether the server is lost."""
    dbapi = PGDialect_asyncpg.import_dbapi()
    translated = dbapi.InternalClientError(str(cause), cause)
    translated.__cause__ = cause
    assert is_unavailable(DBAPIError("SELECT 1", None, translated)) is expected


async def test_whatever_a_call_was_doing_when_it_was_cut_off_it_is_unavailable(
    store: EventStore, database_url: str
) -> None:
    """asyncpg has many ways to say so, some of them only at an unlucky moment."""
    engine = engine_for(database_url)
    errors: list[Exception] = []
    for turn in range(120):
        try:
            async with engine.connect() as conn:
                connection = driver(conn)
                pid = connection.get_server_pid()
                killing = asyncio.create_task(scalar(store, f"SELECT pg_terminate_backend({pid})"))
                for _ in range(turn % 12):
                    await asyncio.sleep(0)
                for _ in range(50):
                    await connection.fetchval("SELECT 1")
        except Exception as error:
            errors.append(error)
        await killing
    assert len(errors) > 60
    assert [repr(error) for error in errors if not is_unavailable(error)] == []
    await engine.dispose()


async def test_an_error_names_the_server_but_no_password() -> None:
    engine = engine_for("postgresql://bihuan:hunter2@127.0.0.1:1/none?password=hunter3")
    with pytest.raises(DBAPIError, match=r"cannot reach 127.0.0.1/none") as error:
        await scalar(EventStore(engine), "SELECT 1")
    assert "hunter" not in str(error.value)


async def test_an_unreachable_server_is_unavailable() -> None:
    engine = engine_for("postgresql://nobody@/none?host=/nowhere")
    with pytest.raises(DBAPIError, match=r"cannot reach .*nowhere") as error:
        await scalar(EventStore(engine), "SELECT 1")
    assert is_unavailable(error.value)
    await engine.dispose()


async def test_a_mistake_in_sql_is_not(store: EventStore) -> None:
    with pytest.raises(DBAPIError) as error:
        await scalar(store, "SELECT 1/0")
    assert not is_unavailable(error.value)


async def test_a_connection_cut_while_idle_is_replaced_unnoticed(store: EventStore) -> None:
    pid = await scalar(store, "SELECT pg_backend_pid()")
    async with store.engine.connect() as one, store.engine.connect() as other:
        pids = {await c.scalar(text("SELECT pg_backend_pid()")) for c in (one, other)}
    assert pid in pids
    connection = await asyncpg.connect(
        store.engine.url.set(drivername="postgresql").render_as_string()
    )
    for idle in pids:
        await connection.execute(f"SELECT pg_terminate_backend({idle}, 5000)")
    await connection.close()
    assert await scalar(store, "SELECT 1") == 1


PID = text("SELECT pg_backend_pid()")


async def test_a_kept_connection_is_used_again_while_it_is_free_and_alive(
    store: EventStore,
) -> None:
    kept = Kept(store.engine)

    async def used() -> int:
        async with kept.connect() as conn:
            return int(await conn.scalar(PID))

    first = await used()
    async with kept.connect() as conn:
        assert await conn.scalar(PID) == first
        assert await used() != first
    with pytest.raises(DBAPIError):
        async with kept.connect() as conn:
            await conn.execute(text("SELECT 1 / 0"))
    pid = await used()
    await scalar(store, f"SELECT pg_terminate_backend({pid})")
    await asyncio.sleep(0.1)
    assert await used() != pid
    await kept.close()
    await used()
    assert store.engine.sync_engine.pool.checkedout() == 0


async def test_what_is_written_on_a_kept_connection_is_rolled_back(store: EventStore) -> None:
    kept = Kept(store.engine)
    async with kept.connect() as conn:
        await conn.execute(text("CREATE TABLE written ()"))
    assert await scalar(store, "SELECT to_regclass('written')::text") is None
    await kept.close()

"""Snapshots: the tail alone is read, by the code that made them alone, and domains keep their own."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from eventstore import EventStore, ForeignStream, Snapshot
from tests.eventstore.conftest import append, stream

CODE, OTHER_CODE = b"code", b"other code"


async def keep(store: EventStore, name: str, version: int, state: bytes, code: bytes) -> None:
    async with store.engine.begin() as conn:
        await store.keep_snapshot(conn, name, Snapshot(version, state), code)


async def loaded(store: EventStore, name: str, code: bytes) -> tuple[Snapshot | None, list[int]]:
    """The snapshot, and the versions of the events that were fetched besides."""
    async with store.engine.connect() as conn:
        snapshot, events = await store.load_from_snapshot(conn, name, code)
        everything = await store.load(conn, name)
    fetched = [(event.stream, event.version, event.type, event.data) for event in everything]
    assert events == fetched[len(fetched) - len(events) :]
    return snapshot, [event.version for event in events]


async def test_after_a_snapshot_only_the_tail_is_fetched(store: EventStore) -> None:
    name = stream()
    await append(store, name, 0, *"abcde")
    assert await loaded(store, name, CODE) == (None, [1, 2, 3, 4, 5])
    await keep(store, name, 4, b"abcd", CODE)
    assert await loaded(store, name, CODE) == (Snapshot(4, b"abcd"), [5])
    await keep(store, name, 5, b"abcde", CODE)
    assert await loaded(store, name, CODE) == (Snapshot(5, b"abcde"), [])
    assert await loaded(store, stream(), CODE) == (None, [])


async def test_a_snapshot_of_other_code_is_as_none(store: EventStore) -> None:
    name = stream()
    await append(store, name, 0, *"abc")
    await keep(store, name, 2, b"ab", OTHER_CODE)
    assert await loaded(store, name, CODE) == (None, [1, 2, 3])
    await keep(store, name, 3, b"abc", CODE)
    assert await loaded(store, name, OTHER_CODE) == (None, [1, 2, 3])


async def test_a_service_keeps_snapshots_of_its_own_domain_alone(
    store: EventStore, as_role: Callable[[str], EventStore]
) -> None:
    name = stream("shop.order")
    await append(store, name, 0, "a")
    await keep(as_role("bihuan_shop"), name, 1, b"a", CODE)
    with pytest.raises(ForeignStream, match="only bihuan_shop may"):
        await keep(as_role("bihuan_bank"), name, 1, b"forged", CODE)
    with pytest.raises(ForeignStream, match="permission denied"):
        await keep(as_role("bihuan_reader"), name, 1, b"forged", CODE)
    assert await loaded(store, name, CODE) == (Snapshot(1, b"a"), [])


@pytest.mark.parametrize("role", ["bihuan_shop", "bihuan_writer", "bihuan_reader"])
async def test_nobody_writes_the_table_itself(
    as_role: Callable[[str], EventStore], role: str
) -> None:
    async with as_role(role).engine.connect() as conn:
        with pytest.raises(DBAPIError, match="permission denied"):
            await conn.execute(text("UPDATE eventstore.snapshot SET state = ''"))


async def test_a_version_that_the_stream_has_not_reached_is_refused(store: EventStore) -> None:
    name = stream()
    await append(store, name, 0, "a")
    with pytest.raises(Exception, match="has no version 2"):
        await keep(store, name, 2, b"?", CODE)

"""Appending: expected versions, atomicity, limits, and who may write where."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from eventstore import (
    MAX_DATA_BYTES,
    EventStore,
    ForeignStream,
    NewEvent,
    NewStream,
    WrongExpectedVersion,
)
from tests.eventstore.conftest import METADATA, append, events, stream


async def payloads(store: EventStore, name: str) -> list[bytes]:
    async with store.engine.connect() as conn:
        return [event.data for event in await store.load(conn, name)]


async def test_an_event_comes_back_as_it_was_appended(store: EventStore) -> None:
    name, (new,) = stream(), events(b"\x00\xff")
    async with store.engine.begin() as conn:
        assert await store.append(conn, name, 0, [new], METADATA) == 1
        (loaded,) = await store.load(conn, name)
    (read,) = (await store.read(0, 10)).events
    assert (loaded.id, loaded.stream, loaded.version) == (new.id, name, 1)
    assert (loaded.type, loaded.data, loaded.metadata) == (new.type, b"\x00\xff", METADATA)
    assert loaded.recorded_at.utcoffset().total_seconds() == 0
    assert loaded.position is None
    assert read.position == 1
    assert (read.id, read.metadata, read.recorded_at) == (new.id, METADATA, loaded.recorded_at)


async def test_a_stream_is_loaded_from_a_version_on(store: EventStore) -> None:
    name = stream()
    assert await append(store, name, 0, "a", "b", "c") == 3
    async with store.engine.connect() as conn:
        rest = await store.load(conn, name, after_version=1)
    assert [(event.version, event.data) for event in rest] == [(2, b"b"), (3, b"c")]


@pytest.mark.parametrize(("expected", "actual"), [(0, 2), (1, 2), (3, 2), (-1, 2)])
async def test_a_wrong_expected_version_is_refused_and_names_the_actual(
    store: EventStore, expected: int, actual: int
) -> None:
    name = stream()
    await append(store, name, 0, "a", "b")
    with pytest.raises(WrongExpectedVersion, match=f"at version {actual}, not {expected}") as error:
        await append(store, name, expected, "c")
    assert (error.value.stream, error.value.expected, error.value.actual) == (
        name,
        expected,
        actual,
    )
    assert await payloads(store, name) == [b"a", b"b"]


async def test_many_streams_begin_in_one_round_trip_and_one_that_is_there_is_left_out(
    store: EventStore,
) -> None:
    known, *fresh = [stream() for _ in range(4)]
    await append(store, known, 0, "a")
    streams = [
        NewStream(name, events("x", "y"), METADATA) for name in (fresh[0], known, *fresh[1:])
    ]
    async with store.engine.begin() as conn:
        assert await store.append_new(conn, []) == []
        assert await store.append_new(conn, streams) == [True, False, True, True]
    assert await payloads(store, known) == [b"a"]
    for name in fresh:
        assert await payloads(store, name) == [b"x", b"y"]
    positions = [event.position for event in (await store.read(0, 10)).events]
    assert positions == list(range(1, 8))


async def test_many_streams_begin_together_or_not_at_all(store: EventStore) -> None:
    names = [stream(), "rectification.problem"]
    streams = [NewStream(name, events("x"), METADATA) for name in names]
    with pytest.raises(ValueError, match="is not named"):
        async with store.engine.begin() as conn:
            await store.append_new(conn, streams)
    assert await payloads(store, names[0]) == []


async def test_of_two_writers_in_open_transactions_one_wins(store: EventStore) -> None:
    name = stream()
    async with store.engine.begin() as first:
        await store.append(first, name, 0, events("first"), METADATA)
        second = asyncio.create_task(append(store, name, 0, "second"))
        await asyncio.sleep(0.1)
        assert not second.done()
    with pytest.raises(WrongExpectedVersion) as error:
        await second
    assert error.value.actual == 1
    assert await payloads(store, name) == [b"first"]


async def test_the_waiting_writer_wins_if_the_first_rolls_back(store: EventStore) -> None:
    name = stream()
    async with store.engine.connect() as first:
        await store.append(first, name, 0, events("first"), METADATA)
        second = asyncio.create_task(append(store, name, 0, "second"))
        await asyncio.sleep(0.1)
        await first.rollback()
    assert await second == 1
    assert await payloads(store, name) == [b"second"]


async def test_the_loser_of_a_longer_batch_is_told_the_version_that_was_committed(
    store: EventStore,
) -> None:
    """Its second and third event fit behind the winner's one, and must not be counted."""
    name = stream()
    async with store.engine.begin() as first:
        await store.append(first, name, 0, events("first"), METADATA)
        second = asyncio.create_task(append(store, name, 0, "a", "b", "c"))
        await asyncio.sleep(0.1)
    with pytest.raises(WrongExpectedVersion) as error:
        await second
    assert error.value.actual == 1
    assert await payloads(store, name) == [b"first"]


async def test_of_many_racing_writers_exactly_one_wins(store: EventStore) -> None:
    name = stream()
    results = await asyncio.gather(
        *(append(store, name, 0, f"{n}", f"{n}") for n in range(20)), return_exceptions=True
    )
    assert results.count(2) == 1
    assert sum(isinstance(result, WrongExpectedVersion) for result in results) == 19
    one, other = await payloads(store, name)
    assert one == other


async def test_several_events_are_appended_all_or_none(store: EventStore) -> None:
    name, twins = stream(), events("a", "b")
    twins[1] = NewEvent("test.v1.Happened", b"b", id=twins[0].id)
    with pytest.raises(asyncpg.UniqueViolationError, match="event_id"):
        async with store.engine.begin() as conn:
            await store.append(conn, name, 0, twins, METADATA)
    assert await payloads(store, name) == []
    assert await store.head() == 0


async def test_nothing_is_left_of_a_transaction_rolled_back(store: EventStore) -> None:
    name = stream()
    async with store.engine.connect() as conn:
        await store.append(conn, name, 0, events("a"), METADATA)
        await conn.rollback()
    assert await payloads(store, name) == []
    assert await store.head() == 0


async def test_appending_nothing_changes_nothing(store: EventStore) -> None:
    assert await append(store, stream(), 0) == 0
    assert await store.head() == 0


async def test_the_largest_event_is_kept_and_a_larger_one_refused(store: EventStore) -> None:
    name, most = stream(), b"x" * MAX_DATA_BYTES
    async with store.engine.begin() as conn:
        await store.append(conn, name, 0, events(most), METADATA)
    with pytest.raises(ValueError, match=f"{MAX_DATA_BYTES + 1} bytes"):
        async with store.engine.begin() as conn:
            await store.append(conn, name, 1, events(most + b"x"), METADATA)
    assert await payloads(store, name) == [most]


@pytest.mark.parametrize(
    "name",
    ["", "shop", "shop.order", "shop.order-", "order-1", "Shop.order-1", "sh op.order-1"]
    + [f"{reserved}.order-1" for reserved in ("owner", "reader", "writer")],
)
async def test_a_malformed_stream_name_is_refused(store: EventStore, name: str) -> None:
    with pytest.raises(ValueError, match=r"<domain>\.<aggregate>-<id>"):
        await append(store, name, 0, "a")


async def test_a_role_appends_to_its_own_domain_only(
    as_role: Callable[[str], EventStore],
) -> None:
    shop, bank = as_role("bihuan_shop"), as_role("bihuan_bank")
    assert await append(shop, stream("shop.order"), 0, "a") == 1
    assert await append(bank, stream("bank.account"), 0, "a") == 1
    for role, name in ((shop, "bank.account"), (bank, "shop.order"), (shop, "nobody.thing")):
        with pytest.raises(ForeignStream, match="may not append"):
            await append(role, stream(name), 0, "a")


@pytest.mark.parametrize("role", ["bihuan_reader", "bihuan_owner"])
async def test_neither_reader_nor_owner_appends(
    as_role: Callable[[str], EventStore], role: str
) -> None:
    with pytest.raises(ForeignStream, match=r"denied|may not append"):
        await append(as_role(role), stream(), 0, "a")


async def test_the_log_tables_are_changed_by_function_only(
    as_role: Callable[[str], EventStore],
) -> None:
    statements = [
        "INSERT INTO eventstore.event (stream) VALUES ('shop.order-1')",
        "INSERT INTO eventstore.position VALUES (1, 1)",
        "INSERT INTO eventstore.stream VALUES (1, 1, 1, 'shop.order-1')",
        "UPDATE eventstore.stream SET version = 1",
        "SELECT nextval('eventstore.event_id')",
        "SELECT eventstore.add_partition(1)",
        "SELECT * FROM eventstore.request",
        "UPDATE eventstore.request SET response = ''",
    ]
    for role in ("bihuan_shop", "bihuan_reader"):
        store = as_role(role)
        for statement in statements:
            with pytest.raises(DBAPIError, match="permission denied"):
                async with store.engine.begin() as conn:
                    await conn.execute(text(statement))

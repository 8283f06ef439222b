"""Dealing positions: what was open is waited for, what came to nothing is forgotten, nothing piles up."""

import asyncio
import time
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from eventstore import EventStore, WrongExpectedVersion
from eventstore.store import LOAD
from tests.eventstore.conftest import METADATA, append, events, stream

OPEN = text("SELECT open_ids FROM eventstore.position ORDER BY position DESC LIMIT 1")
PARTITION = 5_000_000


async def scalar(store: EventStore, statement: Any) -> Any:
    async with store.engine.connect() as conn:
        return await conn.scalar(statement)


async def data(store: EventStore) -> list[bytes]:
    return [event.data for event in (await store.read(0, 1000)).events]


async def test_an_id_whose_transaction_is_under_way_is_waited_for(store: EventStore) -> None:
    async with store.engine.begin() as slow:
        await store.append(slow, stream(), 0, events("slow"), METADATA)
        for n in range(5):
            await append(store, stream(), 0, f"{n}")
            await store.head()
        assert await scalar(store, OPEN) == [1]
    assert await data(store) == [b"0", b"1", b"2", b"3", b"4", b"slow"]
    assert await scalar(store, OPEN) is None


async def test_an_id_that_came_to_nothing_is_forgotten(store: EventStore) -> None:
    async with store.engine.connect() as lost:
        await store.append(lost, stream(), 0, events("lost"), METADATA)
        await append(store, stream(), 0, "a")
        await store.head()
        assert await scalar(store, OPEN) == [1]
        await lost.rollback()
    await append(store, stream(), 0, "b")
    await store.head()
    assert await scalar(store, OPEN) is None
    assert await data(store) == [b"a", b"b"]


async def test_it_is_not_forgotten_while_its_transaction_may_still_commit(
    store: EventStore,
) -> None:
    """Its number is higher than that of the one whose event shows that the id is open."""
    async with store.engine.connect() as first, store.engine.connect() as second:
        await first.exec_driver_sql("SELECT pg_current_xact_id()")
        await store.append(second, stream(), 0, events("second"), METADATA)
        await store.append(first, stream(), 0, events("first"), METADATA)
        await first.commit()
        for n in range(3):
            assert await store.head() == n + 1
            await append(store, stream(), 0, f"{n}")
        await second.commit()
    await store.head()
    assert sorted(await data(store)) == [b"0", b"1", b"2", b"first", b"second"]


async def test_an_append_in_a_savepoint_rolled_back_leaves_no_trace(store: EventStore) -> None:
    async with store.engine.begin() as conn:
        inner = await conn.begin_nested()
        await store.append(conn, stream(), 0, events("inner"), METADATA)
        await inner.rollback()
        await store.append(conn, stream(), 0, events("outer"), METADATA)
    assert await data(store) == [b"outer"]
    await append(store, stream(), 0, "next")
    await store.head()
    assert await scalar(store, OPEN) is None


async def test_of_racing_writers_the_losers_draw_no_id(store: EventStore) -> None:
    """Lost ids stay open as long as any transaction that began before: a busy stream makes many."""
    name = stream()
    await append(store, name, 0, "first")

    async with store.engine.begin() as winner:
        await store.append(winner, name, 1, events("x"), METADATA)
        losers = [asyncio.create_task(append(store, name, 1, "y")) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert not any(loser.done() for loser in losers)
    for outcome in await asyncio.gather(*losers, return_exceptions=True):
        assert isinstance(outcome, WrongExpectedVersion), outcome
    assert await scalar(store, text("SELECT last_value FROM eventstore.event_id")) == 2


async def test_a_log_dumped_from_an_older_cluster_forgets_what_was_open_there(
    store: EventStore,
) -> None:
    """There numbers of transactions were higher than any that this cluster gives out for years."""
    await append(store, stream(), 0, "a")
    await scalar(store, text("SELECT nextval('eventstore.event_id')"))
    await append(store, stream(), 0, "b")
    await store.head()
    assert await scalar(store, OPEN) == [2]
    async with store.engine.begin() as conn:
        for statement in (
            "ALTER TABLE eventstore.position DISABLE TRIGGER append_only",
            "UPDATE eventstore.position SET open_before = '{99999999999}' WHERE position = 2",
            "ALTER TABLE eventstore.position ENABLE ALWAYS TRIGGER append_only",
        ):
            await conn.execute(text(statement))
    await append(store, stream(), 0, "c")
    await store.head()
    assert await scalar(store, OPEN) is None


async def test_the_head_counts_all_that_is_committed_though_another_is_dealing(
    store: EventStore,
) -> None:
    await append(store, stream(), 0, "a")
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('eventstore.advance', 0))"
    async with store.engine.begin() as dealing:
        await dealing.exec_driver_sql(lock)
        head = asyncio.create_task(store.head())
        await asyncio.sleep(0.1)
        assert not head.done()
    assert await head == 1


async def test_dealing_needs_a_transaction_of_its_own(store: EventStore) -> None:
    async with store.engine.connect() as conn:
        await store.append(conn, stream(), 0, events("a"), METADATA)
        with pytest.raises(DBAPIError, match="transaction of their own"):
            await conn.exec_driver_sql("SELECT eventstore.advance()")


POSITIONS = text("SELECT count(*) FROM eventstore.position")
OWN = text("SELECT eventstore.deal_own()")


async def test_what_is_recorded_alone_has_its_position_as_it_is_committed(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store._recorder, "_announce", lambda: None)
    name = stream()
    for version in range(3):
        await store.record(name, version, events("a"), METADATA)
        assert await scalar(store, POSITIONS) == version + 1
    async with store.engine.begin() as slow:
        await store.append(slow, stream(), 0, events("slow"), METADATA)
        await store.record(name, 3, events("b"), METADATA)
        assert await scalar(store, POSITIONS) == 3, "an id is open: left to `advance`"
        await store.head()
        await store.record(name, 4, events("c"), METADATA)
        assert await scalar(store, POSITIONS) == 4
    assert await data(store) == [b"a", b"a", b"a", b"b", b"slow", b"c"]
    await store.record(name, 5, events("d"), METADATA)
    assert await scalar(store, POSITIONS) == 7


async def test_a_command_deals_as_it_commits_and_holds_up_nobody_before(store: EventStore) -> None:
    async with store.engine.begin() as conn:
        await store.claim(conn, "caller", UUID(int=1), "method", b"digest")
        await store.append(conn, stream(), 0, events("a", "b"), METADATA)
        await store.answer(conn, "caller", UUID(int=1), b"answer")
        async with asyncio.timeout(5):
            assert await store.head() == 0
    assert await scalar(store, POSITIONS) == 2


async def test_neither_a_backlog_nor_the_turn_of_another_is_waited_for(store: EventStore) -> None:
    assert not await scalar(store, OWN), "nothing is to be dealt"
    await append(store, stream(), 0, "a")
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('eventstore.advance', 0))"
    async with store.engine.begin() as dealing:
        await dealing.exec_driver_sql(lock)
        assert not await scalar(store, OWN)
    await append(store, stream(), 0, *"b" * 999)
    assert not await scalar(store, OWN)
    assert await scalar(store, POSITIONS) == 0
    assert await store.head() == 1000


async def test_while_an_id_is_open_no_turn_is_taken_for_nothing(store: EventStore) -> None:
    async with store.engine.begin() as slow, store.engine.begin() as other:
        await store.append(slow, stream(), 0, events("slow"), METADATA)
        await append(store, stream(), 0, "a")
        await store.head()
        assert not await other.scalar(OWN)
        async with asyncio.timeout(5):
            assert await store.head() == 1


async def test_neither_a_stuck_transaction_nor_a_long_reader_makes_dealing_slower(
    store: EventStore, database_url: str
) -> None:
    reader = await asyncpg.connect(database_url)
    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")

    async def deal() -> float:
        await append(store, stream(), 0, "x")
        began = time.perf_counter()
        await store.head()
        return time.perf_counter() - began

    async with store.engine.begin() as stuck:
        await store.append(stuck, stream(), 0, events("stuck"), METADATA)
        before = min([await deal() for _ in range(20)])
        for _ in range(40):
            await asyncio.gather(*(append(store, stream(), 0, "y") for _ in range(10)))
            await store.head()
        after = min([await deal() for _ in range(20)])
        assert await scalar(store, OPEN) == [1]
    dead = (
        "SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE relname IN ('position', 'event_1')"
    )
    assert not await scalar(store, text(dead))
    assert after < 5 * before, f"{before * 1e3:.2f} ms became {after * 1e3:.2f} ms"
    assert (await store.read(0, 1000)).events[-1].data == b"stuck"
    await reader.close()


async def test_the_log_grows_over_partitions(store: EventStore) -> None:
    """A log whose last event stands just before the end of its first partition."""
    name = stream()
    last = PARTITION - 2
    async with store.engine.begin() as conn:
        for statement in (
            "INSERT INTO eventstore.event (id, event_id, correlation_id, version, stream, type,"
            f" actor, traceparent, data) SELECT {last}, gen_random_uuid(), gen_random_uuid(), 1,"
            f" '{name}', 'test.v1.Happened', 'tester', '', 'a'",
            f"INSERT INTO eventstore.stream VALUES ({last}, {last}, 1, '{name}')",
            f"INSERT INTO eventstore.position VALUES (1, {last})",
            f"SELECT setval('eventstore.event_id', {last})",
        ):
            await conn.execute(text(statement))
    for version, payload in enumerate("bcdefg", 1):
        await store.record(name, version, events(payload), METADATA)
        await store.head()
    assert b"".join(await data(store)) == b"abcdefg"
    async with store.engine.connect() as conn:
        assert [event.version for event in await store.load(conn, name)] == list(range(1, 8))
        partitions = await conn.execute(text("SELECT * FROM eventstore.partition ORDER BY 1"))
        assert [tuple(row) for row in partitions] == [
            (1, PARTITION + 1),
            (PARTITION + 1, 2 * PARTITION + 1),
            (2 * PARTITION + 1, 3 * PARTITION + 1),
        ]
        explain = LOAD.replace("$1", f"'{name}'").replace("$2", "0")
        plan = await conn.exec_driver_sql(f"EXPLAIN ANALYZE {explain}")
    scans = [line for (line,) in plan if "Scan" in line]
    (unused,) = [line for line in scans if f"event_{2 * PARTITION + 1}" in line]
    assert "never executed" in unused, "a partition that cannot hold the stream is not looked at"


async def test_a_partition_is_as_append_only_as_the_log(store: EventStore) -> None:
    await append(store, stream(), 0, "a")
    for statement in (
        "UPDATE eventstore.event_1 SET data = 'x'",
        "DELETE FROM eventstore.event_1",
        "TRUNCATE eventstore.event_1",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            async with store.engine.begin() as conn:
                await conn.execute(text(statement))

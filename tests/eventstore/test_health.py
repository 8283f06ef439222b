"""Who holds up the log shows, with its age; and until it is gone nothing gets slower."""

import asyncio
import statistics
import time
from collections.abc import Callable
from uuid import uuid4

import asyncpg

from eventstore import EventStore, health
from eventstore.health import Health
from tests.eventstore.conftest import METADATA, append, events, stream

# Milliseconds vary with what else the machine does; a scan of what piled up would be far more.
TIMES_SLOWER = 10


async def look(store: EventStore) -> Health:
    async with store.engine.connect() as conn:
        return await health.look(conn)


async def timed(work: Callable[[], object]) -> float:
    """The median time of 30 calls, in seconds."""
    seconds = []
    for _ in range(30):
        began = time.perf_counter()
        await work()  # type: ignore[misc]
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


async def test_an_idle_log_is_held_up_by_nobody(
    as_role: Callable[[str], EventStore], store: EventStore
) -> None:
    await append(store, stream(), 0, "a", "b")
    assert (await look(as_role("bihuan_reader"))).waiting == 2
    await store.head()
    found = await look(as_role("bihuan_reader"))
    assert (found.head, found.waiting, found.open_ids) == (2, 0, 0)
    assert (found.requests, found.oldest_request_at) == (0, None)


async def test_a_stuck_transaction_and_a_long_reader_show_and_slow_nothing_down(
    store: EventStore, as_role: Callable[[str], EventStore], database_url: str
) -> None:
    hot = stream()
    version = await append(store, hot, 0, "first")

    async def append_to_hot() -> None:
        nonlocal version
        version = await append(store, hot, version, "x")

    before = await timed(append_to_hot), await timed(store.head)
    reader = await asyncpg.connect(database_url, server_settings={"application_name": "report"})
    await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
    async with store.engine.connect() as stuck:
        await store.append(stuck, stream(), 0, events("stuck"), METADATA)
        for _ in range(40):
            lost = [lose(store) for _ in range(5)]
            await asyncio.gather(*(append(store, stream(), 0, "y") for _ in range(20)), *lost)
            for _ in range(20):
                await append_to_hot()
            await store.head()
        after = await timed(append_to_hot), await timed(store.head)
        found = await look(as_role("bihuan_reader"))
        assert found.open_ids == 201, "the stuck one's, and what was rolled back since"
        assert found.oldest_transaction is not None
        assert "idle in transaction" in found.oldest_transaction
        assert found.oldest_transaction_seconds is not None
        assert found.oldest_snapshot is not None
        assert "report" in found.oldest_snapshot
        age = found.oldest_snapshot_seconds
        assert age is not None
        assert 0.5 < found.oldest_transaction_seconds < age < 60
        await stuck.rollback()
    await reader.close()
    for was, is_, what in zip(before, after, ("append", "deal"), strict=True):
        print(f"{what}: {was * 1e3:.2f} ms, then {is_ * 1e3:.2f} ms")
        assert is_ < TIMES_SLOWER * was
    await store.head()
    assert (await look(as_role("bihuan_reader"))).open_ids == 0, "nothing can come of them now"


async def lose(store: EventStore) -> None:
    async with store.engine.connect() as conn:
        await store.append(conn, stream(), 0, events("lost"), METADATA)
        await conn.rollback()


async def test_requests_are_counted_without_being_read(
    store: EventStore, as_role: Callable[[str], EventStore]
) -> None:
    async with store.engine.begin() as conn:
        await store.claim(conn, "me", uuid4(), "/x", b"d")
    found = await look(as_role("bihuan_reader"))
    assert found.requests == 1
    assert found.oldest_request_at is not None

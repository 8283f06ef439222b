"""Subscriptions: each event handled once, with its checkpoint, by one runner at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore import CheckpointMoved, EventStore, Filter, RecordedEvent, Subscription
from tests.eventstore.conftest import append, stream

SEE = text("INSERT INTO shop.seen VALUES (:position)")


async def see(conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None:
    await conn.execute(SEE, [{"position": event.position} for event in events])


async def seen(store: EventStore) -> list[int]:
    async with store.engine.connect() as conn:
        return list(await conn.scalars(text("SELECT position FROM shop.seen ORDER BY 1")))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - what it waits for is in PostgreSQL
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(subscription: Subscription, handle=see) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(subscription.run(handle))
    yield task
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_it_delivers_every_event_once_and_resumes_where_it_stopped(
    store: EventStore,
) -> None:
    subscription = Subscription(store, "shop", batch=2)
    assert (await subscription.position(), await subscription.lag()) == (0, 0)
    for start in (0, 5):
        await append(store, stream(), 0, *"abcde")
        assert await subscription.lag() == 5
        async with running(subscription):
            await until(lambda end=start + 5: at(subscription, end))
        assert await seen(store) == list(range(1, start + 6))
        assert await subscription.lag() == 0


async def at(subscription: Subscription, position: int) -> bool:
    return await subscription.position() == position


async def test_a_handler_that_raises_leaves_neither_writes_nor_checkpoint(
    store: EventStore,
) -> None:
    async def fail(conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None:
        await see(conn, events)
        if events[-1].position == 4:
            raise LookupError("boom")

    await append(store, stream(), 0, *"abcde")
    subscription = Subscription(store, "shop", batch=2)
    for _ in range(2):
        with pytest.raises(LookupError, match="boom"):
            await subscription.run(fail)
        assert await seen(store) == [1, 2]
        assert await subscription.position() == 2


async def test_the_checkpoint_moves_past_what_the_filter_leaves_out(store: EventStore) -> None:
    await append(store, stream(), 0, *"abc")
    await append(store, stream("shop.cart"), 0, "d")
    await append(store, stream(), 0, *"ef")
    subscription = Subscription(store, "shop", Filter(categories=("shop.cart",)))
    async with running(subscription):
        await until(lambda: at(subscription, 6))
    assert await seen(store) == [4]


async def test_a_second_runner_stands_by_and_takes_over(store: EventStore) -> None:
    store.poll = 0.1
    active: list[int] = []

    def handler(n: int):
        async def handle(conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None:
            active.append(n)
            await see(conn, events)

        return handle

    first, second = Subscription(store, "shop"), Subscription(store, "shop")
    async with running(second_after(first, second), handler(2)):
        async with running(first, handler(1)):
            for count in range(1, 4):
                await append(store, stream(), 0, "a")
                store.announce()
                await until(lambda count=count: at(first, count))
        await append(store, stream(), 0, "b")
        await until(lambda: at(second, 4))
    assert active == [1, 1, 1, 2]
    assert await seen(store) == [1, 2, 3, 4]


def second_after(first: Subscription, second: Subscription) -> Subscription:
    """The second, which starts running a moment later."""
    run = second.run

    async def later(handle) -> None:
        await asyncio.sleep(0.2)
        await run(handle)

    second.run = later  # type: ignore[method-assign]
    return second


async def test_the_next_runner_takes_over_when_the_connection_of_the_first_is_cut(
    store: EventStore,
) -> None:
    """Even while the first is in the middle of its handler: what it wrote is gone."""
    store.poll = 0.1
    reached = asyncio.Event()

    async def stuck(conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None:
        await see(conn, events)
        pid = await conn.scalar(text("SELECT pg_backend_pid()"))
        async with store.engine.connect() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        reached.set()
        await asyncio.sleep(60)

    await append(store, stream(), 0, *"abc")
    subscription = Subscription(store, "shop")
    async with running(subscription, stuck):
        await reached.wait()
        async with running(Subscription(store, "shop")):
            await until(lambda: at(subscription, 3))
    assert await seen(store) == [1, 2, 3]


async def test_runners_under_different_names_run_side_by_side(store: EventStore) -> None:
    async def ignore(conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None: ...

    await append(store, stream(), 0, *"abc")
    one, two = Subscription(store, "one"), Subscription(store, "two")
    async with running(one, ignore), running(two, ignore):
        await until(lambda: at(one, 3))
        await until(lambda: at(two, 3))


async def test_a_checkpoint_moved_under_a_runner_stops_it(store: EventStore) -> None:
    await append(store, stream(), 0, *"abc")
    subscription = Subscription(store, "shop")

    async def meddle() -> None:
        await until(lambda: at(subscription, 3))
        async with store.engine.begin() as conn:
            await conn.execute(text("UPDATE eventstore.checkpoint SET position = 1"))
        await append(store, stream(), 0, "d")
        store.announce()

    async with asyncio.timeout(10):
        with pytest.raises(CheckpointMoved, match="no longer 3"):
            await asyncio.gather(subscription.run(see), meddle())
    assert await seen(store) == [1, 2, 3]


async def test_a_runner_standing_by_holds_no_snapshot(store: EventStore) -> None:
    store.poll = 0.1
    snapshots = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND (xact_start IS NOT NULL)"
    )
    async with running(Subscription(store, "shop")), running(Subscription(store, "shop")):
        await asyncio.sleep(0.5)
        async with store.engine.connect() as conn:
            open_transactions = [await conn.scalar(snapshots) for _ in range(20)]
    assert min(open_transactions) == 0


@pytest.mark.parametrize("role", ["bihuan_shop", "bihuan_reader"])
async def test_services_and_readers_may_subscribe(
    store: EventStore, as_role: Callable[[str], EventStore], role: str
) -> None:
    async def ignore(conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None: ...

    await append(store, stream(), 0, "a")
    subscription = Subscription(as_role(role), role)
    async with running(subscription, ignore):
        await until(lambda: at(subscription, 1))


async def test_what_acts_outside_the_database_holds_no_transaction_meanwhile(
    store: EventStore,
) -> None:
    """The relay may wait for Temporal for hours."""
    acted: list[int | None] = []
    go = asyncio.Event()

    async def act(events: Sequence[RecordedEvent]) -> None:
        await go.wait()
        acted.extend(event.position for event in events)

    await append(store, stream(), 0, "a", "b", "c")
    subscription = Subscription(store, "outside", batch=2)
    task = asyncio.create_task(subscription.run_outside(act))
    await asyncio.sleep(0.3)
    under_way = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    async with store.engine.connect() as conn:
        assert await conn.scalar(text(f"{under_way} AND backend_xid IS NOT NULL")) == 0
        assert await conn.scalar(text(f"{under_way} AND state LIKE 'idle in%'")) == 0
    assert await subscription.position() == 0
    go.set()
    await until(lambda: at(subscription, 3))
    assert acted == [1, 2, 3]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_acting_outside_stops_where_somebody_moved_the_checkpoint(store: EventStore) -> None:
    acted: list[int | None] = []

    async def act(events: Sequence[RecordedEvent]) -> None:
        acted.extend(event.position for event in events)
        async with store.engine.begin() as conn:
            await conn.execute(text("UPDATE eventstore.checkpoint SET position = 2"))

    await append(store, stream(), 0, "a", "b", "c")
    with pytest.raises(CheckpointMoved):
        await Subscription(store, "outside", batch=1).run_outside(act)
    assert acted == [1]

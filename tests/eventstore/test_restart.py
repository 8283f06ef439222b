"""PostgreSQL killed and started again: followers and subscriptions go on by themselves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import asyncpg
import pytest
from sqlalchemy.exc import SQLAlchemyError

from eventstore import EventStore, Subscription, engine_for, is_unavailable
from tests.conftest import Postgres
from tests.eventstore.conftest import SERVICES, append, stream
from tests.eventstore.test_subscription import at, running, seen, until


@pytest.fixture
async def mortal(
    make_postgres: Callable[[], Postgres],
) -> AsyncIterator[tuple[Postgres, EventStore]]:
    """A server of our own to kill. Waiting followers poll hardly ever: LISTEN has to come back."""
    server = make_postgres()
    engine = engine_for(await server.database(*SERVICES))
    store = EventStore(engine, poll=60)
    yield server, store
    await store.close()
    await engine.dispose()


async def start(server: Postgres) -> None:
    """Start it again after a kill, once its children have gone."""
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.start)


async def test_readers_survive_kill_minus_nine(mortal: tuple[Postgres, EventStore]) -> None:
    server, store = mortal
    followed: list[int | None] = []

    async def follow() -> None:
        async with aclosing(store.follow()) as feed:
            async for event in feed:
                followed.append(event.position)

    async def follower_at(position: int) -> bool:
        return len(followed) >= position

    subscription = Subscription(store, "shop")
    following = asyncio.create_task(follow())
    async with running(subscription):
        for end in (2, 4, 6):
            await append(store, stream(), 0, "a", "b")
            store.announce()
            await until(lambda end=end: follower_at(end))
            await until(lambda end=end: at(subscription, end))
            server.kill()
            await asyncio.sleep(0.3)
            with pytest.raises((SQLAlchemyError, asyncpg.PostgresError)) as refused:
                await append(store, stream(), 0, "lost")
            assert is_unavailable(refused.value), repr(refused.value)
            store.announce()
            await asyncio.to_thread(server.start)
            await asyncio.sleep(1)  # the listener comes back within its back-off
    following.cancel()
    assert followed == [1, 2, 3, 4, 5, 6]
    assert await seen(store) == [1, 2, 3, 4, 5, 6]


async def test_a_head_known_before_is_not_trusted_after_a_restart(
    mortal: tuple[Postgres, EventStore],
) -> None:
    """An older copy may have been restored: positions up to that head may be dealt again."""
    server, store = mortal
    store._wakeup.bell()
    async with asyncio.timeout(10):
        while not store._wakeup.head:
            # Again and again: who does not listen yet is not told of what was dealt before.
            await append(store, stream(), 0, "a")
            store.announce()
            await asyncio.sleep(0.1)
    server.kill()
    await asyncio.sleep(0.3)
    assert store._wakeup.head == 0
    await start(server)

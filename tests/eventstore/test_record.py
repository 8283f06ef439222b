"""Appends in transactions of the store's own: as good as `append`, however many share one."""

import asyncio
from collections.abc import Callable

import pytest

from eventstore import (
    MAX_DATA_BYTES,
    EventStore,
    ForeignStream,
    NewEvent,
    WrongExpectedVersion,
    is_unavailable,
    recorder,
)
from tests.eventstore.conftest import METADATA, events, stream


@pytest.fixture
async def shop(as_role: Callable[[str], EventStore]) -> EventStore:
    return as_role("bihuan_shop")


async def payloads(store: EventStore, name: str) -> list[bytes]:
    async with store.engine.connect() as conn:
        return [event.data for event in await store.load(conn, name)]


async def test_what_is_recorded_is_appended_and_followers_wake(shop: EventStore) -> None:
    name = stream()
    following = asyncio.create_task(anext(shop.follow()))
    await asyncio.sleep(0.1)
    assert await shop.record(name, 0, events("a", "b"), METADATA) == 2
    assert await shop.record(name, 2, events("c"), METADATA) == 3
    assert await shop.record(name, 3, [], METADATA) == 3
    assert await payloads(shop, name) == [b"a", b"b", b"c"]
    async with asyncio.timeout(5):
        first = await following
    assert (first.stream, first.metadata) == (name, METADATA)


async def test_of_a_hundred_at_once_each_is_told_its_own_outcome(shop: EventStore) -> None:
    streams = [stream() for _ in range(50)]
    twice = [*streams, *streams]
    outcomes = await asyncio.gather(
        *(shop.record(name, 0, events(f"{n}"), METADATA) for n, name in enumerate(twice)),
        return_exceptions=True,
    )
    assert outcomes[:50] == [1] * 50
    assert all(isinstance(outcome, WrongExpectedVersion) for outcome in outcomes[50:])
    assert {outcome.actual for outcome in outcomes[50:]} == {1}  # type: ignore[union-attr]
    assert [await payloads(shop, name) for name in streams] == [[b"%d" % n] for n in range(50)]


async def test_one_that_cannot_be_kept_takes_no_other_along(shop: EventStore) -> None:
    good, twin, foreign, long = (
        stream(),
        events("x")[0],
        stream("bank.account"),
        stream() + "x" * 200,
    )
    calls = [
        (good, events("a")),
        (foreign, events("b")),
        (stream(), [twin, NewEvent(twin.type, b"y", id=twin.id)]),
        (long, events("c")),
        ("nonsense", events("d")),
        (stream(), events("e")),
    ]
    outcomes = await asyncio.gather(
        *(shop.record(name, 0, new, METADATA) for name, new in calls), return_exceptions=True
    )
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == [
        "int",
        "ForeignStream",
        "UniqueViolationError",
        "ValueError",
        "ValueError",
        "int",
    ]
    assert await shop.head() == 2
    with pytest.raises(ForeignStream):
        await shop.record(foreign, 0, events("b"), METADATA)


async def test_an_event_too_large_is_refused_before_it_is_sent(shop: EventStore) -> None:
    with pytest.raises(ValueError, match=f"{MAX_DATA_BYTES + 1} bytes"):
        await shop.record(stream(), 0, events(b"x" * (MAX_DATA_BYTES + 1)), METADATA)


async def test_a_cancelled_caller_disturbs_no_other(shop: EventStore) -> None:
    name = stream()
    calls = [asyncio.create_task(shop.record(name, n, events(f"{n}"), METADATA)) for n in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert calls[0].result() == 1
    assert await shop.record(stream(), 0, events("next"), METADATA) == 1


async def test_closing_finishes_what_was_asked_for(shop: EventStore) -> None:
    name = stream()
    recording = asyncio.create_task(shop.record(name, 0, events("a"), METADATA))
    await asyncio.sleep(0)
    await shop.close()
    assert await recording == 1
    assert await payloads(shop, name) == [b"a"]


async def test_what_waits_while_a_connection_is_lost_is_sent_over_another(
    shop: EventStore, store: EventStore
) -> None:
    held = [stream(), stream()]
    async with store.engine.connect() as holder:
        for name in held:
            await store.append(holder, name, 0, events("held"), METADATA)
        stuck: list[asyncio.Task[int]] = []
        for name in held:  # two batches of two, each waiting for a stream that is held
            for each in (name, stream()):
                calling = shop.record(each, 0, events("lost"), METADATA)
                stuck.append(asyncio.create_task(calling))
            await asyncio.sleep(0.2)
        waiting = [
            asyncio.create_task(shop.record(stream(), 0, events("waits"), METADATA))
            for _ in range(300)
        ]
        await asyncio.sleep(0)
        async with store.engine.connect() as conn:
            kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            locked = "WHERE wait_event_type = 'Lock' AND datname = current_database()"
            killed = await conn.exec_driver_sql(f"{kill} {locked}")
            assert killed.scalar_one() == 2
        async with asyncio.timeout(10):
            lost = await asyncio.gather(*stuck, return_exceptions=True)
            assert await asyncio.gather(*waiting) == [1] * 300
        assert all(isinstance(each, Exception) and is_unavailable(each) for each in lost), lost


async def test_no_call_is_left_waiting_whenever_it_comes(
    shop: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a batch has been sent, and its task is about to end."""
    monkeypatch.setattr(recorder, "BATCHES_AT_ONCE", 1)
    for turns in range(20):
        async with asyncio.timeout(10):
            name = stream()
            for version in range(2):
                await shop.record(name, version, events("a"), METADATA)
                for _ in range(turns):  # of the event loop
                    await asyncio.sleep(0)

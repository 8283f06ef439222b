"""The feed: every committed event once, in order, at dense positions, whatever writers do."""

import asyncio
import random
import time
from collections import defaultdict
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore import (
    EventStore,
    Filter,
    PositionBeyondHead,
    RecordedEvent,
    WrongExpectedVersion,
    engine_for,
    feed,
)
from tests.eventstore.conftest import METADATA, append, events, stream

WRITERS, READERS, STREAMS, TOTAL = 16, 4, 300, 20_000


class Writers:
    """16 writers of one to four events a time, who race for streams and dawdle before commits."""

    def __init__(self, store: EventStore, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.versions = dict.fromkeys((stream() for _ in range(STREAMS)), 0)
        self.left = TOTAL
        self.conflicts = 0

    async def write(self) -> None:
        while self.left:
            batch = min(self.random.choice((1, 1, 1, 2, 4)), self.left)
            self.left -= batch
            while not await self._append(batch):
                self.conflicts += 1

    async def _append(self, batch: int) -> bool:
        name = self.random.choice(list(self.versions))
        try:
            async with self.store.engine.begin() as conn:
                version = await self.store.append(
                    conn, name, self.versions[name], events(*["x"] * batch), METADATA
                )
                if self.random.random() < 0.3:  # as a command
                    request_id = uuid4()
                    await self.store.claim(conn, "caller", request_id, "method", b"digest")
                    await self.store.answer(conn, "caller", request_id, b"answer")
                if self.random.random() < 0.02:
                    await asyncio.sleep(self.random.uniform(0, 0.2))
        except WrongExpectedVersion as error:
            self.versions[name] = max(self.versions[name], error.actual)
            return False
        self.versions[name] = max(self.versions[name], version)
        self.store.announce()
        return True


async def read_all(store: EventStore, total: int) -> list[tuple[int | None, str, int]]:
    seen: list[tuple[int | None, str, int]] = []
    async with aclosing(store.follow()) as followed:
        async for event in followed:
            seen.append((event.position, event.stream, event.version))
            if len(seen) == total:
                break
    return seen


async def test_each_reader_sees_every_position_once_in_order_under_racing_writers(
    store: EventStore, database_url: str
) -> None:
    seed = random.randrange(2**32)
    print(f"{seed=}")
    engine = engine_for(database_url)
    elsewhere = EventStore(engine)  # as another process would
    writers = Writers(store, seed)
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        readers = [
            group.create_task(read_all((store, elsewhere)[n % 2], TOTAL)) for n in range(READERS)
        ]
        for _ in range(WRITERS):
            group.create_task(writers.write())
    await elsewhere.close()
    await engine.dispose()

    for reader in readers:
        seen = reader.result()
        assert [position for position, _, _ in seen] == list(range(1, TOTAL + 1))
        versions: defaultdict[str, list[int]] = defaultdict(list)
        for _, name, version in seen:
            versions[name].append(version)
        assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
        assert {name: len(found) for name, found in versions.items()} == {
            name: version for name, version in writers.versions.items() if version
        }
    assert writers.conflicts, "the writers never raced"


async def test_a_stalled_transaction_delays_only_its_own_events(store: EventStore) -> None:
    async with store.engine.begin() as stalled:
        await store.append(stalled, stream(), 0, events("stalled"), METADATA)
        await append(store, stream(), 0, "quick")
        page = await store.read(0, 10)
        assert [(event.data, event.position) for event in page.events] == [(b"quick", 1)]
    page = await store.read(page.next, 10)
    assert [(event.data, event.position) for event in page.events] == [(b"stalled", 2)]


async def test_a_reader_does_not_wait_for_whoever_deals_positions(store: EventStore) -> None:
    await append(store, stream(), 0, "a")
    await store.head()
    await append(store, stream(), 0, "b")
    async with store.engine.connect() as dealing:
        await dealing.exec_driver_sql("SELECT eventstore.advance()")
        async with asyncio.timeout(5):
            assert (await store.read(0, 10)).head == 1
        await dealing.commit()
    assert (await store.read(0, 10)).head == 2


async def test_a_rolled_back_deal_is_dealt_again(store: EventStore) -> None:
    await append(store, stream(), 0, "a")
    async with store.engine.connect() as dealing:
        await dealing.exec_driver_sql("SELECT eventstore.advance()")
        await dealing.rollback()
    assert [event.position for event in (await store.read(0, 10)).events] == [1]


async def test_pages_are_resumed_from_next(store: EventStore) -> None:
    await append(store, stream(), 0, *"abcde")
    first = await store.read(0, 2)
    assert ([e.data for e in first.events], first.next, first.head) == ([b"a", b"b"], 2, 5)
    second = await store.read(first.next, 3)
    assert ([e.data for e in second.events], second.next) == ([b"c", b"d", b"e"], 5)
    assert await store.read(5, 10) == feed.Page((), 5, 5)


async def test_reading_from_beyond_the_head_is_refused(store: EventStore) -> None:
    await append(store, stream(), 0, "a")
    with pytest.raises(PositionBeyondHead, match="2 lies beyond the head of the log, 1"):
        await store.read(2, 10)


async def test_a_selective_filter_reads_a_bounded_window_a_page(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "WINDOW", 10)
    await append(store, stream(), 0, *["x"] * 25)
    await append(store, stream("shop.cart"), 0, "wanted")
    cart, steps, after = Filter(categories=("shop.cart",)), [], 0
    while after < 26:
        page = await store.read(after, 5, cart)
        after = page.next
        steps.append((after, [event.data for event in page.events]))
    assert steps == [(10, []), (20, []), (26, [b"wanted"])]


CATEGORIES = ("shop.order", "shop.cart", "bank.account")
TYPES = ("test.v1.Opened", "test.v1.Changed", "test.v1.Closed")
appends = st.lists(
    st.tuples(st.sampled_from(CATEGORIES), st.integers(0, 2), st.sampled_from(TYPES)),
    min_size=1,
    max_size=25,
)
some = {"unique": True, "max_size": 2}


def wanted(event: RecordedEvent, by: Filter) -> bool:
    return (
        (not by.streams or event.stream in by.streams)
        and (not by.categories or event.stream.split("-")[0] in by.categories)
        and (not by.types or event.type in by.types)
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    appends=appends,
    limit=st.integers(1, 30),
    window=st.integers(1, 30),
    streams=st.lists(st.integers(0, 8), **some),
    categories=st.lists(st.sampled_from((*CATEGORIES, "shop.none")), **some),
    types=st.lists(st.sampled_from((*TYPES, "test.v1.None")), **some),
)
async def test_pages_hold_exactly_what_the_filter_wants(
    store: EventStore,
    appends: list[Any],
    limit: int,
    window: int,
    streams: list[int],
    categories: list[str],
    types: list[str],
) -> None:
    start, versions, names = await store.head(), defaultdict[str, int](int), {}
    for category, n, type_ in appends:
        name = names.setdefault((category, n), stream(category))
        versions[name] = await append(store, name, versions[name], "x", type=type_)
    known = list(versions)
    by = Filter(tuple({known[n % len(known)] for n in streams}), tuple(categories), tuple(types))

    everything = (await store.read(start, 1000)).events
    assert [event.position for event in everything] == list(
        range(start + 1, start + len(appends) + 1)
    )
    found: list[RecordedEvent] = []
    after, head = start, start + len(appends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "WINDOW", window)
        while after < head:
            page = await store.read(after, limit, by)
            assert len(page.events) <= limit
            assert after < page.next <= page.head == head
            after = page.next
            found += page.events
    assert found == [event for event in everything if wanted(event, by)]


async def first_arrival(store: EventStore) -> float:
    async with aclosing(store.follow()) as followed:
        async for _ in followed:
            return time.monotonic()
    raise AssertionError("a feed never ends")


async def test_an_announced_event_wakes_a_follower_in_another_process(
    store: EventStore, database_url: str
) -> None:
    engine = engine_for(database_url)
    elsewhere = EventStore(engine, poll=60)
    arrival = asyncio.create_task(first_arrival(elsewhere))
    await asyncio.sleep(0.3)
    await append(store, stream(), 0, "a")
    announced = time.monotonic()
    store.announce()
    async with asyncio.timeout(10):
        assert await arrival - announced < 2
    await elsewhere.close()
    await engine.dispose()


async def test_an_event_never_announced_is_found_by_polling(database_url: str) -> None:
    engine = engine_for(database_url)
    store = EventStore(engine, poll=0.2)
    arrival = asyncio.create_task(first_arrival(store))
    await asyncio.sleep(0.3)
    await append(store, stream(), 0, "a")
    async with asyncio.timeout(10):
        await arrival
    await store.close()
    await engine.dispose()


async def test_announcing_waits_for_whoever_dealt_before_the_commit(store: EventStore) -> None:
    async with store.engine.connect() as dealing:
        await dealing.exec_driver_sql("SELECT eventstore.advance()")
        await append(store, stream(), 0, "a")
        store.announce()
        await asyncio.sleep(0.1)
        await dealing.commit()
    await store.close()
    async with store.engine.connect() as conn:
        dealt = await conn.exec_driver_sql("SELECT count(*) FROM eventstore.position")
        assert dealt.scalar_one() == 1


async def test_many_announcements_at_once_are_dealt_in_few_turns(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    connects = 0
    connect = store.engine.connect

    def counted() -> Any:
        nonlocal connects
        connects += 1
        return connect()

    monkeypatch.setattr(store.engine.__class__, "connect", lambda _: counted())
    for _ in range(1000):
        store.announce()
    await store.close()
    assert 1 <= connects <= 2

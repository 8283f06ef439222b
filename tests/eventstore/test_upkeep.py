"""Request ids are kept as long as somebody may repeat the request, and not for ever."""

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from eventstore import EventStore, upkeep
from tests.eventstore.test_requests import DIGEST, METHOD
from tests.eventstore.test_subscription import until

AGE = text(
    "UPDATE eventstore.request SET recorded_at = clock_timestamp() - make_interval(days => :days)"
    " WHERE request_id = ANY (:ids)"
)


async def answered(store: EventStore, count: int, days: int = 0) -> list[UUID]:
    """Requests answered `days` ago."""
    ids = [uuid4() for _ in range(count)]
    async with store.engine.begin() as conn:
        for id_ in ids:
            await store.claim(conn, "me", id_, METHOD, DIGEST)
            await store.answer(conn, "me", id_, b"done")
        await conn.execute(AGE, {"days": days, "ids": ids})
    return ids


async def known(store: EventStore, request: UUID) -> bytes | None:
    async with store.engine.connect() as conn:
        return await store.claim(conn, "me", request, METHOD, DIGEST)


async def test_what_is_old_is_forgotten_and_what_is_younger_still_answers(
    store: EventStore, as_role: Callable[[str], EventStore]
) -> None:
    old, young, new = [(await answered(store, 3, days)) for days in (91, 89, 0)]
    assert await upkeep.forget_requests(as_role("bihuan_sealer"), 90) == 3
    assert [await known(store, id_) for id_ in (*young, *new)] == [b"done"] * 6
    assert [await known(store, id_) for id_ in old] == [None] * 3, "they are new requests"
    assert await upkeep.forget_requests(as_role("bihuan_sealer"), 90) == 0


async def test_many_go_in_batches_the_oldest_first(store: EventStore) -> None:
    oldest, old = await answered(store, 25, 200), await answered(store, 15, 100)
    async with store.engine.begin() as conn:
        forget = text("SELECT eventstore.forget_requests('90 days', 25)")
        assert await conn.scalar(forget) == 25
    assert await known(store, oldest[-1]) is None
    assert await known(store, old[0]) == b"done"
    assert await upkeep.forget_requests(store, 90, batch=4) == 15


async def test_two_at_it_forget_each_request_once(store: EventStore) -> None:
    await answered(store, 200, 100)
    both = await asyncio.gather(*(upkeep.forget_requests(store, 90, batch=7) for _ in range(2)))
    assert sum(both) == 200


async def test_the_oldest_are_found_by_their_index(store: EventStore) -> None:
    await answered(store, 2000)
    old = "SELECT ctid FROM eventstore.request WHERE recorded_at < now() - interval '90 days'"
    async with store.engine.connect() as conn:
        await conn.execute(text("ANALYZE eventstore.request"))
        plan = await conn.scalars(text(f"EXPLAIN {old} ORDER BY recorded_at LIMIT 10"))
        assert "request_recorded_at" in "".join(plan)


async def test_a_twin_in_flight_is_not_disturbed(store: EventStore) -> None:
    (request,) = await answered(store, 1, 100)
    fresh = uuid4()
    async with store.engine.begin() as first:
        assert await store.claim(first, "me", fresh, METHOD, DIGEST) is None
        waiting = asyncio.create_task(known(store, fresh))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(2):
            assert await upkeep.forget_requests(store, 90) == 1
        assert not waiting.done()
        await store.answer(first, "me", fresh, b"first")
    assert await waiting == b"first"
    assert await known(store, request) is None


async def test_who_repeats_a_request_while_it_is_forgotten_is_not_called_a_liar(
    store: EventStore,
) -> None:
    """The claim finds it there, waits for the forgetting, and then it is gone."""
    stop = asyncio.Event()

    async def forgetting() -> None:
        while not stop.is_set():
            await upkeep.forget_requests(store, 90)

    task = asyncio.create_task(forgetting())
    for _ in range(150):
        (request,) = await answered(store, 1, 100)
        assert await known(store, request) in (None, b"done")
    stop.set()
    await task


async def test_only_the_sealer_forgets_and_nothing_of_today(
    store: EventStore, as_role: Callable[[str], EventStore]
) -> None:
    await answered(store, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await upkeep.forget_requests(as_role("bihuan_shop"), 90)
    with pytest.raises(asyncpg.InvalidParameterValueError, match="for a day at least"):
        await upkeep.forget_requests(as_role("bihuan_sealer"), 0.5)
    with pytest.raises(DBAPIError, match="permission denied"):
        async with as_role("bihuan_reader").engine.connect() as conn:
            await conn.execute(text("SELECT response FROM eventstore.request"))


async def test_it_is_done_at_once_and_then_every_hour(
    store: EventStore, as_role: Callable[[str], EventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "EVERY_SECONDS", 0.05)
    task = asyncio.create_task(upkeep.run(as_role("bihuan_sealer"), 90))
    for _ in range(2):
        (request,) = await answered(store, 1, 100)

        async def gone(request: UUID = request) -> bool:
            return await known(store, request) is None

        await until(gone)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

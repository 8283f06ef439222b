"""Idempotency: one request, one effect, one answer, however often and however fast it comes."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from eventstore import EventStore, RequestReused
from tests.eventstore.conftest import METADATA, events, stream

METHOD, DIGEST = "/shop.v1.Orders/Place", b"d" * 32


async def test_the_first_answer_is_given_again(store: EventStore) -> None:
    request = uuid4()
    for answer in (b"", b"first"):
        request = uuid4()
        async with store.engine.begin() as conn:
            assert await store.claim(conn, "me", request, METHOD, DIGEST) is None
            await store.answer(conn, "me", request, answer)
        for _ in range(2):
            async with store.engine.begin() as conn:
                assert await store.claim(conn, "me", request, METHOD, DIGEST) == answer


async def test_another_caller_may_use_the_same_id(store: EventStore) -> None:
    request = uuid4()
    async with store.engine.begin() as conn:
        for caller in ("me", "you"):
            assert await store.claim(conn, caller, request, METHOD, DIGEST) is None
            await store.answer(conn, caller, request, b"ok")


@pytest.mark.parametrize(("method", "digest"), [("/other", DIGEST), (METHOD, b"e" * 32)])
async def test_the_same_id_for_another_request_is_refused(
    store: EventStore, method: str, digest: bytes
) -> None:
    request = uuid4()
    async with store.engine.begin() as conn:
        await store.claim(conn, "me", request, METHOD, DIGEST)
        await store.answer(conn, "me", request, b"ok")
    with pytest.raises(RequestReused, match=str(request)):
        async with store.engine.begin() as conn:
            await store.claim(conn, "me", request, method, digest)


async def test_an_attempt_rolled_back_leaves_nothing_and_its_twin_takes_over(
    store: EventStore,
) -> None:
    request = uuid4()

    async def twin() -> bytes | None:
        async with store.engine.begin() as conn:
            found = await store.claim(conn, "me", request, METHOD, DIGEST)
            if found is None:
                await store.answer(conn, "me", request, b"twin")
            return found

    async with store.engine.connect() as conn:
        assert await store.claim(conn, "me", request, METHOD, DIGEST) is None
        waiting = asyncio.create_task(twin())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await conn.rollback()
    assert await waiting is None
    assert await twin() == b"twin"


async def test_a_hundred_concurrent_twins_make_one_event_and_equal_answers(
    as_role: Callable[[str], EventStore],
) -> None:
    store, request, name = as_role("bihuan_shop"), uuid4(), stream()

    async def command(n: int) -> bytes:
        async with store.engine.begin() as conn:
            answer = await store.claim(conn, "me", request, METHOD, DIGEST)
            if answer is None:
                await store.append(conn, name, 0, events("placed"), METADATA)
                await asyncio.sleep(0.05)
                answer = b"%d" % n
                await store.answer(conn, "me", request, answer)
        store.announce()
        return answer

    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(command(n) for n in range(100)))
    assert len(set(answers)) == 1
    assert await store.head() == 1


async def test_an_answer_is_given_once_and_only_to_a_claim(store: EventStore) -> None:
    request = uuid4()
    async with store.engine.begin() as conn:
        await store.claim(conn, "me", request, METHOD, DIGEST)
        await store.answer(conn, "me", request, b"ok")
    for caller in ("me", "you"):
        with pytest.raises(asyncpg.RaiseError, match="not claimed, or answered already"):
            async with store.engine.begin() as conn:
                await store.answer(conn, caller, request, b"other")


async def test_a_claim_committed_without_an_answer_is_reported(store: EventStore) -> None:
    request = uuid4()
    async with store.engine.begin() as conn:
        await store.claim(conn, "me", request, METHOD, DIGEST)
    with pytest.raises(DBAPIError, match="committed without an answer"):
        async with store.engine.begin() as conn:
            await store.claim(conn, "me", request, METHOD, DIGEST)

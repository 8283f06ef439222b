"""Data keys: who may make, read and destroy them, and that none is lost or used once destroyed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from eventstore import EventStore, keys

SUBJECT = keys.subject_hash("6f1c1f1e-3b0f-4d55-9a53-0f2b7a4c9d10")
AsRole = Callable[[str], EventStore]
CALLS = {
    "hold": "SELECT * FROM eventstore.hold_data_key('x')",
    "add": "SELECT eventstore.add_data_key(gen_random_uuid(), 'x', 'y')",
    "find": "SELECT * FROM eventstore.data_keys('{}')",
    "forget": "SELECT eventstore.forget_subject('x', 'me')",
    "each": "SELECT * FROM eventstore.data_keys_after(gen_random_uuid(), 1)",
    "rewrap": "SELECT eventstore.rewrap_data_key(gen_random_uuid(), 'x', 'y')",
    "select": "SELECT wrapped FROM eventstore.data_key",
    "insert": "INSERT INTO eventstore.data_key (id, subject_hash) VALUES (gen_random_uuid(), 'x')",
    "update": "UPDATE eventstore.data_key SET wrapped = 'x'",
    "delete": "DELETE FROM eventstore.data_key",
}
SERVICE = {"hold", "add", "find"}


async def add(store: EventStore, wrapped: bytes = b"wrapped") -> None:
    async with store.engine.begin() as conn:
        await keys.add(conn, SUBJECT, wrapped)


async def held(store: EventStore) -> keys.WrappedKey | None:
    async with store.engine.begin() as conn:
        return await keys.hold(conn, SUBJECT)


async def forget(store: EventStore) -> bool:
    async with store.engine.begin() as conn:
        return await keys.forget(conn, SUBJECT, "operator")


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("bihuan_reader", set()),
        ("bihuan_sealer", set()),
        ("bihuan_writer", SERVICE),
        ("bihuan_shop", SERVICE),
        ("bihuan_privacy", {*SERVICE, "forget", "each", "rewrap"}),
    ],
)
async def test_services_make_and_read_keys_and_one_role_destroys_them(
    as_role: AsRole, role: str, may: set[str]
) -> None:
    store = as_role(role)
    allowed = set()
    for name, statement in CALLS.items():
        with suppress(DBAPIError):
            async with store.engine.begin() as conn:
                await conn.exec_driver_sql(statement)
            allowed.add(name)
    assert allowed == may


async def test_a_destroyed_key_leaves_who_and_when_and_no_bytes_and_another_may_follow(
    as_role: AsRole, store: EventStore
) -> None:
    shop, privacy = as_role("bihuan_shop"), as_role("bihuan_privacy")
    assert not await forget(privacy)
    await add(shop)
    first = await held(shop)
    assert first is not None
    assert await forget(privacy)
    assert (await forget(privacy), await held(shop)) == (False, None)
    await add(shop, b"another")
    second = await held(shop)
    assert second is not None
    async with shop.engine.connect() as conn:
        found = await keys.find(conn, [first.id, second.id, first.id])
    assert found == {first.id: None, second.id: b"another"}
    async with store.engine.begin() as conn:
        (row,) = await conn.execute(text("SELECT * FROM eventstore.data_key WHERE wrapped IS NULL"))
    assert (row.subject_hash, row.forgotten_by) == (SUBJECT, "operator")
    assert row.forgotten_at > row.made_at
    for statement in ("DELETE FROM eventstore.data_key", "TRUNCATE eventstore.data_key"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with store.engine.begin() as conn:
                await conn.execute(text(statement))


async def test_of_those_who_make_a_key_at_once_one_does_and_all_use_it(as_role: AsRole) -> None:
    store = as_role("bihuan_shop")

    async def make(n: int) -> keys.WrappedKey | None:
        async with store.engine.begin() as conn:
            await keys.add(conn, SUBJECT, b"%d" % n)
            return await keys.hold(conn, SUBJECT)

    made = await asyncio.gather(*map(make, range(10)))
    assert len(set(made)) == 1
    assert None not in made


async def test_a_key_made_in_a_transaction_that_fails_was_never_there(as_role: AsRole) -> None:
    store = as_role("bihuan_shop")
    with suppress(ZeroDivisionError):
        async with store.engine.begin() as conn:
            await keys.add(conn, SUBJECT, b"lost")
            raise ZeroDivisionError
    assert await held(store) is None


async def test_forgetting_waits_for_whoever_is_about_to_seal(as_role: AsRole) -> None:
    shop, privacy = as_role("bihuan_shop"), as_role("bihuan_privacy")
    await add(shop)
    async with shop.engine.begin() as conn:
        assert await keys.hold(conn, SUBJECT)
        forgetting = asyncio.create_task(forget(privacy))
        _, waiting = await asyncio.wait({forgetting}, timeout=0.3)
        assert waiting == {forgetting}
    assert await forgetting
    assert await held(shop) is None


async def test_the_row_that_held_a_destroyed_key_is_given_up(
    as_role: AsRole, store: EventStore
) -> None:
    privacy = as_role("bihuan_privacy")
    await add(privacy)
    await forget(privacy)
    async with privacy.engine.connect() as conn:
        await keys.vacuum(conn)
    dead = "SELECT n_dead_tup, vacuum_count FROM pg_stat_user_tables WHERE relname = 'data_key'"
    async with store.engine.connect() as conn:
        await conn.execute(text("SELECT pg_stat_force_next_flush()"))
        assert tuple((await conn.execute(text(dead))).one()) == (0, 1)

"""The log is append-only, by the database: for services, readers, the owner and the superuser."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from eventstore import EventStore
from tests.eventstore.conftest import append, stream

CHANGES = [
    change
    for table, column in (("event", "type"), ("position", "id"))
    for change in (
        f"UPDATE eventstore.{table} SET {column} = {column}",
        f"UPDATE eventstore.{table} SET {column} = {column} WHERE false",
        f"DELETE FROM eventstore.{table}",
        f"TRUNCATE eventstore.{table} CASCADE",
        f"MERGE INTO eventstore.{table} t USING (VALUES (1)) v(id) ON t.id = v.id"
        " WHEN MATCHED THEN DELETE",
    )
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("role", "refusal"),
    [
        ("bihuan_shop", "permission denied"),
        ("bihuan_reader", "permission denied"),
        ("bihuan_writer", "permission denied"),
        ("bihuan_owner", "append-only"),
        ("postgres", "append-only"),
    ],
)
async def test_the_log_is_never_changed(
    store: EventStore, as_role: Callable[[str], EventStore], role: str, refusal: str, change: str
) -> None:
    await append(store, stream(), 0, "a", "b")
    before = await store.read(0, 10)
    with pytest.raises(DBAPIError, match=refusal):
        async with as_role(role).engine.begin() as conn:
            await conn.execute(text(change))
    assert await store.read(0, 10) == before


@pytest.mark.parametrize("change", CHANGES)
async def test_not_even_as_a_replication_role(store: EventStore, change: str) -> None:
    await append(store, stream(), 0, "a", "b")
    before = await store.read(0, 10)
    with pytest.raises(DBAPIError, match="append-only"):
        async with store.engine.begin() as conn:
            await conn.execute(text("SET LOCAL session_replication_role = replica"))
            await conn.execute(text(change))
    assert await store.read(0, 10) == before

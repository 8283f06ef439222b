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


@pytest.mark.parametrize(
    ("role", "setting", "refusal"),
    [
        ("bihuan_shop", "", "permission denied"),
        ("bihuan_reader", "", "permission denied"),
        ("bihuan_writer", "", "permission denied"),
        ("bihuan_owner", "", "append-only"),
        ("postgres", "", "append-only"),
        ("postgres", "SET LOCAL session_replication_role = replica", "append-only"),
    ],
)
async def test_the_log_is_never_changed(
    store: EventStore,
    as_role: Callable[[str], EventStore],
    role: str,
    setting: str,
    refusal: str,
) -> None:
    await append(store, stream(), 0, "a", "b")
    before = await store.read(0, 10)
    engine = as_role(role).engine
    for change in CHANGES:
        async with engine.connect() as conn:
            if setting:
                await conn.execute(text(setting))
            with pytest.raises(DBAPIError, match=refusal):
                await conn.execute(text(change))
    assert await store.read(0, 10) == before

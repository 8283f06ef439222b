"""The data keys of subjects, wrapped: added and held in the transaction that seals with them."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from eventstore.engine import begun, driver

HOLD = "SELECT id, wrapped FROM eventstore.hold_data_key($1)"
ADD = "SELECT eventstore.add_data_key($1, $2, $3)"
FIND = "SELECT id, wrapped FROM eventstore.data_keys($1)"
AFTER = "SELECT id, wrapped FROM eventstore.data_keys_after($1, $2)"
REWRAP = "SELECT eventstore.rewrap_data_key($1, $2, $3)"
REWRAPPING = "SELECT pg_try_advisory_lock(hashtextextended('eventstore.rewrap', 0))"
FORGET = "SELECT eventstore.forget_subject($1, $2)"
PAGE = 500
VACUUM = "VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) eventstore.data_key"


class WrappedKey(NamedTuple):
    """A data key as the database has it."""

    id: UUID
    wrapped: bytes


def subject_hash(subject: str) -> bytes:
    """What the database knows a subject by, in capitals or not: a UUID is written either way."""
    return hashlib.sha256(b"bihuan subject\0" + subject.strip().lower().encode()).digest()


async def hold(conn: AsyncConnection, subject: bytes) -> WrappedKey | None:
    """The subject's key, not to be destroyed before this transaction ends; None without one."""
    row = await (await begun(conn)).fetchrow(HOLD, subject)
    return WrappedKey(*row) if row else None


async def add(conn: AsyncConnection, subject: bytes, wrapped: bytes) -> None:
    """Give the subject this key, unless another transaction gave it one: `hold` tells which."""
    await (await begun(conn)).execute(ADD, uuid7(), subject, wrapped)


async def find(conn: AsyncConnection, ids: Iterable[UUID]) -> dict[UUID, bytes | None]:
    """The keys of these ids, wrapped, where they were ever made; None for a destroyed one."""
    return {row["id"]: row["wrapped"] for row in await driver(conn).fetch(FIND, list(ids))}


async def forget(conn: AsyncConnection, subject: bytes, by: str) -> bool:
    """Destroy the subject's key, once who seals with it has ended; whether there was one."""
    return bool(await (await begun(conn)).fetchval(FORGET, subject, by))


async def each(conn: AsyncConnection) -> AsyncIterator[WrappedKey]:
    """Every key that is not destroyed, those added meanwhile too, in order of their making."""
    after = UUID(int=0)
    while rows := await driver(conn).fetch(AFTER, after, PAGE):
        for row in rows:
            yield WrappedKey(*row)
        after = rows[-1]["id"]


async def claim_rewrap(conn: AsyncConnection) -> bool:
    """Whether this session may rewrap, alone until it ends: two would drop each other's master key."""
    return bool(await driver(conn).fetchval(REWRAPPING))


async def rewrap(conn: AsyncConnection, key: WrappedKey, wrapped: bytes) -> None:
    """Put another wrapping in the place of this one, if the key still has it."""
    await driver(conn).execute(REWRAP, key.id, key.wrapped, wrapped)


async def vacuum(conn: AsyncConnection) -> None:
    """Have PostgreSQL give up the rows that destroyed keys were in. Outside of any transaction."""
    await driver(conn).execute(VACUUM)

"""Personal data between people and the log: sealed before it is recorded, opened for who may see it.

Each subject has a data key in the database, wrapped by the master key. It is read there at each use,
so that a key that was destroyed is used by nobody, here or in another process; what is kept here, for
some seconds, is only what the key service made of the wrapped bytes just read.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from eventstore import envelope, keys
from eventstore.envelope import DataKey, KeyService, NotWhole
from rpc import personal
from rpc.personal import Value

FORGOTTEN = "[forgotten]"
UNREADABLE = "[unreadable]"
KEEP_SECONDS = 5.0

M = TypeVar("M", bound=Message)
log = logging.getLogger(__name__)


class Vault:
    """Seals and opens with the keys of one database; `engine` acts as a role that may read keys."""

    def __init__(
        self, engine: AsyncEngine, service: KeyService, keep_seconds: float = KEEP_SECONDS
    ) -> None:
        self._engine = engine
        self._service = service
        self._keep_seconds = keep_seconds
        self._unwrapped: dict[bytes, bytes] = {}

    async def sealed(self, conn: AsyncConnection, messages: Sequence[M], known: Any) -> Sequence[M]:
        """The messages with each personal value sealed, for the transaction of `conn` to record.

        A value that stands sealed in the state `known` already is left as it is.
        """
        before = {value.text for value in personal.values(known)}
        before = {text for text in before if envelope.key_id(text)}
        fresh = [v for m in messages for v in personal.values(m) if v.text not in before]
        if not fresh:
            return messages
        held = await self._held(conn, fresh)

        def seal(value: Value) -> str:
            if value.text in before:
                return value.text
            return envelope.seal(held[value.subject], value.subject, value.name, value.text)

        return [personal.replaced(message, seal) for message in messages]

    async def marked(self, conn: AsyncConnection, command: M) -> M:
        """The command with a keyed mark for each personal value: to compare it with a repeated one."""
        held = await self._held(conn, personal.values(command))
        return personal.replaced(
            command,
            lambda value: envelope.fingerprint(
                held[value.subject], value.subject, value.name, value.text
            ),
        )

    async def opened(self, answer: M) -> M:
        """The answer with each sealed value opened, or FORGOTTEN, or UNREADABLE if tampered with."""
        texts = [value.text for value in personal.values(answer)]
        ids = {key_id for text in texts if (key_id := envelope.key_id(text))}
        if not ids:
            return answer
        async with self._engine.connect() as conn:
            wrapped = await keys.find(conn, ids)
        found = {key_id: await self._found(key_id, each) for key_id, each in wrapped.items()}
        return personal.replaced(answer, lambda value: _open(value, found))

    async def _held(self, conn: AsyncConnection, values: Iterable[Value]) -> dict[str, DataKey]:
        """The keys of the values' subjects, made where there are none; held in one order by all."""
        return {
            subject: await self._key_of(conn, subject)
            for subject in sorted({value.subject for value in values})
        }

    async def _key_of(self, conn: AsyncConnection, subject: str) -> DataKey:
        if not subject:
            raise ValueError("a personal value says not whose it is")
        known_as = keys.subject_hash(subject)
        while (key := await keys.hold(conn, known_as)) is None:
            secret = os.urandom(envelope.KEY_BYTES)
            await keys.add(conn, known_as, await self._service.wrap(secret))
        return DataKey(key.id, await self._unwrap(key.wrapped))

    async def _found(self, key_id: UUID, wrapped: bytes | None) -> DataKey | str:
        """The key, or what its values read without it."""
        if wrapped is None:
            return FORGOTTEN
        try:
            return DataKey(key_id, await self._unwrap(wrapped))
        except NotWhole as error:
            log.error("data key %s: %s", key_id, error)
            return UNREADABLE

    async def _unwrap(self, wrapped: bytes) -> bytes:
        known = self._unwrapped.get(wrapped)
        if known is None:
            known = self._unwrapped[wrapped] = await self._service.unwrap(wrapped)
            loop = asyncio.get_running_loop()
            loop.call_later(self._keep_seconds, self._unwrapped.pop, wrapped, None)
        return known


def _open(value: Value, found: Mapping[UUID, DataKey | str]) -> str:
    key_id = envelope.key_id(value.text)
    if key_id is None:  # recorded before the field was marked
        return value.text
    key = found.get(key_id, UNREADABLE)
    if isinstance(key, str):
        return key
    try:
        return envelope.unseal(key, value.subject, value.name, value.text)
    except NotWhole as error:
        log.error("%s of subject %s: %s", value.name, value.subject, error)
        return UNREADABLE

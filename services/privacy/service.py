"""PrivacyService: forgets a person, key and all, in the transaction that records it."""

import logging
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.privacy.v1 import privacy_service_pb2 as pb
from bihuan.privacy.v1 import privacy_service_pb2_grpc
from eventstore import EventStore, keys
from rpc.errors import not_found
from rpc.identity import current_identity, require_unscoped
from rules import Clock
from services.aggregate import Aggregate, Commands
from services.privacy import model

Context: TypeAlias = Any
log = logging.getLogger(__name__)


async def _destroy(conn: AsyncConnection, subject: pb.Subject) -> None:
    """Destroy the key; without one there is nobody to forget, and nothing is recorded."""
    known_as = bytes.fromhex(subject.subject_hash)
    if not await keys.forget(conn, known_as, current_identity().subject):
        raise not_found("bihuan.dev/Subject", subject.name)


SUBJECT = Aggregate(
    category="privacy.subject",
    blank=lambda name: pb.Subject(name=name),
    events=(pb.SubjectForgotten,),
    evolve=model.evolve,
    project=_destroy,
)


class PrivacyService(privacy_service_pb2_grpc.PrivacyServiceServicer):
    """Knows subjects by their hash alone."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._engine = store.engine
        self._commands = Commands(store, SUBJECT)
        self._clock = clock

    async def ForgetSubject(self, request: pb.ForgetSubjectRequest, context: Context) -> pb.Subject:
        require_unscoped()
        known_as = keys.subject_hash(request.subject).hex()
        forgotten = await self._commands.create(
            f"subjects/{uuid5(NAMESPACE_URL, f'bihuan:subject/{known_as}')}",
            request,
            lambda subject: model.decide(subject, known_as, request.reason, self._clock.now()),
        )
        await self._vacuum()
        return forgotten

    async def _vacuum(self) -> None:
        """The row with the key is dead, not gone; PostgreSQL may as well look into it now."""
        try:
            async with self._engine.connect() as conn:
                await keys.vacuum(conn)
        except Exception:  # the person is forgotten all the same, and autovacuum comes by
            log.warning("could not vacuum the data keys", exc_info=True)

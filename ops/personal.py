"""What operators do about personal data: change the master key, forget a person."""

from typing import TYPE_CHECKING
from uuid import uuid4

from ops.failures import NotForgotten
from ops.key_files import MASTER
from ops.settings import Settings, SettingsError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bihuan.privacy.v1.privacy_service_pb2 import Subject
    from eventstore.envelope import MasterKeyFile

ROLE = "operator"
NOBODY = "SUBJECT_NOT_FOUND"  # or forgotten before


async def forget(settings: Settings, subject: str, reason: str) -> "Subject":
    """Forget a person through the services, as role `operator`. Raises NotForgotten."""
    import grpc

    from bihuan.privacy.v1.privacy_service_pb2 import ForgetSubjectRequest
    from bihuan.privacy.v1.privacy_service_pb2_grpc import PrivacyServiceStub
    from ops.calendars import target
    from ops.tokens import issue
    from rpc.client import connect, status_of
    from rpc.identity import Identity

    request = ForgetSubjectRequest(request_id=str(uuid4()), subject=subject, reason=reason)
    token = issue(settings, Identity(ROLE, roles=frozenset({ROLE})), hours=1)
    async with connect(target(settings), token) as channel:
        try:
            return await PrivacyServiceStub(channel).ForgetSubject(request)
        except grpc.aio.AioRpcError as error:
            status = status_of(error)
            hint = ": no data of theirs is under a key" if status.reason == NOBODY else ""
            raise NotForgotten(f"{status.reason}: {status.message}{hint}") from error


async def rewrap(settings: Settings, retire: bool) -> int:
    """Wrap every data key by a new master key, or by the current one and then drop the older ones.

    Returns how many there are. SettingsError, and NotForgotten when a key cannot be read.
    """
    from eventstore import keys
    from eventstore.envelope import MasterKeyFile, MasterKeyMissing, NotWhole
    from eventstore.wakeup import exclusive
    from ops.log import opened

    path = MASTER.found(settings)
    if path is None:
        raise SettingsError("BIHUAN_MASTER_KEY: not set, and this home has no master key")
    file = MasterKeyFile(path)
    async with opened(settings, "bihuan_privacy") as store, exclusive(store.engine) as conn:
        if not await keys.claim_rewrap(conn):
            raise NotForgotten("no key is rewrapped: another `bihuan rewrap` is at it")
        try:
            if not retire:
                file.rotate()
            count = await _rewrap_each(conn, file)
            await keys.vacuum(conn)
            if retire:
                file.retire()
        except (MasterKeyMissing, NotWhole, OSError) as error:
            raise NotForgotten(f"not all keys are rewrapped: {error}") from error
    return count


async def _rewrap_each(conn: "AsyncConnection", file: "MasterKeyFile") -> int:
    from eventstore import keys

    count = 0
    async for key in keys.each(conn):
        count += 1
        if not file.is_current(key.wrapped):
            await keys.rewrap(conn, key, await file.wrap(await file.unwrap(key.wrapped)))
    return count

"""One answer for one request, however often it is sent (AIP-155)."""

from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore.engine import driver
from eventstore.errors import RequestReused


async def claim(
    conn: AsyncConnection, caller: str, request_id: UUID, method: str, digest: bytes
) -> bytes | None:
    """None: the request is ours to do in this transaction. Bytes: it was done, that is its answer.

    `digest` is SHA-256 of the request without its id. Waits while a twin is in flight, and takes
    over if the twin rolls back. Raises RequestReused if the id came with another method or digest.
    """
    parameters = (caller, request_id, method, digest)
    try:
        row = await conn.exec_driver_sql("SELECT eventstore.claim($1, $2, $3, $4)", parameters)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == "BH002":
            raise RequestReused(caller, request_id) from error
        raise
    answer: bytes | None = row.scalar_one()
    return answer


async def answer(conn: AsyncConnection, caller: str, request_id: UUID, response: bytes) -> None:
    """Keep the answer of the request claimed in this transaction; twins get it once committed."""
    await driver(conn).execute("SELECT eventstore.answer($1, $2, $3)", caller, request_id, response)

"""Pages (AIP-158): newest first, so many rows and so many bytes at most, and where the next begins.

A token is opaque, valid with the same request only, and nothing but a time and an id: whoever makes
one up starts elsewhere in what they may see anyway.
"""

import base64
import hashlib
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from rpc.errors import invalid_argument

DEFAULT_SIZE = 50
MOST_BYTES = 3 << 20  # clients take 4 MiB, unless told otherwise
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_TOKEN = struct.Struct(">16sq16s")


class Key(NamedTuple):
    """Where a row stands in a listing, newest first."""

    time: datetime
    id: UUID


class Span(NamedTuple):
    """What part of a listing is wanted: so many rows after the row at `after`."""

    size: int
    after: Key | None


def span(request: Any) -> Span:
    """What the caller wants. INVALID_ARGUMENT for a token of another listing, or of none."""
    start = _parse(request, request.page_token) if request.page_token else None
    return Span(request.page_size or DEFAULT_SIZE, start)


def token(request: Message, last: Key) -> str:
    """A token for going on after the row at `last`."""
    micros = (last.time - EPOCH) // MICROSECOND
    packed = _TOKEN.pack(_fingerprint(request), micros, last.id.bytes)
    return base64.urlsafe_b64encode(packed).decode()


async def read(
    conn: AsyncConnection, query: sa.Select[Any], time: sa.Column[Any], part: Span
) -> tuple[list[bytes], bool]:
    """The resources of one page of `query`, and whether there are more.

    `query` is of a table with `id` and `resource`; `time` orders it. As many rows as asked for, or
    as MOST_BYTES hold, but never none.
    """
    id_, resource = time.table.c.id, time.table.c.resource
    if part.after:
        query = query.where(sa.tuple_(time, id_) < sa.tuple_(*part.after))
    query = query.with_only_columns(time.label("time"), id_, resource)
    rows = query.order_by(time.desc(), id_.desc()).limit(part.size + 1).subquery()
    order = (rows.c.time.desc(), rows.c.id.desc())
    size = sa.func.octet_length(rows.c.resource)
    numbered = sa.select(
        rows.c.resource,
        sa.func.row_number().over(order_by=order).label("number"),
        sa.func.sum(size).over(order_by=order).label("bytes"),
        sa.func.count().over().label("in_all"),
    ).subquery()
    fits = (numbered.c.bytes <= MOST_BYTES) | (numbered.c.number == 1)
    page = (
        sa.select(numbered.c.resource, numbered.c.in_all)
        .where(numbered.c.number <= part.size, fits)
        .order_by(numbered.c.number)
    )
    found = (await conn.execute(page)).all()
    return [row.resource for row in found], bool(found) and found[0].in_all > len(found)


def fitting(sizes: Iterable[int]) -> int:
    """How many things of these sizes, from the first, go on one page: at least one."""
    total = count = 0
    for size in sizes:
        total += size
        if count and total > MOST_BYTES:
            break
        count += 1
    return count


def _parse(request: Message, text: str) -> Key:
    try:
        packed = base64.b64decode(text, altchars=b"-_", validate=True)
        fingerprint, micros, id_ = _TOKEN.unpack(packed)
        key = Key(EPOCH + micros * MICROSECOND, UUID(bytes=id_))
    except (ValueError, struct.error, OverflowError):
        fingerprint = b""
    if fingerprint != _fingerprint(request):
        raise invalid_argument(
            "PAGE_TOKEN_INVALID",
            "page_token is not of this listing: repeat the request it came from, or start again",
            [("page_token", "must be the next_page_token of the same request")],
        )
    return key


def _fingerprint(request: Message) -> bytes:
    body = type(request)()
    body.CopyFrom(request)
    body.ClearField("page_token")
    body.ClearField("page_size")
    return hashlib.sha256(body.SerializeToString(deterministic=True)).digest()[:16]

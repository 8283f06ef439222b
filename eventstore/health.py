"""How the log is: its head, what waits for a position, who lags behind, what is sealed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore import checkpoint, tree

# `waiting` is bounded by what was appended since the last reader; `open` by the transactions
# under way, and those rolled back since the oldest of them began.
LOG = text("""
SELECT coalesce(max(p.position), 0) AS head,
  (SELECT count(*) FROM eventstore.event WHERE id > coalesce(max(p.id), 0)) AS waiting,
  (SELECT count(*) FROM (SELECT * FROM eventstore.position ORDER BY position DESC LIMIT 1) AS last,
      unnest(last.open_ids, last.open_before) AS open (id, before)
    WHERE before > pg_snapshot_xmin(pg_current_snapshot())
      AND before < pg_snapshot_xmax(pg_current_snapshot())) AS open,
  (SELECT count(*) FROM eventstore.partition) AS partitions,
  pg_database_size(current_database()) AS bytes
FROM eventstore.position p
""")
HOLDING_UP = text("""
SELECT writing, extract(epoch FROM clock_timestamp() - writing_since)::float8 AS writing_seconds,
  reading, extract(epoch FROM clock_timestamp() - reading_since)::float8 AS reading_seconds
FROM eventstore.holding_up()
""")
REQUESTS = text("SELECT count(*) AS kept, min(recorded_at) AS oldest FROM eventstore.request")
READERS = text("SELECT name, position, updated_at FROM eventstore.checkpoint ORDER BY name")
SEALED = text("SELECT signed_at FROM eventstore.signed_checkpoint ORDER BY size DESC LIMIT 1")


@dataclass(frozen=True, slots=True)
class Reader:
    """A subscription: how many positions it has still to handle, and when it last moved (UTC)."""

    name: str
    position: int
    lag: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """`waiting` events are committed without a position yet; `open_ids` are drawn, and may still be.

    oldest_transaction, of those that have written, keeps ids open; oldest_snapshot keeps dead rows
    from being removed. None where there is none; seconds are None where we may not see them.
    """

    head: int
    waiting: int
    open_ids: int
    oldest_transaction: str | None
    oldest_transaction_seconds: float | None
    oldest_snapshot: str | None
    oldest_snapshot_seconds: float | None
    requests: int
    oldest_request_at: datetime | None
    partitions: int
    database_bytes: int
    sealed: int
    sealed_at: datetime | None
    readers: Sequence[Reader]


async def look(conn: AsyncConnection) -> Health:
    """How the log is now; nothing is dealt or moved by looking."""
    log = (await conn.execute(LOG)).one()
    holding_up = (await conn.execute(HOLDING_UP)).one()
    requests = (await conn.execute(REQUESTS)).one()
    note = await tree.latest_checkpoint(conn)
    readers = [
        Reader(name, position, log.head - position, updated_at)
        for name, position, updated_at in await conn.execute(READERS)
    ]
    return Health(
        head=log.head,
        waiting=log.waiting,
        open_ids=log.open,
        oldest_transaction=holding_up.writing,
        oldest_transaction_seconds=holding_up.writing_seconds,
        oldest_snapshot=holding_up.reading,
        oldest_snapshot_seconds=holding_up.reading_seconds,
        requests=requests.kept,
        oldest_request_at=requests.oldest,
        partitions=log.partitions,
        database_bytes=log.bytes,
        sealed=checkpoint.parse(note).size if note else 0,
        sealed_at=await conn.scalar(SEALED),
        readers=readers,
    )

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
  (SELECT cardinality(open_ids) FROM eventstore.position ORDER BY position DESC LIMIT 1) AS open,
  (SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL) AS oldest,
  (SELECT count(*) FROM eventstore.partition) AS partitions,
  pg_database_size(current_database()) AS bytes
FROM eventstore.position p
""")
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
    """`waiting` events are committed without a position yet; `open_ids` are drawn, not committed.

    oldest_transaction_seconds: of those that have written, None if there is none.
    """

    head: int
    waiting: int
    open_ids: int
    oldest_transaction_seconds: float | None
    partitions: int
    database_bytes: int
    sealed: int
    sealed_at: datetime | None
    readers: Sequence[Reader]


async def look(conn: AsyncConnection) -> Health:
    """How the log is now; nothing is dealt or moved by looking."""
    log = (await conn.execute(LOG)).one()
    note = await tree.latest_checkpoint(conn)
    readers = [
        Reader(name, position, log.head - position, updated_at)
        for name, position, updated_at in await conn.execute(READERS)
    ]
    return Health(
        head=log.head,
        waiting=log.waiting,
        open_ids=log.open or 0,
        oldest_transaction_seconds=None if log.oldest is None else float(log.oldest),
        partitions=log.partitions,
        database_bytes=log.bytes,
        sealed=checkpoint.parse(note).size if note else 0,
        sealed_at=await conn.scalar(SEALED),
        readers=readers,
    )

"""The state of a long stream, kept so that only the events after it are read and folded.

A snapshot is worth nothing as evidence: neither verification nor a rebuild looks at one.
"""

from typing import NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore.engine import begun, driver
from eventstore.errors import refused
from eventstore.events import RecordedEvent
from eventstore.feed import COLUMNS, recorded

KEEP = "SELECT eventstore.keep_snapshot($1, $2, $3, $4)"
# One round trip: the snapshot comes as the first row, the only one without an event's id.
LOAD = f"""
WITH kept AS MATERIALIZED (
  SELECT version, state FROM eventstore.snapshot WHERE stream = $1 AND fingerprint = $2
)
SELECT NULL, $1, version, '', state, '', NULL, NULL, NULL, '', NULL, NULL FROM kept
UNION ALL
(SELECT {COLUMNS}, NULL FROM eventstore.event e
  WHERE e.stream = $1 AND e.version > coalesce((SELECT version FROM kept), 0)
    AND e.id >= (SELECT first_id FROM eventstore.stream WHERE stream = $1)
    AND e.id <= (SELECT last_id FROM eventstore.stream WHERE stream = $1)
  ORDER BY e.version)
"""


class Snapshot(NamedTuple):
    """The state of a stream at a version, as bytes."""

    version: int
    state: bytes


async def load_from_snapshot(
    conn: AsyncConnection, stream: str, fingerprint: bytes
) -> tuple[Snapshot | None, list[RecordedEvent]]:
    """The snapshot that code of this `fingerprint` made, and the events after it; None, and all."""
    rows = await driver(conn).fetch(LOAD, stream, fingerprint)
    if rows and rows[0][0] is None:
        return Snapshot(rows[0][2], rows[0][4]), [recorded(row) for row in rows[1:]]
    return None, [recorded(row) for row in rows]


async def keep_snapshot(
    conn: AsyncConnection, stream: str, snapshot: Snapshot, fingerprint: bytes
) -> None:
    """Keep a snapshot in place of an earlier one, in the caller's transaction. Raises ForeignStream."""
    try:
        await (await begun(conn)).execute(
            KEEP, stream, snapshot.version, fingerprint, snapshot.state
        )
    except asyncpg.PostgresError as error:
        refused(error, error)

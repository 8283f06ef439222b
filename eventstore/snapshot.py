"""The state of a long stream, kept so that only the events after it are read and folded.

A snapshot is worth nothing as evidence: neither verification nor a rebuild looks at one.
"""

from typing import NamedTuple

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore.engine import begun, driver
from eventstore.errors import refused

KEEP = "SELECT eventstore.keep_snapshot($1, $2, $3, $4)"
_KEPT = "FROM eventstore.snapshot WHERE stream = $1 AND fingerprint = $2"
# One round trip: the event that the snapshot was made with comes first, with the state.
LOAD = f"""
SELECT e.stream, e.version, e.type, e.data,
    CASE WHEN e.version = (SELECT version {_KEPT}) THEN (SELECT state {_KEPT}) END
  FROM eventstore.event e
  WHERE e.stream = $1 AND e.version >= coalesce((SELECT version {_KEPT}), 0)
    AND e.id >= (SELECT first_id FROM eventstore.stream WHERE stream = $1)
    AND e.id <= (SELECT last_id FROM eventstore.stream WHERE stream = $1)
  ORDER BY e.version
"""


class Snapshot(NamedTuple):
    """The state of a stream at a version, as bytes."""

    version: int
    state: bytes


class StreamEvent(NamedTuple):
    """What folding needs of an event, and no more, as a stream is loaded with each command."""

    stream: str
    version: int
    type: str
    data: bytes


async def load_from_snapshot(
    conn: AsyncConnection, stream: str, fingerprint: bytes
) -> tuple[Snapshot | None, list[StreamEvent]]:
    """The snapshot that code of this `fingerprint` made, and the events after it; None, and all."""
    rows = await driver(conn).fetch(LOAD, stream, fingerprint)
    events = [StreamEvent._make(row[:4]) for row in rows]
    if rows and rows[0][4] is not None:
        return Snapshot(events[0].version, rows[0][4]), events[1:]
    return None, events


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

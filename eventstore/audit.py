"""Verifies the log against its signed checkpoints, and says where it was tampered with."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore import canonical, checkpoint, tree
from eventstore.checkpoint import Checkpoint
from eventstore.engine import driver
from eventstore.events import RecordedEvent
from eventstore.feed import COLUMNS, recorded
from eventstore.merkle import (
    HASH_BYTES,
    ProofInvalid,
    inclusion_spans,
    leaf_hash,
    verify_inclusion,
)
from eventstore.note import VerifierKey
from eventstore.proof import write as write_proof
from eventstore.store import EventStore
from eventstore.tiles import (
    TILE_WIDTH,
    Frontier,
    Tile,
    TileMissing,
    edge_tiles,
    grow,
    tiles_for,
)

PAGE = TILE_WIDTH * 8
# By LEFT JOIN, so that a position whose event is gone shows.
ROWS = (
    f"SELECT {COLUMNS}, p.position FROM eventstore.position p LEFT JOIN eventstore.event e"
    " USING (id) WHERE p.position > $1 AND p.position <= $2 ORDER BY p.position"
)
OF_STREAM = (
    f"SELECT {COLUMNS}, p.position FROM eventstore.event e LEFT JOIN eventstore.position p"
    " USING (id) WHERE e.stream = $1 ORDER BY e.version"
)
BY_ID = (
    f"SELECT {COLUMNS}, p.position FROM eventstore.event e JOIN eventstore.position p USING (id)"
    " WHERE e.event_id = $1"
)
HEADS = text(
    "SELECT coalesce(s.stream, e.stream) FROM eventstore.stream s FULL JOIN ("
    "  SELECT stream, count(*) AS events, max(version) AS version FROM eventstore.event"
    "  GROUP BY stream) e USING (stream)"
    " WHERE s.version IS DISTINCT FROM e.version OR e.version IS DISTINCT FROM e.events LIMIT 1"
)
Progress = Callable[[int, int], None]


class LogTampered(Exception):
    """The log is not what was sealed. `position` is the first bad one, where that can be told."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True)
class Audit:
    """What was found in order: `events` rehashed, up to the `checkpoint`; `unsealed` follow it."""

    events: int
    unsealed: int
    checkpoint: Checkpoint


class Auditor:
    """Verifies one log, called like its key, with the public key alone."""

    def __init__(self, store: EventStore, key: VerifierKey) -> None:
        self._store = store
        self._key = key

    async def whole(
        self,
        *,
        since: str | None = None,
        published: str | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Audit:
        """Rehash every event, or those after the checkpoint `since`, and compare with all that was
        signed: the tiles, the checkpoints in the database, the one `published` elsewhere.

        Raises LogTampered, and NoteInvalid if `since` or `published` is not signed by the key.
        """
        outside = [self._verified(note) for note in (since, published) if note is not None]
        async with self._store.engine.connect() as conn:
            last = await self._last(conn)
            head = await tree.head(conn)
            for given in [*outside, last]:
                if given.size > head:
                    raise LogTampered(
                        f"positions {head + 1} to {given.size} are missing: a checkpoint was signed"
                        f" when the log had {given.size} events",
                        head + 1,
                    )
            start = self._verified(since) if since else Checkpoint(self._key.name, 0, b"")
            known = {given.size: given for given in outside}
            frontier = await self._from(conn, start)
            upto = max([last.size, *known])
            await self._rehash(conn, frontier, last.size, upto, known, progress)
            if stream := await conn.scalar(HEADS):
                raise LogTampered(f"the versions of stream {stream} have a gap")
        vouched = max([last, *outside], key=lambda checkpoint: checkpoint.size)
        return Audit(upto - start.size, head - upto, vouched)

    async def stream(self, stream: str) -> Audit:
        """Verify one stream alone, each of its events by its proof. Raises LogTampered."""
        async with self._store.engine.connect() as conn:
            last = await self._last(conn)
            rows = await driver(conn).fetch(OF_STREAM, stream)
            if not rows:
                raise LogTampered(f"there is no stream {stream}")
            sealed = 0
            for version, event in enumerate(map(recorded, rows), 1):
                if event.version != version:
                    raise LogTampered(f"version {version} of {stream} is missing")
                if event.position is not None and event.position <= last.size:
                    await self._prove(conn, event, last)
                    sealed += 1
        return Audit(sealed, len(rows) - sealed, last)

    async def prove(self, event_id: Any) -> str:
        """The proof file of one event (see eventstore.proof) against the latest checkpoint.

        Raises LookupError if the event does not exist or is not sealed yet, LogTampered.
        """
        async with self._store.engine.connect() as conn:
            row = await driver(conn).fetchrow(BY_ID, event_id)
            if row is None:
                raise LookupError(f"there is no event {event_id}, or it has no position yet")
            event, last = recorded(row), await self._last(conn)
            if (event.position or 0) > last.size:
                raise LookupError(f"event {event_id} is not sealed yet: try again in some seconds")
            path = await self._prove(conn, event, last)
            return write_proof(event, path, await tree.latest_checkpoint(conn) or "")

    async def _prove(
        self, conn: AsyncConnection, event: RecordedEvent, last: Checkpoint
    ) -> list[bytes]:
        index = (event.position or 0) - 1
        tiles = await tree.tiles(conn, tiles_for(inclusion_spans(index, last.size)))
        try:
            path = tiles.inclusion(index, last.size)
            verify_inclusion(leaf_hash(canonical.encode(event)), index, last.size, path, last.root)
        except TileMissing as error:
            raise LogTampered(f"the tree is not whole: {error}") from error
        except ProofInvalid as error:
            raise LogTampered(
                f"the event at position {index + 1} is not the one that was sealed", index + 1
            ) from error
        return path

    async def _last(self, conn: AsyncConnection) -> Checkpoint:
        note = await tree.latest_checkpoint(conn)
        return self._verified(note) if note else Checkpoint(self._key.name, 0, Frontier().root())

    async def _from(self, conn: AsyncConnection, start: Checkpoint) -> Frontier:
        if not start.size:
            return Frontier()
        contents = await tree.contents(conn, edge_tiles(start.size))
        try:
            frontier = Frontier.resume(start.size, contents)
        except TileMissing as error:
            raise LogTampered(f"the tree is not whole: {error}") from error
        if frontier.root() != start.root:
            raise LogTampered(f"the first {start.size} events are not those of the checkpoint")
        return frontier

    async def _rehash(
        self,
        conn: AsyncConnection,
        frontier: Frontier,
        sealed: int,
        upto: int,
        known: dict[int, Checkpoint],
        progress: Progress,
    ) -> None:
        first = frontier.size
        async for page in _pages(conn, frontier.size, upto):
            leaves = [leaf_hash(canonical.encode(event)) for event in page]
            await _compare_tiles(conn, frontier.size, leaves[: max(0, sealed - frontier.size)])
            signed = await tree.checkpoints_between(conn, frontier.size, frontier.size + len(page))
            at = {size: checkpoint.parse(note) for size, note in signed.items()}
            frontier = _compare_roots(frontier, leaves, {**at, **known})
            progress(frontier.size - first, upto - first)

    def _verified(self, note: str) -> Checkpoint:
        return checkpoint.verify(note, self._key.name, [self._key])


async def _pages(
    conn: AsyncConnection, after: int, upto: int
) -> AsyncIterator[list[RecordedEvent]]:
    """All events from one position to another; LogTampered where one is missing."""
    connection = driver(conn)
    while after < upto:
        rows = await connection.fetch(ROWS, after, min(upto, after + PAGE))
        for expected, row in enumerate(rows, after + 1):
            if row["position"] != expected or row["event_id"] is None:
                raise LogTampered(f"the event at position {expected} is missing", expected)
        if len(rows) < min(upto - after, PAGE):
            missing = after + len(rows) + 1
            raise LogTampered(f"the event at position {missing} is missing", missing)
        yield [recorded(row) for row in rows]
        after += len(rows)


async def _compare_tiles(conn: AsyncConnection, after: int, leaves: Sequence[bytes]) -> None:
    """The stored leaf hashes tell which event is the bad one, where only it was changed."""
    first, last = after // TILE_WIDTH, (after + len(leaves) - 1) // TILE_WIDTH
    stored = await tree.contents(conn, [Tile(0, index) for index in range(first, last + 1)])
    row = b"".join(
        stored.get(Tile(0, index), b"").ljust(TILE_WIDTH * HASH_BYTES, b"\0")
        for index in range(first, last + 1)
    )
    for number, leaf in enumerate(leaves):
        at = (after + number - first * TILE_WIDTH) * HASH_BYTES
        if row[at : at + HASH_BYTES] != leaf:
            position = after + number + 1
            raise LogTampered(
                f"the event at position {position} is not the one that was sealed", position
            )


def _compare_roots(
    frontier: Frontier, leaves: Sequence[bytes], signed: dict[int, Checkpoint]
) -> Frontier:
    """The frontier with the leaves; at each size where a checkpoint was signed the roots agree."""
    end = frontier.size + len(leaves)
    done, good = frontier.size, frontier.size
    for size in sorted(size for size in signed if done < size <= end):
        _, frontier = grow(frontier, leaves[frontier.size - done : size - done])
        if frontier.root() != signed[size].root:
            raise LogTampered(
                f"events between positions {good + 1} and {size} are not those that were sealed"
            )
        good = size
    return grow(frontier, leaves[frontier.size - done :])[1]

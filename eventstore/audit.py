"""Verifies the log against its signed checkpoints, and says where it was tampered with."""

import struct
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from eventstore.note import NoteInvalid, VerifierKey
from eventstore.proof import write as write_proof
from eventstore.store import EventStore
from eventstore.tiles import (
    TILE_WIDTH,
    Frontier,
    Tile,
    TileMissing,
    Tiles,
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
    " ON p.id = e.id AND p.position > 0 WHERE e.stream = $1 ORDER BY e.version"
)
BY_ID = (
    f"SELECT {COLUMNS}, p.position FROM eventstore.event e JOIN eventstore.position p USING (id)"
    " WHERE e.event_id = $1 AND p.position > 0"
)
HEAD = "SELECT version FROM eventstore.stream WHERE stream = $1"
# What is loaded lies between the ids that a head names.
HEADS = text(
    "SELECT coalesce(s.stream, e.stream) FROM eventstore.stream s FULL JOIN ("
    "  SELECT stream, count(*) AS events, max(version) AS version, min(id) AS first, max(id) AS last"
    "  FROM eventstore.event GROUP BY stream) e USING (stream)"
    " WHERE ROW(s.version, s.first_id, s.last_id) IS DISTINCT FROM ROW(e.version, e.first, e.last)"
    "  OR e.version IS DISTINCT FROM e.events LIMIT 1"
)
# It is loaded with its stream, and will never have a position: it was not open when later ones got theirs.
BEHIND = (
    "WITH last AS (SELECT open_ids FROM eventstore.position ORDER BY position DESC LIMIT 1)"
    " SELECT e.stream, e.version FROM eventstore.event e LEFT JOIN eventstore.position p"
    " ON p.id = e.id AND p.position > 0"
    " WHERE p.id IS NULL AND e.id <= (SELECT max(id) FROM eventstore.position)"
    " AND e.id <> ALL (coalesce((SELECT open_ids FROM last), '{}'))"
    " AND ($1::text IS NULL OR e.stream = $1) ORDER BY e.id LIMIT 1"
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
            await _loads_as_sealed(conn)
        vouched = max([last, *outside], key=lambda checkpoint: checkpoint.size)
        return Audit(upto - start.size, head - upto, vouched)

    async def stream(self, stream: str) -> Audit:
        """Verify one stream alone, each of its events by its proof. Raises LogTampered."""
        async with self._store.engine.connect() as conn:
            last = await self._last(conn)
            head = await driver(conn).fetchval(HEAD, stream) or 0
            rows = await _rows(conn, OF_STREAM, stream)
            if not rows:
                raise LogTampered(f"there is no stream {stream}")
            sealed = 0
            for version, event in enumerate(map(recorded, rows), 1):
                if event.version != version:
                    raise LogTampered(f"version {version} of {stream} is missing")
                if event.position is not None and event.position <= last.size:
                    await self._prove(conn, event, last)
                    sealed += 1
            if head > len(rows):
                raise LogTampered(f"version {len(rows) + 1} of {stream} is missing")
            if any(row["position"] is None for row in rows):
                await _none_behind(conn, stream)
        return Audit(sealed, len(rows) - sealed, last)

    async def prove(self, event_id: Any) -> str:
        """The proof file of one event (see eventstore.proof) against the latest checkpoint.

        Raises LookupError if the event does not exist or is not sealed yet, LogTampered.
        """
        async with self._store.engine.connect() as conn:
            rows = await _rows(conn, BY_ID, event_id)
            if not rows:
                raise LookupError(f"there is no event {event_id}, or it has no position yet")
            event, last = recorded(rows[0]), await self._last(conn)
            if (event.position or 0) > last.size:
                raise LookupError(f"event {event_id} is not sealed yet: try again in some seconds")
            path = await self._prove(conn, event, last)
            return write_proof(event, path, await tree.latest_checkpoint(conn) or "")

    async def _prove(
        self, conn: AsyncConnection, event: RecordedEvent, last: Checkpoint
    ) -> list[bytes]:
        index, leaf = (event.position or 0) - 1, _leaf(event)
        tiles = await tree.contents(
            conn, {*tiles_for(inclusion_spans(index, last.size)), _of(index)}
        )
        try:
            path = Tiles(tiles).inclusion(index, last.size)
            verify_inclusion(leaf, index, last.size, path, last.root)
        except TileMissing as error:
            raise LogTampered(f"the tree is not whole: {error}") from error
        except ProofInvalid as error:
            if _hashes(tiles.get(_of(index), b""))[index % TILE_WIDTH :][:1] != [leaf]:
                raise _changed(index + 1) from error
            raise LogTampered(
                f"the tree over position {index + 1} is not the one that was sealed; to verify the"
                " whole log tells whether the event is",
                index + 1,
            ) from error
        return path

    async def _last(self, conn: AsyncConnection) -> Checkpoint:
        note = await tree.latest_checkpoint(conn)
        if note is None:
            return Checkpoint(self._key.name, 0, Frontier().root())
        try:
            return self._verified(note)
        except NoteInvalid as error:
            raise NoteInvalid(f"the last checkpoint kept in the database: {error}") from error

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
        first = good = frontier.size
        doubts: list[_Doubt] = []
        async for page in _pages(conn, frontier.size, upto):
            leaves = [_leaf(event) for event in page]
            signed = await self._signed(conn, frontier.size, frontier.size + len(page)) | known
            grown, roots, frontier = _grown(frontier, leaves, signed)
            doubts += await _doubts(conn, grown, sealed)
            good = _compare_roots(good, roots, signed, doubts)
            progress(frontier.size - first, upto - first)
        if doubts:
            raise LogTampered(
                f"every event is what was sealed, but the stored tree is not: tile {doubts[0].tile}"
                " is damaged, and proofs that need it cannot be made"
            )

    async def _signed(self, conn: AsyncConnection, after: int, upto: int) -> dict[int, Checkpoint]:
        """The checkpoints kept between two sizes."""
        notes = await tree.checkpoints_between(conn, after, upto)
        try:
            kept = {size: self._verified(note) for size, note in notes.items()}
        except NoteInvalid as error:
            raise LogTampered(
                f"a checkpoint kept in the database for a size of {after + 1} to {upto} was not"
                f" signed by the log's key: {error}"
            ) from error
        if unlike := [size for size, checkpoint in kept.items() if checkpoint.size != size]:
            raise LogTampered(
                f"the checkpoint kept in the database for size {unlike[0]} is another's"
            )
        return kept

    def _verified(self, note: str) -> Checkpoint:
        return checkpoint.verify(note, self._key.name, [self._key])


async def _pages(
    conn: AsyncConnection, after: int, upto: int
) -> AsyncIterator[list[RecordedEvent]]:
    """All events from one position to another; LogTampered where one is missing."""
    while after < upto:
        rows = await _between(conn, after, min(upto, after + PAGE))
        for expected, row in enumerate(rows, after + 1):
            if row["position"] != expected or row["event_id"] is None:
                raise LogTampered(f"the event at position {expected} is missing", expected)
        if len(rows) < min(upto - after, PAGE):
            missing = after + len(rows) + 1
            raise LogTampered(f"the event at position {missing} is missing", missing)
        yield [recorded(row) for row in rows]
        after += len(rows)


async def _between(conn: AsyncConnection, after: int, upto: int) -> list[Any]:
    """The rows between two positions; by halves if need be, to find the one that cannot be read."""
    try:
        return await _rows(conn, ROWS, after, upto)
    except LogTampered as error:
        if upto - after == 1:
            raise _changed(upto) from error
    middle = (after + upto) // 2
    return [*await _between(conn, after, middle), *await _between(conn, middle, upto)]


async def _rows(conn: AsyncConnection, query: str, *parameters: Any) -> list[Any]:
    try:
        return list(await driver(conn).fetch(query, *parameters))
    except OverflowError as error:  # PostgreSQL knows years that Python does not
        raise LogTampered("an event has a time at which nothing was recorded") from error


async def _loads_as_sealed(conn: AsyncConnection) -> None:
    """LogTampered where who loads a stream would see less of it, or more, than the log has."""
    if stream := await conn.scalar(HEADS):
        raise LogTampered(f"stream {stream} has other events than its head says")
    await _none_behind(conn, None)


async def _none_behind(conn: AsyncConnection, stream: str | None) -> None:
    """LogTampered for an event, of this stream or any, that is in its stream and not in the log."""
    if row := await driver(conn).fetchrow(BEHIND, stream):
        raise LogTampered(f"version {row['version']} of {row['stream']} has no position in the log")


def _leaf(event: RecordedEvent) -> bytes:
    try:
        return leaf_hash(canonical.encode(event))
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise _changed(event.position) from error  # an event that nobody could have recorded


def _changed(position: int | None) -> LogTampered:
    return LogTampered(f"the event at position {position} is not the one that was sealed", position)


def _of(index: int) -> Tile:
    """The tile that holds the hash of a leaf."""
    return Tile(0, index // TILE_WIDTH)


def _hashes(content: bytes) -> list[bytes]:
    return [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]


def _grown(
    frontier: Frontier, leaves: Sequence[bytes], sizes: Collection[int]
) -> tuple[dict[Tile, bytes], dict[int, bytes], Frontier]:
    """The tiles and the frontier with more leaves, and the root at each of `sizes` on the way."""
    tiles: dict[Tile, bytes] = {}
    roots: dict[int, bytes] = {}
    before, end = frontier.size, frontier.size + len(leaves)
    for size in sorted({end, *(size for size in sizes if before < size <= end)}):
        more, frontier = grow(frontier, leaves[frontier.size - before : size - before])
        tiles |= more
        roots[size] = frontier.root()
    return tiles, roots, frontier


class _Doubt(NamedTuple):
    """The first hash in a tile, over leaves from `position` on, that is stored otherwise."""

    position: int
    tile: str
    of_event: bool


async def _doubts(conn: AsyncConnection, grown: Mapping[Tile, bytes], sealed: int) -> list[_Doubt]:
    """Where the stored tiles of the first `sealed` events are unlike those just computed."""
    stored, found = await tree.contents(conn, grown), []
    for tile, content in sorted(grown.items()):
        span = TILE_WIDTH**tile.level
        row = _hashes(content)[: max(0, sealed // span - tile.index * TILE_WIDTH)]
        have = _hashes(stored.get(tile, b""))[: len(row)]
        same = [one == other for one, other in zip(have, row, strict=False)]
        if len(same) < len(row) or not all(same):
            at = (tile.index * TILE_WIDTH + [*same, False].index(False)) * span + 1
            found.append(_Doubt(at, f"{tile.level}/{tile.index}", tile.level == 0))
    return found


def _compare_roots(
    good: int,
    roots: Mapping[int, bytes],
    signed: Mapping[int, Checkpoint],
    doubts: Sequence[_Doubt],
) -> int:
    """Up to where the roots are those signed, from `good` on; doubts tell which event is the bad one."""
    for size in sorted(roots.keys() & signed.keys()):
        if roots[size] != signed[size].root:
            for doubt in doubts:
                if doubt.of_event and good < doubt.position <= size:
                    raise _changed(doubt.position)
            raise LogTampered(
                f"events between positions {good + 1} and {size} are not those that were sealed"
            )
        good = size
    return good

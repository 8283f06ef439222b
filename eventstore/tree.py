"""The Merkle tree of the log in the database: its tiles and its signed checkpoints."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore.tiles import Tile, Tiles

TILES = text(
    "SELECT t.level, t.index, t.content FROM eventstore.tile t"
    " JOIN unnest(CAST(:levels AS smallint[]), CAST(:indexes AS bigint[])) AS w(level, index)"
    " USING (level, index)"
)
KEEP_TILE = text(
    "INSERT INTO eventstore.tile VALUES (:level, :index, :content)"
    " ON CONFLICT (level, index) DO UPDATE SET content = excluded.content"
)
KEEP_CHECKPOINT = text(
    "INSERT INTO eventstore.signed_checkpoint (size, note) VALUES (:size, :note)"
)
HEAD = text("SELECT coalesce(max(position), 0) FROM eventstore.position")
LATEST = text("SELECT note FROM eventstore.signed_checkpoint ORDER BY size DESC LIMIT 1")
AT = text("SELECT note FROM eventstore.signed_checkpoint WHERE size = :size")
BETWEEN = text(
    "SELECT size, note FROM eventstore.signed_checkpoint"
    " WHERE size > :after AND size <= :upto ORDER BY size"
)


async def head(conn: AsyncConnection) -> int:
    """The highest position dealt so far."""
    position: int = await conn.scalar(HEAD) or 0
    return position


async def tiles(conn: AsyncConnection, wanted: Iterable[Tile]) -> Tiles:
    """What the given tiles allow to compute; a tile that is not there is simply missing."""
    return Tiles(await contents(conn, wanted))


async def contents(conn: AsyncConnection, wanted: Iterable[Tile]) -> Mapping[Tile, bytes]:
    """The contents of the given tiles, as wide as they are by now."""
    named = list(wanted)
    parameters = {
        "levels": [tile.level for tile in named],
        "indexes": [tile.index for tile in named],
    }
    rows = await conn.execute(TILES, parameters)
    return {Tile(level, index): content for level, index, content in rows}


async def keep_tiles(conn: AsyncConnection, grown: Mapping[Tile, bytes]) -> None:
    """Store tiles that are new or wider."""
    rows: list[dict[str, Any]] = [
        {"level": tile.level, "index": tile.index, "content": content}
        for tile, content in grown.items()
    ]
    await conn.execute(KEEP_TILE, rows)


async def keep_checkpoint(conn: AsyncConnection, size: int, note: str) -> None:
    """Store the signed checkpoint of the first `size` events."""
    await conn.execute(KEEP_CHECKPOINT, {"size": size, "note": note})


async def latest_checkpoint(conn: AsyncConnection) -> str | None:
    """The signed checkpoint over the most events; None while nothing is sealed."""
    note: str | None = await conn.scalar(LATEST)
    return note


async def checkpoint_at(conn: AsyncConnection, size: int) -> str | None:
    """The signed checkpoint over exactly `size` events, if there is one."""
    note: str | None = await conn.scalar(AT, {"size": size})
    return note


async def checkpoints_between(conn: AsyncConnection, after: int, upto: int) -> dict[int, str]:
    """Size and note of the checkpoints over more than `after` events and at most `upto`."""
    rows = await conn.execute(BETWEEN, {"after": after, "upto": upto})
    return {row.size: row.note for row in rows}

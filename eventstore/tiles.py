"""Keeps the Merkle tree so that it grows and proves at a cost of O(log n), as in C2SP tlog-tiles.

A tile is a stored piece of the tree of up to 256 hashes. Nothing here does I/O: a reader names the
tiles that a proof needs (`tiles_for`), fetches these few, and lets `Tiles` compute; a writer keeps
the right edge of the tree (`Frontier`) and stores the tiles that `grow` gives it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eventstore.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    Span,
    Subtree,
    consistency_spans,
    inclusion_spans,
    node_hash,
    root_of_row,
)

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES


class TileMissing(LookupError):
    """A tile was not given, or is not as wide as it must be."""

    def __init__(self, tile: "Tile", have: int, need: int) -> None:
        super().__init__(
            f"tile {tile.level}/{tile.index} has {have} hashes where {need} are needed"
        )
        self.tile = tile


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Names the hashes of the subtrees `index` * 256 and 255 more, each over 256**`level` leaves.

    Its content is these hashes one after another, 32 bytes each: all 256, or fewer of them at the
    right edge of the tree. A tile only ever gets wider, so a later content serves as well.
    """

    level: int
    index: int


def tiles_for(spans: Iterable[Span]) -> list[Tile]:
    """The tiles to fetch for the hashes of these spans: at most two a level for one proof."""
    return sorted({_place(subtree)[0] for span in spans for subtree in span.subtrees()})


def _place(subtree: Subtree) -> tuple[Tile, int, int]:
    """The tile that holds a subtree, and the hashes in it, first and end, of which it is the root."""
    level, height = divmod(subtree.level, TILE_HEIGHT)
    index, first = divmod(subtree.index << height, TILE_WIDTH)
    return Tile(level, index), first, first + (1 << height)


class Tiles:
    """Computes hashes from the contents of tiles: all of a small tree's, or those of `tiles_for`.

    Its methods raise TileMissing, and ValueError as `inclusion_spans` and `consistency_spans` do.
    """

    def __init__(self, contents: Mapping[Tile, bytes]) -> None:
        self._contents = contents

    def root(self, size: int) -> bytes:
        """The root of the tree of the first `size` leaves, which is the hash of Span(0, size)."""
        return self.hash(Span(0, size))

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The path for `verify_inclusion` of leaf `index` in the tree of `size` leaves."""
        return [self.hash(span) for span in inclusion_spans(index, size)]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The path for `verify_consistency` of the trees of `old` and of `new` leaves."""
        return [self.hash(span) for span in consistency_spans(old, new)]

    def hash(self, span: Span) -> bytes:
        """The hash (MTH) over the leaves of a span."""
        hashes = [self._subtree(subtree) for subtree in span.subtrees()]
        if not hashes:
            return EMPTY_ROOT
        top = hashes.pop()
        while hashes:
            top = node_hash(hashes.pop(), top)
        return top

    def _subtree(self, subtree: Subtree) -> bytes:
        tile, first, end = _place(subtree)
        content = self._contents.get(tile, b"")
        if len(content) < end * HASH_BYTES:
            raise TileMissing(tile, len(content) // HASH_BYTES, end)
        return root_of_row(content[first * HASH_BYTES : end * HASH_BYTES])


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of the tree of `size` leaves: all that it needs to grow.

    `edges[n]` is the content of the partial tile of level n, empty if there is none.
    """

    size: int = 0
    edges: tuple[bytes, ...] = ()

    @classmethod
    def resume(cls, size: int, contents: Mapping[Tile, bytes]) -> "Frontier":
        """The frontier of the tree of `size` leaves, from the tiles that `edge_tiles` names.

        They may have become wider since. Compare `root` with a checkpoint before you build on it:
        nothing else shows that nobody changed the tiles. Raises TileMissing.
        """
        edges = []
        for level in range(-(-size.bit_length() // TILE_HEIGHT)):
            tile, width = _edge(size, level)
            content = contents.get(tile, b"")
            if len(content) < width * HASH_BYTES:
                raise TileMissing(tile, len(content) // HASH_BYTES, width)
            edges.append(content[: width * HASH_BYTES])
        return cls(size, tuple(edges))

    def root(self) -> bytes:
        """The root of the tree."""
        edges = {_edge(self.size, level)[0]: edge for level, edge in enumerate(self.edges)}
        return Tiles(edges).root(self.size)


def edge_tiles(size: int) -> list[Tile]:
    """The partial tiles of the tree of `size` leaves, at most one a level: what a restart reads."""
    return tiles_for([Span(0, size)])


def _edge(size: int, level: int) -> tuple[Tile, int]:
    """The tile of a level that is not full yet, and how many hashes it has."""
    index, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
    return Tile(level, index), width


def grow(frontier: Frontier, leaves: Sequence[bytes]) -> tuple[dict[Tile, bytes], Frontier]:
    """Add the hashes of more leaves: the contents of the tiles that are new or wider, and the edge.

    However the leaves are split over calls, the tiles are the same in the end. Raises ValueError
    for what is no hash.
    """
    if any(len(leaf) != HASH_BYTES for leaf in leaves):
        raise ValueError(f"a hash has {HASH_BYTES} bytes")
    tiles: dict[Tile, bytes] = {}
    edges = list(frontier.edges)
    level, added = 0, b"".join(leaves)
    while added:
        if level == len(edges):
            edges.append(b"")
        row = edges[level] + added
        contents = [row[at : at + TILE_BYTES] for at in range(0, len(row), TILE_BYTES)]
        first = _edge(frontier.size, level)[0].index
        tiles |= {Tile(level, index): content for index, content in enumerate(contents, first)}
        edges[level] = row[len(row) - len(row) % TILE_BYTES :]
        added = b"".join(root_of_row(full) for full in contents if len(full) == TILE_BYTES)
        level += 1
    return tiles, Frontier(frontier.size + len(leaves), tuple(edges))

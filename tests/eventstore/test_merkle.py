"""The Merkle tree: what RFC 9162 says it is, provable, and the same however it grew."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventstore.merkle import (
    EMPTY_ROOT,
    ProofInvalid,
    Span,
    consistency_spans,
    inclusion_spans,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from eventstore.tiles import (
    TILE_BYTES,
    Frontier,
    Tile,
    TileMissing,
    Tiles,
    edge_tiles,
    grow,
    tiles_for,
)

# The leaves, roots and proofs that the Certificate Transparency implementations test with.
CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
# The nodes of the tree of seven leaves drawn in RFC 9162, section 2.1.5.
RFC = {letter: Span(at, at + 1) for at, letter in enumerate("abcdef")} | {
    "j": Span(6, 7),
    "g": Span(0, 2),
    "h": Span(2, 4),
    "i": Span(4, 6),
    "k": Span(0, 4),
    "l": Span(4, 7),
}

# The size of the tree that C2SP tlog-tiles counts the tiles of, a little over 256 * 256.
SIZE = 70_000
LEAVES = [leaf_hash(b"%d" % n) for n in range(SIZE)]
CONTENTS, FRONTIER = grow(Frontier(), LEAVES)
TREE = Tiles(CONTENTS)


@cache
def mth(start: int, end: int) -> bytes:
    """MTH(D[start:end]) of LEAVES, by the definition in the RFC."""
    if end - start == 0:
        return EMPTY_ROOT
    if end - start == 1:
        return LEAVES[start]
    k = 1
    while k * 2 < end - start:
        k *= 2
    return node_hash(mth(start, start + k), mth(start + k, end))


mth(0, SIZE)  # once, so that no single example has to be slow


def naive_inclusion(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that a path leads to, by PATH in the RFC read backwards. Raises ValueError."""
    if size == 1:
        () = path
        return leaf
    *path, sibling = path
    k = 1
    while k * 2 < size:
        k *= 2
    if index < k:
        return node_hash(naive_inclusion(leaf, index, k, path), sibling)
    return node_hash(sibling, naive_inclusion(leaf, index - k, size - k, path))


def naive_consistency(
    old: int, new: int, path: list[bytes], old_root: bytes | None
) -> tuple[bytes, bytes]:
    """Both roots, by SUBPROOF in the RFC read backwards. Raises ValueError."""
    if old == new:
        if old_root is not None:
            () = path
            return old_root, old_root
        (both,) = path
        return both, both
    *path, other = path
    k = 1
    while k * 2 < new:
        k *= 2
    if old <= k:
        was, now = naive_consistency(old, k, path, old_root)
        return was, node_hash(now, other)
    was, now = naive_consistency(old - k, new - k, path, None)
    return node_hash(other, was), node_hash(other, now)


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], top: bytes) -> bool:
    try:
        verify_inclusion(leaf, index, size, path, top)
    except ProofInvalid:
        return False
    return True


def consistent(old: int, new: int, path: Sequence[bytes], was: bytes, now: bytes) -> bool:
    try:
        verify_consistency(old, new, path, was, now)
    except ProofInvalid:
        return False
    return True


def flipped(value: bytes, bit: int) -> bytes:
    return bytes(b ^ (1 << bit % 8 if n == bit // 8 else 0) for n, b in enumerate(value))


def unhex(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(value) for value in values]


SIZES = (
    st.integers(1, 300) | st.integers(1, SIZE) | st.sampled_from([255, 256, 257, 65_536, 65_537])
)
BITS = st.integers(0, 255)


@st.composite
def leaves_of_trees(draw: st.DrawFn) -> tuple[int, int]:
    """(index, size)"""
    size = draw(SIZES)
    return draw(st.integers(0, size - 1)), size


@st.composite
def growths(draw: st.DrawFn) -> tuple[int, int]:
    """(old, new), neither 0 nor equal"""
    new = draw(SIZES.filter(lambda size: size > 1))
    return draw(st.integers(1, new - 1)), new


class TestReference:
    @pytest.mark.parametrize("size", range(9))
    def test_roots_are_those_of_certificate_transparency(self, size: int) -> None:
        leaves = [leaf_hash(leaf) for leaf in CT_LEAVES[:size]]
        contents, frontier = grow(Frontier(), leaves)
        published = bytes.fromhex(CT_ROOTS[size])
        assert root(leaves) == frontier.root() == Tiles(contents).root(size) == published

    @pytest.mark.parametrize(("index", "size", "path"), CT_INCLUSION)
    def test_inclusion_proofs_are_those_of_certificate_transparency(
        self, index: int, size: int, path: list[str]
    ) -> None:
        leaves = [leaf_hash(leaf) for leaf in CT_LEAVES]
        assert Tiles(grow(Frontier(), leaves)[0]).inclusion(index, size) == unhex(path)
        verify_inclusion(leaves[index], index, size, unhex(path), bytes.fromhex(CT_ROOTS[size]))

    @pytest.mark.parametrize(("old", "new", "path"), CT_CONSISTENCY)
    def test_consistency_proofs_are_those_of_certificate_transparency(
        self, old: int, new: int, path: list[str]
    ) -> None:
        leaves = [leaf_hash(leaf) for leaf in CT_LEAVES]
        assert Tiles(grow(Frontier(), leaves)[0]).consistency(old, new) == unhex(path)
        verify_consistency(old, new, unhex(path), *unhex([CT_ROOTS[old], CT_ROOTS[new]]))

    @pytest.mark.parametrize(("leaf", "path"), [(0, "bhl"), (3, "cgl"), (4, "fjk"), (6, "ik")])
    def test_inclusion_proofs_are_those_drawn_in_the_rfc(self, leaf: int, path: str) -> None:
        assert inclusion_spans(leaf, 7) == [RFC[letter] for letter in path]

    @pytest.mark.parametrize(("old", "path"), [(3, "cdgl"), (4, "l"), (6, "ijk"), (7, ""), (0, "")])
    def test_consistency_proofs_are_those_drawn_in_the_rfc(self, old: int, path: str) -> None:
        assert consistency_spans(old, 7) == [RFC[letter] for letter in path]

    def test_tiles_are_those_that_tlog_tiles_counts(self) -> None:
        widths = {tile: len(content) // 32 for tile, content in CONTENTS.items()}
        full = {Tile(0, n) for n in range(273)} | {Tile(1, 0)}
        partial = {Tile(0, 273): 112, Tile(1, 1): 17, Tile(2, 0): 1}
        assert widths == dict.fromkeys(full, 256) | partial

    def test_a_full_tile_is_hashed_into_the_level_above(self) -> None:
        _, frontier = grow(Frontier(), LEAVES[:256])
        assert frontier.edges == (b"", mth(0, 256))


class TestGrowth:
    @given(st.lists(st.integers(1, 700), min_size=1, max_size=9))
    def test_in_whatever_pieces_the_tree_grows_it_is_the_same(self, pieces: list[int]) -> None:
        stored: dict[Tile, bytes] = {}
        frontier = Frontier()
        for piece in pieces:
            more, frontier = grow(frontier, LEAVES[frontier.size : frontier.size + piece])
            stored |= more
            assert frontier.root() == mth(0, frontier.size)
        assert (stored, frontier) == grow(Frontier(), LEAVES[: frontier.size])

    def test_leaf_by_leaf_every_size_has_the_root_of_the_definition(self) -> None:
        frontier = Frontier()
        for size in range(2_500):
            assert frontier.root() == mth(0, size)
            _, frontier = grow(frontier, [LEAVES[size]])

    @pytest.mark.parametrize("boundary", [256, 65_536])
    def test_a_new_level_begins_where_a_tile_is_full(self, boundary: int) -> None:
        _, frontier = grow(Frontier(), LEAVES[: boundary - 2])
        for size in range(boundary - 1, boundary + 3):
            _, frontier = grow(frontier, [LEAVES[size - 1]])
            assert frontier.root() == mth(0, size)
            assert len(frontier.edges) == len(grow(Frontier(), LEAVES[:boundary])[1].edges) - (
                size < boundary
            )

    @given(SIZES)
    def test_a_restart_reads_at_most_one_partial_tile_a_level(self, size: int) -> None:
        tiles = edge_tiles(size)
        assert len({tile.level for tile in tiles}) == len(tiles) <= 3
        resumed = Frontier.resume(size, {tile: CONTENTS[tile] for tile in tiles})
        assert resumed.root() == mth(0, size)
        assert all(len(edge) < TILE_BYTES for edge in resumed.edges)

    @given(st.integers(0, 600), st.integers(0, 600))
    def test_after_a_restart_the_tree_grows_on_as_before(self, size: int, more: int) -> None:
        stored, frontier = grow(Frontier(), LEAVES[:size])
        resumed = Frontier.resume(size, stored)
        assert resumed == frontier
        assert grow(resumed, LEAVES[size:more]) == grow(frontier, LEAVES[size:more])

    def test_only_tiles_that_change_are_given(self) -> None:
        _, frontier = grow(Frontier(), LEAVES[:600])
        assert list(grow(frontier, LEAVES[600:700])[0]) == [Tile(0, 2)]
        assert list(grow(frontier, LEAVES[600:768])[0]) == [Tile(0, 2), Tile(1, 0)]
        assert grow(frontier, []) == ({}, frontier)

    def test_what_is_no_hash_is_refused(self) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            grow(Frontier(), [LEAVES[0][:31], LEAVES[1] + b"\0"])

    def test_a_restart_without_its_tiles_is_refused(self) -> None:
        tiles = {tile: CONTENTS[tile] for tile in edge_tiles(SIZE)}
        tiles[Tile(0, 273)] = tiles[Tile(0, 273)][:-32]
        with pytest.raises(TileMissing, match="tile 0/273 has 111 hashes where 112 are needed"):
            Frontier.resume(SIZE, tiles)


class TestTiles:
    @given(leaves_of_trees())
    def test_every_inclusion_proof_verifies(self, leaf: tuple[int, int]) -> None:
        index, size = leaf
        path = TREE.inclusion(index, size)
        assert path == [mth(span.start, span.end) for span in inclusion_spans(index, size)]
        verify_inclusion(LEAVES[index], index, size, path, mth(0, size))
        assert naive_inclusion(LEAVES[index], index, size, path) == mth(0, size)

    @given(growths())
    def test_every_consistency_proof_verifies(self, growth: tuple[int, int]) -> None:
        old, new = growth
        path = TREE.consistency(old, new)
        verify_consistency(old, new, path, mth(0, old), mth(0, new))
        roots = naive_consistency(old, new, path, mth(0, old))
        assert roots == (mth(0, old), mth(0, new))

    def test_every_proof_of_every_small_tree_verifies(self) -> None:
        for size in range(1, 40):
            top = mth(0, size)
            for n in range(size):
                verify_inclusion(LEAVES[n], n, size, TREE.inclusion(n, size), top)
                verify_consistency(n, size, TREE.consistency(n, size), mth(0, n), top)

    @given(leaves_of_trees(), growths())
    def test_a_proof_needs_no_tiles_but_those_named(
        self, leaf: tuple[int, int], growth: tuple[int, int]
    ) -> None:
        proofs: list[tuple[list[Span], Callable[[Tiles], object]]] = [
            (inclusion_spans(*leaf), lambda tiles: tiles.inclusion(*leaf)),
            (consistency_spans(*growth), lambda tiles: tiles.consistency(*growth)),
            ([Span(0, leaf[1])], lambda tiles: tiles.root(leaf[1])),
        ]
        for spans, proof in proofs:
            needed = {tile: CONTENTS[tile] for tile in tiles_for(spans)}
            assert proof(Tiles(needed)) == proof(TREE)
            for missing in needed:
                with pytest.raises(TileMissing):
                    proof(Tiles({tile: needed[tile] for tile in needed if tile != missing}))

    @given(st.integers(1, 2**40), st.data())
    def test_a_proof_reads_at_most_two_tiles_a_level(self, size: int, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, size - 1))
        for spans in (inclusion_spans(index, size), consistency_spans(index, size)):
            levels = [tile.level for tile in tiles_for(spans)]
            assert all(levels.count(level) <= 2 for level in levels)
            assert all(256**level <= size for level in levels)

    @given(growths())
    def test_an_older_tree_is_proven_from_tiles_that_became_wider(
        self, growth: tuple[int, int]
    ) -> None:
        old, new = growth
        assert new <= SIZE
        assert TREE.root(old) == mth(0, old)
        assert Frontier.resume(old, CONTENTS).root() == mth(0, old)

    def test_a_tile_that_is_too_narrow_is_refused(self) -> None:
        with pytest.raises(TileMissing, match="tile 0/1 has 3 hashes where 4 are needed"):
            Tiles({Tile(0, 1): CONTENTS[Tile(0, 1)][:127]}).hash(Span(258, 260))

    @given(SIZES, st.data())
    def test_a_tile_changed_in_one_bit_gives_another_root(
        self, size: int, data: st.DataObject
    ) -> None:
        tile = data.draw(st.sampled_from(tiles_for([Span(0, size)])))
        width = (size >> 8 * tile.level) - tile.index * 256
        bit = data.draw(st.integers(0, width * 256 - 1))
        assert Tiles(CONTENTS | {tile: flipped(CONTENTS[tile], bit)}).root(size) != mth(0, size)


class TestInclusionRefuses:
    @given(leaves_of_trees(), BITS, st.data())
    def test_a_bit_flipped_anywhere(
        self, leaf: tuple[int, int], bit: int, data: st.DataObject
    ) -> None:
        index, size = leaf
        path, top = TREE.inclusion(index, size), mth(0, size)
        assert not included(flipped(LEAVES[index], bit), index, size, path, top)
        assert not included(LEAVES[index], index, size, path, flipped(top, bit))
        if path:
            at = data.draw(st.integers(0, len(path) - 1))
            path[at] = flipped(path[at], bit)
            assert not included(LEAVES[index], index, size, path, top)

    @given(leaves_of_trees(), st.integers(-2, SIZE))
    def test_another_index(self, leaf: tuple[int, int], other: int) -> None:
        index, size = leaf
        assume(other != index)
        path = TREE.inclusion(index, size)
        assert not included(LEAVES[index], other, size, path, mth(0, size))

    @given(leaves_of_trees(), SIZES)
    def test_the_checkpoint_of_another_size(self, leaf: tuple[int, int], other: int) -> None:
        index, size = leaf
        assume(other != size)
        path = TREE.inclusion(index, size)
        assert not included(LEAVES[index], index, other, path, mth(0, other))

    @given(leaves_of_trees(), st.data())
    def test_a_path_with_a_hash_more_or_less(
        self, leaf: tuple[int, int], data: st.DataObject
    ) -> None:
        index, size = leaf
        path, top = TREE.inclusion(index, size), mth(0, size)
        at = data.draw(st.integers(0, len(path)))
        more = data.draw(st.sampled_from([*path, top, LEAVES[index], EMPTY_ROOT]))
        assert not included(LEAVES[index], index, size, [*path[:at], more, *path[at:]], top)
        for at in range(len(path)):
            assert not included(LEAVES[index], index, size, path[:at] + path[at + 1 :], top)

    @given(leaves_of_trees())
    def test_hashes_cut_at_another_place(self, leaf: tuple[int, int]) -> None:
        index, size = leaf
        path, top = TREE.inclusion(index, size), mth(0, size)
        for at in range(len(path)):
            shorter = [*path[:at], path[at][:-1], *path[at + 1 :]]
            assert not included(LEAVES[index], index, size, shorter, top)
        assert not included(LEAVES[index][:-1], index, size, path, top)
        # What is hashed is the same here, and so is the root.
        assert not included(LEAVES[0][:-1], 0, 2, [LEAVES[0][-1:] + LEAVES[1]], mth(0, 2))

    def test_a_root_made_for_a_path_of_another_length(self) -> None:
        leaf, other = LEAVES[0], LEAVES[1]
        assert not included(leaf, 0, 1, [other], node_hash(other, leaf))
        assert not included(leaf, 0, 2, [], leaf)

    def test_a_node_that_passes_for_a_leaf(self) -> None:
        assert leaf_hash(LEAVES[0] + LEAVES[1]) != node_hash(LEAVES[0], LEAVES[1])
        # The node over leaves 0 and 1 is no leaf of the tree of four, though it leads to its root.
        assert not included(mth(0, 2), 0, 4, [mth(2, 4)], mth(0, 4))

    @given(leaves_of_trees(), st.integers(1, 40), st.integers(0, 40), st.integers(0, 7))
    def test_whatever_a_verifier_written_from_the_definition_refuses(
        self, leaf: tuple[int, int], size: int, index: int, length: int
    ) -> None:
        assume(index < size)
        path = TREE.inclusion(*leaf)[:length]
        with suppress(ValueError):
            top = naive_inclusion(LEAVES[leaf[0]], index, size, path)
            verify_inclusion(LEAVES[leaf[0]], index, size, path, top)
            return
        assert not included(LEAVES[leaf[0]], index, size, path, mth(0, size))


class TestConsistencyRefuses:
    @given(growths(), BITS, st.data())
    def test_a_bit_flipped_anywhere(
        self, growth: tuple[int, int], bit: int, data: st.DataObject
    ) -> None:
        old, new = growth
        path, was, now = TREE.consistency(old, new), mth(0, old), mth(0, new)
        assert not consistent(old, new, path, flipped(was, bit), now)
        assert not consistent(old, new, path, was, flipped(now, bit))
        at = data.draw(st.integers(0, len(path) - 1))
        path[at] = flipped(path[at], bit)
        assert not consistent(old, new, path, was, now)

    @given(growths(), SIZES)
    def test_the_checkpoint_of_another_size(self, growth: tuple[int, int], other: int) -> None:
        old, new = growth
        path, was, now = TREE.consistency(old, new), mth(0, old), mth(0, new)
        if other != old:
            assert not consistent(other, new, path, mth(0, other), now)
        if other != new:
            assert not consistent(old, other, path, was, mth(0, other))
        assert not consistent(new, old, path, now, was)

    @given(growths(), st.data())
    def test_a_path_with_a_hash_more_or_less(
        self, growth: tuple[int, int], data: st.DataObject
    ) -> None:
        old, new = growth
        path, was, now = TREE.consistency(old, new), mth(0, old), mth(0, new)
        at = data.draw(st.integers(0, len(path) - 1))
        more = data.draw(st.sampled_from([*path, was, now, EMPTY_ROOT]))
        assert not consistent(old, new, [*path[:at], more, *path[at:]], was, now)
        assert not consistent(old, new, [*path, more], was, now)
        assert not consistent(old, new, path[:at] + path[at + 1 :], was, now)
        assert not consistent(old, new, [], was, now)

    @given(growths(), st.data())
    def test_a_leaf_rewritten_in_what_was_published(
        self, growth: tuple[int, int], data: st.DataObject
    ) -> None:
        old, new = min(growth[0], 300), min(growth[1], 600)
        assume(old < new)
        at = data.draw(st.integers(0, old - 1))
        rewritten = [*LEAVES[:at], leaf_hash(b"another"), *LEAVES[at + 1 : new]]
        other = Tiles(grow(Frontier(), rewritten)[0])
        assert not consistent(old, new, other.consistency(old, new), mth(0, old), other.root(new))

    def test_roots_made_for_a_path_of_another_length(self) -> None:
        path = TREE.consistency(3, 4)
        assert not consistent(3, 7, path, mth(0, 3), mth(0, 4))
        was, now = node_hash(EMPTY_ROOT, mth(0, 3)), node_hash(EMPTY_ROOT, mth(0, 4))
        assert not consistent(3, 4, [*path, EMPTY_ROOT], was, now)

    def test_hashes_cut_at_another_place(self) -> None:
        # What is hashed is the same, and so is the new root.
        path = [LEAVES[0][-1:] + LEAVES[1]]
        assert not consistent(1, 2, path, LEAVES[0][:-1], mth(0, 2))

    def test_trees_of_one_size_with_different_roots(self) -> None:
        assert consistent(5, 5, [], mth(0, 5), mth(0, 5))
        assert not consistent(5, 5, [], mth(0, 5), mth(1, 6))
        assert not consistent(5, 5, [mth(0, 5)], mth(0, 5), mth(0, 5))

    def test_an_empty_tree_with_a_root_of_its_own(self) -> None:
        assert consistent(0, 5, [], EMPTY_ROOT, mth(0, 5))
        assert consistent(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
        assert not consistent(0, 5, [], mth(0, 1), mth(0, 5))
        assert not consistent(0, 0, [], mth(0, 1), mth(0, 1))
        assert not consistent(0, 5, [mth(0, 5)], EMPTY_ROOT, mth(0, 5))

    @given(growths(), st.integers(1, 40), st.integers(2, 41), st.integers(1, 9))
    def test_whatever_a_verifier_written_from_the_definition_refuses(
        self, growth: tuple[int, int], old: int, new: int, length: int
    ) -> None:
        assume(old < new)
        path, was = TREE.consistency(*growth)[:length], mth(0, growth[0])
        with suppress(ValueError):
            top, now = naive_consistency(old, new, path, was)
            verify_consistency(old, new, path, top, now)
            return
        assert not consistent(old, new, path, was, mth(0, new))


def test_a_proof_of_what_is_not_there_cannot_be_asked_for() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="is not in a tree of"):
            inclusion_spans(index, size)
    for old, new in pairwise((6, 5, -1)):
        with pytest.raises(ValueError, match="does not begin"):
            consistency_spans(old, new)


def test_a_refusal_gives_its_reason() -> None:
    with pytest.raises(ProofInvalid, match="not lead from the leaf to the root") as invalid:
        verify_inclusion(LEAVES[0], 0, 2, [LEAVES[2]], mth(0, 2))
    assert invalid.value.reason == "INCLUSION"
    with pytest.raises(ProofInvalid, match="not lead to both roots") as invalid:
        verify_consistency(1, 2, [LEAVES[2]], LEAVES[0], mth(0, 2))
    assert invalid.value.reason == "CONSISTENCY"

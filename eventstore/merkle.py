"""Shows that the log only ever grew: the Merkle tree of RFC 9162 (section 2.1) over its events.

Leaf n is the hash of the event at position n + 1. A proof is a list of hashes over spans of
leaves: which spans is computed here, what they hash to from stored tiles (`eventstore.tiles`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256().digest()
"""The root of the tree without leaves."""


class ProofInvalid(Exception):
    """A proof does not show what it should. `reason` is UPPER_SNAKE and stable.

    INCLUSION, CONSISTENCY: the hashes do not lead to the roots given. A proof file may also fail
    for its FORM, its CHECKPOINT or its EVENT.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Subtree:
    """The complete subtree over the 2**`level` leaves that begin at leaf `index` * 2**`level`."""

    level: int
    index: int


@dataclass(frozen=True, slots=True)
class Span:
    """Leaves from `start` up to but not including `end`, as the recursion of RFC 9162 cuts them."""

    start: int
    end: int

    def subtrees(self) -> list[Subtree]:
        """The complete subtrees that make it up, from left to right, each smaller than the last."""
        found, start = [], self.start
        while start < self.end:
            level = (self.end - start).bit_length() - 1
            found.append(Subtree(level, start >> level))
            start += 1 << level
        return found


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf: SHA-256, marked so that no leaf can pass for a node."""
    return sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root (MTH) over the hashes of all leaves."""
    return root_of_row(b"".join(leaves)) if leaves else EMPTY_ROOT


def root_of_row(row: bytes) -> bytes:
    """As `root`, of at least one hash, all of them one after another."""
    # Each pass hashes pairs; an odd last one moves up as it is, which gives the RFC's shape.
    pair = 2 * HASH_BYTES
    while len(row) > HASH_BYTES:
        paired = len(row) - len(row) % pair
        nodes = [sha256(b"\x01" + row[at : at + pair]).digest() for at in range(0, paired, pair)]
        row = b"".join(nodes) + row[paired:]
    return row


def inclusion_spans(index: int, size: int) -> list[Span]:
    """What the inclusion proof of leaf `index` in the tree of `size` leaves hashes, leaf first.

    RFC 9162, section 2.1.3.1. Raises ValueError if there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    start, end, spans = 0, size, []
    while end - start > 1:
        middle = _middle(start, end)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """What the proof that the tree of `old` leaves begins the tree of `new` hashes, in its order.

    RFC 9162, section 2.1.4.1; empty if the trees are one, and for `old` 0, which begins any tree.
    Raises ValueError if `new` is smaller than `old`.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} does not begin a tree of {new}")
    if old == 0:
        return []
    start, end, spans = 0, new, []
    while old < end:
        middle = _middle(start, end)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    if start > 0:
        spans.append(Span(start, end))
    return spans[::-1]


def _middle(start: int, end: int) -> int:
    # After the largest power of two leaves that is not all of them.
    return start + (1 << (end - start - 1).bit_length() - 1)


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Refuse unless leaf `index` of the tree with this root has the hash `leaf`.

    RFC 9162, section 2.1.3.2. `size` and `root` must come from one checkpoint: a path by itself
    does not tell all sizes apart. Raises ProofInvalid, INCLUSION.
    """
    if not 0 <= index < size:
        raise ProofInvalid("INCLUSION", f"leaf {index} is not in a tree of {size}")
    _check_hashes("INCLUSION", leaf, root, *path)
    node, last, top = index, size - 1, leaf
    for other in path:
        if last == 0:
            raise ProofInvalid("INCLUSION", "the path is too long")
        top = node_hash(other, top) if _hangs_right(node, last) else node_hash(top, other)
        node, last = _above(node, last)
    if last:
        raise ProofInvalid("INCLUSION", "the path is too short")
    if top != root:
        raise ProofInvalid("INCLUSION", "the path does not lead from the leaf to the root")


def verify_consistency(
    old: int, new: int, path: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Refuse unless the `old` leaves of one tree are the first of the `new` leaves of the other.

    RFC 9162, section 2.1.4.2, and the two cases that it leaves out: equal sizes, and `old` 0. Each
    size must come with its root from one checkpoint. Raises ProofInvalid, CONSISTENCY.
    """
    if not 0 <= old <= new:
        raise ProofInvalid("CONSISTENCY", f"a tree of {old} does not begin a tree of {new}")
    _check_hashes("CONSISTENCY", old_root, new_root, *path)
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalid("CONSISTENCY", "the root is not that of an empty tree")
    if old not in (0, new):
        roots = _roots(old, new, path, old_root)
    elif path:
        raise ProofInvalid("CONSISTENCY", "the path is too long")
    else:
        roots = old_root, old_root if old == new else new_root
    if roots != (old_root, new_root):
        raise ProofInvalid("CONSISTENCY", "the path does not lead to both roots")


def _roots(old: int, new: int, path: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    """The roots of both trees by a consistency proof, which omits a complete old tree's own."""
    if not path:
        raise ProofInvalid("CONSISTENCY", "the path is too short")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    first, *others = [*path] if node else [old_root, *path]
    was = now = first
    for other in others:
        if last == 0:
            raise ProofInvalid("CONSISTENCY", "the path is too long")
        if _hangs_right(node, last):
            was, now = node_hash(other, was), node_hash(other, now)
        else:
            now = node_hash(now, other)
        node, last = _above(node, last)
    if last:
        raise ProofInvalid("CONSISTENCY", "the path is too short")
    return was, now


def _hangs_right(node: int, last: int) -> bool:
    return bool(node & 1) or node == last


def _above(node: int, last: int) -> tuple[int, int]:
    """The parent of a node, and of the last of its row, where the next hash of a path applies."""
    if node == last:
        # The row's last node moves up as it is until it has a sibling to its left.
        while node and not node & 1:
            node, last = node >> 1, last >> 1
    return node >> 1, last >> 1


def _check_hashes(reason: str, *hashes: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ProofInvalid(reason, f"a hash has {HASH_BYTES} bytes")

"""What the log has published about itself: how long it was and its Merkle root, in a signed note.

The form is C2SP tlog-checkpoint, three lines: the log's name (its origin), its size in decimal, the
root in base64. Extension lines, which nobody can audit, are refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eventstore import note
from eventstore.merkle import HASH_BYTES
from eventstore.note import NoteInvalid, SigningKey, VerifierKey

_TEXT = re.compile("([^\n]+)\n(0|[1-9][0-9]{0,17})\n([^\n]{44})\n")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log called `origin` had `size` events, positions 1 to `size`, and this root of 32 bytes."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{note.to_base64(self.root)}\n"


def sign(checkpoint: Checkpoint, *keys: SigningKey) -> str:
    """The checkpoint as a note signed by each key; the log's own key is named like the log.

    Raises ValueError for a checkpoint that `parse` would refuse.
    """
    signed = note.sign(str(checkpoint), *keys)
    if parse(signed) != checkpoint:
        raise ValueError(f"{checkpoint} cannot be written as a checkpoint")
    return signed


def parse(signed: str) -> Checkpoint:
    """The checkpoint in a note that is not to be trusted: no signature is verified.

    Raises NoteInvalid.
    """
    text, _ = note.split(signed)
    return _parse(text)


def verify(signed: str, origin: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint in a note, if it is of the log `origin` and one of `keys` vouches for it.

    Raises NoteInvalid.
    """
    checkpoint = _parse(note.verify(signed, keys))
    if checkpoint.origin != origin:
        raise NoteInvalid(f"the checkpoint is of log {checkpoint.origin}, not {origin}")
    return checkpoint


def _parse(text: str) -> Checkpoint:
    lines = _TEXT.fullmatch(text)
    if lines is None:
        raise NoteInvalid("a checkpoint is an origin, a size and a root, each on a line")
    origin, size, encoded = lines.groups()
    try:
        root = note.from_base64(encoded)
    except ValueError as error:
        raise NoteInvalid("the root is not base64") from error
    if len(root) != HASH_BYTES:
        raise NoteInvalid(f"the root has {len(root)} bytes")
    return Checkpoint(origin, int(size), root)

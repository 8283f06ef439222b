"""Proves an event to somebody who has nothing of the log but its public key, from one file.

The file is a C2SP tlog-proof: the event's canonical bytes as its extra data, the index of its leaf,
the hashes of its inclusion proof, and the signed checkpoint that they lead to.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eventstore import canonical, checkpoint
from eventstore.events import RecordedEvent
from eventstore.merkle import ProofInvalid as ProofInvalid
from eventstore.merkle import leaf_hash, verify_inclusion
from eventstore.note import NoteInvalid, VerifierKey, from_base64, to_base64

SUFFIX = ".tlog-proof"
"""How the name of a proof file ends."""
LINE = "c2sp.org/tlog-proof@v1"
_FORM = re.compile(
    f"{re.escape(LINE)}\nextra ([^\n]+)\nindex (0|[1-9][0-9]{{0,17}})\n((?:[^\n]{{44}}\n)*)\n(.+)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof file says: that leaf `index`, of an event with these canonical bytes, is in the
    tree of the signed checkpoint, by `path`, its inclusion proof of hashes of 32 bytes.
    """

    event: bytes
    index: int
    path: tuple[bytes, ...]
    checkpoint: str


def write(event: RecordedEvent, path: Sequence[bytes], signed: str) -> str:
    """The text of the proof file of an event in the tree of a signed checkpoint.

    `path` is the inclusion proof of leaf position - 1. Raises ValueError if the event has no
    position. It is not checked that the proof is right: `check` does that.
    """
    if event.position is None:
        raise ValueError(f"event {event.id} has no position")
    lines = (
        LINE,
        f"extra {to_base64(canonical.encode(event))}",
        f"index {event.position - 1}",
        *(to_base64(value) for value in path),
    )
    return "".join(f"{line}\n" for line in (*lines, "")) + signed


def parse(text: str) -> Proof:
    """What a proof file says, which is not to be trusted. Raises ProofInvalid, FORM."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ProofInvalid("FORM", f"the text does not have the lines of a {LINE} of an event")
    extra, index, path, signed = form.groups()
    try:
        hashes = tuple(from_base64(line) for line in path.split("\n")[:-1])
        return Proof(from_base64(extra), int(index), hashes, signed)
    except ValueError as error:
        raise ProofInvalid("FORM", f"a line is not base64: {error}") from error


def check(text: str, key: VerifierKey) -> RecordedEvent:
    """The event that a proof file shows to be in the log that `key` is named after and signs for.

    The event comes with its position. Raises ProofInvalid with what fails: the FORM of the file,
    the CHECKPOINT (signature, or another log), the EVENT (not in canonical form), or its INCLUSION.
    """
    proof = parse(text)
    try:
        head = checkpoint.verify(proof.checkpoint, key.name, [key])
    except NoteInvalid as error:
        raise ProofInvalid("CHECKPOINT", str(error)) from error
    try:
        event = canonical.parse(proof.event)
    except ValueError as error:
        raise ProofInvalid("EVENT", str(error)) from error
    verify_inclusion(leaf_hash(proof.event), proof.index, head.size, proof.path, head.root)
    return event._replace(position=proof.index + 1)

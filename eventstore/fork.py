"""A log that goes on from an older copy: what it gave up is said, signed, where it was published.

The log that was published and the log that goes on share a beginning and no more; whoever holds a
checkpoint of the first sees that it is none of the second. This only says who knew, and since when.
The form is a signed note of six lines: the log's name with "/fork", the time (UTC), then size and
root of the last checkpoint that the copy still has, then those of the checkpoint that is given up.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from eventstore import checkpoint, note, tree
from eventstore.audit import Auditor, LogTampered
from eventstore.checkpoint import Checkpoint
from eventstore.note import NoteInvalid, SigningKey, VerifierKey
from eventstore.publication import Publication
from eventstore.store import EventStore
from eventstore.tiles import Frontier

_TEXT = re.compile(r"([^\n]+)/fork\n([^\n]+)\n(\d{1,18})\n([^\n]{44})\n(\d{1,18})\n([^\n]{44})\n")


class NotForked(Exception):
    """There is nothing to give up: the log goes on from what was published."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Of what was published as `given_up`, positions after `kept` are not in the log any more.

    Events up to `kept` are the same in both; those between may be, but nothing proves it.
    """

    at: datetime
    kept: Checkpoint
    given_up: Checkpoint

    def __str__(self) -> str:
        lines = [f"{self.kept.origin}/fork", self.at.isoformat(timespec="seconds")]
        for each in (self.kept, self.given_up):
            lines += [str(each.size), note.to_base64(each.root)]
        return "".join(f"{line}\n" for line in lines)


def verify(signed: str, key: VerifierKey) -> Fork:
    """The fork in a note that the log's key signed. Raises NoteInvalid."""
    lines = _TEXT.fullmatch(note.verify(signed, [key]))
    if lines is None or lines[1] != key.name:
        raise NoteInvalid(f"the note does not say what {key.name} gave up")
    try:
        kept, given_up = (
            Checkpoint(key.name, int(lines[n]), note.from_base64(lines[n + 1])) for n in (3, 5)
        )
        return Fork(datetime.fromisoformat(lines[2]), kept, given_up)
    except ValueError as error:
        raise NoteInvalid(str(error)) from error


async def forks(publication: Publication, key: VerifierKey) -> list[Fork]:
    """All that was given up so far, in order. Raises NoteInvalid."""
    found = [verify(signed, key) for signed in await publication.forks()]
    return sorted(found, key=lambda fork: fork.at)


async def give_up(
    store: EventStore, key: SigningKey, publication: Publication, signed: str
) -> Fork:
    """Say that the published checkpoint `signed` is given up, and publish the last one that is left.

    Raises NotForked if the log goes on from it or something else is published, NoteInvalid, and
    LogTampered if what is left is not intact itself.
    """
    given_up = checkpoint.verify(signed, key.name, [key.verifier])
    if await publication.read() != signed:
        raise NotForked(f"{publication.url} is another checkpoint than the one to give up")
    await store.head()
    if await _goes_on(Auditor(store, key.verifier), signed):
        raise NotForked(f"the log has all {given_up.size} events of that checkpoint")
    async with store.engine.connect() as conn:
        last = await tree.latest_checkpoint(conn)
    kept = checkpoint.parse(last) if last else Checkpoint(key.name, 0, Frontier().root())
    fork = Fork(datetime.now(UTC).replace(microsecond=0), kept, given_up)
    name = f"{fork.at:%Y%m%dT%H%M%SZ}-{given_up.size}"
    await publication.write_fork(name, note.sign(str(fork), key))
    if last:
        await publication.write(last)
    return fork


async def _goes_on(auditor: Auditor, signed: str) -> bool:
    await auditor.whole()
    try:
        await auditor.whole(published=signed)
    except LogTampered:
        return False
    return True

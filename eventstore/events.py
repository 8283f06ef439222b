"""What goes into the log and what comes out of it, as plain immutable values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

MAX_DATA_BYTES = 1 << 20
"""The largest payload of one event; a file belongs in evidence storage, its digest in the event."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A fact to be appended: `type` is the full proto name, `data` the serialised message."""

    type: str
    data: bytes
    id: UUID = field(default_factory=uuid7)


def refuse_large(events: Sequence[NewEvent]) -> None:
    """ValueError naming the first event that is larger than MAX_DATA_BYTES."""
    for event in events:
        if len(event.data) > MAX_DATA_BYTES:
            raise ValueError(f"{event.type} has {len(event.data)} bytes, over {MAX_DATA_BYTES}")


class Metadata(NamedTuple):
    """Who caused the events, by which command, and in which trace (W3C `traceparent`)."""

    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    request_id: UUID | None = None
    traceparent: str = ""


class NewStream(NamedTuple):
    """A stream that begins with these events."""

    stream: str
    events: Sequence[NewEvent]
    metadata: Metadata

    @property
    def expected(self) -> int:
        """The version before them."""
        return 0


class RecordedEvent(NamedTuple):
    """A fact in the log. `recorded_at` is UTC; `position` is None when loaded from its stream.

    A tuple, as it is made from a row a million times where the log is read.
    """

    id: UUID
    stream: str
    version: int
    type: str
    data: bytes
    actor: str
    correlation_id: UUID
    causation_id: UUID | None
    request_id: UUID | None
    traceparent: str
    recorded_at: datetime
    position: int | None = None

    @property
    def metadata(self) -> Metadata:
        """Who caused it, by which command, and in which trace."""
        return Metadata(*self[5:10])


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a reader wants: all the given restrictions hold, an empty one restricts nothing.

    A category is the stream name up to its first hyphen: "rectification.problem".
    """

    streams: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order of position; `next` is where to read on, past what the filter left out."""

    events: Sequence[RecordedEvent]
    next: int
    head: int

"""The append-only event log in PostgreSQL: knows bytes and type names, no domain."""

from eventstore.engine import engine_for, is_unavailable
from eventstore.errors import (
    CheckpointMoved,
    ForeignStream,
    PositionBeyondHead,
    RequestReused,
    WrongExpectedVersion,
)
from eventstore.events import (
    MAX_DATA_BYTES,
    Filter,
    Metadata,
    NewEvent,
    NewStream,
    Page,
    RecordedEvent,
)
from eventstore.migrate import migrate
from eventstore.snapshot import Snapshot, StreamEvent
from eventstore.store import EventStore, open_store
from eventstore.subscription import Subscription

__all__ = [
    "MAX_DATA_BYTES",
    "CheckpointMoved",
    "EventStore",
    "Filter",
    "ForeignStream",
    "Metadata",
    "NewEvent",
    "NewStream",
    "Page",
    "PositionBeyondHead",
    "RecordedEvent",
    "RequestReused",
    "Snapshot",
    "StreamEvent",
    "Subscription",
    "WrongExpectedVersion",
    "engine_for",
    "is_unavailable",
    "migrate",
    "open_store",
]

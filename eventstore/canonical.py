"""One event as the bytes that are hashed into the log's Merkle tree, and back from those bytes.

The form, `bihuan.event.v1`, never changes: checkpoints published long ago stand on it. It is the
line LINE, then each field as a length (4 bytes, big endian) and that many bytes, in this order:

| field          | bytes                                                                       |
|----------------|-----------------------------------------------------------------------------|
| id             | 16, a UUID as in RFC 9562                                                   |
| stream         | UTF-8                                                                       |
| version        | 4, big endian                                                               |
| type           | UTF-8                                                                       |
| recorded_at    | 8, big endian, signed: microseconds since 1970-01-01T00:00:00Z              |
| actor          | UTF-8                                                                       |
| correlation_id | 16                                                                          |
| causation_id   | 16, or none                                                                 |
| request_id     | 16, or none                                                                 |
| traceparent    | UTF-8                                                                       |
| data           | the payload as stored                                                       |

The position is not in it: it is where the leaf stands in the tree.
"""

import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

from eventstore.events import RecordedEvent

LINE = b"bihuan.event.v1\n"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDTHS: dict[str, tuple[int, ...]] = {
    "id": (16,),
    "stream": (),
    "version": (4,),
    "type": (),
    "recorded_at": (8,),
    "actor": (),
    "correlation_id": (16,),
    "causation_id": (16, 0),
    "request_id": (16, 0),
    "traceparent": (),
    "data": (),
}
_LENGTH = struct.Struct(">I")
# What stands between the fields that vary in length, up to the length of the next one.
_BEFORE_STREAM = struct.Struct(">16sI16sI")
_BEFORE_TYPE = struct.Struct(">III")
_BEFORE_ACTOR = struct.Struct(">IqI")
_PRESENT = struct.Struct(">I16s")
_ABSENT = b"\0\0\0\0"


def encode(event: RecordedEvent) -> bytes:
    """The canonical bytes of an event, the same at every position.

    Raises ValueError for text that is no Unicode, TypeError for an instant without a time zone.
    """
    stream, kind = event.stream.encode(), event.type.encode()
    actor, trace = event.actor.encode(), event.traceparent.encode()
    since = event.recorded_at - EPOCH
    instant = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    cause, request = event.causation_id, event.request_id
    return b"".join(
        (
            _BEFORE_STREAM.pack(LINE, 16, event.id.bytes, len(stream)),
            stream,
            _BEFORE_TYPE.pack(4, event.version, len(kind)),
            kind,
            _BEFORE_ACTOR.pack(8, instant, len(actor)),
            actor,
            _PRESENT.pack(16, event.correlation_id.bytes),
            _ABSENT if cause is None else _PRESENT.pack(16, cause.bytes),
            _ABSENT if request is None else _PRESENT.pack(16, request.bytes),
            _LENGTH.pack(len(trace)),
            trace,
            _LENGTH.pack(len(event.data)),
            event.data,
        )
    )


def parse(content: bytes) -> RecordedEvent:
    """The event that `encode` made `content` of, without a position.

    Raises ValueError for anything else: no two contents give the same event.
    """
    found = _split(content)
    return RecordedEvent(
        id=UUID(bytes=found["id"]),
        stream=found["stream"].decode(),
        version=int.from_bytes(found["version"]),
        type=found["type"].decode(),
        data=found["data"],
        actor=found["actor"].decode(),
        correlation_id=UUID(bytes=found["correlation_id"]),
        causation_id=_uuid(found["causation_id"]),
        request_id=_uuid(found["request_id"]),
        traceparent=found["traceparent"].decode(),
        recorded_at=_instant(int.from_bytes(found["recorded_at"], signed=True)),
    )


def _split(content: bytes) -> dict[str, bytes]:
    if not content.startswith(LINE):
        raise ValueError(f"the content does not begin with the line {LINE.decode().rstrip()}")
    found, at = {}, len(LINE)
    for name, widths in _WIDTHS.items():
        start = at + _LENGTH.size
        length = int.from_bytes(content[at:start])
        at = start + length
        if at > len(content):
            raise ValueError(f"the content ends within {name}")
        if widths and length not in widths:
            raise ValueError(f"{name} has {length} bytes, not {widths[0]}")
        found[name] = content[start:at]
    if at != len(content):
        raise ValueError(f"{len(content) - at} bytes follow the event")
    return found


def _uuid(value: bytes) -> UUID | None:
    return UUID(bytes=value) if value else None


def _instant(microseconds: int) -> datetime:
    try:
        return EPOCH + timedelta(microseconds=microseconds)
    except OverflowError as error:
        raise ValueError(f"recorded_at, {microseconds} microseconds, is no date") from error

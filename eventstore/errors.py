"""What the event store refuses, as types with a message that a person can act on."""

from typing import Any, NoReturn
from uuid import UUID


class WrongExpectedVersion(Exception):
    """The stream is not at the version that the decision was made on: load, decide again, retry."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        super().__init__(f"stream {stream} is at version {actual}, not {expected}")
        self.stream = stream
        self.expected = expected
        self.actual = actual


class ForeignStream(PermissionError):
    """The database role may not append to this stream: only its domain's service may."""


def refused(cause: Any, error: Exception) -> NoReturn:
    """Raise what PostgreSQL's `cause` of `error` means, or `error` itself if it is none of ours."""
    match getattr(cause, "sqlstate", None):
        case "42501":
            raise ForeignStream(str(cause)) from error
        case "42602" | "22001":
            raise ValueError(str(cause)) from error
    raise error


class RequestReused(Exception):
    """The request id was used before by the same caller for another method or another body."""

    def __init__(self, caller: str, request_id: UUID) -> None:
        super().__init__(f"{caller} already used request id {request_id} for another request")
        self.caller = caller
        self.request_id = request_id


class PositionBeyondHead(ValueError):
    """A reader is past the end of the log: it read another log, or this is an older copy."""

    def __init__(self, after: int, head: int) -> None:
        super().__init__(f"position {after} lies beyond the head of the log, {head}")
        self.after = after
        self.head = head


class CheckpointMoved(Exception):
    """Somebody else moved the checkpoint of a running subscription, an operator perhaps."""

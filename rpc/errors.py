"""Refusals as plain data: one error type that every layer raises and the server puts on the wire.

Codes, and which one to use when, follow google.rpc.Code and AIP-193.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

DOMAIN = "bihuan"
STATUS_DETAILS = "grpc-status-details-bin"  # where gRPC carries google.rpc.Status
MOST_NAMED = 6  # fields that a message names; the details have them all


@dataclass(eq=False)
class StatusError(Exception):
    """A refusal with a stable reason.

    code: a value of google.rpc.Code; reason: UPPER_SNAKE, never changed once published;
    message: for a person; metadata: facts the caller may act on (state found, current etag,
    `resource` as "type/name"); violations: (dotted field path, description) pairs;
    retry_seconds: when trying again is worth while, None if it is not.
    """

    code: int
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[tuple[str, str], ...] = ()
    retry_seconds: float | None = None

    def __str__(self) -> str:
        return f"{Code.Name(self.code)} {self.reason}: {self.message}"

    def to_status(self) -> Status:
        """This error as google.rpc.Status, ErrorInfo first among its details."""
        status = Status(code=self.code, message=self.message)
        for detail in self._details():
            status.details.add().Pack(detail)
        return status

    def _details(self) -> Iterable[Message]:
        yield ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=dict(self.metadata))
        if self.violations:
            yield BadRequest(
                field_violations=[
                    BadRequest.FieldViolation(field=path, description=text)
                    for path, text in self.violations
                ]
            )
        if self.code == Code.FAILED_PRECONDITION:
            yield PreconditionFailure(
                violations=[
                    PreconditionFailure.Violation(
                        type=self.reason,
                        subject=self.metadata.get("resource", ""),
                        description=self.message,
                    )
                ]
            )
        if self.code == Code.NOT_FOUND:
            yield ResourceInfo(
                resource_type=self.metadata.get("resource_type", ""),
                resource_name=self.metadata.get("resource", ""),
                description=self.message,
            )
        if self.retry_seconds is not None:
            delay = Duration()
            delay.FromNanoseconds(round(self.retry_seconds * 1e9))
            yield RetryInfo(retry_delay=delay)

    @classmethod
    def from_status(cls, status: Status) -> "StatusError":
        """What `to_status` made, read back; details of other kinds are left out."""
        info = ErrorInfo()
        bad = BadRequest()
        retry = RetryInfo()
        for detail in status.details:
            for known in (info, bad, retry):
                detail.Unpack(known)
        return cls(
            code=status.code,
            reason=info.reason or Code.Name(status.code),
            message=status.message,
            metadata=dict(info.metadata),
            violations=tuple((v.field, v.description) for v in bad.field_violations),
            retry_seconds=(
                retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None
            ),
        )


def invalid_argument(
    reason: str, message: str, violations: Iterable[tuple[str, str]] = (), **metadata: str
) -> StatusError:
    """The request itself is wrong, whatever the state: (dotted field path, description) pairs.

    A message that names none of the fields gets them added: many clients show nothing else.
    """
    wrong = tuple(violations)
    if wrong and not any(path in message for path, _ in wrong):
        named = "; ".join(f"{path} {text}" for path, text in wrong[:MOST_NAMED])
        message = f"{message}: {named}"
    return StatusError(Code.INVALID_ARGUMENT, reason, message, metadata, violations=wrong)


def failed_precondition(reason: str, message: str, **metadata: str) -> StatusError:
    """The state forbids it; say the state found, and `resource` by name, in the metadata."""
    return StatusError(Code.FAILED_PRECONDITION, reason, message, metadata)


def not_found(resource_type: str, name: str) -> StatusError:
    """No such resource: ("Problem", "problems/0198…") has reason PROBLEM_NOT_FOUND."""
    kind = resource_type.rpartition("/")[2]
    return StatusError(
        Code.NOT_FOUND,
        f"{kind.upper()}_NOT_FOUND",
        f"{kind} {name} does not exist",
        {"resource_type": resource_type, "resource": name},
    )


def aborted(reason: str, message: str, **metadata: str) -> StatusError:
    """Somebody else was first; read again (current `etag` in the metadata) and decide anew."""
    return StatusError(Code.ABORTED, reason, message, metadata)


def already_exists(reason: str, message: str, **metadata: str) -> StatusError:
    """What was to be made exists already, with other content."""
    return StatusError(Code.ALREADY_EXISTS, reason, message, metadata)


def permission_denied(reason: str, message: str, **metadata: str) -> StatusError:
    """The caller is known and may not."""
    return StatusError(Code.PERMISSION_DENIED, reason, message, metadata)


def unauthenticated(reason: str, message: str) -> StatusError:
    """The caller is not known."""
    return StatusError(Code.UNAUTHENTICATED, reason, message)


def unavailable(reason: str, message: str, retry_seconds: float = 1.0) -> StatusError:
    """Cannot answer now; the same call may succeed after so many seconds."""
    return StatusError(Code.UNAVAILABLE, reason, message, retry_seconds=retry_seconds)

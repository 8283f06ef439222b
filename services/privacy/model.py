"""That a person was forgotten, as often as it happens. Pure."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.privacy.v1 import privacy_service_pb2 as pb


def decide(
    subject: pb.Subject, subject_hash: str, reason: str, now: datetime
) -> list[pb.SubjectForgotten]:
    """What is recorded of it at `now` (legal time, UTC)."""
    time = Timestamp()
    time.FromDatetime(now)
    return [
        pb.SubjectForgotten(
            name=subject.name, subject_hash=subject_hash, reason=reason, forget_time=time
        )
    ]


def evolve(subject: pb.Subject, event: pb.SubjectForgotten) -> pb.Subject:
    """The subject after `event`. Never fails; `subject` itself is left as it was."""
    return pb.Subject(
        name=event.name,
        subject_hash=event.subject_hash,
        forget_time=event.forget_time,
        forget_count=subject.forget_count + 1,
    )

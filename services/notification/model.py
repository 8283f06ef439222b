"""The notice aggregate: sent once, read once, acknowledged once. Pure."""

from datetime import datetime
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.notification.v1 import notice_pb2 as pb

Command: TypeAlias = pb.SendNoticeRequest | pb.ReadNoticeRequest | pb.AcknowledgeNoticeRequest
Event: TypeAlias = pb.NoticeSent | pb.NoticeRead | pb.NoticeAcknowledged


def decide(notice: pb.Notice, command: Command, actor: str, now: datetime) -> list[Event]:
    """What follows from `command` by `actor` (an identity's subject) at `now` (legal time, UTC).

    Reading or acknowledging again gives no event: the first time is the one that counts.
    """
    time = Timestamp()
    time.FromDatetime(now)
    read = pb.NoticeRead(reader=actor, read_time=time)
    match command:
        case pb.SendNoticeRequest():
            return [_sent(notice, command, actor, time)]
        case pb.ReadNoticeRequest():
            return [read] if notice.state == pb.Notice.STATE_SENT else []
        case pb.AcknowledgeNoticeRequest():
            acknowledged = pb.NoticeAcknowledged(acknowledger=actor, acknowledge_time=time)
            if notice.state == pb.Notice.STATE_ACKNOWLEDGED:
                return []
            # Nobody can confirm receipt of what they did not see.
            return [read, acknowledged] if notice.state == pb.Notice.STATE_SENT else [acknowledged]


def evolve(notice: pb.Notice, event: Event) -> pb.Notice:
    """The notice after `event`. Never fails; `notice` itself is left as it was."""
    after = pb.Notice()
    after.CopyFrom(notice)
    match event:
        case pb.NoticeSent():
            after.state = pb.Notice.STATE_SENT
            after.name = event.name
            after.recipient = event.recipient
            after.kind = event.kind
            after.title = event.title
            after.body = event.body
            after.subject = event.subject
            after.sender = event.sender
            after.send_time.CopyFrom(event.send_time)
            if event.HasField("due_time"):
                after.due_time.CopyFrom(event.due_time)
        case pb.NoticeRead():
            after.state = pb.Notice.STATE_READ
            after.reader = event.reader
            after.read_time.CopyFrom(event.read_time)
        case pb.NoticeAcknowledged():
            after.state = pb.Notice.STATE_ACKNOWLEDGED
            after.acknowledger = event.acknowledger
            after.acknowledge_time.CopyFrom(event.acknowledge_time)
    return after


def _sent(
    notice: pb.Notice, command: pb.SendNoticeRequest, actor: str, time: Timestamp
) -> pb.NoticeSent:
    return pb.NoticeSent(
        name=notice.name,
        recipient=command.recipient,
        kind=command.kind,
        title=command.title,
        body=command.body,
        subject=command.subject,
        due_time=command.due_time if command.HasField("due_time") else None,
        sender=actor,
        send_time=time,
    )

"""Where cases run on the time-skipping server: legal time, what was recorded, and who was told."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from google.protobuf.message import Message
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from bihuan.inspection.v1.target_loop_pb2 import TargetFact
from bihuan.notification.v1 import notice_pb2
from bihuan.types.v1.deadline_pb2 import Deadline
from rules import Clock


@dataclass
class RealTime:
    """What a place wants of its environment, in real time."""

    client: Client

    async def get_current_time(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        await asyncio.sleep(duration.total_seconds())


@dataclass
class Place:
    """What every case needs of the world. What a case is, and how events reach its loops, a subclass says."""

    env: WorkflowEnvironment
    clock: Clock = field(default_factory=Clock)
    queue: str = field(default_factory=lambda: str(uuid4()))
    position: int = 0
    events: list[Message] = field(default_factory=list)
    notices: list[notice_pb2.SendNoticeRequest] = field(default_factory=list)
    clock_lag: timedelta = timedelta()
    # Expiries as the service was told them, and recipients whose notices it refuses, with the reason.
    expiries: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)

    async def begin(self, legal: datetime) -> None:
        """Legal time is `legal` now, and runs as the server's."""
        self.clock = Clock(legal, await self.env.get_current_time())

    async def sleep(self, days: float) -> None:
        """Let legal time pass."""
        await self.env.sleep(timedelta(days=days))

    async def sleep_past(self, deadline: Deadline, more: timedelta) -> None:
        """Let legal time pass until so much after the end of `deadline`."""
        await self.env.sleep(deadline.due_time.ToDatetime(UTC) + more - await self.now())

    async def now(self) -> datetime:
        """Legal time."""
        return self.clock.legal(await self.env.get_current_time())

    def names(self) -> list[str]:
        """Types of the events so far."""
        return [event.DESCRIPTOR.name for event in self.events]

    def sent(self, kind: str) -> list[str]:
        """Recipients of the notices of a kind, sorted: those of one event go out at once."""
        wanted = notice_pb2.NoticeKind.Value(f"NOTICE_KIND_{kind}")
        return sorted(
            "enterprises" if notice.recipient.startswith("ent") else notice.recipient
            for notice in self.notices
            if notice.kind == wanted
        )

    @activity.defn
    async def send_notice(
        self, request: notice_pb2.SendNoticeRequest, cause: str
    ) -> notice_pb2.Notice:
        if reason := self.refusals.get(request.recipient):
            raise ApplicationError("refused", type=reason, non_retryable=True)
        if request.request_id not in {notice.request_id for notice in self.notices}:
            self.notices.append(request)
        return notice_pb2.Notice()

    @activity.defn
    async def read_target_fact(self, fact: TargetFact) -> TargetFact:
        """Nobody here is an inspection target, unless a subclass says so."""
        return fact

"""A town whose loop is fed by the relay, on a real Temporal server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.message import Message
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import Worker

from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from eventstore import RecordedEvent
from tests.bureau import report
from tests.workflows.town import Town
from workflows.relay import Relay
from workflows.temporal_client import TASK_QUEUE
from workflows.worker import WORKFLOWS

SECONDS = 20
Until = Callable[[], Awaitable[bool]]


async def until(done: Until) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if await done():
                return
            await asyncio.sleep(0.05)


async def current_details(handle: WorkflowHandle) -> str:
    """What the Web UI shows of a workflow, in Markdown."""
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return metadata.current_details


@dataclass
class Relayed(Town):
    """A town whose events come to the loop by the relay, as they are recorded, in real time."""

    relay: Relay = field(kw_only=True)
    client: Client = field(kw_only=True)
    down: bool = False

    @property
    def id(self) -> str:
        return self.problem.name.removeprefix("problems/")

    @property
    def loop(self) -> WorkflowHandle:
        """The latest run."""
        return self.client.get_workflow_handle(f"problem-loop/{self.id}")

    async def now(self) -> datetime:
        return datetime.now(UTC)

    async def report(self, reporter: str = "officer") -> None:
        await self.command(report(), reporter)

    @asynccontextmanager
    async def relay_down(self) -> AsyncIterator[None]:
        self.down = True
        yield
        self.down = False

    async def close(self) -> Loop:
        await self.command(rpc_pb.CloseProblemRequest(name=self.problem.name, conclusion="完成"))
        return Loop() if self.down else await self.loop.result()

    async def _signal(self, event: Message, times: int) -> None:
        if self.down:
            return
        await self.relay.deliver(self.recorded(event, self.position))

    def recorded(self, event: Message, position: int, type_: str = "") -> RecordedEvent:
        return RecordedEvent(
            id=UUID(int=UUID(self.id).int + position),
            stream=f"rectification.problem-{self.id}",
            version=position,
            type=type_ or event.DESCRIPTOR.full_name,
            data=event.SerializeToString(),
            actor="officer",
            correlation_id=UUID(self.id),
            causation_id=None,
            request_id=None,
            traceparent="",
            recorded_at=datetime.now(UTC),
            position=position,
        )

    async def deliver_again(self, position: int) -> None:
        await self.relay.deliver(self.recorded(self.events[position - 1], position))

    async def taken(self, position: int) -> None:
        """Wait until the loop has taken in the event of this position and told whom it concerns."""

        async def done() -> bool:
            if (await self.loop.query("loop")).last_position < position:
                return False
            now = (await self.loop.describe()).raw_description
            return not (now.pending_activities or now.HasField("pending_workflow_task"))

        await until(done)

    async def status(self) -> WorkflowExecutionStatus | None:
        return (await self.loop.describe()).status

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Within the block there is a worker; the loop ends with it."""
        activities = [
            self.send_notice,
            self.read_target_fact,
            self.expire_deadline,
            self.get_problem,
        ]
        async with Worker(
            self.client, task_queue=TASK_QUEUE, workflows=WORKFLOWS, activities=activities
        ):
            yield
            if await self.status() == WorkflowExecutionStatus.RUNNING:
                await self.loop.terminate()


def relayed_by(client: Client) -> Relayed:
    # Of the environment a town wants the time only, and that is real here.
    return Relayed(None, relay=Relay(client, clock=""), client=client)  # type: ignore[arg-type]

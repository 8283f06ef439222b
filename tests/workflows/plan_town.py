"""A plan of inspections with its loop on the time-skipping server: real model, rules and relay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.message import Message
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from bihuan.inspection.v1.plan_loop_pb2 import PlanKnown, PlanLoop
from eventstore import RecordedEvent
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar
from services.inspection.plans.checks import Known
from services.inspection.plans.evolve import evolve
from services.inspection.plans.model import Planning, decide
from tests.services import plans as req
from tests.services.rosters import uscc
from tests.workflows.place import Place
from workflows.inspection_plan_state import known_of
from workflows.relay import Relay
from workflows.temporal_client import TASK_QUEUE
from workflows.worker import WORKFLOWS

MONDAY = datetime(2026, 1, 5, 2, tzinfo=UTC)
FIRM = uscc(1)
RULES = Rules(RuleBook.load(), WorkingCalendar.load(), req.DISTRICT)
KNOWN = Known(req.department(), {FIRM: req.target(FIRM)})
SUBMIT = rpc_pb.SubmitPlanRequest()


@dataclass
class PlanTown(Place):
    """Carries out commands at legal time; the relay takes their events to the loop of the plan."""

    queue: str = TASK_QUEUE
    plan: pb.Plan = field(default_factory=lambda: pb.Plan(name=f"plans/{uuid4()}"))
    read: int = 0  # how often the loop asked where the plan is

    @property
    def id(self) -> str:
        return self.plan.name.removeprefix("plans/")

    @property
    def handle(self) -> WorkflowHandle[Any, PlanLoop]:
        """The loop of the plan, the latest one."""
        id_ = f"inspection-plan/{self.id}"
        return self.env.client.get_workflow_handle(id_, result_type=PlanLoop)

    def loops(self, module: str) -> dict[str, WorkflowHandle[Any, Any]]:
        """The loop, by what tells it apart from others."""
        return {"": self.handle}

    async def command(self, *commands: Any, actor: str = "planner", twice: bool = False) -> None:
        """Carry out commands; every event goes to the relay, `twice` as one that crashed may have it."""
        for command in commands:
            now = await self.now() - self.clock_lag
            for event in decide(Planning(self.plan, actor, RULES, now, KNOWN), command):
                self.position += 1
                self.plan = evolve(self.plan, event)
                self.plan.etag = str(self.position)
                self.events.append(event)
                for _ in range(2 if twice else 1):
                    await Relay(self.env.client, str(self.clock)).deliver(self.recorded(event))

    async def submitted(self) -> None:
        """A plan that waits for its approval."""
        await self.command(req.plan(), req.add([req.task(1, FIRM)]), SUBMIT)

    def recorded(self, event: Message) -> RecordedEvent:
        return RecordedEvent(
            id=UUID(int=UUID(self.id).int ^ self.position),
            stream=f"inspection.plan-{self.id}",
            version=self.position,
            type=event.DESCRIPTOR.full_name,
            data=event.SerializeToString(),
            actor="planner",
            correlation_id=UUID(self.id),
            causation_id=None,
            request_id=None,
            traceparent="",
            recorded_at=datetime.now(UTC),
            position=self.position,
        )

    def titles(self) -> list[tuple[str, str]]:
        """Whom was told what, in order, without the plan's own title."""
        return [(each.recipient, each.title.partition("（")[0]) for each in self.notices]

    @activity.defn
    async def get_inspection_plan(self, request: rpc_pb.GetPlanRequest) -> PlanKnown:
        self.read += 1
        return known_of(self.plan)

    @activity.defn
    async def expire_plan_deadline(
        self, request: rpc_pb.ExpirePlanDeadlineRequest, cause: str
    ) -> PlanKnown:
        self.expiries.append(request.deadline_id)
        try:
            await self.command(request, actor="loop", twice=True)
        except StatusError as error:
            raise ApplicationError(str(error), type=error.reason, non_retryable=True) from error
        return known_of(self.plan)


@asynccontextmanager
async def plan_town(env: WorkflowEnvironment) -> AsyncIterator[PlanTown]:
    """A town whose worker runs until the block ends."""
    open_ = PlanTown(env)
    activities = [open_.send_notice, open_.get_inspection_plan, open_.expire_plan_deadline]
    async with Worker(
        env.client, task_queue=open_.queue, workflows=WORKFLOWS, activities=activities
    ):
        await open_.begin(MONDAY)
        try:
            yield open_
        finally:
            # What is left behind would hold up the server's time for other tests.
            await open_.sleep(1e-5)
            with suppress(RPCError):  # it has ended already, or never began
                await open_.handle.terminate()

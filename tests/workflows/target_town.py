"""An inspection target with its workflows on the time-skipping server: real model, rules and relay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from bihuan.inspection.v1.inspection_pb2 import Inspection
from bihuan.inspection.v1.target_loop_pb2 import TargetFact, TargetLoop, TargetStanding
from bihuan.penalty.v1.penalty_case_pb2 import PenaltyCase
from bihuan.rectification.v1.problem_pb2 import Problem
from eventstore import RecordedEvent
from rpc.errors import StatusError
from rules import legal_date
from services.inspection.targets.evolve import evolve
from services.inspection.targets.model import Scene, decide
from services.inspection.targets.views import key_of
from tests.services import targets as req
from tests.workflows.place import Place
from workflows import target_facts
from workflows.relay import Relay
from workflows.routes import routes
from workflows.target_state import standing
from workflows.temporal_client import TASK_QUEUE
from workflows.worker import WORKFLOWS

MONDAY = datetime(2026, 9, 7, 2, tzinfo=UTC)


@dataclass
class TargetTown(Place):
    """Carries out commands at legal time; the relay takes their events to the loop of the target."""

    queue: str = TASK_QUEUE
    target: pb.Target = field(default_factory=lambda: pb.Target(name=req.TARGET))
    # What the other services say of the resource that a fact arose from.
    found: Problem | PenaltyCase | Inspection | None = None
    carried: list[str] = field(default_factory=list)
    away: int = 0
    _seed: UUID = field(default_factory=uuid4)

    @property
    def id(self) -> str:
        return f"inspection-target/{key_of(self.target.name)}"

    @property
    def handle(self) -> WorkflowHandle[Any, TargetLoop]:
        """The loop of the target, the latest one."""
        return self.env.client.get_workflow_handle(self.id, result_type=TargetLoop)

    def loops(self, module: str) -> dict[str, WorkflowHandle[Any, Any]]:
        """The workflows so far that a module under workflows/ defines, by what tells them apart."""
        if module == "target_loop":
            return {"": self.handle}
        return {f".{n}": self.fact(n) for n in range(1, len(self.carried) + 1)}

    def fact(self, number: int = 0) -> WorkflowHandle[Any, TargetFact]:
        """What carries that fact, the last one unless a number is given."""
        id_ = self.carried[number - 1]
        return self.env.client.get_workflow_handle(id_, result_type=TargetFact)

    async def today(self) -> date:
        return legal_date(await self.now())

    async def command(self, command: Any, actor: str = "planner", twice: bool = False) -> None:
        """Carry out a command; every event goes to the relay, `twice` as one that crashed may have it."""
        scene = Scene(actor, req.RULES, await self.now() - self.clock_lag)
        for event in decide(self.target, command, scene):
            self.position += 1
            self.target = evolve(self.target, event)
            self.target.etag = str(self.position)
            self.events.append(event)
            stream = f"inspection.target-{key_of(self.target.name)}"
            for _ in range(2 if twice else 1):
                await self.deliver(self.recorded(event, stream, self.position))

    async def arise(
        self,
        event: Message,
        category: str,
        found: Problem | PenaltyCase | Inspection,
        source: str = "",
    ) -> None:
        """Another domain records an event of `source`, or of something new, which reads as `found`."""
        self.found = found
        self.position += 1
        payload = AnyMessage()
        payload.Pack(event)
        about = source.partition("/")[2] or uuid4()
        carried = Event(id=str(uuid4()), stream=f"{category}-{about}", version=1, payload=payload)
        # Not by the relay: the event goes to a loop of its own domain, too, which is not of this town.
        (to,) = [each for each in routes(carried, "") if each.workflow == "TargetFact"]
        await self.env.client.start_workflow(
            to.workflow, to.argument, id=to.workflow_id, task_queue=self.queue
        )
        self.carried.append(to.workflow_id)

    async def deliver(self, event: RecordedEvent) -> None:
        await Relay(self.env.client, str(self.clock)).deliver(event)

    def recorded(self, event: Message, stream: str, version: int) -> RecordedEvent:
        return RecordedEvent(
            id=UUID(int=self._seed.int ^ self.position),
            stream=stream,
            version=version,
            type=event.DESCRIPTOR.full_name,
            data=event.SerializeToString(),
            actor="planner",
            correlation_id=self._seed,
            causation_id=None,
            request_id=None,
            traceparent="",
            recorded_at=datetime.now(UTC),
            position=self.position,
        )

    async def known(self, kind: str, level: str = "general", days_ago: int = 0) -> None:
        """A fact of so many days ago is recorded."""
        on = date.fromordinal((await self.today()).toordinal() - days_ago)
        await self.command(req.record(req.fact(kind, on, level)))

    @activity.defn
    async def get_target(self, request: rpc_pb.GetTargetRequest) -> TargetStanding:
        return standing(self.target)

    @activity.defn
    async def review_grade(self, request: rpc_pb.ReviewGradeRequest, cause: str) -> TargetStanding:
        self.expiries.append(self.target.grading.review.id)
        await self.command(request, "loop", twice=True)
        return standing(self.target)

    @activity.defn
    async def read_target_fact(self, fact: TargetFact) -> TargetFact:
        if isinstance(self.found, Problem):
            return target_facts.with_problem(fact, self.found)
        if isinstance(self.found, Inspection):
            return target_facts.with_inspection(fact, self.found)
        assert self.found
        return target_facts.with_case(fact, self.found)

    @activity.defn
    async def record_target_fact(
        self, request: rpc_pb.RecordFactRequest, cause: str
    ) -> TargetStanding:
        if self.away:
            self.away -= 1
            raise ApplicationError("the services are away", type="UNAVAILABLE")
        if request.name != self.target.name or not int(self.target.etag or 0):
            raise ApplicationError("no", type="TARGET_NOT_FOUND", non_retryable=True)
        try:
            await self.command(request, "loop")
        except StatusError as error:
            raise ApplicationError(str(error), type=error.reason, non_retryable=True) from error
        return standing(self.target)


@asynccontextmanager
async def target_town(env: WorkflowEnvironment) -> AsyncIterator[TargetTown]:
    """A town whose worker runs until the block ends."""
    open_ = TargetTown(env)
    activities = [
        open_.send_notice,
        open_.get_target,
        open_.review_grade,
        open_.read_target_fact,
        open_.record_target_fact,
    ]
    async with Worker(
        env.client, task_queue=open_.queue, workflows=WORKFLOWS, activities=activities
    ):
        await open_.begin(MONDAY)
        try:
            yield open_
        finally:
            # What is left behind would hold up the server's time for other tests.
            await open_.sleep(1e-5)
            for id_ in [open_.id, *open_.carried]:
                with suppress(RPCError):  # it has ended already, or never began
                    await env.client.get_workflow_handle(id_).terminate()

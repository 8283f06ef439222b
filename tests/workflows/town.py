"""A problem and its loop on the time-skipping server: the real model and rules, no transport."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from bihuan.rectification.v1.problem_loop_pb2 import ProblemStanding as Standing
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar
from services.rectification.evolve import evolve
from services.rectification.model import decide
from tests.bureau import item, report
from tests.workflows.place import Place
from workflows.activities import standing
from workflows.problem_loop import ProblemLoop

# Holidays move due dates, so each test begins on the same day in the same calendar, whenever it runs.
MONDAY = datetime(2026, 3, 2, 2, tzinfo=UTC)
CALENDAR = WorkingCalendar({2026: WorkingCalendar.load().years[2026]})
RULES = Rules(RuleBook.load(), CALENDAR, "150203")


@dataclass
class Town(Place):
    """Carries out commands at legal time and signals their events to the loop."""

    rules: Rules = RULES
    problem: pb.Problem = field(default_factory=lambda: pb.Problem(name=f"problems/{uuid4()}"))
    handle: WorkflowHandle[Any, Loop] | None = None
    held: list[Event] | None = None

    def loops(self, module: str) -> dict[str, WorkflowHandle[Any, Any]]:
        """The loops so far, by what tells them apart."""
        return {"": self.handle} if self.handle else {}

    async def report(self, reporter: str = "officer") -> None:
        """Report the problem and start its loop."""
        loop = Loop(problem=self.problem.name, clock=str(self.clock))
        self.handle = await self.env.client.start_workflow(
            ProblemLoop.run, loop, id=f"problem-loop/{uuid4()}", task_queue=self.queue
        )
        await self.command(report(), reporter)

    async def command(self, command: Any, actor: str = "officer", twice: bool = False) -> None:
        """Carry out a command; every event reaches the loop, `twice` as a relay may send it."""
        now = await self.now() - self.clock_lag
        for event in decide(self.problem, command, actor, self.rules, now):
            self.position += 1
            self.problem = evolve(self.problem, event)
            self.problem.etag = str(self.position)
            self.events.append(event)
            await self._signal(event, 2 if twice else 1)

    async def _signal(self, event: Message, times: int) -> None:
        payload = AnyMessage()
        payload.Pack(event)
        signal = Event(
            position=self.position, version=self.position, id=str(uuid4()), payload=payload
        )
        for _ in range(times):
            if self.held is not None:
                self.held.append(signal)
                continue
            assert self.handle
            await self.handle.signal(ProblemLoop.event, signal)

    @asynccontextmanager
    async def relay_down(self) -> AsyncIterator[None]:
        """Within the block events are recorded but reach the loop only after it."""
        self.held = []
        yield
        held, self.held = self.held, None
        assert self.handle
        for signal in held:
            await self.handle.signal(ProblemLoop.event, signal)

    async def verify(self, found: bool = True) -> None:
        result = rpc_pb.VerifyProblemRequest.Result.Value(
            "RESULT_CONFIRMED" if found else "RESULT_UNFOUNDED"
        )
        await self.command(
            rpc_pb.VerifyProblemRequest(name=self.problem.name, result=result, reasons="核实")
        )

    async def order(self, *days: int) -> None:
        """Order an item for each limit, or one of ten days."""
        items = [item(days=limit) for limit in days or (10,)]
        await self.command(
            rpc_pb.OrderRectificationRequest(
                name=self.problem.name, items=items, legal_basis="生态环境法典"
            )
        )

    async def submit(self) -> None:
        await self.command(
            rpc_pb.SubmitRectificationRequest(name=self.problem.name, statement="已整改"), "企业"
        )

    async def review(self, accepted: bool = True, days: int | None = None) -> None:
        result = rpc_pb.ReviewRectificationRequest.Result.Value(
            "RESULT_ACCEPTED" if accepted else "RESULT_RETURNED"
        )
        limit = pb.Limit(days=days) if days else None
        await self.command(
            rpc_pb.ReviewRectificationRequest(
                name=self.problem.name, result=result, reasons="审核", limit=limit
            )
        )

    async def assess(self, effective: bool = True) -> None:
        result = rpc_pb.AssessProblemRequest.Result.Value(
            "RESULT_EFFECTIVE" if effective else "RESULT_INEFFECTIVE"
        )
        await self.command(
            rpc_pb.AssessProblemRequest(name=self.problem.name, result=result, findings="评估")
        )

    async def reopen(self, days: int = 10) -> None:
        await self.command(
            rpc_pb.ReopenProblemRequest(
                name=self.problem.name, items=[item(days=days)], legal_basis="法", reason="反弹"
            )
        )

    async def close(self) -> Loop:
        """Close the problem; what the loop ends with."""
        await self.command(rpc_pb.CloseProblemRequest(name=self.problem.name, conclusion="完成"))
        return await self.result()

    async def result(self) -> Loop:
        """What the loop ends with."""
        assert self.handle
        return await self.handle.result()

    @activity.defn
    async def expire_deadline(self, request: rpc_pb.ExpireDeadlineRequest, cause: str) -> Standing:
        self.expiries.append(request.deadline_id)
        try:
            await self.command(request, "loop", twice=True)
        except StatusError as error:
            raise ApplicationError(str(error), type=error.reason, non_retryable=True) from error
        return standing(self.problem)

    @activity.defn
    async def get_problem(self, request: rpc_pb.GetProblemRequest) -> Standing:
        return standing(self.problem)


@asynccontextmanager
async def town(env: WorkflowEnvironment) -> AsyncIterator[Town]:
    """A town whose worker runs until the block ends."""
    open_ = Town(env)
    activities = [open_.send_notice, open_.expire_deadline, open_.get_problem]
    async with Worker(
        env.client,
        task_queue=open_.queue,
        workflows=[ProblemLoop],
        activities=activities,
        max_cached_workflows=0,
    ):
        await open_.begin(MONDAY)
        try:
            yield open_
        finally:
            # A loop left behind without a worker would hold up the server's time for other tests.
            if open_.handle:
                with suppress(RPCError):  # it has ended already
                    await open_.handle.terminate()


__all__ = ["StatusError", "Town", "town"]

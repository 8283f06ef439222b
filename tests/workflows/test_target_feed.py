"""From a penalty decided in its own service to the grade of the enterprise: services, relay and worker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from temporalio.client import Client

from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from bihuan.penalty.v1 import penalty_case_pb2
from eventstore import EventStore
from rpc.client import connect
from rpc.identity import Identity
from rules import Clock
from tests.bureau import Bureau, bureau, report
from tests.services import penalties, targets
from tests.services.calls import rid
from tests.services.cases import verification
from tests.services.test_penalty_cases import MONDAY, Desk
from tests.workflows.relayed import until
from workflows.relay import Relay
from workflows.worker import worker


@asynccontextmanager
async def working(
    open_: Bureau, client: Client, store: EventStore, clock: str
) -> AsyncIterator[None]:
    """Within the block the relay and a worker run."""
    token = open_.issuer.issue(Identity(subject="loop", roles=frozenset({"loop"})))
    async with connect(open_.target, token) as channel, worker(client, channel):
        relaying = asyncio.create_task(Relay(client, clock).run(store))
        try:
            yield
        finally:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)


async def test_a_penalty_and_a_problem_change_the_grade_of_their_enterprise(
    database_url: str, tmp_path: Path, store: EventStore, server: Client
) -> None:
    clock = str(Clock(MONDAY, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_, working(open_, server, store, clock):
        planner = open_.client("planner")
        await planner.targets.RegisterTarget(targets.register(penalties.TRADER.uscc))

        async def graded(grade: str, *sources: str) -> bool:
            request = rpc_pb.GetTargetRequest(name=f"targets/{penalties.TRADER.uscc}")
            found = await planner.targets.GetTarget(request)
            known = sorted(fact.source for fact in found.facts)
            return (found.grading.grade, known) == (grade, sorted(sources))

        assert await graded("B")
        case: penalty_case_pb2.PenaltyCase = await Desk(open_).served()
        await until(lambda: graded("C", case.name))
        problem = await open_.client("reporter").problems.ReportProblem(report())
        await open_.client("officer").problems.VerifyProblem(verification(problem))
        await until(lambda: graded("C", case.name, problem.name))
        remove = rpc_pb.RemoveTargetRequest(
            request_id=rid(), name=f"targets/{penalties.TRADER.uscc}", reason="注销"
        )
        await planner.targets.RemoveTarget(remove)
        # Nothing is to wait for the worker of the next test.
        for name in (case.name, problem.name):
            kind = "penalty-case" if name == case.name else "problem-loop"
            loop = server.get_workflow_handle(f"{kind}/{name.partition('/')[2]}")
            await loop.terminate("the test is over")

"""A long loop goes on with a short history: nothing is lost, and an operator sees it as before."""

from collections import Counter
from uuid import uuid4

from temporalio.client import Client

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from tests.bureau import ENTERPRISE
from tests.workflows.inspection_town import LONG_HISTORY
from tests.workflows.penalty_town import PenaltyTown, penalty_town
from tests.workflows.place import RealTime
from tests.workflows.relayed import Relayed, current_details, relayed_by, until
from workflows import search_attributes as sa
from workflows.penalty_state import trimmed
from workflows.problem_loop import ProblemLoop
from workflows.temporal_client import TASK_QUEUE

ROUNDS, PAYMENTS = 20, 30


async def test_a_loop_continues_as_new_with_what_it_has_not_taken_in_yet(server: Client) -> None:
    place = relayed_by(server)
    await place.report()
    await place.verify()
    await place.order(30)
    for _ in range(ROUNDS):
        await place.submit()
        await place.review(accepted=False)
    first = (await place.loop.describe()).run_id
    async with place.working():
        await place.taken(place.position)
        described = await place.loop.describe()
        loop = await place.loop.query("loop")
        assert place.problem.title in await current_details(place.loop)
    assert described.run_id != first
    assert described.history_length < 2 * LONG_HISTORY
    assert (loop.version, loop.state) == (place.position, pb.STATE_RECTIFYING)
    assert not loop.pending
    # Verify, order, each return; the desk's tasks: verify, order, each review.
    assert place.sent("TASK").count("enterprises") == ROUNDS
    assert place.sent("TASK").count("desks/officer") == 1 + ROUNDS
    assert set(Counter(each.request_id for each in place.notices).values()) == {1}


async def test_a_loop_that_continued_as_new_is_shown_at_once(relayed: Relayed) -> None:
    await relayed.report()
    await relayed.taken(1)
    loop = Loop(
        problem="problems/1",
        title="除尘器未检修",
        enterprise=ENTERPRISE,
        severity=pb.SEVERITY_GENERAL,
        state=pb.STATE_SUBMITTED,
        version=4,
        last_position=4,
    )
    handle = await relayed.client.start_workflow(
        ProblemLoop.run, loop, id=f"problem-loop/{uuid4()}", task_queue=TASK_QUEUE
    )

    async def shown() -> bool:
        return (await handle.describe()).typed_search_attributes.get(sa.STAGE) == "待审核"

    await until(shown)
    details = await current_details(handle)
    assert "除尘器未检修" in details
    assert ENTERPRISE.display_name in details
    await handle.terminate()


async def test_the_loop_of_a_plan_continues_as_new_and_keeps_its_schedule(server: Client) -> None:
    async with penalty_town(RealTime(server)) as court:  # type: ignore[arg-type]
        await court.paying()
        await court.plan(8)
        loop = court.plan_loop()
        first = (await loop.describe()).run_id
        for _ in range(PAYMENTS):
            await court.pay(100)

        async def taken() -> bool:
            return bool((await loop.query("loop")).last_position == court.position)

        await until(taken)
        await until(lambda: _told(court, "收到缴款", PAYMENTS))
        described, state = await loop.describe(), await loop.query("loop")
        assert "| 1 | 2026年12月7日 | 37,500.00 | 待缴 | 30.00 |" in await current_details(loop)
    assert described.run_id != first
    assert described.history_length < 2 * LONG_HISTORY
    assert (state.known.plan, list(state.pending)) == (trimmed(court.case.plans[0]), [])
    assert set(Counter(each.request_id for each in court.notices).values()) == {1}


async def _told(court: PenaltyTown, title: str, times: int) -> bool:
    return len([each for each in court.titles("INFORMATION") if title in each]) == times

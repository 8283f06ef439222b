"""What the relay does with an event, whatever became of its loop and whatever Temporal says to it."""

import asyncio
import logging
from collections import Counter

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from bihuan.rectification.v1 import problem_pb2 as pb
from tests.workflows.relayed import Relayed, current_details, until
from workflows import search_attributes as sa
from workflows.relay import Relay
from workflows.undelivered_event import UndeliveredEvent


async def test_a_loop_that_an_operator_ended_is_taken_up_by_the_next_event(
    relayed: Relayed,
) -> None:
    await relayed.report()
    await relayed.verify()
    await relayed.taken(2)
    await relayed.loop.terminate("by mistake")
    await relayed.order(10, 40)
    await relayed.taken(3)
    loop = await relayed.loop.query("loop")
    assert (loop.state, loop.title) == (pb.STATE_RECTIFYING, relayed.problem.title)
    assert loop.next_step.open_deadlines == relayed.problem.next_step.open_deadlines
    assert relayed.sent("SERVICE") == ["enterprises"]
    await relayed.submit()
    await relayed.taken(4)
    assert relayed.sent("TASK").count("desks/officer") == 2


async def test_everybody_is_told_of_every_event_even_if_the_case_has_ended_meanwhile(
    relayed: Relayed,
) -> None:
    await relayed.report()
    await relayed.verify()
    await relayed.taken(2)
    await relayed.loop.terminate("by mistake")
    async with relayed.relay_down():
        await relayed.order()
        await relayed.submit()
        await relayed.review()
        await relayed.assess()
        await relayed.close()
    await relayed.deliver_again(3)
    await relayed.taken(3)
    assert (await relayed.loop.query("loop")).state == pb.STATE_CLOSED
    assert relayed.sent("SERVICE") == ["enterprises"]
    for position in range(4, 8):
        await relayed.deliver_again(position)
    assert (await relayed.loop.result()).state == pb.STATE_CLOSED
    assert relayed.sent("INFORMATION") == ["enterprises", "enterprises", "officers/officer"]


async def test_what_a_finished_loop_is_told_again_starts_nothing(relayed: Relayed) -> None:
    await relayed.report()
    await relayed.verify(found=False)
    await relayed.loop.result()
    before = (await relayed.loop.describe()).run_id
    for position in (1, 2):
        await relayed.deliver_again(position)
    assert (await relayed.loop.describe()).run_id == before
    assert Counter(each.request_id for each in relayed.notices).most_common(1)[0][1] == 1


async def test_a_last_event_that_finds_the_loop_ended_from_outside_is_told_once(
    relayed: Relayed,
) -> None:
    await relayed.report()
    await relayed.taken(1)
    await relayed.loop.terminate("by mistake")
    await relayed.verify(found=False)
    assert (await relayed.loop.result()).state == pb.STATE_UNFOUNDED
    await relayed.deliver_again(2)
    assert await relayed.status() == WorkflowExecutionStatus.COMPLETED
    assert relayed.sent("INFORMATION") == ["officers/officer"]


async def test_what_temporal_refuses_is_parked_and_the_relay_goes_on(relayed: Relayed) -> None:
    await relayed.report()
    await relayed.verify()
    await relayed.order(*[10] * 40)
    await relayed.submit()
    # Forty times a thousand working days, each with its explanation, are more than a signal holds. The
    # services refuse to record as much by now, but who knows what else Temporal will not take.
    await relayed.review(accepted=False, days=1095)
    parked = relayed.client.get_workflow_handle(
        f"undelivered/{relayed.recorded(relayed.events[4], 5).id}"
    )
    await until(lambda: _told(relayed))
    described = await parked.describe()
    assert described.status == WorkflowExecutionStatus.RUNNING
    assert described.typed_search_attributes.get(sa.STAGE) == "未送达"
    (notice,) = [each for each in relayed.notices if "未能送达" in each.title]
    assert notice.recipient == "desks/supervisor"
    # The loop knows where the case stands nevertheless, and takes in what comes next.
    await relayed.taken(5)
    loop = await relayed.loop.query("loop")
    assert (loop.state, loop.version) == (pb.STATE_RECTIFYING, 5)
    await relayed.submit()
    await relayed.taken(6)
    assert (await relayed.loop.query("loop")).state == pb.STATE_SUBMITTED
    await parked.signal("resolve", "已电话通知企业")
    resolved = await relayed.client.get_workflow_handle_for(
        UndeliveredEvent.run, parked.id
    ).result()
    assert (resolved.position, resolved.resolution) == (5, "已电话通知企业")


async def _told(relayed: Relayed) -> bool:
    return any("未能送达" in each.title for each in relayed.notices)


async def test_an_event_of_an_unknown_type_waits_for_a_build_that_knows_it(
    relayed: Relayed, caplog: pytest.LogCaptureFixture
) -> None:
    await relayed.report()
    newer = relayed.recorded(relayed.events[0], 2, "bihuan.rectification.v1.ProblemMerged")
    with caplog.at_level(logging.WARNING, "workflows.relay"):
        delivering = asyncio.create_task(relayed.relay.deliver(newer))
        await asyncio.sleep(1)
    assert not delivering.done()
    delivering.cancel()
    said = "this build does not know bihuan.rectification.v1.ProblemMerged, version "
    assert said in caplog.text
    await relayed.verify()
    await relayed.taken(2)


async def test_an_event_that_cannot_be_read_is_parked(relayed: Relayed) -> None:
    relayed.refusals["desks/supervisor"] = "INVALID_ARGUMENT"
    await relayed.report()
    broken = relayed.recorded(relayed.events[0], 2)._replace(data=b"\xff\xff")
    await relayed.relay.deliver(broken)
    parked = relayed.client.get_workflow_handle(f"undelivered/{broken.id}")

    async def shown() -> bool:
        return "未能通知督办" in await current_details(parked)

    await until(shown)
    assert (await parked.describe()).status == WorkflowExecutionStatus.RUNNING


@pytest.mark.parametrize(
    ("status", "message", "refused"),
    [
        (RPCStatusCode.INVALID_ARGUMENT, "Blob data size exceeds limit.", True),
        (RPCStatusCode.PERMISSION_DENIED, "no", True),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max", True),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "namespace rate limit exceeded", False),
        (RPCStatusCode.UNAVAILABLE, "connection refused", False),
    ],
)
async def test_only_what_stays_refused_is_parked(
    relayed: Relayed, status: RPCStatusCode, message: str, refused: bool
) -> None:
    await relayed.report()
    sent: list[str] = []

    async def send(to: object, event: object) -> None:
        sent.append(to.workflow_id.partition("/")[0])  # type: ignore[attr-defined]
        if len(sent) == 1:
            raise RPCError(message, status, b"")

    relay = Relay(relayed.client, clock="")
    relay._send = send  # type: ignore[method-assign]
    await relay.deliver(relayed.recorded(relayed.events[0], 1))
    again = ["undelivered", "problem-loop"] if refused else ["problem-loop"]
    assert sent == ["problem-loop", *again]

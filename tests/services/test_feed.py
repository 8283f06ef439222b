"""The log over real gRPC: read in pages, followed without end, filtered."""

import asyncio
from typing import Any

import pytest
from google.rpc import code_pb2

from bihuan.feed.v1 import feed_service_pb2 as pb
from bihuan.notification.v1 import notice_pb2
from bihuan.rectification.v1 import problem_pb2
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from tests.bureau import ENTERPRISE, Bureau, report
from tests.services.calls import refused, rid

SECONDS = 10  # until a test that waits for an event gives up


async def report_one(open_: Bureau) -> problem_pb2.Problem:
    problem: problem_pb2.Problem = await open_.client("reporter").problems.ReportProblem(report())
    return problem


async def verify(open_: Bureau, name: str) -> None:
    request = rpc_pb.VerifyProblemRequest(
        request_id=rid(),
        name=name,
        result=rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED,
        reasons="属实",
    )
    await open_.client("verifier").problems.VerifyProblem(request)


async def notify(open_: Bureau) -> None:
    request = notice_pb2.SendNoticeRequest(
        request_id=rid(),
        recipient=f"enterprises/{ENTERPRISE.uscc}",
        kind=notice_pb2.NOTICE_KIND_TASK,
        title="请整改",
    )
    await open_.client("loop").notices.SendNotice(request)


async def read(open_: Bureau, **fields: Any) -> pb.ReadEventsResponse:
    request = pb.ReadEventsRequest(**fields)
    page: pb.ReadEventsResponse = await open_.client("agency").feed.ReadEvents(request)
    return page


async def test_pages_hold_every_event_once_in_order_without_gaps(open_bureau: Bureau) -> None:
    for _ in range(5):
        await report_one(open_bureau)
    positions, after, head = [], 0, -1
    while after != head:
        page = await read(open_bureau, after_position=after, page_size=2)
        assert len(page.events) <= 2
        positions += [event.position for event in page.events]
        after, head = page.next_position, page.head_position
    assert positions == [1, 2, 3, 4, 5]


async def test_an_event_says_what_happened_to_what_and_by_whom(open_bureau: Bureau) -> None:
    problem = await report_one(open_bureau)
    (event,) = (await read(open_bureau)).events
    case = problem.name.removeprefix("problems/")
    assert event.stream == f"rectification.problem-{case}"
    assert (event.position, event.version, event.actor) == (1, 1, "reporter")
    assert (event.correlation_id, event.causation_id) == (case, "")
    assert event.payload.type_url.endswith("/bihuan.rectification.v1.ProblemReported")
    assert event.record_time.seconds >= problem.report_time.seconds


async def test_a_filter_lets_only_its_events_through(open_bureau: Bureau) -> None:
    first, second = await report_one(open_bureau), await report_one(open_bureau)
    await verify(open_bureau, first.name)
    await notify(open_bureau)
    streams = [f"rectification.problem-{each.name.partition('/')[2]}" for each in (first, second)]
    verified = "bihuan.rectification.v1.ProblemVerified"
    cases = [
        (pb.EventFilter(), [1, 2, 3, 4]),
        (pb.EventFilter(streams=streams[:1]), [1, 3]),
        (pb.EventFilter(categories=["rectification.problem"]), [1, 2, 3]),
        (pb.EventFilter(categories=["notification.notice"]), [4]),
        (pb.EventFilter(types=[verified]), [3]),
        (pb.EventFilter(streams=streams[1:], types=[verified]), []),
        (pb.EventFilter(categories=["penalty.case"]), []),
    ]
    for wanted, positions in cases:
        page = await read(open_bureau, filter=wanted)
        assert [event.position for event in page.events] == positions
        assert (page.next_position, page.head_position) == (4, 4)


async def test_following_gives_what_is_there_and_then_what_comes(open_bureau: Bureau) -> None:
    problem = await report_one(open_bureau)
    await notify(open_bureau)
    wanted = pb.EventFilter(categories=["rectification.problem"])
    request = pb.FollowEventsRequest(filter=wanted)
    stream: Any = open_bureau.client("agency").feed.FollowEvents(request)
    async with asyncio.timeout(SECONDS):
        assert (await stream.read()).event.position == 1
        coming = asyncio.create_task(stream.read())
        await verify(open_bureau, problem.name)
        assert (await coming).event.position == 3
    stream.cancel()


async def test_following_goes_on_after_a_position(open_bureau: Bureau) -> None:
    for _ in range(3):
        await report_one(open_bureau)
    request = pb.FollowEventsRequest(after_position=2)
    stream: Any = open_bureau.client("agency").feed.FollowEvents(request)
    async with asyncio.timeout(SECONDS):
        assert (await stream.read()).event.position == 3
    stream.cancel()


async def test_a_position_beyond_the_head_is_refused(open_bureau: Bureau) -> None:
    await report_one(open_bureau)
    feed = open_bureau.client("agency").feed
    assert list((await read(open_bureau, after_position=1)).events) == []
    beyond = feed.FollowEvents(pb.FollowEventsRequest(after_position=2))
    for call in (feed.ReadEvents(pb.ReadEventsRequest(after_position=2)), anext(aiter(beyond))):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (
            code_pb2.INVALID_ARGUMENT,
            "POSITION_BEYOND_HEAD",
        )
        assert refusal.violations == (("after_position", "must be at most 1, the head of the log"),)


@pytest.mark.parametrize(
    ("role", "enterprise"),
    [("reporter", ""), ("officer", ""), ("loop", ""), ("enterprise", ENTERPRISE.uscc)],
)
async def test_only_who_may_see_everything_reads_the_log(
    open_bureau: Bureau, role: str, enterprise: str
) -> None:
    feed = open_bureau.client(role, enterprise=enterprise).feed
    refusal = await refused(feed.ReadEvents(pb.ReadEventsRequest()))
    assert refusal.code == code_pb2.PERMISSION_DENIED

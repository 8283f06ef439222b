"""What departments and enterprises must not learn of inspections, whatever door they try."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2

from bihuan.feed.v1 import feed_service_pb2 as feed_pb
from bihuan.inspection.v1 import draw_service_pb2 as draw_pb
from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import statistics_service_pb2 as stats_pb
from bihuan.inspection.v1 import visit_service_pb2 as visit_pb
from rules import Clock
from tests.bureau import Bureau, bureau
from tests.services import inspections, plans, rosters
from tests.services import on_site as req
from tests.services.brigades import Brigade, begun
from tests.services.calls import recorded, refused, rid
from tests.services.penalties import of

NOBODY = "0198c6d2-0000-7000-8000-000000000001"
Call = Callable[[Any], Any]


@pytest.fixture
async def brigade(database_url: str, tmp_path: Path) -> AsyncIterator[Brigade]:
    """A department that has begun an inspection."""
    async with bureau(database_url, tmp_path, str(Clock(req.MORNING, datetime.now(UTC)))) as open_:
        found = Brigade(open_)
        await found.prepare()
        await found.do(begun(await found.code()))
        yield found


async def rated(open_: Bureau, **identity: str) -> list[ev.InspectionRated]:
    """What the feed tells a reader of ratings."""
    wanted = feed_pb.EventFilter(types=[ev.InspectionRated.DESCRIPTOR.full_name])
    client = open_.client("agency", **identity)
    read = await client.feed.ReadEvents(feed_pb.ReadEventsRequest(filter=wanted))
    follow = client.feed.FollowEvents(feed_pb.FollowEventsRequest(filter=wanted))
    followed = await follow.read()
    follow.cancel()
    events = [*read.events, followed.event]
    return [ev.InspectionRated.FromString(each.payload.value) for each in events]


async def test_a_department_reads_no_rating_in_the_feed(brigade: Brigade) -> None:
    await brigade.rate(brigade.inspection.codes[-1].id, 1)
    for told in await rated(brigade.open):
        assert told.rating.score == 1
    for told in await rated(brigade.open, agency=rosters.ECOLOGY):
        assert told == ev.InspectionRated()


async def test_a_department_reads_no_single_score_in_the_figures(brigade: Brigade) -> None:
    await brigade.rate(brigade.inspection.codes[-1].id, 1)
    officer = brigade.open.client("officer", agency=rosters.ECOLOGY)
    for department in ("", rosters.DEPARTMENT):
        request = stats_pb.GetStatisticsRequest(year=2026, department=department)
        ratings = (await officer.statistics.GetStatistics(request)).figures.ratings
        assert ratings == stats_pb.Ratings(count=1)


SCOPED: dict[str, Call] = {
    "visits": lambda client: client.visits.ListVisits(visit_pb.ListVisitsRequest()),
    "a visit": lambda client: client.visits.GetVisit(
        visit_pb.GetVisitRequest(name=f"visits/{NOBODY}")
    ),
    "an inspection": lambda client: client.inspections.OpenInspection(
        of(inspections.on_clue(), "")
    ),
    "a new plan": lambda client: client.plans.CreatePlan(plans.plan()),
    "a plan": lambda client: client.plans.WithdrawPlan(of(plans.WITHDRAW, f"plans/{NOBODY}")),
    "a new draw": lambda client: client.draws.CommitDraw(
        draw_pb.CommitDrawRequest(
            request_id=rid(),
            department=rosters.DEPARTMENT,
            title="双随机",
            from_date=rosters.day(req.FIRST),
            to_date=rosters.day(req.FIRST),
            filter=draw_pb.CommitDrawRequest.CandidateFilter(),
        )
    ),
    "a draw": lambda client: client.draws.MakeDraw(
        of(draw_pb.MakeDrawRequest(), f"draws/{NOBODY}")
    ),
    "a distribution": lambda client: client.inspections.DistributeTasks(
        rpc_pb.DistributeTasksRequest(
            request_id=rid(),
            from_date=rosters.day(req.FIRST),
            to_date=rosters.day(req.LAST),
            district=req.DISTRICT,
            validate_only=True,
        )
    ).read(),
}


async def test_whoever_is_held_to_an_enterprise_is_so_whatever_the_role(brigade: Brigade) -> None:
    before = await recorded(brigade.open)
    client = brigade.open.client("supervisor", enterprise=inspections.FIRM)
    for what, call in SCOPED.items():
        error = await refused(call(client))
        assert error.code == code_pb2.PERMISSION_DENIED, what
    assert await recorded(brigade.open) == before

"""Visits and figures over real gRPC and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2

from bihuan.inspection.v1 import inspection_service_pb2 as inspection_pb
from bihuan.inspection.v1 import statistics_service_pb2 as stats_pb
from bihuan.inspection.v1 import visit_pb2 as pb
from bihuan.inspection.v1 import visit_service_pb2 as rpc_pb
from eventstore import EventStore, engine_for
from rules import Clock
from services.rebuild import rebuild
from tests.bureau import Bureau, bureau
from tests.services import on_site as req
from tests.services import rosters, targets
from tests.services.brigades import Brigade
from tests.services.calls import refused, rid
from tests.services.test_visits import CANCEL, MAKE, register

DAY = req.DAY


@pytest.fixture
async def open_bureau(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    """A bureau on the morning on which the code of the samples becomes valid."""
    clock = str(Clock(req.MORNING, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        yield open_


@pytest.fixture
async def brigade(open_bureau: Bureau) -> Brigade:
    found = Brigade(open_bureau)
    await found.prepare()
    return found


def registered(day: Any = req.FIRST, **fields: Any) -> rpc_pb.RegisterVisitRequest:
    whose = {"department": rosters.DEPARTMENT, "target": f"targets/{req.ENTERPRISE}", **fields}
    return register(day, request_id=rid(), **whose)


def on(visit: pb.Visit, command: Any) -> Any:
    copy = type(command)()
    copy.CopyFrom(command)
    copy.request_id, copy.name = rid(), visit.name
    return copy


async def test_a_visit_is_registered_made_numbered_and_found(brigade: Brigade) -> None:
    visits = brigade.officers[0].visits
    first = registered()
    visit = await visits.RegisterVisit(first)
    assert await visits.RegisterVisit(first) == visit
    assert visit.target_display_name == "扬州一号化工有限公司"
    called_off = await visits.CancelVisit(on(await visits.RegisterVisit(registered()), CANCEL))
    assert (called_off.cancel_reason, called_off.visit_of_year) == ("企业停产检修", 0)
    made = [
        visits.MakeVisit(on(each, MAKE))
        for each in (visit, *[await visits.RegisterVisit(registered()) for _ in range(3)])
    ]
    numbers = sorted(each.visit_of_year for each in await asyncio.gather(*made))
    assert numbers == [1, 2, 3, 4]
    wanted = rpc_pb.ListVisitsRequest(
        filter=rpc_pb.VisitFilter(states=[pb.VISIT_STATE_MADE]), page_size=3
    )
    page = await visits.ListVisits(wanted)
    wanted.page_token = page.next_page_token
    rest = await visits.ListVisits(wanted)
    assert (len(page.visits), len(rest.visits), rest.next_page_token) == (3, 1, "")
    mask = rpc_pb.GetVisitRequest(name=visit.name, read_mask=FieldMask(paths=["summary"]))
    assert await visits.GetVisit(mask) == pb.Visit(summary="培训二十人")


async def test_a_department_acts_for_itself_alone_and_only_if_it_is_one(
    brigade: Brigade,
) -> None:
    stranger = brigade.open.client("officer", agency=rosters.uscc(7)).visits
    visit = await brigade.officers[0].visits.RegisterVisit(registered())
    for call in (stranger.RegisterVisit(registered()), stranger.MakeVisit(on(visit, MAKE))):
        error = await refused(call)
        assert (error.code, error.reason) == (code_pb2.PERMISSION_DENIED, "OTHER_DEPARTMENT")
    nobody = registered(department=f"departments/{rosters.uscc(7)}")
    assert (await refused(stranger.RegisterVisit(nobody))).reason == "NOT_A_DEPARTMENT"
    unknown = registered(target=f"targets/{rosters.uscc(8)}")
    own = brigade.open.client("officer", agency=rosters.ECOLOGY).visits
    assert (await refused(own.RegisterVisit(unknown))).reason == "NOT_ON_REGISTER"
    assert (await own.MakeVisit(on(visit, MAKE))).state == pb.VISIT_STATE_MADE
    enterprise = brigade.open.enterprise().visits
    error = await refused(enterprise.GetVisit(rpc_pb.GetVisitRequest(name=visit.name)))
    assert error.code == code_pb2.PERMISSION_DENIED


async def test_no_visit_is_registered_on_a_day_of_an_inspection(brigade: Brigade) -> None:
    await brigade.code(req.FIRST + DAY)
    visits = brigade.officers[0].visits
    for days, free in ((0, True), (1, False), (3, False), (4, True)):
        call = visits.RegisterVisit(registered(req.FIRST + days * DAY))
        if free:
            await call
        else:
            assert (await refused(call)).reason == "VISIT_ON_INSPECTION_DAY"


async def test_danger_seen_on_a_visit_leads_to_an_inspection(brigade: Brigade) -> None:
    supervisor = brigade.open.client("supervisor").visits
    visits = brigade.officers[0].visits
    visit = await visits.RegisterVisit(registered())
    await visits.MakeVisit(on(visit, rpc_pb.MakeVisitRequest(summary="罐体渗漏", danger_seen=True)))
    open_ = rpc_pb.ListVisitsRequest(filter=rpc_pb.VisitFilter(danger_unfollowed=True))
    assert [each.name for each in (await supervisor.ListVisits(open_)).visits] == [visit.name]
    await brigade.code()
    assert not (await supervisor.ListVisits(open_)).visits


async def test_the_figures_are_those_of_what_happened_and_can_be_made_again(
    brigade: Brigade, database_url: str
) -> None:
    code = await brigade.code()
    await brigade.do(req.begin(code=code.id, device="pad-1"))
    entry = req.failed("1", "ecology.facilities", minutes=0)
    await brigade.do(
        inspection_pb.RecordEntriesRequest(department=rosters.DEPARTMENT, entries=[entry])
    )
    await brigade.rate(code.id, 4)
    visits = brigade.officers[0].visits
    await visits.MakeVisit(
        on(await visits.RegisterVisit(registered(target=await _other(brigade))), MAKE)
    )
    page = brigade.page.statistics
    answer = await page.GetStatistics(stats_pb.GetStatisticsRequest(district="321000"))
    found = answer.figures
    assert answer.year == req.FIRST.year
    assert (found.inspection_count, found.hits.rate, found.ratings.count) == (1, 1, 1)
    assert (found.codes.issued_count, found.codes.on_the_spot_count) == (1, 1)
    assert [(each.purpose, each.count) for each in found.other_visits] == [(pb.PURPOSE_TRAINING, 1)]
    assert found.flags.rules[0].id == "inspection.flag_day"
    assert not answer.HasField("reduction")
    store = EventStore(engine_for(database_url, "bihuan_inspection"))
    try:
        checked = await rebuild(store, "inspection", only_check=True)
    finally:
        await store.close()
        await store.engine.dispose()
    assert not checked.differs
    rows = {table.table: table.rows for table in checked.tables}
    assert {name.rpartition(".")[2]: n for name, n in rows.items()}.items() >= {
        "tally": 1,
        "visit": 1,
        "visit_number": 1,
    }.items()


async def test_an_enterprise_asks_for_no_figures(brigade: Brigade) -> None:
    call = brigade.open.enterprise().statistics.GetStatistics(stats_pb.GetStatisticsRequest())
    assert (await refused(call)).code == code_pb2.PERMISSION_DENIED


async def _other(brigade: Brigade) -> str:
    made = await brigade.planner.targets.RegisterTarget(targets.register(rosters.uscc(9)))
    return str(made.name)

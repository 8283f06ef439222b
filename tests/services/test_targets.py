"""The register of inspection targets over real gRPC and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2

from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from eventstore import EventStore
from rules import Clock
from services.inspection.targets import views
from services.rebuild import rebuild
from tests.bureau import Bureau, bureau
from tests.services import targets as req
from tests.services.calls import recorded, refused, rid
from tests.services.rosters import uscc
from tests.services.targets import fact

MONDAY = datetime(2026, 9, 7, 1, tzinfo=UTC)
TODAY = date(2026, 9, 7)
DAY = timedelta(days=1)


@pytest.fixture
async def open_bureau(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    """A bureau on that Monday."""
    clock = str(Clock(MONDAY, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        yield open_


def batch(count: int, request_id: str = "", **fields: Any) -> rpc_pb.BatchRegisterTargetsRequest:
    entries = [
        rpc_pb.BatchRegisterTargetsRequest.Entry(
            uscc=uscc(n), profile=req.profile(key_unit=n == 0, industry="C26" if n % 2 else "D44")
        )
        for n in range(count)
    ]
    values: dict[str, Any] = {"request_id": request_id or rid(), "entries": entries}
    return rpc_pb.BatchRegisterTargetsRequest(**{**values, **fields})


async def test_a_fact_changes_the_grade_in_the_same_command(open_bureau: Bureau) -> None:
    planner, officer = (open_bureau.client(role).targets for role in ("planner", "officer"))
    registered = await planner.RegisterTarget(req.register())
    assert (registered.grading.grade, registered.etag) == ("B", "2")
    request = req.record(fact("ALERT", TODAY, "serious"))
    graded = await officer.RecordFact(request)
    assert (graded.grading.grade, graded.grading.score) == ("C", 55)
    assert await officer.RecordFact(request) == graded
    again = await officer.RecordFact(req.record(request.fact))
    assert again.etag == graded.etag
    assert (await recorded(open_bureau))[-2:] == ["FactRecorded", "TargetGraded"]
    error = await refused(
        officer.RecordFact(req.record(fact("ALERT", TODAY), f"targets/{uscc(1)}"))
    )
    assert (error.code, error.reason) == (code_pb2.NOT_FOUND, "TARGET_NOT_FOUND")
    mask = FieldMask(paths=["grading.grade"])
    found = await officer.GetTarget(rpc_pb.GetTargetRequest(name=req.TARGET, read_mask=mask))
    assert found == pb.Target(grading=pb.Grading(grade="C"))


async def test_facts_recorded_at_once_all_count(open_bureau: Bureau) -> None:
    await open_bureau.client("planner").targets.RegisterTarget(req.register())
    loop = open_bureau.client("loop").targets
    facts = [fact("ALERT", TODAY - n * DAY) for n in range(6)]
    await asyncio.gather(*(loop.RecordFact(req.record(each)) for each in facts))
    found = await loop.GetTarget(rpc_pb.GetTargetRequest(name=req.TARGET))
    assert (len(found.facts), found.grading.score) == (6, 70 - 6 * 5)


async def test_a_batch_says_of_each_entry_what_became_of_it_and_can_be_repeated(
    open_bureau: Bureau,
) -> None:
    planner = open_bureau.client("planner").targets
    await planner.RegisterTarget(req.register(uscc(2)))
    request = batch(6)
    answer = await planner.BatchRegisterTargets(request)
    assert [each.target for each in answer.results] == [f"targets/{uscc(n)}" for n in range(6)]
    assert [each.refusal for each in answer.results] == ["", "", "ALREADY_REGISTERED", "", "", ""]
    assert answer.results[1].grade == "B"
    assert await planner.BatchRegisterTargets(request) == answer
    refusals = (await planner.BatchRegisterTargets(batch(6))).results
    assert {each.refusal for each in refusals} == {"ALREADY_REGISTERED"}
    twice = batch(1)
    twice.entries.add().CopyFrom(twice.entries[0])
    for bad in (twice, batch(501), batch(0)):
        assert (await refused(planner.BatchRegisterTargets(bad))).reason == "INVALID_REQUEST"
    assert (await recorded(open_bureau)).count("TargetRegistered") == 6


async def test_targets_are_listed_and_counted_by_what_they_are(open_bureau: Bureau) -> None:
    planner = open_bureau.client("planner").targets
    await planner.BatchRegisterTargets(batch(5))
    elsewhere = req.register(district="310104", key_unit=True)
    await planner.RegisterTarget(elsewhere)
    honours = [fact("HONOUR", TODAY, name=str(n)) for n in range(2)]
    for each in honours:
        await planner.RecordFact(req.record(each, f"targets/{uscc(1)}"))
    remove = rpc_pb.RemoveTargetRequest(request_id=rid(), name=f"targets/{uscc(4)}", reason="注销")
    await planner.RemoveTarget(remove)

    async def listed(**wanted: Any) -> set[int | str]:
        request = rpc_pb.ListTargetsRequest(filter=rpc_pb.TargetFilter(**wanted), page_size=2)
        found: set[int | str] = set()
        numbers = {f"targets/{uscc(n)}": n for n in range(5)}
        while True:
            page = await planner.ListTargets(request)
            found |= {numbers.get(each.name, "elsewhere") for each in page.targets}
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    assert await listed() == {0, 1, 2, 3, "elsewhere"}
    assert await listed(removed=True, district="321000") == {0, 1, 2, 3, 4}
    assert await listed(district="3101") == {"elsewhere"}
    assert await listed(industry="C26") == {1, 3, "elsewhere"}
    assert await listed(key_unit=True) == {0, "elsewhere"}
    assert await listed(grades=["A"]) == {1}
    counts = await planner.CountTargets(rpc_pb.CountTargetsRequest())
    assert [(each.grade, each.count, each.key_unit_count) for each in counts.counts] == [
        ("A", 1, 0),
        ("B", 3, 1),
        ("C", 1, 1),
    ]
    assert counts.total_count == 5
    assert (await refused(planner.UpdateTarget(_update(f"targets/{uscc(4)}")))).reason == (
        "TARGET_REMOVED"
    )


def _update(name: str, **fields: Any) -> rpc_pb.UpdateTargetRequest:
    return rpc_pb.UpdateTargetRequest(
        request_id=rid(), name=name, profile=req.profile(address="新址"), **fields
    )


async def test_an_update_decided_on_an_older_version_is_aborted(open_bureau: Bureau) -> None:
    planner = open_bureau.client("planner").targets
    registered = await planner.RegisterTarget(req.register())
    await planner.RecordFact(req.record(fact("ALERT", TODAY)))
    error = await refused(planner.UpdateTarget(_update(req.TARGET, etag=registered.etag)))
    assert (error.code, error.reason) == (code_pb2.ABORTED, "ETAG_MISMATCH")
    assert (await planner.UpdateTarget(_update(req.TARGET))).address == "新址"


@pytest.mark.parametrize(
    ("role", "enterprise", "method", "reason"),
    [
        ("enterprise", req.FIRM, "GetTarget", "PERMISSION_MISSING"),
        ("planner", req.FIRM, "GetTarget", "OTHER_ENTERPRISE"),
        ("officer", "", "RegisterTarget", "PERMISSION_MISSING"),
        ("officer", "", "ReviewGrade", "PERMISSION_MISSING"),
        ("loop", "", "RemoveTarget", "PERMISSION_MISSING"),
        ("agency", "", "RecordFact", "PERMISSION_MISSING"),
    ],
)
async def test_who_may_not_is_refused(
    open_bureau: Bureau, role: str, enterprise: str, method: str, reason: str
) -> None:
    requests = {
        "GetTarget": rpc_pb.GetTargetRequest(name=req.TARGET),
        "RegisterTarget": req.register(),
        "ReviewGrade": rpc_pb.ReviewGradeRequest(request_id=rid(), name=req.TARGET),
        "RemoveTarget": rpc_pb.RemoveTargetRequest(
            request_id=rid(), name=req.TARGET, reason="注销"
        ),
        "RecordFact": req.record(fact("ALERT", TODAY)),
    }
    client = open_bureau.client(role, enterprise=enterprise).targets
    error = await refused(getattr(client, method)(requests[method]))
    assert (error.code, error.reason) == (code_pb2.PERMISSION_DENIED, reason)


async def test_the_register_rebuilt_is_the_register_written_and_others_read_it(
    open_bureau: Bureau, store: EventStore
) -> None:
    planner = open_bureau.client("planner").targets
    await planner.BatchRegisterTargets(batch(3))
    graded = await planner.RecordFact(
        req.record(fact("PENALTY", TODAY, "serious"), f"targets/{uscc(1)}")
    )
    remove = rpc_pb.RemoveTargetRequest(request_id=rid(), name=f"targets/{uscc(2)}", reason="注销")
    await planner.RemoveTarget(remove)
    found = await rebuild(store, "inspection", only_check=True)
    assert not found.differs
    assert {table.table: table.rows for table in found.tables}["inspection.target"] == 3
    async with store.engine.connect() as conn:
        asked = [uscc(n) for n in range(1, 4)]
        known = await views.targets(conn, asked)
        assert set(known) == set(asked[:2])
        assert known[uscc(1)] == graded == await views.target(conn, uscc(1))
        assert await views.target(conn, graded.name) == graded
        assert await views.target(conn, uscc(9)) is None
        assert known[uscc(2)].HasField("remove_time")

"""What an enterprise sees of problems: nothing before it concerns it, and nobody's confidences."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.rpc import code_pb2
from sqlalchemy import text

from bihuan.evidence.v1 import evidence_service_pb2 as evidence_pb
from bihuan.feed.v1 import feed_service_pb2 as feed_pb
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.types.v1.evidence_pb2 import Evidence
from eventstore import EventStore
from rpc.client import status_of
from services.app import migrate
from tests.bureau import ENTERPRISE, Bureau, Client, bureau, report
from tests.services.calls import refused, rid
from tests.services.cases import order, rectifying, submission, verification

OTHER = "91350100M000100Y43"
CITIZEN = "citizen-zhang"
COMPLAINT = {"source": pb.SOURCE_COMPLAINT, "description": "夜间偷排,住三号楼可见"}
NOTHING: dict[str, Any] = {
    "get": "PROBLEM_NOT_FOUND",
    "list": [],
    "counts": 0,
    "ledger": 0,
    "rows": 0,
}


async def seen(client: Client, name: str) -> dict[str, Any]:
    """What each way of asking tells of the one problem there is."""
    problems = client.problems
    (got,) = await asyncio.gather(
        problems.GetProblem(rpc_pb.GetProblemRequest(name=name)), return_exceptions=True
    )
    ledger = await problems.GetLedger(rpc_pb.GetLedgerRequest(enterprise=ENTERPRISE.uscc))
    counts = await problems.CountProblems(rpc_pb.CountProblemsRequest())
    listed = await problems.ListProblems(rpc_pb.ListProblemsRequest())
    return {
        "get": status_of(got).reason if isinstance(got, grpc.aio.AioRpcError) else got,
        "list": list(listed.problems),
        "counts": counts.total_count,
        "ledger": ledger.problem_count,
        "rows": len(ledger.rows),
    }


async def reported(open_: Bureau, **fields: object) -> pb.Problem:
    client = open_.client("reporter", subject=CITIZEN)
    problem: pb.Problem = await client.problems.ReportProblem(report(**fields))
    return problem


async def test_an_enterprise_knows_nothing_of_a_complaint_until_it_is_ordered_to_act(
    open_bureau: Bureau,
) -> None:
    problem = await reported(open_bureau, **COMPLAINT)
    officer, enterprise = open_bureau.client("officer"), open_bureau.enterprise()
    assert await seen(enterprise, problem.name) == NOTHING
    await officer.problems.VerifyProblem(verification(problem))
    assert await seen(enterprise, problem.name) == NOTHING
    ordered = await officer.problems.OrderRectification(order(problem))
    assert (ordered.reporter, ordered.description) == (CITIZEN, COMPLAINT["description"])
    found = await seen(enterprise, problem.name)
    assert (found["counts"], found["ledger"], len(found["list"])) == (1, 1, 1)
    for shown in (found["get"], *found["list"]):
        assert (shown.reporter, shown.description) == ("", "")
        shown.reporter, shown.description = ordered.reporter, ordered.description
        assert shown == ordered


async def test_an_enterprise_never_hears_of_a_complaint_that_was_unfounded(
    open_bureau: Bureau,
) -> None:
    problem = await reported(open_bureau, **COMPLAINT)
    unfounded = verification(problem)
    unfounded.result = rpc_pb.VerifyProblemRequest.RESULT_UNFOUNDED
    await open_bureau.client("officer").problems.VerifyProblem(unfounded)
    assert await seen(open_bureau.enterprise(), problem.name) == NOTHING


async def test_an_enterprise_sees_its_own_report_from_the_start_and_colleagues_not_who_made_it(
    open_bureau: Bureau,
) -> None:
    enterprise, own = open_bureau.enterprise(), {"source": pb.SOURCE_SELF_REPORT}
    problem = await enterprise.problems.ReportProblem(report(**own, description="台账少记"))
    assert problem.reporter == f"ent-{ENTERPRISE.uscc}"
    found = await seen(enterprise, problem.name)
    assert (found["get"], found["list"], found["counts"]) == (problem, [problem], 1)
    colleague = open_bureau.client("enterprise", subject="colleague", enterprise=ENTERPRISE.uscc)
    shown = (await seen(colleague, problem.name))["get"]
    assert (shown.reporter, shown.description) == ("", "台账少记")
    assert await open_bureau.enterprise(OTHER).problems.ListProblems(
        rpc_pb.ListProblemsRequest()
    ) == (rpc_pb.ListProblemsResponse())


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (pb.SOURCE_INSPECTION, True),
        (pb.SOURCE_MONITORING, True),
        (pb.SOURCE_SELF_REPORT, True),
        (pb.SOURCE_COMPLAINT, False),
        (pb.SOURCE_REFERRAL, False),
        (pb.SOURCE_INSPECTORATE, False),
    ],
)
async def test_an_enterprise_reads_no_description_that_may_quote_who_complained(
    open_bureau: Bureau, source: pb.Source.ValueType, told: bool
) -> None:
    problem = await rectifying(open_bureau, source=source, description="详情")
    enterprise = open_bureau.enterprise()
    evidence = await enterprise.upload()
    request = submission(problem, evidence)
    # The answer to a command tells no more than a query, nor does the same answer again.
    for _ in range(2):
        answer = await enterprise.problems.SubmitRectification(request)
        assert (answer.reporter, answer.description) == ("", "详情" if told else "")


async def hidden(open_: Bureau) -> list[pb.Problem]:
    """Problems that the enterprise cannot see: its own too early, and another's."""
    other = pb.Enterprise(uscc=OTHER, display_name="别家")
    early = await reported(open_, **COMPLAINT)
    return [early, await rectifying(open_, enterprise=other), pb.Problem(name=f"problems/{rid()}")]


async def test_what_an_enterprise_cannot_see_does_not_exist_for_its_commands_either(
    open_bureau: Bureau,
) -> None:
    enterprise = open_bureau.enterprise()
    uploaded = await enterprise.upload(b"secret photo")
    missing = Evidence(sha256="0" * 64, size_bytes=1, media_type="a/b", title="t")
    wrong = Evidence(sha256=uploaded.sha256, size_bytes=1, media_type="a/b", title="t")
    for problem in await hidden(open_bureau):
        for evidence in (uploaded, missing, wrong):
            for etag in ("", problem.etag, "77"):
                request = submission(problem, evidence, etag=etag)
                status = await refused(enterprise.problems.SubmitRectification(request))
                assert (status.code, status.reason) == (code_pb2.NOT_FOUND, "PROBLEM_NOT_FOUND")
                assert status.message == f"Problem {problem.name} does not exist"


async def test_whoever_is_of_an_enterprise_is_held_to_it_whatever_the_role(
    open_bureau: Bureau,
) -> None:
    roles = ("operator", "agency", "officer", "reporter")
    someone = open_bureau.client(*roles, subject="someone", enterprise=OTHER)
    problem = await rectifying(open_bureau)
    get = someone.problems.GetProblem(rpc_pb.GetProblemRequest(name=problem.name))
    assert (await refused(get)).reason == "PROBLEM_NOT_FOUND"
    download = someone.evidence.DownloadEvidence(
        evidence_pb.DownloadEvidenceRequest(sha256="0" * 64)
    )
    everything: list[Awaitable[object]] = [
        someone.feed.ReadEvents(feed_pb.ReadEventsRequest()),
        anext(aiter(someone.feed.FollowEvents(feed_pb.FollowEventsRequest()))),
        anext(aiter(download)),
    ]
    for call in everything:
        status = await refused(call)
        assert (status.code, status.reason) == (code_pb2.PERMISSION_DENIED, "OTHER_ENTERPRISE")


async def test_problems_of_before_are_disclosed_as_if_they_came_now(
    database_url: str, tmp_path: Path, store: EventStore
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        own = report(source=pb.SOURCE_SELF_REPORT)
        await open_.enterprise().problems.ReportProblem(own)
        await rectifying(open_)
        await reported(open_, **COMPLAINT)
    query = text("SELECT disclosed FROM rectification.problem ORDER BY id")
    async with store.engine.begin() as conn:
        assert list(await conn.scalars(query)) == [True, True, False]
        for column in ("disclosed", "counted_from", "counted_to", "origin"):
            await conn.execute(text(f"ALTER TABLE rectification.problem DROP COLUMN {column}"))
        await conn.execute(text("UPDATE rectification.alembic_version SET version_num = '0001'"))
    await migrate(database_url)
    async with store.engine.begin() as conn:
        assert list(await conn.scalars(query)) == [True, True, False]

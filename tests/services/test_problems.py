"""The problem service over real gRPC and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import grpc.aio
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2

from bihuan.feed.v1 import feed_service_pb2 as feed_pb
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rpc.client import status_of
from tests.bureau import ENTERPRISE, Bureau, bureau, item, report
from tests.services.calls import refused
from tests.services.cases import order, rectifying, submission, verification


@pytest.fixture
async def open_bureau(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    async with bureau(database_url, tmp_path) as open_:
        yield open_


async def events(open_: Bureau) -> list[feed_pb.Event]:
    answer = await open_.client("agency").feed.ReadEvents(feed_pb.ReadEventsRequest(page_size=1000))
    return list(answer.events)


def rid() -> str:
    return str(uuid4())


async def test_a_problem_goes_from_report_to_closure(open_bureau: Bureau) -> None:
    officer, enterprise = open_bureau.client("officer"), open_bureau.enterprise()
    assessor = open_bureau.client("assessor")
    problem = await open_bureau.client("reporter").problems.ReportProblem(report())
    assert problem.state == pb.STATE_REPORTED
    name = problem.name
    problem = await officer.problems.VerifyProblem(
        rpc_pb.VerifyProblemRequest(
            request_id=rid(),
            name=name,
            result=rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED,
            reasons="现场属实",
        )
    )
    problem = await officer.problems.OrderRectification(
        rpc_pb.OrderRectificationRequest(
            request_id=rid(),
            name=name,
            items=[item(), item("按时上传数据", 5)],
            legal_basis="生态环境法典",
        )
    )
    assert problem.next_step.deadline.id == "rectify-1.2"
    evidence = await enterprise.upload()
    for ids in (["2"], []):
        problem = await enterprise.problems.SubmitRectification(
            rpc_pb.SubmitRectificationRequest(
                request_id=rid(), name=name, item_ids=ids, statement="已整改", evidence=[evidence]
            )
        )
    assert problem.state == pb.STATE_SUBMITTED
    await officer.problems.ReviewRectification(
        rpc_pb.ReviewRectificationRequest(
            request_id=rid(),
            name=name,
            result=rpc_pb.ReviewRectificationRequest.RESULT_ACCEPTED,
            reasons="符合要求",
        )
    )
    await assessor.problems.AssessProblem(
        rpc_pb.AssessProblemRequest(
            request_id=rid(),
            name=name,
            result=rpc_pb.AssessProblemRequest.RESULT_EFFECTIVE,
            findings="数据稳定",
        )
    )
    problem = await assessor.problems.CloseProblem(
        rpc_pb.CloseProblemRequest(request_id=rid(), name=name, conclusion="完成")
    )
    assert problem.state == pb.STATE_CLOSED
    assert not problem.HasField("next_step")
    ledger = await enterprise.problems.GetLedger(
        rpc_pb.GetLedgerRequest(enterprise=ENTERPRISE.uscc)
    )
    assert (ledger.problem_count, ledger.closed_count, len(ledger.rows)) == (1, 1, 2)
    counts = await officer.problems.CountProblems(rpc_pb.CountProblemsRequest())
    assert [(count.state, count.count) for count in counts.counts] == [(pb.STATE_CLOSED, 1)]
    recorded = await events(open_bureau)
    assert [event.payload.TypeName().rpartition(".")[2] for event in recorded] == [
        "ProblemReported",
        "ProblemVerified",
        "RectificationOrdered",
        "RectificationSubmitted",
        "RectificationSubmitted",
        "RectificationAccepted",
        "ProblemAssessed",
        "ProblemClosed",
    ]
    assert [event.version for event in recorded] == list(range(1, 9))
    assert {event.correlation_id for event in recorded} == {name.removeprefix("problems/")}


async def test_a_hundred_duplicates_make_one_event_and_equal_answers(open_bureau: Bureau) -> None:
    reporter = open_bureau.client("reporter")
    request = report()
    answers = await asyncio.gather(*(reporter.problems.ReportProblem(request) for _ in range(100)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len(await events(open_bureau)) == 1


async def test_a_request_id_cannot_be_used_for_something_else(open_bureau: Bureau) -> None:
    reporter, request_id = open_bureau.client("reporter"), rid()
    await reporter.problems.ReportProblem(report(request_id))
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await reporter.problems.ReportProblem(report(request_id, title="别的问题"))
    status = status_of(refusal.value)
    assert (status.code, status.reason) == (code_pb2.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert len(await events(open_bureau)) == 1


async def test_of_two_officers_racing_one_wins_and_the_other_gets_the_etag(
    open_bureau: Bureau,
) -> None:
    problem = await open_bureau.client("reporter").problems.ReportProblem(report())

    async def verify(who: str) -> pb.Problem | grpc.aio.AioRpcError:
        try:
            return await open_bureau.client("verifier", subject=who).problems.VerifyProblem(
                rpc_pb.VerifyProblemRequest(
                    request_id=rid(),
                    name=problem.name,
                    etag=problem.etag,
                    result=rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED,
                    reasons=who,
                )
            )
        except grpc.aio.AioRpcError as error:
            return error

    answers = await asyncio.gather(verify("甲"), verify("乙"))
    (won,) = [answer for answer in answers if isinstance(answer, pb.Problem)]
    (lost,) = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    status = status_of(lost)
    assert (status.code, status.reason) == (code_pb2.ABORTED, "ETAG_MISMATCH")
    assert status.metadata["etag"] == won.etag == "2"


async def test_commands_without_an_etag_that_race_are_all_carried_out(open_bureau: Bureau) -> None:
    problem = await rectifying(open_bureau, *(item() for _ in range(5)))
    enterprise = open_bureau.enterprise()
    evidence = await enterprise.upload()
    requests = [submission(problem, evidence, item_ids=[str(n)]) for n in range(1, 6)]
    # Each is sent twice, so that twins race as well.
    answers = await asyncio.gather(
        *(enterprise.problems.SubmitRectification(request) for request in requests * 2)
    )
    assert [answer.etag for answer in answers[:5]] == [answer.etag for answer in answers[5:]]
    assert sorted(answer.etag for answer in answers[:5]) == ["4", "5", "6", "7", "8"]
    names = [event.payload.TypeName().rpartition(".")[2] for event in await events(open_bureau)]
    assert names[3:] == ["RectificationSubmitted"] * 5


async def test_a_command_that_a_race_made_impossible_is_refused_for_the_state_found(
    open_bureau: Bureau,
) -> None:
    problem = await open_bureau.client("reporter").problems.ReportProblem(report())
    verifiers = [open_bureau.client("verifier", subject=who) for who in ("甲", "乙", "丙")]
    answers = await asyncio.gather(
        *(each.problems.VerifyProblem(verification(problem)) for each in verifiers),
        return_exceptions=True,
    )
    lost = [status_of(each) for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert [(each.reason, each.metadata["state"]) for each in lost] == [
        ("NOT_AWAITING_VERIFICATION", "STATE_CONFIRMED")
    ] * 2


async def test_an_event_too_large_for_its_loop_is_refused_and_its_request_id_is_free(
    open_bureau: Bureau,
) -> None:
    problem = await open_bureau.client("reporter").problems.ReportProblem(report())
    officer = open_bureau.client("officer")
    await officer.problems.VerifyProblem(verification(problem))
    request = order(problem, *(item("改" * 1000) for _ in range(100)))
    status = await refused(officer.problems.OrderRectification(request))
    assert (status.code, status.reason) == (code_pb2.INVALID_ARGUMENT, "EVENT_TOO_LARGE")
    assert "fewer items" in status.message
    assert len(await events(open_bureau)) == 2
    del request.items[50:]
    assert len((await officer.problems.OrderRectification(request)).items) == 50


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        (
            {"enterprise": pb.Enterprise(uscc="91130200699229617Y", display_name="x")},
            "enterprise.uscc",
        ),
        ({"category": 99}, "category"),
        ({"title": "长" * 201}, "title"),
        ({"location": pb.Location(district="15020")}, "location.district"),
        ({"request_id": "1"}, "request_id"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_recorded(
    open_bureau: Bureau, fields: dict[str, object], path: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await open_bureau.client("reporter").problems.ReportProblem(report(**fields))
    status = status_of(refusal.value)
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert [violation[0] for violation in status.violations] == [path]
    assert await events(open_bureau) == []


async def test_fields_unknown_here_neither_reach_the_log_nor_make_another_request(
    open_bureau: Bureau,
) -> None:
    reporter, plain = open_bureau.client("reporter"), report()
    newer = rpc_pb.ReportProblemRequest.FromString(plain.SerializeToString())
    for part in (newer, newer.location, newer.enterprise):
        part.MergeFromString(b"\xfa\x01\x05hello")  # field 31
    answer = await reporter.problems.ReportProblem(newer)
    assert await reporter.problems.ReportProblem(plain) == answer
    (event,) = await events(open_bureau)
    assert b"hello" not in event.payload.value + answer.SerializeToString()


async def test_a_wrong_role_is_refused(open_bureau: Bureau) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await open_bureau.client("assessor").problems.ReportProblem(report())
    assert status_of(refusal.value).code == code_pb2.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"source": pb.SOURCE_INSPECTION}, "NOT_A_SELF_REPORT"),
        (
            {"enterprise": pb.Enterprise(uscc="91350100M000100Y43", display_name="别家")},
            "OTHER_ENTERPRISE",
        ),
    ],
)
async def test_an_enterprise_reports_nothing_but_its_own_problems(
    open_bureau: Bureau, fields: dict[str, object], reason: str
) -> None:
    enterprise, own = open_bureau.enterprise(), {"source": pb.SOURCE_SELF_REPORT}
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await enterprise.problems.ReportProblem(report(**{**own, **fields}))
    assert status_of(refusal.value).reason == reason
    assert await events(open_bureau) == []
    problem = await enterprise.problems.ReportProblem(report(**own))
    assert problem.reporter == f"ent-{ENTERPRISE.uscc}"


async def test_another_enterprise_sees_nothing(open_bureau: Bureau) -> None:
    problem = await open_bureau.client("reporter").problems.ReportProblem(report())
    other = open_bureau.enterprise("91350100M000100Y43")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await other.problems.GetProblem(rpc_pb.GetProblemRequest(name=problem.name))
    assert status_of(refusal.value).code == code_pb2.NOT_FOUND
    listed = await other.problems.ListProblems(rpc_pb.ListProblemsRequest())
    assert list(listed.problems) == []
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await other.problems.GetLedger(rpc_pb.GetLedgerRequest(enterprise=ENTERPRISE.uscc))
    assert status_of(refusal.value).code == code_pb2.PERMISSION_DENIED


async def test_pages_cover_the_list_once_and_belong_to_their_filter(open_bureau: Bureau) -> None:
    reporter = open_bureau.client("reporter")
    names = {(await reporter.problems.ReportProblem(report())).name for _ in range(7)}
    seen: list[str] = []
    request = rpc_pb.ListProblemsRequest(page_size=3)
    while True:
        page = await reporter.problems.ListProblems(request)
        seen += [problem.name for problem in page.problems]
        request.page_token = page.next_page_token or request.page_token
        if not page.next_page_token:
            break
    assert len(seen) == 7
    assert set(seen) == names
    request.filter.overdue = True
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await reporter.problems.ListProblems(request)
    assert status_of(refusal.value).reason == "PAGE_TOKEN_INVALID"


async def test_a_read_mask_gets_the_fields_that_it_names_only(open_bureau: Bureau) -> None:
    reporter = open_bureau.client("reporter")
    problem = await reporter.problems.ReportProblem(report())
    mask = FieldMask(paths=["name", "location.district"])
    wanted = pb.Problem(name=problem.name, location=pb.Location(district="150203"))
    get = rpc_pb.GetProblemRequest(name=problem.name, read_mask=mask)
    assert await reporter.problems.GetProblem(get) == wanted
    page = await reporter.problems.ListProblems(rpc_pb.ListProblemsRequest(read_mask=mask))
    assert list(page.problems) == [wanted]
    get.read_mask.CopyFrom(FieldMask(paths=["items.finding"]))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await reporter.problems.GetProblem(get)
    assert status_of(refused.value).reason == "READ_MASK_INVALID"
    assert status_of(refused.value).violations[0][0] == "read_mask"


async def test_evidence_must_be_uploaded_first(open_bureau: Bureau) -> None:
    problem = await open_bureau.client("reporter").problems.ReportProblem(report())
    officer = open_bureau.client("officer")
    evidence = await officer.upload(b"x" * 1000)
    evidence.sha256 = "0" * 64
    request = rpc_pb.VerifyProblemRequest(
        request_id=rid(),
        name=problem.name,
        result=rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED,
        reasons="属实",
        evidence=[evidence],
    )
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await officer.problems.VerifyProblem(request)
    status = status_of(refusal.value)
    assert (status.reason, status.metadata["field"]) == (
        "EVIDENCE_NOT_UPLOADED",
        "evidence[0].sha256",
    )

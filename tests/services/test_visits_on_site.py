"""Visits from a plan or a clue to what becomes of the findings, over real gRPC and a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2
from bihuan.inspection.v1 import plan_service_pb2 as plan_pb
from bihuan.penalty.v1 import penalty_case_pb2, penalty_case_service_pb2
from bihuan.rectification.v1 import problem_pb2, problem_service_pb2
from bihuan.types.v1.evidence_pb2 import Evidence
from rules import Clock
from tests.bureau import Bureau, bureau, report
from tests.services import on_site as req
from tests.services import penalties, rosters, targets
from tests.services.brigades import Brigade, begun
from tests.services.calls import refused


@pytest.fixture
async def open_bureau(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    """A bureau on that Monday."""
    async with bureau(database_url, tmp_path, str(Clock(req.MORNING, datetime.now(UTC)))) as open_:
        yield open_


@pytest.fixture
async def brigade(open_bureau: Bureau) -> Brigade:
    found = Brigade(open_bureau)
    await found.prepare()
    return found


async def test_a_visit_from_its_code_to_a_problem_that_is_linked_both_ways(
    brigade: Brigade,
) -> None:
    code = await brigade.code()
    begin = begun(code)
    await brigade.do(begin)
    again = await brigade.do(begin)
    assert again.etag == brigade.inspection.etag
    error = await refused(brigade.do(begun(code, device="pad-2")))
    assert (error.reason, error.metadata["device"]) == ("CODE_USED", "pad-1")
    missing = Evidence(sha256="b" * 64, size_bytes=5, media_type="image/jpeg", title="现场照片")
    entry = req.failed("1", "ecology.facilities", minutes=0, evidence=[missing])
    noted = rpc_pb.RecordEntriesRequest(department=rosters.DEPARTMENT, entries=[entry])
    assert (await refused(brigade.do(noted))).reason == "EVIDENCE_NOT_UPLOADED"
    file = await brigade.officers[0].upload()
    noted.entries[0].evidence[0].CopyFrom(file)
    await brigade.do(noted)
    assert brigade.inspection.findings[0].id == "1"
    await brigade.do(rpc_pb.RecordResultRequest(department=rosters.DEPARTMENT, conclusion="需整改"))
    await brigade.do(rpc_pb.ReportInspectionRequest())
    # The head still has to review that it was begun on the spot.
    approval = rpc_pb.ApproveInspectionRequest(scheme="夜间突击检查")
    await brigade.do(approval, brigade.head)
    assert brigade.inspection.standing.state == pb.STATE_REPORTED
    origin = f"{brigade.inspection.name}/findings/1"
    problem = await brigade.officers[0].problems.ReportProblem(report(origin=origin))
    assert problem.origin == origin
    wanted = problem_service_pb2.ListProblemsRequest(
        filter=problem_service_pb2.ProblemFilter(origin=origin)
    )
    await brigade.officers[0].problems.ReportProblem(report())
    listed = await brigade.officers[0].problems.ListProblems(wanted)
    assert [each.name for each in listed.problems] == [problem.name]
    await brigade.do(req.hand_over("1", problem.name))
    assert brigade.inspection.standing.state == pb.STATE_CLOSED
    assert brigade.inspection.findings[0].handed_over_to == problem.name


async def test_an_enterprise_gets_the_papers_of_its_own_visit_but_not_the_form_for_the_head(
    brigade: Brigade,
) -> None:
    await brigade.do(begun(await brigade.code()))
    firm = brigade.open.client("enterprise", enterprise=req.ENTERPRISE)
    other = brigade.open.client("enterprise", enterprise=req.OTHER)
    asked = rpc_pb.GetDocumentRequest(
        name=brigade.inspection.name, kind=rpc_pb.DOCUMENT_KIND_NOTICE
    )
    notice = await firm.inspections.GetDocument(asked)
    assert notice.title == "行政检查通知书"
    assert (await refused(other.inspections.GetDocument(asked))).reason == "INSPECTION_NOT_FOUND"
    asked.kind = rpc_pb.DOCUMENT_KIND_APPROVAL_FORM
    assert (await refused(firm.inspections.GetDocument(asked))).reason == "INTERNAL_DOCUMENT"
    assert "线索：异味（12345）" in (await brigade.head.inspections.GetDocument(asked)).text


async def test_the_review_that_comes_last_ends_the_inspection(brigade: Brigade) -> None:
    code = await brigade.code()
    await brigade.do(begun(code))
    entry = req.passed("1", "ecology.facilities", minutes=0)
    await brigade.do(rpc_pb.RecordEntriesRequest(department=rosters.DEPARTMENT, entries=[entry]))
    await brigade.do(rpc_pb.RecordResultRequest(department=rosters.DEPARTMENT, conclusion="符合"))
    await brigade.do(rpc_pb.ReportInspectionRequest())
    assert brigade.inspection.standing.state == pb.STATE_REPORTED
    approval = rpc_pb.ApproveInspectionRequest(scheme="夜间突击检查")
    await brigade.do(approval, brigade.head)
    assert brigade.inspection.standing.state == pb.STATE_CLOSED


ORIGINS = {
    f"{req.NAME}/findings/3": True,
    req.NAME: True,
    "": True,
    f"{req.NAME}/findings/0": False,
    f"{req.NAME}/findings/": False,
    "inspections/1": False,
    req.PROBLEM: False,
}


async def test_a_problem_and_a_case_name_a_finding_or_nothing(open_bureau: Bureau) -> None:
    officer = open_bureau.client("officer")
    for origin, fits in ORIGINS.items():
        case = penalties.of(penalties.clue(req.FIRST), "")
        case.origin.CopyFrom(
            penalty_case_pb2.Origin(kind=penalty_case_pb2.Origin.KIND_INSPECTION, resource=origin)
        )
        if fits:
            made = await officer.penalties.RegisterClue(case)
            assert made.origin.resource == origin
            filter_ = penalty_case_service_pb2.CaseFilter(origin=origin)
            request = penalty_case_service_pb2.ListCasesRequest(filter=filter_)
            listed = await officer.penalties.ListCases(request)
            assert made.name in [each.name for each in listed.cases]
        else:
            assert (await refused(officer.penalties.RegisterClue(case))).violations[0][
                0
            ] == "origin"
        if origin == req.NAME or not fits:
            error = await refused(officer.problems.ReportProblem(report(origin=origin)))
            assert error.violations[0][0] == "origin"
    complaint = report(origin=f"{req.NAME}/findings/3", source=problem_pb2.SOURCE_MONITORING)
    error = await refused(officer.problems.ReportProblem(complaint))
    assert error.reason == "NOT_FROM_AN_INSPECTION"


async def test_what_data_and_an_earlier_look_answer_is_done_without_a_visit(
    brigade: Brigade,
) -> None:
    """The facilities were in order at a tip-off that is not reported yet; data tell the rest."""
    code = await brigade.code()
    await brigade.do(begun(code))
    await brigade.note(req.passed("1", "ecology.facilities", minutes=0))
    await brigade.conclude()
    earlier = brigade.inspection.name
    assert brigade.inspection.standing.state == pb.STATE_RECORDED
    await brigade.planned("ecology.monitoring", "ecology.facilities")
    await brigade.do(rpc_pb.PrecheckInspectionRequest())
    monitoring, facilities = brigade.inspection.participants[0].items
    assert not monitoring.answered_by
    assert monitoring.open_reason
    assert earlier in facilities.answered_by
    fact = targets.fact("SELF_MONITORING", req.FIRST, answers=["self_monitoring"])
    await brigade.officers[0].targets.RecordFact(targets.record(fact, f"targets/{req.ENTERPRISE}"))
    etag = brigade.inspection.etag
    await brigade.do(rpc_pb.PrecheckInspectionRequest())
    assert brigade.inspection.etag != etag
    assert brigade.inspection.standing.state == pb.STATE_OFF_SITE
    assert not brigade.inspection.standing.deadlines
    # The task counts as done: it is not planned again.
    wanted = plan_pb.ListTasksRequest(filter=plan_pb.TaskFilter(department=rosters.DEPARTMENT))
    (task,) = (await brigade.planner.plans.ListTasks(wanted)).tasks
    assert task.state == plan_pb2.TASK_STATE_TAKEN
    assert task.inspection == brigade.inspection.name


async def test_a_finding_that_became_a_penalty_case_still_speaks_against_data(
    brigade: Brigade,
) -> None:
    await brigade.do(begun(await brigade.code()))
    await brigade.note(req.failed("1", "ecology.facilities", pb.OUTCOME_PENALTY, minutes=0))
    await brigade.conclude()
    await brigade.do(rpc_pb.ReportInspectionRequest())
    assert brigade.inspection.standing.state == pb.STATE_REPORTED
    await brigade.planned("ecology.facilities")
    await brigade.do(rpc_pb.PrecheckInspectionRequest())
    (facilities,) = brigade.inspection.participants[0].items
    assert "检查不符合" in facilities.open_reason

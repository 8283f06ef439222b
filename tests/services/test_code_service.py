"""Codes as an enterprise scans them: what each is worth, pure, and over real gRPC and a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from google.protobuf.json_format import MessageToJson
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2
from bihuan.penalty.v1 import penalty_case_pb2, penalty_case_service_pb2
from bihuan.rectification.v1 import problem_service_pb2
from bihuan.types.v1.evidence_pb2 import Evidence
from rules import Clock
from services.inspection.inspections.signing import ALPHABET, CodeKeys, Validity, from_text, said
from services.inspection.inspections.verification import normalised, verdict, verification
from tests.bureau import Bureau, bureau, report
from tests.services import on_site as req
from tests.services import penalties, rosters, targets
from tests.services.calls import refused, rid

V = code_pb.Verdict
MORNING, DAY, HOUR = req.MORNING, req.DAY, req.HOUR
USCC = req.ENTERPRISE


# ---- what a code is worth: pure


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> CodeKeys:
    return CodeKeys.create(tmp_path_factory.mktemp("keys") / "code.key")


def signed(keys: CodeKeys, inspection: pb.Inspection | None = None) -> pb.Inspection:
    """An inspection whose code is signed."""
    found = pb.Inspection()
    found.CopyFrom(inspection or req.inspection())
    (code,) = found.codes
    valid = Validity(code.from_time.ToDatetime(UTC), code.to_time.ToDatetime(UTC))
    code.MergeFrom(keys.mint(said(found, valid, found.participants[:2])))
    return found


def ask(inspection: pb.Inspection, **fields: Any) -> code_pb.VerifyCodeRequest:
    return code_pb.VerifyCodeRequest(**{"code": inspection.codes[0].id, **fields})


def _revoke(inspection: pb.Inspection) -> None:
    inspection.codes[0].state = pb.Code.STATE_REVOKED


def _use(inspection: pb.Inspection) -> None:
    inspection.codes[0].state = pb.Code.STATE_USED
    inspection.start.code = inspection.codes[0].id


def _state(text: str, other: str) -> Callable[[pb.Inspection], None]:
    def change(inspection: pb.Inspection) -> None:
        code = inspection.codes[0]
        assert text in code.statement
        code.statement = code.statement.replace(text, other)

    return change


def _nothing(inspection: pb.Inspection) -> None:
    pass


def _move(inspection: pb.Inspection) -> None:
    inspection.name = f"inspections/{req.id_('another')}"


def _give_away(inspection: pb.Inspection) -> None:
    inspection.enterprise.uscc = req.OTHER


def _stretch(inspection: pb.Inspection) -> None:
    inspection.codes[0].to_time.FromDatetime(MORNING + 30 * DAY)


def _sign_otherwise(inspection: pb.Inspection) -> None:
    # The last character has bits that no byte takes: another way to write the same signature.
    code = inspection.codes[0]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    code.signature = code.signature[:-1] + letters[letters.index(code.signature[-1]) ^ 1]


def _name_another_key(inspection: pb.Inspection) -> None:
    inspection.codes[0].key = "0" * 16


# What was done to the code, what is asked, when, and what it is worth.
WORTH: dict[str, tuple[Callable[[pb.Inspection], None], dict[str, Any], timedelta, str]] = {
    "as issued": (_nothing, {}, timedelta(), "GENUINE"),
    "asked by its enterprise": (_nothing, {"enterprise": USCC}, timedelta(), "GENUINE"),
    "asked by another": (_nothing, {"enterprise": req.OTHER}, timedelta(), "OTHER_ENTERPRISE"),
    "never issued": (_nothing, {"code": req.STRANGE_CODE}, timedelta(), "FORGED"),
    "another signature scanned": (_nothing, {"signature": "A" * 86}, timedelta(), "FORGED"),
    "another signature stored": (_sign_otherwise, {}, timedelta(), "FORGED"),
    "signed by a key that nobody knows": (_name_another_key, {}, timedelta(), "FORGED"),
    "another enterprise in the statement": (_state(USCC, req.OTHER), {}, timedelta(), "FORGED"),
    "another end in the statement": (
        _state("2026-09-09T16", "2026-10-09T16"),
        {},
        timedelta(),
        "FORGED",
    ),
    "another certificate in the statement": (
        _state("苏生态1", "苏生态9"),
        {},
        timedelta(),
        "FORGED",
    ),
    "copied to another inspection": (_move, {}, timedelta(), "FORGED"),
    "copied to another enterprise": (_give_away, {}, timedelta(), "FORGED"),
    "more days than were signed": (_stretch, {}, timedelta(), "FORGED"),
    "revoked": (_revoke, {}, timedelta(), "REVOKED"),
    "revoked, asked by another": (_revoke, {"enterprise": req.OTHER}, timedelta(), "REVOKED"),
    "revoked, and over": (_revoke, {}, 9 * DAY, "REVOKED"),
    "used": (_use, {}, timedelta(), "USED"),
    "used, asked by another": (_use, {"enterprise": req.OTHER}, timedelta(), "OTHER_ENTERPRISE"),
    "used, and over": (_use, {}, 9 * DAY, "USED"),
    "the first instant": (_nothing, {}, -9 * HOUR, "GENUINE"),
    "before it": (_nothing, {}, -9 * HOUR - timedelta(microseconds=1), "EARLY"),
    "the last instant": (_nothing, {}, 3 * DAY - 9 * HOUR - timedelta(microseconds=1), "GENUINE"),
    "after it": (_nothing, {}, 3 * DAY - 9 * HOUR, "EXPIRED"),
    "early, asked by another": (_nothing, {"enterprise": req.OTHER}, -DAY, "OTHER_ENTERPRISE"),
}


@pytest.mark.parametrize("what", WORTH)
def test_what_a_code_is_worth(what: str, keys: CodeKeys) -> None:
    change, fields, later, expected = WORTH[what]
    inspection = signed(keys)
    change(inspection)
    request = ask(inspection, **fields)
    found = verdict(inspection, request, keys.trusted(), MORNING + later)
    assert V.Name(found) == f"VERDICT_{expected}"
    told = verification(inspection, request, keys.trusted(), req.RULES, MORNING + later)
    assert told.verdict == found
    if expected in ("FORGED", "OTHER_ENTERPRISE") or fields.get("enterprise") == req.OTHER:
        assert told == code_pb.CodeVerification(verdict=found)
    else:
        assert told.enterprise_name == "扬州一号化工有限公司"


def test_a_code_scanned_with_its_own_signature_is_genuine(keys: CodeKeys) -> None:
    inspection = signed(keys)
    request = ask(inspection, signature=inspection.codes[0].signature)
    assert verdict(inspection, request, keys.trusted(), MORNING) == code_pb.VERDICT_GENUINE


def test_a_code_that_was_never_issued_answers_as_a_forged_one(keys: CodeKeys) -> None:
    forged = signed(keys)
    _sign_otherwise(forged)
    answers = [
        verification(each, ask(forged), keys.trusted(), req.RULES, MORNING).SerializeToString()
        for each in (None, forged)
    ]
    assert answers[0] == answers[1]


@given(st.text(ALPHABET, min_size=26, max_size=26), st.data())
def test_however_a_code_is_typed_it_is_the_same(code: str, data: st.DataObject) -> None:
    misread = {"1": "1IiLl", "0": "0Oo"}
    typed = ""
    for each in code:
        ways = misread.get(each, each + each.lower() + chr(ord(each) + 0xFEE0))
        typed += data.draw(st.sampled_from(ways)) + data.draw(
            st.sampled_from(["", " ", "-", "\u3000"])
        )
    assert normalised(typed) == code


def test_whoever_scans_learns_who_may_come_why_what_and_when(keys: CodeKeys) -> None:
    answered = req.item("ecology.monitoring", answered_by="自行监测")
    inspection = req.inspection(
        participants=[
            req.participant(req.ECOLOGY, answered, req.item("ecology.facilities"), visit_of_year=2),
            *req.JOINT[1:],
        ],
        kind=plan_pb2.KIND_CASE,
        clue=pb.Clue(source=pb.Clue.SOURCE_TIP_OFF, reference="12345", summary="夜间偷排"),
    )
    inspection.codes[0].external_code = "JS-1"
    told = verification(
        one := signed(keys, inspection), ask(one), keys.trusted(), req.RULES, MORNING
    )
    assert [each.department for each in told.visitors] == ["扬州市生态环境局", "扬州市应急管理局"]
    assert told.visitors[0].items == ["污染防治设施运行"]
    assert told.visitors[0].inspectors[0].certificate == "江苏省人民政府 苏生态1"
    assert told.visitors[0].visit_of_year == 2
    assert (told.basis, told.kind, told.external_code) == ("投诉举报", plan_pb2.KIND_CASE, "JS-1")
    assert told.enterprise_hint == f"{USCC[:4]}**********{USCC[-4:]}"
    assert "严禁" in told.conduct
    for secret in ("12345", "夜间偷排", USCC):
        assert secret not in MessageToJson(told, ensure_ascii=False)


def test_the_notice_says_what_the_law_wants_said(keys: CodeKeys) -> None:
    inspection = signed(keys)
    inspection.codes[0].on_the_spot_reason = "正在泄漏"
    told = verification(inspection, ask(inspection), keys.trusted(), req.RULES, MORNING)
    for line in (
        "行政检查通知书",
        "扬州一号化工有限公司：",
        "2026年9月7日至2026年9月9日，下列部门对你单位进行检查。",
        "任务来源：年度检查计划",
        f"检查码：{inspection.codes[0].id}",
        "现场赋码理由：正在泄漏",
        "2. 扬州市应急管理局：本年度对你单位的第1次检查",
        "检查人员：应急检查员1（江苏省人民政府 苏应急1）、应急检查员2（江苏省人民政府 苏应急2）",
        "- 重大事故隐患排查治理（安全生产法）",
    ):
        assert line in told.notice.splitlines(), told.notice
    assert told.conduct in told.notice
    assert "有权申请其回避" in told.notice
    # Whoever does not come is not in it.
    assert "消防" not in told.notice


# ---- over gRPC


@pytest.fixture
async def open_bureau(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    """A bureau on that Monday."""
    async with bureau(database_url, tmp_path, str(Clock(MORNING, datetime.now(UTC)))) as open_:
        yield open_


class Department:
    """A department with two inspectors, and an enterprise on the register."""

    def __init__(self, open_: Bureau) -> None:
        self.open = open_
        self.planner = open_.client("planner")
        self.officers = [open_.client("officer", subject=f"officer-{n}") for n in (1, 2)]
        self.head = open_.client("decider")
        self.page = open_.client("scan_page")
        self.inspection = pb.Inspection()

    async def prepare(self) -> None:
        await self.planner.roster.RegisterDepartment(rosters.department())
        await self.planner.targets.RegisterTarget(targets.register(USCC))
        self.inspectors = [
            await self.planner.roster.RegisterInspector(rosters.inspector(f"officer-{n}"))
            for n in (1, 2)
        ]

    async def do(self, request: Any, client: Any = None) -> pb.Inspection:
        """Send a command on the inspection."""
        request.request_id = rid()
        if "name" in request.DESCRIPTOR.fields_by_name:
            request.name = self.inspection.name
        method = type(request).__name__.removesuffix("Request")
        call = getattr((client or self.officers[0]).inspections, method)
        self.inspection = await call(request)
        return self.inspection

    async def code(self, first: date = req.FIRST) -> pb.Code:
        """A code on the spot, from that day on for three."""
        await self.do(
            rpc_pb.OpenInspectionRequest(
                kind=plan_pb2.KIND_CASE,
                enterprise=USCC,
                from_date=rosters.day(req.FIRST),
                to_date=rosters.day(req.FIRST + 20 * DAY),
                clue=pb.Clue(source=pb.Clue.SOURCE_TIP_OFF, reference="12345", summary="异味"),
                participants=[
                    rpc_pb.OpenInspectionRequest.Draft(
                        department=rosters.DEPARTMENT, items=["ecology.facilities"]
                    )
                ],
            )
        )
        await self.do(
            rpc_pb.AssignInspectorsRequest(
                department=rosters.DEPARTMENT, inspectors=[each.name for each in self.inspectors]
            )
        )
        issued = await self.do(
            rpc_pb.IssueCodeRequest(
                from_date=rosters.day(first),
                to_date=rosters.day(first + 2 * DAY),
                on_the_spot_reason="夜间正在排放",
            )
        )
        return issued.codes[-1]

    async def verify(self, code: str, **fields: str) -> code_pb.CodeVerification:
        return await self.page.codes.VerifyCode(code_pb.VerifyCodeRequest(code=code, **fields))

    async def rate(self, code: str, score: int = 5) -> Any:
        return await self.page.codes.RateInspection(
            code_pb.RateInspectionRequest(request_id=rid(), code=code, score=score)
        )


@pytest.fixture
async def department(open_bureau: Bureau) -> Department:
    found = Department(open_bureau)
    await found.prepare()
    return found


async def test_the_page_tells_a_genuine_code_from_every_other(department: Department) -> None:
    code = await department.code()
    told = await department.verify(code.id, signature=code.signature, enterprise=USCC)
    assert told.verdict == code_pb.VERDICT_GENUINE
    assert (told.basis, told.on_the_spot_reason) == ("投诉举报", "夜间正在排放")
    assert [each.display_name for each in told.visitors[0].inspectors] == ["officer-1", "officer-2"]
    spelled = "-".join(code.id[n : n + 5].lower() for n in range(0, 26, 5))
    assert (await department.verify(spelled)).verdict == code_pb.VERDICT_GENUINE
    silent = {
        code_pb.VERDICT_FORGED: [
            await department.verify(req.STRANGE_CODE),
            await department.verify(code.id, signature="A" * 86),
            await department.verify("not a code"),
        ],
        code_pb.VERDICT_OTHER_ENTERPRISE: [await department.verify(code.id, enterprise=req.OTHER)],
    }
    for expected, answers in silent.items():
        assert all(each == code_pb.CodeVerification(verdict=expected) for each in answers)


async def test_early_expired_and_revoked_codes_are_shown_as_such(
    department: Department, database_url: str, tmp_path: Path
) -> None:
    early = await department.code(req.FIRST + 5 * DAY)
    assert (await department.verify(early.id)).verdict == code_pb.VERDICT_EARLY
    clock = str(Clock(MORNING + 9 * DAY, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as later:
        page = later.client("scan_page")
        told = await page.codes.VerifyCode(code_pb.VerifyCodeRequest(code=early.id))
    assert told.verdict == code_pb.VERDICT_EXPIRED
    await department.do(rpc_pb.RevokeCodeRequest(reason="改期"))
    told = await department.verify(early.id)
    assert told.verdict == code_pb.VERDICT_REVOKED
    assert told.enterprise_name


async def test_a_visit_is_rated_once_by_its_code_and_not_before_it_began(
    department: Department,
) -> None:
    code = await department.code()
    refusals = [await refused(department.rate(each)) for each in (code.id, req.STRANGE_CODE)]
    assert [(each.reason, each.message, each.metadata) for each in refusals] == [
        ("NOT_STARTED", "no visit began with this code", refusals[0].metadata)
    ] * 2
    await department.do(_begin(code))
    assert (await department.verify(code.id)).may_rate
    told = await department.rate(code.id.lower(), 4)
    assert (told.verdict, told.rated, told.may_rate) == (code_pb.VERDICT_USED, True, False)
    assert (await refused(department.rate(code.id))).reason == "ALREADY_RATED"
    supervisor = department.open.client("supervisor")
    seen = await supervisor.inspections.GetInspection(
        rpc_pb.GetInspectionRequest(name=department.inspection.name)
    )
    assert seen.rating.score == 4


async def test_the_keys_check_a_code_without_us(department: Department) -> None:
    code = await department.code()
    published = await department.page.codes.GetSigningKeys(code_pb.GetSigningKeysRequest())
    key = next(each.public_key for each in published.keys if each.id == code.key)
    public = Ed25519PublicKey.from_public_bytes(key)
    public.verify(from_text(code.signature), code.statement.encode())


async def test_nobody_but_the_page_looks_codes_up(department: Department) -> None:
    error = await refused(
        department.open.enterprise(USCC).codes.VerifyCode(
            code_pb.VerifyCodeRequest(code=req.STRANGE_CODE)
        )
    )
    assert error.code == code_pb2.PERMISSION_DENIED


async def test_a_visit_from_its_code_to_a_problem_that_is_linked_both_ways(
    department: Department,
) -> None:
    code = await department.code()
    begin = _begin(code)
    await department.do(begin)
    again = await department.do(begin)
    assert again.etag == department.inspection.etag
    error = await refused(department.do(_begin(code, device="pad-2")))
    assert (error.reason, error.metadata["device"]) == ("CODE_USED", "pad-1")
    missing = Evidence(sha256="b" * 64, size_bytes=5, media_type="image/jpeg", title="现场照片")
    entry = req.failed("1", "ecology.facilities", minutes=0, evidence=[missing])
    noted = rpc_pb.RecordEntriesRequest(department=rosters.DEPARTMENT, entries=[entry])
    assert (await refused(department.do(noted))).reason == "EVIDENCE_NOT_UPLOADED"
    file = await department.officers[0].upload()
    noted.entries[0].evidence[0].CopyFrom(file)
    await department.do(noted)
    assert department.inspection.findings[0].id == "1"
    await department.do(
        rpc_pb.RecordResultRequest(department=rosters.DEPARTMENT, conclusion="需整改")
    )
    await department.do(rpc_pb.ReportInspectionRequest())
    # The head still has to review that it was begun on the spot.
    approval = rpc_pb.ApproveInspectionRequest(scheme="夜间突击检查")
    await department.do(approval, department.head)
    assert department.inspection.standing.state == pb.STATE_REPORTED
    origin = f"{department.inspection.name}/findings/1"
    problem = await department.officers[0].problems.ReportProblem(report(origin=origin))
    assert problem.origin == origin
    wanted = problem_service_pb2.ListProblemsRequest(
        filter=problem_service_pb2.ProblemFilter(origin=origin)
    )
    await department.officers[0].problems.ReportProblem(report())
    listed = await department.officers[0].problems.ListProblems(wanted)
    assert [each.name for each in listed.problems] == [problem.name]
    await department.do(req.hand_over("1", problem.name))
    assert department.inspection.standing.state == pb.STATE_CLOSED
    assert department.inspection.findings[0].handed_over_to == problem.name


async def test_the_review_that_comes_last_ends_the_inspection(department: Department) -> None:
    code = await department.code()
    await department.do(_begin(code))
    entry = req.passed("1", "ecology.facilities", minutes=0)
    await department.do(rpc_pb.RecordEntriesRequest(department=rosters.DEPARTMENT, entries=[entry]))
    await department.do(
        rpc_pb.RecordResultRequest(department=rosters.DEPARTMENT, conclusion="符合")
    )
    await department.do(rpc_pb.ReportInspectionRequest())
    assert department.inspection.standing.state == pb.STATE_REPORTED
    approval = rpc_pb.ApproveInspectionRequest(scheme="夜间突击检查")
    await department.do(approval, department.head)
    assert department.inspection.standing.state == pb.STATE_CLOSED


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
    complaint = report(origin=f"{req.NAME}/findings/3", source=2)
    error = await refused(officer.problems.ReportProblem(complaint))
    assert error.reason == "NOT_FROM_AN_INSPECTION"


def _begin(code: pb.Code, device: str = "pad-1") -> rpc_pb.StartInspectionRequest:
    return req.begin(code=code.id, device=device)

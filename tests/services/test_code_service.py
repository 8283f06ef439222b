"""Codes as an enterprise scans them: what each is worth, pure, and over real gRPC and a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
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
from rules import Clock
from services.inspection.inspections.signing import ALPHABET, CodeKeys, Validity, from_text, said
from services.inspection.inspections.verification import normalised, verdict, verification
from tests.bureau import Bureau, bureau
from tests.services import on_site as req
from tests.services.brigades import Brigade, begun
from tests.services.calls import refused

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


@pytest.fixture
async def brigade(open_bureau: Bureau) -> Brigade:
    found = Brigade(open_bureau)
    await found.prepare()
    return found


async def test_the_page_tells_a_genuine_code_from_every_other(brigade: Brigade) -> None:
    code = await brigade.code()
    told = await brigade.verify(code.id, signature=code.signature, enterprise=USCC)
    assert told.verdict == code_pb.VERDICT_GENUINE
    assert (told.basis, told.on_the_spot_reason) == ("投诉举报", "夜间正在排放")
    assert [each.display_name for each in told.visitors[0].inspectors] == ["officer-1", "officer-2"]
    spelled = "-".join(code.id[n : n + 5].lower() for n in range(0, 26, 5))
    assert (await brigade.verify(spelled)).verdict == code_pb.VERDICT_GENUINE
    silent = {
        code_pb.VERDICT_FORGED: [
            await brigade.verify(req.STRANGE_CODE),
            await brigade.verify(code.id, signature="A" * 86),
            await brigade.verify("not a code"),
        ],
        code_pb.VERDICT_OTHER_ENTERPRISE: [await brigade.verify(code.id, enterprise=req.OTHER)],
    }
    for expected, answers in silent.items():
        assert all(each == code_pb.CodeVerification(verdict=expected) for each in answers)


async def test_early_expired_and_revoked_codes_are_shown_as_such(
    brigade: Brigade, database_url: str, tmp_path: Path
) -> None:
    early = await brigade.code(req.FIRST + 5 * DAY)
    assert (await brigade.verify(early.id)).verdict == code_pb.VERDICT_EARLY
    clock = str(Clock(MORNING + 9 * DAY, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as later:
        page = later.client("scan_page")
        told = await page.codes.VerifyCode(code_pb.VerifyCodeRequest(code=early.id))
    assert told.verdict == code_pb.VERDICT_EXPIRED
    await brigade.do(rpc_pb.RevokeCodeRequest(reason="改期"))
    told = await brigade.verify(early.id)
    assert told.verdict == code_pb.VERDICT_REVOKED
    assert told.enterprise_name


async def test_a_visit_is_rated_once_by_its_code_and_not_before_it_began(
    brigade: Brigade,
) -> None:
    code = await brigade.code()
    refusals = [await refused(brigade.rate(each)) for each in (code.id, req.STRANGE_CODE)]
    assert [(each.reason, each.message, each.metadata) for each in refusals] == [
        ("NOT_STARTED", "no visit began with this code", refusals[0].metadata)
    ] * 2
    await brigade.do(begun(code))
    assert (await brigade.verify(code.id)).may_rate
    told = await brigade.rate(code.id.lower(), 4)
    assert (told.verdict, told.rated, told.may_rate) == (code_pb.VERDICT_USED, True, False)
    assert (await refused(brigade.rate(code.id))).reason == "ALREADY_RATED"
    supervisor = brigade.open.client("supervisor")
    seen = await supervisor.inspections.GetInspection(
        rpc_pb.GetInspectionRequest(name=brigade.inspection.name)
    )
    assert seen.rating.score == 4


async def test_the_keys_check_a_code_without_us(brigade: Brigade) -> None:
    code = await brigade.code()
    published = await brigade.page.codes.GetSigningKeys(code_pb.GetSigningKeysRequest())
    key = next(each.public_key for each in published.keys if each.id == code.key)
    public = Ed25519PublicKey.from_public_bytes(key)
    public.verify(from_text(code.signature), code.statement.encode())


async def test_nobody_but_the_page_looks_codes_up(brigade: Brigade) -> None:
    error = await refused(
        brigade.open.enterprise(USCC).codes.VerifyCode(
            code_pb.VerifyCodeRequest(code=req.STRANGE_CODE)
        )
    )
    assert error.code == code_pb2.PERMISSION_DENIED

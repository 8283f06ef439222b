"""Papers of an inspection: when there is one, what it says, and who reads it."""

from typing import Any

import pytest

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from rpc.errors import StatusError
from services.inspection.inspections.documents import document
from tests.services import on_site as req
from tests.services.on_site import ECOLOGY, EMERGENCY, FOUND, WAYS, Visit

APPROVAL, NOTICE = rpc_pb.DOCUMENT_KIND_APPROVAL_FORM, rpc_pb.DOCUMENT_KIND_NOTICE
RECORD, RESULT = rpc_pb.DOCUMENT_KIND_ON_SITE_RECORD, rpc_pb.DOCUMENT_KIND_RESULT_NOTICE
TITLES = {
    APPROVAL: "行政检查审批表",
    NOTICE: "行政检查通知书",
    RECORD: "现场检查笔录",
    RESULT: "检查结果告知",
}


def paper(inspection: pb.Inspection, kind: rpc_pb.DocumentKind.ValueType, **fields: Any) -> str:
    """The text of that paper; of the lead where it is of one department."""
    if kind == RECORD:
        fields = {"department": ECOLOGY, **fields}
    asked = rpc_pb.GetDocumentRequest(name=inspection.name, kind=kind, **fields)
    answer = document(inspection, asked, req.RULES)
    assert (answer.kind, answer.title) == (kind, TITLES[kind])
    assert answer.text.startswith(answer.title + "\n")
    return answer.text


def refused(inspection: pb.Inspection, kind: rpc_pb.DocumentKind.ValueType, **fields: Any) -> str:
    with pytest.raises(StatusError) as refusal:
        paper(inspection, kind, **fields)
    return refusal.value.reason


def at(state: str) -> pb.Inspection:
    """An inspection in that state, with the instants that its opening and its code have."""
    visit = Visit()
    visit.do(*WAYS[state])
    visit.inspection.open_time.CopyFrom(req.at(req.MORNING))
    for code in visit.inspection.codes:
        code.issue_time.CopyFrom(req.at(req.MORNING))
    return visit.inspection


@pytest.mark.parametrize(
    ("kind", "before", "state"),
    [(RECORD, "READY", "UNDER_WAY"), (RESULT, "RECORDED", "REPORTED")],
)
def test_there_is_no_paper_before_what_it_tells_of(
    kind: rpc_pb.DocumentKind.ValueType, before: str, state: str
) -> None:
    assert refused(at(before), kind) == "DOCUMENT_NOT_YET"
    assert paper(at(state), kind)


def test_there_is_no_notice_without_a_code() -> None:
    inspection = at("READY")
    inspection.codes[-1].state = pb.Code.STATE_REVOKED
    assert refused(inspection, NOTICE) == "DOCUMENT_NOT_YET"


def test_the_notice_is_signed_and_names_one_day_once() -> None:
    inspection = at("READY")
    lines = paper(inspection, NOTICE).splitlines()
    assert "2026年9月7日至2026年9月9日，下列部门对你单位进行检查。" in lines
    assert lines[-2:] == ["扬州市生态环境局（印章）", "2026年9月7日"]
    code = inspection.codes[-1]
    code.to_time.FromSeconds(code.from_time.seconds + 86400)
    assert "2026年9月7日，下列部门对你单位进行检查。" in paper(inspection, NOTICE).splitlines()


def test_the_approval_form_asks_and_then_shows_what_was_decided() -> None:
    inspection = at("READY")
    form = paper(inspection, APPROVAL)
    for said in (
        f"被检查企业：扬州一号化工有限公司（{req.ENTERPRISE}）",
        "任务来源：年度检查计划",
        "1. 扬州市生态环境局（牵头）",
        "- 污染防治设施运行（生态环境法典）",
        "不参加，理由：警力不足",
        "审批意见：□同意  □不同意",
    ):
        assert said in form
    approval = pb.Approval(approver="liuju", scheme="查设施", approve_time=req.at(req.MORNING))
    inspection.approval.CopyFrom(approval)
    said = paper(inspection, APPROVAL).splitlines()[-4:]
    assert said == [
        "检查方案：查设施",
        "审批意见：同意",
        "审批人：liuju",
        "审批时间：2026年9月7日09:00",
    ]
    inspection.approval.made_up = inspection.approval.disapproved = True
    inspection.approval.opinion = "不属紧急"
    assert "审批意见：不予追认：不属紧急" in paper(inspection, APPROVAL)


def test_the_record_has_what_that_department_noted_with_the_standard_and_room_to_sign() -> None:
    visit = Visit()
    visit.do(*FOUND)
    lines = paper(visit.inspection, RECORD).splitlines()
    assert (
        "- 2026年9月7日09:25 污染防治设施运行（标准：设施正常运行、运行台账完整）：不符合；"
        "危废标签缺失；一般，转整改"
    ) in lines
    assert f"检查码：{req.CODE}" in lines
    assert any(line.startswith("被检查企业现场负责人（签名）") for line in lines)
    assert not any("重大事故隐患" in line for line in lines)
    other = paper(visit.inspection, RECORD, department=EMERGENCY)
    assert "重大事故隐患排查治理" in other
    assert "污染防治设施运行" not in other


def test_a_record_is_of_one_department_and_every_other_paper_of_all() -> None:
    inspection = at("REPORTED")
    assert refused(inspection, RECORD, department="") == "DEPARTMENT"
    assert refused(inspection, NOTICE, department=ECOLOGY) == "DEPARTMENT"
    stranger = f"departments/{req.OTHER}"
    assert refused(inspection, RECORD, department=stranger) == "PARTICIPANT_NOT_FOUND"

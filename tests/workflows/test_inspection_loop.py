"""A joint inspection from the invitations to what becomes of the findings, and who is told."""

import base64
import re
from collections import Counter
from datetime import timedelta

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from tests.workflows.inspection_town import (
    ECOLOGY,
    EMERGENCY,
    EMERGENCY_CLUE,
    ENTERPRISE,
    FIRE,
    INSPECTORS,
    MARKET,
    InspectionTown,
)
from tests.workflows.relayed import current_details
from workflows import search_attributes as sa

HOUR = timedelta(hours=1)


def rectify(note: str = "贮存间未张贴标识") -> pb.Entry:
    return pb.Entry(note=note, gravity=pb.GRAVITY_GENERAL, outcome=pb.OUTCOME_RECTIFY)


def punish(note: str = "超标排放") -> pb.Entry:
    return pb.Entry(
        note=note,
        gravity=pb.GRAVITY_SERIOUS,
        outcome=pb.OUTCOME_PENALTY,
        offence="offence.exceed_standard",
    )


async def test_four_departments_are_asked_of_whom_one_declines_and_one_is_silent(
    joint: InspectionTown,
) -> None:
    await joint.open("ecology", "emergency", "market", "fire", twice=True)
    await joint.answer("emergency", accepted=False, reason="本周另有任务")
    await joint.answer("fire")
    await joint.sleep_past(joint.open_deadline(pb.DUTY_ANSWER, MARKET), HOUR)
    assert joint.answers() == {
        "ecology": "ACCEPTED",
        "emergency": "DECLINED",
        "market": "TIMED_OUT",
        "fire": "ACCEPTED",
    }
    fire = joint.inspection.participants[3]
    assert [each.inspector for each in fire.inspectors] == INSPECTORS["fire"]
    assert joint.titles("TASK", EMERGENCY) == ["请于2026年9月14日前答复联合检查邀请"]
    assert (
        joint.titles("REMINDER", MARKET) == ["提醒：答复联合检查邀请的期限至2026年9月14日届满"] * 2
    )
    assert joint.titles("INFORMATION", ECOLOGY) == [
        "市应急局不参加",
        "市消防支队参加",
        "市市场监管局逾期未答复，视为不参加",
    ]
    assert joint.titles("TASK", ECOLOGY) == ["参加部门已确定，请派员并报批"]
    details = await current_details(joint.handle)
    assert "| 市应急局 | **不参加**：本周另有任务 |" in details
    assert "| 市市场监管局 | **逾期未答复** |" in details
    assert "| 通知 | 市消防支队检查员1、市消防支队检查员2 |" in details


async def test_an_inspection_goes_from_the_answers_to_what_becomes_of_each_finding(
    joint: InspectionTown,
) -> None:
    await joint.open("ecology", "fire")
    await joint.answer("fire")
    await joint.until(pb.STATE_ARRANGED)
    await joint.approved_with_code()
    assert joint.sent("INFORMATION").count("enterprises") == 0, "a visit is not announced"
    await joint.started()
    await joint.checked("ecology", rectify(), punish())
    await joint.checked("fire")
    await joint.recorded_result("ecology", "发现两项问题")
    await joint.recorded_result("fire")
    await joint.command(rpc_pb.ReportInspectionRequest())
    loop = await joint.ended()
    assert loop.known.inspection.standing.state == pb.STATE_CLOSED
    became = {each.outcome: each.handed_over_to for each in joint.inspection.findings}
    assert became[pb.OUTCOME_RECTIFY].startswith("problems/")
    assert became[pb.OUTCOME_PENALTY].startswith("penaltyCases/")
    assert len(joint.owners) == 2
    assert joint.names().count("FindingHandedOver") == 2
    assert joint.titles("SERVICE", f"enterprises/{ENTERPRISE}") == ["检查结果告知"]
    (told,) = joint.titles("INFORMATION", f"enterprises/{ENTERPRISE}")
    assert told == "检查已经开始"
    assert joint.titles("TASK", ECOLOGY)[-2:] == [
        "请于2026年9月8日前录入检查结果",
        "请于2026年9月14日前向企业反馈检查结果",
    ]
    assert set(Counter(each.request_id for each in joint.notices).values()) == {1}


async def test_what_the_enterprise_thinks_of_the_visit_is_in_no_history(
    joint: InspectionTown,
) -> None:
    await joint.open("ecology")
    await joint.approved_with_code()
    await joint.started()
    await joint.command(code_pb.RateInspectionRequest(score=1, comment="态度生硬"), "enterprise")
    await joint.checked("ecology")
    await joint.recorded_result("ecology")
    await joint.command(rpc_pb.ReportInspectionRequest())
    loop = await joint.ended()
    assert (loop.known.inspection.standing.state, loop.version) == (pb.STATE_CLOSED, joint.position)
    history = (await joint.handle.fetch_history()).to_json()
    carried = [base64.b64decode(data) for data in re.findall(r'"data": ?"([^"]*)"', history)]
    assert not any("态度生硬".encode() in each for each in carried)
    assert any("检查方案".encode() in each or b"InspectionStarted" in each for each in carried)


async def test_all_decline_and_the_lead_goes_alone(joint: InspectionTown) -> None:
    await joint.open("ecology", "emergency", "fire")
    await joint.answer("emergency", accepted=False, reason="不属于本部门职责")
    await joint.answer("fire", accepted=False, reason="无人")
    await joint.until(pb.STATE_ARRANGED)
    assert joint.answers() == {"ecology": "ACCEPTED", "emergency": "DECLINED", "fire": "DECLINED"}
    await joint.settled()
    shown = (await joint.handle.describe()).typed_search_attributes
    assert [shown.get(key) for key in (sa.STAGE, sa.WAITING_FOR)] == ["待审批", "市生态环境局"]


async def test_an_emergency_that_the_head_does_not_review_in_time_is_told_to_the_supervisor(
    joint: InspectionTown,
) -> None:
    await joint.open("ecology", clue=EMERGENCY_CLUE)
    await joint.approved_with_code(on_the_spot="储罐泄漏，不能等待")
    await joint.sleep_past(joint.open_deadline(pb.DUTY_REVIEW), HOUR)
    for recipient in (ECOLOGY, "desks/supervisor"):
        assert "逾期：2026年9月8日前未补办检查审批" in joint.titles("OVERDUE", recipient)
    await joint.settled()
    shown = (await joint.handle.describe()).typed_search_attributes
    assert [shown.get(key) for key in (sa.STAGE, sa.WAITING_FOR, sa.OVERDUE)] == [
        "待检查",
        "市生态环境局",
        True,
    ]
    assert "- **已逾期**：补办检查审批（市生态环境局）" in await current_details(joint.handle)


async def test_a_finding_that_is_refused_is_shown_and_handed_over_later(
    joint: InspectionTown,
) -> None:
    joint.refused_findings["1"] = "UNKNOWN_OFFENCE"
    await joint.open("ecology")
    await joint.approved_with_code()
    await joint.started()
    await joint.checked("ecology", punish("高噪声"), rectify())
    await joint.recorded_result("ecology", "两项")
    await joint.command(rpc_pb.ReportInspectionRequest())
    await joint.sleep(0.2)
    assert [bool(each.handed_over_to) for each in joint.inspection.findings] == [False, True]
    details = await current_details(joint.handle)
    assert "**移交未成**：UNKNOWN_OFFENCE" in details
    assert joint.titles("TASK", ECOLOGY).count("第 1 项发现转处罚未成，请处理") == 1
    joint.refused_findings.clear()
    await joint.sleep(0.1)
    loop = await joint.ended()
    assert loop.known.inspection.standing.state == pb.STATE_CLOSED
    assert not loop.refusals
    assert len(joint.owners) == 2


async def test_a_finding_for_another_body_is_left_to_people_who_are_reminded(
    joint: InspectionTown,
) -> None:
    await joint.open("ecology")
    await joint.approved_with_code()
    await joint.started()
    refer = pb.Entry(note="占用耕地", gravity=pb.GRAVITY_GENERAL, outcome=pb.OUTCOME_REFER)
    await joint.checked("ecology", refer)
    await joint.recorded_result("ecology", "一项")
    await joint.command(rpc_pb.ReportInspectionRequest())
    await joint.sleep_past(joint.open_deadline(pb.DUTY_HANDOVER), HOUR)
    assert joint.titles("TASK", ECOLOGY)[-1] == "请于2026年9月14日前移交检查发现的问题"
    assert "提醒：移交检查发现的问题的期限至2026年9月14日届满" in joint.titles("REMINDER", ECOLOGY)
    assert joint.titles("OVERDUE", "desks/supervisor") == [
        "逾期：2026年9月14日前未移交检查发现的问题"
    ]
    hand_over = rpc_pb.HandOverFindingRequest(finding="1", handed_over_to="扬自然资移〔2026〕3号")
    await joint.command(hand_over)
    assert (await joint.ended()).known.inspection.standing.state == pb.STATE_CLOSED
    assert joint.owners == {}


async def test_cancelled_while_inviting_everybody_who_might_come_is_told(
    joint: InspectionTown,
) -> None:
    await joint.open("ecology", "emergency", "market", "fire")
    await joint.answer("market", accepted=False, reason="无人")
    await joint.answer("fire")
    await joint.command(rpc_pb.CancelInspectionRequest(reason="线索不实"), actor="head")
    assert (await joint.ended()).known.inspection.standing.state == pb.STATE_CANCELLED
    told = [joint.titles("INFORMATION", each)[-1:] for each in (EMERGENCY, FIRE, MARKET)]
    assert told == [["检查已取消"], ["检查已取消"], []]


async def test_a_finding_that_a_device_tells_late_is_handed_over_though_the_inspection_was_closed(
    joint: InspectionTown,
) -> None:
    await joint.open("ecology")
    await joint.approved_with_code()
    await joint.started()
    await joint.checked("ecology")
    late = await joint.entry("ecology", rectify("台账缺页"))
    await joint.settled()
    await joint.recorded_result("ecology")
    await joint.command(rpc_pb.ReportInspectionRequest())
    assert (await joint.ended()).known.inspection.standing.state == pb.STATE_CLOSED
    await joint.sleep(1)
    request = rpc_pb.RecordEntriesRequest(department=ECOLOGY, entries=[late])
    await joint.command(request, "ecology2")
    loop = await joint.ended()
    assert loop.known.inspection.standing.state == pb.STATE_CLOSED
    (finding,) = joint.inspection.findings
    assert finding.handed_over_to in joint.owners.values()
    assert joint.titles("SERVICE", f"enterprises/{ENTERPRISE}") == ["检查结果告知"]

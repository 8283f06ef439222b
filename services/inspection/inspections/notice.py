"""The notice of an inspection (行政检查通知书) that inspectors show, as text to be printed or read. Pure.

What it must say: basis, source of the task, inspectors, which visit of the year it is, what inspectors must
not do, and the right to recusal (国办发〔2024〕54号).
"""

from datetime import UTC, date, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import plan_pb2
from rules import CheckItem, Rules, legal_date
from services.inspection.inspections.proceeding import going
from services.inspection.inspections.report import day_text, people
from services.inspection.inspections.wording import inset, laid_out

PLANS = {plan_pb2.KIND_DAILY: "年度检查计划", plan_pb2.KIND_SPECIAL: "专项检查计划"}
CLUES = {
    pb.Clue.SOURCE_TIP_OFF: "投诉举报",
    pb.Clue.SOURCE_TRANSFER: "转办移送",
    pb.Clue.SOURCE_DATA: "数据监测线索",
    pb.Clue.SOURCE_OWN_REQUEST: "企业申请",
    pb.Clue.SOURCE_OFF_SITE_FINDING: "非现场发现问题核实",
    pb.Clue.SOURCE_ORDERED: "上级交办",
    pb.Clue.SOURCE_EMERGENCY: "突发事件",
}


def source_of(inspection: pb.Inspection) -> str:
    """Source of the task (任务来源): a plan, or the kind of clue. Never who complained, or of what."""
    return PLANS.get(inspection.kind) or CLUES[inspection.clue.source]


def notice_text(inspection: pb.Inspection, code: pb.Code, rules: Rules) -> str:
    """The notice of the visit that `code` opens, by the law of the place on the code's first day, so that it
    reads the same whenever it is looked at. Raises UnknownRule.
    """
    inspection = laid_out(inspection)
    first = legal_date(code.from_time.ToDatetime(UTC))
    last = _last_day(code.to_time)
    days = day_text(first) if first == last else f"{day_text(first)}至{day_text(last)}"
    lines = [
        "行政检查通知书",
        "",
        f"{inspection.enterprise.display_name}：",
        f"{days}，下列部门对你单位进行检查。",
        f"任务来源：{source_of(inspection)}",
        f"检查码：{code.id}",
    ]
    if code.on_the_spot_reason:
        lines.append(f"现场赋码理由：{inset(code.on_the_spot_reason)}")
    listed = rules.items(first)
    for number, participant in enumerate(going(inspection), 1):
        lines += ["", *_department(participant, number, listed)]
    conduct = rules.text("inspection.conduct", first)
    recusal = rules.text("inspection.recusal", first)
    lines += ["", f"检查人员行为规范：{conduct}。", f"回避：{recusal}。"]
    issued = legal_date(code.issue_time.ToDatetime(UTC))
    lead = inspection.participants[0].display_name
    return "\n".join([*lines, "", f"{lead}（印章）", day_text(issued)])


def _department(
    participant: pb.Participant, number: int, listed: dict[str, CheckItem]
) -> list[str]:
    lines = [
        f"{number}. {participant.display_name}：本年度对你单位的第{participant.visit_of_year}次检查",
        people(participant),
        "检查事项和依据：",
    ]
    for item in participant.items:
        if not item.answered_by:
            basis = f"（{listed[item.id].basis}）" if item.id in listed else ""
            lines.append(f"- {item.display_name}{basis}")
    return lines


def _last_day(end: Timestamp) -> date:
    """The day on which what ends at that instant, exclusive, is still valid."""
    return legal_date(end.ToDatetime(UTC) - timedelta(microseconds=1))

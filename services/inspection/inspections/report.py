"""The text that an enterprise gets after an inspection (检查结果告知): all departments in one. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import plan_pb2
from rules import SHANGHAI, CheckItem
from services.inspection.inspections import wording
from services.inspection.inspections.proceeding import unchecked

Listed: TypeAlias = Mapping[str, CheckItem]
KINDS = {
    plan_pb2.KIND_DAILY: "日常检查",
    plan_pb2.KIND_CASE: "个案检查",
    plan_pb2.KIND_SPECIAL: "专项检查",
}
CHECKS = {
    pb.CHECK_PASSED: "符合",
    pb.CHECK_FAILED: "不符合",
    pb.CHECK_NOT_APPLICABLE: "不适用",
}
GRAVITIES = {
    pb.GRAVITY_MINOR: "轻微",
    pb.GRAVITY_GENERAL: "一般",
    pb.GRAVITY_SERIOUS: "严重",
}
OUTCOMES = {
    pb.OUTCOME_GUIDED: "当场指导改正",
    pb.OUTCOME_RECTIFY: "转整改",
    pb.OUTCOME_PENALTY: "转处罚程序",
    pb.OUTCOME_REFER: "移送其他部门",
}


def report_text(inspection: pb.Inspection, today: date, listed: Listed, addition: str = "") -> str:
    """What the enterprise is told of the recorded `inspection`: who came, what they looked at and found, what
    data answered, who did not come and why; `addition` at the end, as it is. `listed`: the published items,
    by id, for the law that a finding rests on.

    Who complained, and about what, is never told: of a clue only that there was one. What is written is cut
    where all of it together would not go into one event: the entries themselves have it in full.
    """
    for most in wording.CUTS:
        part = wording.laid_out(wording.cut(inspection, most))
        text = _text(part, today, listed, addition)
        if len(text.encode()) <= wording.MOST_BYTES:
            break
    return text


def _text(inspection: pb.Inspection, today: date, listed: Listed, addition: str) -> str:
    lines = ["检查结果告知", "", *_head(inspection)]
    for number, participant in enumerate(_came(inspection), 1):
        lines += ["", *_department(inspection, participant, number, listed)]
    lines += _section("非现场完成的事项", _off_site(inspection))
    lines += _section("未参加检查的部门", _absent(inspection))
    if addition:
        lines += ["", addition]
    lead = inspection.participants[0].display_name
    return "\n".join([*lines, "", f"{lead}（印章）", day_text(today)])


def _head(inspection: pb.Inspection) -> list[str]:
    enterprise, start = inspection.enterprise, inspection.start
    return [
        f"被检查企业：{enterprise.display_name}（{enterprise.uscc}）",
        f"检查类型：{KINDS[inspection.kind]}",
        f"检查码：{start.code}",
        f"检查时间：{time_text(start.device_time)}开始",
        f"牵头部门：{inspection.participants[0].display_name}",
    ]


def _department(
    inspection: pb.Inspection, participant: pb.Participant, number: int, listed: Listed
) -> list[str]:
    lines = [f"{number}. {participant.display_name}", people(participant), "检查事项："]
    entries = [_entry(participant, each) for each in participant.entries]
    lines += entries
    lines += [f"- {each}" for each in left_out(participant)]
    findings = [each for each in inspection.findings if each.department == participant.department]
    lines += ["发现问题："] if findings else ["发现问题：无"]
    lines += [_finding(participant, each, listed) for each in findings]
    return [*lines, f"检查结论：{participant.conclusion}"]


def left_out(participant: pb.Participant) -> list[str]:
    """Items that its inspectors did not look at, each with the reason; once the result is recorded."""
    if not participant.unchecked_reason:
        return []
    why = participant.unchecked_reason
    return [f"{each.display_name}：未检查，原因：{why}" for each in unchecked(participant)]


def _entry(participant: pb.Participant, entry: pb.Entry) -> str:
    line = f"- {item_name(participant, entry.item)}：{CHECKS[entry.check]}"
    if entry.note and entry.check != pb.CHECK_FAILED:
        line += f"（{entry.note}）"
    return f"{line}；指导意见：{entry.guidance}" if entry.guidance else line


def _finding(participant: pb.Participant, finding: pb.Finding, listed: Listed) -> str:
    gravity, outcome = GRAVITIES[finding.gravity], OUTCOMES[finding.outcome]
    item = item_name(participant, finding.item)
    line = f"- 问题{finding.id}（{gravity}，{outcome}）：{item}：{finding.description}"
    return f"{line}；依据：{listed[finding.item].basis}" if finding.item in listed else line


def _off_site(inspection: pb.Inspection) -> Iterable[str]:
    for participant in inspection.participants:
        if participant.answer == pb.ANSWER_ACCEPTED:
            for item in participant.items:
                if item.answered_by:
                    yield f"- {participant.display_name}：{item.display_name}：{item.answered_by}"


def _absent(inspection: pb.Inspection) -> Iterable[str]:
    for participant in inspection.participants:
        if participant.answer == pb.ANSWER_DECLINED:
            yield f"- {participant.display_name}：不参加，理由：{participant.reason}"
        elif participant.answer == pb.ANSWER_TIMED_OUT:
            yield f"- {participant.display_name}：逾期未答复"


def _came(inspection: pb.Inspection) -> list[pb.Participant]:
    return [each for each in inspection.participants if each.HasField("result_time")]


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", f"{title}：", *found] if found else []


def people(participant: pb.Participant) -> str:
    """The inspectors of a department with their certificates, in a line."""
    named = [f"{each.display_name}（{each.certificate}）" for each in participant.inspectors]
    return f"检查人员：{'、'.join(named) or '待定'}"


def item_name(participant: pb.Participant, item_id: str) -> str:
    """The name of an item that the department checks."""
    return next((each.display_name for each in participant.items if each.id == item_id), item_id)


def time_text(time: Timestamp) -> str:
    """A minute in Shanghai, as papers say it."""
    local = time.ToDatetime(UTC).astimezone(SHANGHAI)
    return f"{day_text(local.date())}{local:%H:%M}"


def day_text(day: date) -> str:
    """A day, as papers say it."""
    return f"{day.year}年{day.month}月{day.day}日"

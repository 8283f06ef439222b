"""How an operator sees the loop of an inspection: search attributes, and current details in Markdown."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from temporalio import workflow

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionLoop as Loop
from rules.clock import SHANGHAI, legal_date
from workflows import search_attributes as sa
from workflows.inspection_alarms import HAND_OVER
from workflows.inspection_state import FOLLOWED_UP, name_of, waits_for
from workflows.inspection_words import ANSWERS, CODES, DUTIES, GRAVITIES, OUTCOMES, STAGES
from workflows.operator_view import day_text, troubles

SECOND = timedelta(seconds=1)
# By the word in a deadline's id.
WORDS = {pb.Duty.Name(duty).removeprefix("DUTY_").lower(): text for duty, text in DUTIES.items()}
PARTICIPANTS = ("部门", "答复", "答复时间", "征询方式", "检查人员", "事项数", "检查结果")
FINDINGS = ("序号", "部门", "发现", "程度", "去向", "移交")


def show(loop: Loop) -> None:
    """Put the loop where an operator looks."""
    inspection = loop.known.inspection
    following = next(iter(inspection.standing.deadlines), None)
    workflow.upsert_search_attributes(
        [
            sa.STAGE.value_set(STAGES[inspection.standing.state]),
            sa.WAITING_FOR.value_set(waits_for(inspection)),
            sa.ENTERPRISE.value_set(inspection.enterprise.uscc),
            sa.DISTRICT.value_set(inspection.enterprise.district),
            sa.OVERDUE.value_set(bool(inspection.standing.overdue)),
            # Its last second: the instant itself is the next day's midnight in Shanghai.
            sa.DUE.value_set(following.deadline.due_time.ToDatetime(UTC) - SECOND)
            if following
            else sa.DUE.value_unset(),
        ]
    )
    workflow.set_current_details(details(loop))


def details(loop: Loop) -> str:
    """The loop of an inspection in Markdown."""
    inspection = loop.known.inspection
    lines = [
        *_heading(inspection),
        *_table(PARTICIPANTS, (_part(inspection, each) for each in inspection.participants)),
        *_table(FINDINGS, (_finding(loop, each) for each in inspection.findings)),
        *_waiting(inspection),
        f"- 提醒 {loop.reminder_count} 次",
        *troubles(loop, lambda key: not key.startswith(HAND_OVER)),
    ]
    return "\n".join(lines)


def _heading(inspection: pb.Inspection) -> list[str]:
    enterprise, state = inspection.enterprise, inspection.standing.state
    span = f"{day_text(inspection.from_date)}至{day_text(inspection.to_date)}"
    lines = [
        f"### {inspection.title}",
        f"**{enterprise.display_name}** `{enterprise.uscc}` · {enterprise.district}"
        f" · `{inspection.name}`",
        "",
        f"- 阶段：**{STAGES[state]}**",
        f"- 等待：**{waits_for(inspection)}**",
        f"- 检查日期：{span}",
    ]
    if inspection.HasField("clue"):
        lines.append(f"- 线索：{inspection.clue.summary}（`{inspection.clue.reference}`）")
    lines += [_code(each) for each in inspection.codes]
    if inspection.cancel_reason:
        lines.append(f"- 取消原因：{inspection.cancel_reason}")
    return [*lines, ""]


def _code(code: pb.Code) -> str:
    span = f"{_moment(code.from_time.ToDatetime(UTC))}至{_moment(code.to_time.ToDatetime(UTC))}"
    why = f"，撤销原因：{code.revoke_reason}" if code.revoke_reason else ""
    spot = f"，当场赋码：{code.on_the_spot_reason}" if code.on_the_spot_reason else ""
    return f"- 检查码：`{code.id}` **{CODES[code.state]}**，有效期{span}{spot}{why}"


def _part(inspection: pb.Inspection, part: pb.Participant) -> list[str]:
    name = part.display_name + ("（牵头）" if part.lead else "")
    why = f"：{part.reason}" if part.reason else ""
    off_site = sum(bool(item.answered_by) for item in part.items)
    items = f"{len(part.items)}" + (f"（非现场 {off_site}）" if off_site else "")
    result = part.conclusion
    if not result and part.answer == pb.ANSWER_ACCEPTED:
        result = "非现场完成" if off_site and off_site == len(part.items) else "待录入"
    return [
        name,
        f"**{ANSWERS[part.answer]}**{why}",
        _until(inspection, part),
        _way(part),
        "、".join(each.display_name for each in part.inspectors),
        items,
        result,
    ]


def _way(part: pb.Participant) -> str:
    """How the department is asked."""
    if part.lead:
        return ""
    return f"Nexus `{part.nexus_endpoint}`" if part.nexus_endpoint else "通知"


def _until(inspection: pb.Inspection, part: pb.Participant) -> str:
    """Until when the department may answer, or when it did."""
    for due in inspection.standing.deadlines:
        if due.duty == pb.DUTY_ANSWER and due.department == part.department:
            return f"{day_text(due.deadline.due_date)}前"
    if part.lead or not part.HasField("answer_time"):
        return ""
    return f"{legal_date(part.answer_time.ToDatetime(UTC))}"


def _finding(loop: Loop, finding: pb.Finding) -> list[str]:
    refused = {each.finding: each.reason for each in loop.refusals}
    became = f"`{finding.handed_over_to}`" if finding.handed_over_to else "待移交"
    if not finding.handed_over_to and finding.id in refused:
        became = f"**移交未成**：{refused[finding.id]}"
    elif finding.outcome == pb.OUTCOME_GUIDED:
        became = "已当场改正"
    elif not finding.handed_over_to and finding.outcome not in FOLLOWED_UP:
        became = "待人员移交"
    return [
        finding.id,
        name_of(loop.known.inspection, finding.department),
        finding.description,
        GRAVITIES[finding.gravity],
        OUTCOMES[finding.outcome],
        became,
    ]


def _waiting(inspection: pb.Inspection) -> list[str]:
    lines = [
        f"- {DUTIES[each.duty]}（{name_of(inspection, each.department)}）："
        f"**{day_text(each.deadline.due_date)}**"
        + ("（暂定，待次年节假日安排）" if each.deadline.provisional else "")
        + f"，{each.deadline.rule.citation}"
        for each in inspection.standing.deadlines
    ]
    overdue = (_overdue(inspection, each) for each in inspection.standing.overdue)
    return [*lines, *(f"- **已逾期**：{each}" for each in overdue)]


def _overdue(inspection: pb.Inspection, deadline_id: str) -> str:
    """What a person reads of an id "<duty>-<credit code>@<origin>"."""
    word, _, rest = deadline_id.partition("-")
    whose = name_of(inspection, f"departments/{rest.partition('@')[0]}")
    return f"{WORDS.get(word, word)}（{whose}）"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown; nothing without rows."""
    lines = [f"| {' | '.join(_cell(each) for each in row)} |" for row in rows]
    if not lines:
        return []
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *lines, ""]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "｜")


def _moment(instant: datetime) -> str:
    return f"{instant.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"

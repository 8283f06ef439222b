"""Papers of an inspection (检查文书) as text to be printed: approval, notice, on-site record, result. Pure.

国办发〔2024〕54号 and its forms: approved, told, looked, noted, fed back. Forms for interviews, samples and
surveys hold what only people on site know; they are put in evidence.
"""

from collections.abc import Iterable
from datetime import UTC, date

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from rpc.errors import StatusError, failed_precondition, invalid_argument, not_found
from rules import Rules, as_date, legal_date
from services.inspection.inspections import codes
from services.inspection.inspections.notice import notice_text, source_of
from services.inspection.inspections.report import (
    CHECKS,
    GRAVITIES,
    KINDS,
    OUTCOMES,
    Listed,
    day_text,
    item_name,
    left_out,
    people,
    time_text,
)
from services.inspection.inspections.wording import laid_out

TO_SIGN = "____________"


def document(
    inspection: pb.Inspection, request: rpc_pb.GetDocumentRequest, rules: Rules
) -> rpc_pb.Document:
    """The paper that is asked for. `rules`: the law of the place.

    FAILED_PRECONDITION DOCUMENT_NOT_YET before there is one, INVALID_ARGUMENT DEPARTMENT where one has to be
    named or must not be, NOT_FOUND for a department that was not asked. Raises UnknownRule.
    """
    inspection = laid_out(inspection)
    of_one = request.kind == rpc_pb.DOCUMENT_KIND_ON_SITE_RECORD
    if of_one != bool(request.department):
        text = (
            "is required: each has its record"
            if of_one
            else "must be empty: it is of all departments"
        )
        raise invalid_argument("DEPARTMENT", f"department {text}", [("department", text)])
    match request.kind:
        case rpc_pb.DOCUMENT_KIND_APPROVAL_FORM:
            text = approval_form(inspection, rules)
        case rpc_pb.DOCUMENT_KIND_NOTICE:
            code = codes.current(inspection)
            if code is None:
                raise _not_yet(inspection, "IssueCode")
            text = notice_text(inspection, code, rules)
        case rpc_pb.DOCUMENT_KIND_ON_SITE_RECORD:
            text = on_site_record(inspection, request.department, rules)
        case _:
            if not inspection.report:
                raise _not_yet(inspection, "ReportInspection")
            text = inspection.report
    return rpc_pb.Document(kind=request.kind, title=text.partition("\n")[0], text=text)


def approval_form(inspection: pb.Inspection, rules: Rules) -> str:
    """行政检查审批表: what the head decides on, and the decision once there is one. Raises UnknownRule."""
    enterprise = inspection.enterprise
    listed = rules.items(_opened(inspection))
    lines = [
        "行政检查审批表",
        "",
        f"检查名称：{inspection.title}",
        f"检查类型：{KINDS[inspection.kind]}",
        f"任务来源：{source_of(inspection)}",
        *_clue(inspection),
        f"被检查企业：{enterprise.display_name}（{enterprise.uscc}）",
        f"地址：{enterprise.address or TO_SIGN}",
        f"企业等级：{enterprise.grade or '无'}",
        f"计划检查日期：{_days(inspection)}",
    ]
    for number, each in enumerate(inspection.participants, 1):
        lines += ["", *_part(each, number, listed)]
    return "\n".join([*lines, "", *_decision(inspection.approval)])


def on_site_record(inspection: pb.Inspection, department: str, rules: Rules) -> str:
    """现场检查笔录 of one department: what it noted, in the order of the device's clock, with room for those
    who sign. Raises as `document`.
    """
    part = next((each for each in inspection.participants if each.department == department), None)
    if part is None:
        raise not_found("bihuan.dev/Participant", f"{inspection.name}/{department}")
    if not inspection.HasField("start"):
        raise _not_yet(inspection, "StartInspection")
    start, enterprise = inspection.start, inspection.enterprise
    listed = rules.items(legal_date(start.device_time.ToDatetime(UTC)))
    return "\n".join(
        [
            "现场检查笔录",
            "",
            f"被检查企业：{enterprise.display_name}（{enterprise.uscc}）",
            f"地址：{enterprise.address or TO_SIGN}",
            f"检查时间：{time_text(start.device_time)}开始",
            f"检查码：{start.code}",
            f"检查部门：{part.display_name}",
            people(part),
            "",
            "检查情况：",
            *(_noted(part, each, listed) for each in part.entries),
            *left_out(part),
            *([f"检查结论：{part.conclusion}"] if part.conclusion else []),
            "",
            "检查人员已出示执法证件和检查码，并告知申请回避的权利：□是  □否",
            f"被检查企业意见：{TO_SIGN}",
            f"被检查企业现场负责人（签名）：{TO_SIGN}",
            f"检查人员（签名）：{TO_SIGN}  {TO_SIGN}",
            "以上笔录共    页    年  月  日",
        ]
    )


def _part(part: pb.Participant, number: int, listed: Listed) -> Iterable[str]:
    yield f"{number}. {part.display_name}{'（牵头）' if part.lead else ''}"
    if part.answer in (pb.ANSWER_DECLINED, pb.ANSWER_TIMED_OUT):
        declined = part.answer == pb.ANSWER_DECLINED
        yield f"不参加，理由：{part.reason}" if declined else "逾期未答复，不参加"
        return
    yield people(part)
    yield "检查事项和依据："
    for item in part.items:
        basis = f"（{listed[item.id].basis}）" if item.id in listed else ""
        off_site = f"：非现场完成，{item.answered_by}" if item.answered_by else ""
        yield f"- {item.display_name}{basis}{off_site}"


def _decision(approval: pb.Approval) -> list[str]:
    if not approval.approver:
        signed = f"负责人（签名）：{TO_SIGN}    年  月  日"
        return [f"检查方案：{TO_SIGN}", "审批意见：□同意  □不同意", signed]
    verdict = (
        "不予追认" if approval.disapproved else "补办审批，同意" if approval.made_up else "同意"
    )
    opinion = "" if approval.opinion in ("", "同意") else f"：{approval.opinion}"
    return [
        f"检查方案：{approval.scheme}",
        f"审批意见：{verdict}{opinion}",
        f"审批人：{approval.approver}",
        f"审批时间：{time_text(approval.approve_time)}",
    ]


def _noted(part: pb.Participant, entry: pb.Entry, listed: Listed) -> str:
    standard = f"（标准：{listed[entry.item].standard}）" if entry.item in listed else ""
    said = [f"{item_name(part, entry.item)}{standard}：{CHECKS[entry.check]}"]
    if entry.note:
        said.append(entry.note)
    if entry.check == pb.CHECK_FAILED:
        said.append(f"{GRAVITIES[entry.gravity]}，{OUTCOMES[entry.outcome]}")
    if entry.guidance:
        said.append(f"指导意见：{entry.guidance}")
    if entry.evidence:
        said.append(f"证据：{'、'.join(each.title for each in entry.evidence)}")
    return f"- {time_text(entry.device_time)} {'；'.join(said)}"


def _clue(inspection: pb.Inspection) -> list[str]:
    clue = inspection.clue
    return [f"线索：{clue.summary}（{clue.reference}）"] if clue.reference else []


def _days(inspection: pb.Inspection) -> str:
    first, last = as_date(inspection.from_date), as_date(inspection.to_date)
    return day_text(first) if first == last else f"{day_text(first)}至{day_text(last)}"


def _opened(inspection: pb.Inspection) -> date:
    return legal_date(inspection.open_time.ToDatetime(UTC))


def _not_yet(inspection: pb.Inspection, command: str) -> StatusError:
    return failed_precondition(
        "DOCUMENT_NOT_YET",
        f"{inspection.name} has no such paper before {command}",
        resource=inspection.name,
        state=pb.State.Name(inspection.standing.state),
    )

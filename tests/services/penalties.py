"""Requests on penalty cases, each valid at its step, and the steps that lead to a state."""

from datetime import date, timedelta
from typing import Any, TypeVar

from google.protobuf.message import Message

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import discretion_pb2 as amounts
from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.types.v1.evidence_pb2 import Evidence
from rules import RuleBook, Rules, WorkingCalendar
from services.penalty.proceeding import day_message
from tests.services.calls import rid

M = TypeVar("M", bound=Message)

DISTRICT, OFFENCE = "441900", "offence.exceed_permit"
TRADER = pb.Respondent(
    kind=pb.Respondent.KIND_ENTITY, uscc="91130200699229617X", display_name="东莞一号电镀有限公司"
)
FILE = Evidence(sha256="a" * 64, size_bytes=5, media_type="image/jpeg", title="现场照片")
FAR = date(2099, 12, 31)
FINE = 30_000_000  # 300,000 yuan: large for an entity


def clue(today: date, **fields: Any) -> rpc_pb.RegisterClueRequest:
    """A clue found today, of conduct six days ago."""
    values: dict[str, Any] = {
        "origin": pb.Origin(kind=pb.Origin.KIND_INSPECTION),
        "respondent": TRADER,
        "violation": violation(today - timedelta(days=6)),
        "found_date": day_message(today),
    }
    return rpc_pb.RegisterClueRequest(**{**values, **fields})


def violation(conduct: date, **fields: Any) -> pb.Violation:
    values = {"offence": OFFENCE, "summary": "超过许可排放浓度", "district": DISTRICT}
    return pb.Violation(conduct_date=day_message(conduct), **{**values, **fields})


def evidence(
    kind: pb.CaseEvidence.Kind.ValueType = pb.CaseEvidence.KIND_SITE_RECORD,
    told: date | None = None,
    file: Evidence = FILE,
) -> rpc_pb.AddEvidenceRequest:
    found = pb.CaseEvidence(kind=kind, file=file)
    if told:
        found.told_date.CopyFrom(day_message(told))
    return rpc_pb.AddEvidenceRequest(evidence=[found])


def officers(*subjects: str, valid_until: date = FAR) -> list[pb.Officer]:
    return [
        pb.Officer(subject=subject, certificate=f"粤{n:05}", valid_until=day_message(valid_until))
        for n, subject in enumerate(subjects, 1)
    ]


def conclusion(*officers_: pb.Officer) -> rpc_pb.ConcludeInvestigationRequest:
    return rpc_pb.ConcludeInvestigationRequest(
        officers=officers_ or officers("zhang", "li"), facts="排放浓度超过许可限值"
    )


def discussion(today: date, *who: str, agreed: bool = True) -> rpc_pb.RecordDiscussionRequest:
    return rpc_pb.RecordDiscussionRequest(
        agreed=agreed,
        minutes="同意",
        participants=who or ("chen", "wu", "sun"),
        discuss_date=day_message(today),
    )


def served(
    kind: type[M],
    today: date,
    method: doc.ServiceMethod.ValueType = doc.SERVICE_METHOD_DIRECT,
    **more: Any,
) -> M:
    """A request that says how something was served."""
    return kind(method=method, act_date=day_message(today), receipt="送达回证1", **more)


FACTORS = [
    amounts.FactorLevel(factor=factor.id, level=factor.levels[0].id)
    for factor in Rules(RuleBook.load(), WorkingCalendar.load(), DISTRICT).factors(
        "penalty.discretion", date(2026, 9, 7)
    )
]


def chosen(fine_fen: int = FINE) -> dict[str, Any]:
    """Nothing weighs, and another amount is chosen than the table comes to."""
    return {"factors": FACTORS, "chosen_fen": fine_fen, "difference_reason": "综合裁量"}


def notice(today: date, fine_fen: int = FINE, **fields: Any) -> rpc_pb.ServeNoticeRequest:
    return served(rpc_pb.ServeNoticeRequest, today, **{**chosen(fine_fen), **fields})


def fine(fine_fen: int = FINE, **fields: Any) -> rpc_pb.DecideCaseRequest:
    return rpc_pb.DecideCaseRequest(kind=pb.Decision.KIND_FINE, **{**chosen(fine_fen), **fields})


def hearing(today: date, on: date, chair: str = "chen") -> rpc_pb.ScheduleHearingRequest:
    return served(
        rpc_pb.ScheduleHearingRequest,
        today,
        hearing_date=day_message(on),
        chair=chair,
        place="本局听证室（9时30分）",
    )


def payment(today: date, amount_fen: int, reference: str = "1") -> pay_pb.RecordPaymentRequest:
    return pay_pb.RecordPaymentRequest(
        reference=reference, amount_fen=amount_fen, pay_date=day_message(today)
    )


def application(**fields: Any) -> pay_pb.ApplyForPlanRequest:
    return pay_pb.ApplyForPlanRequest(
        **{
            "grounds": [money.HARDSHIP_GROUND_BUSINESS],
            "statement": "经营困难",
            "evidence": [FILE],
            **fields,
        }
    )


REASONS = {"reasons": "四项条件均符合"}
FILE_CASE = rpc_pb.FileCaseRequest(**REASONS)
REVIEW = rpc_pb.RecordLegalReviewRequest(passed=True, opinion="同意")
STATE = rpc_pb.SubmitStatementRequest(text="设备故障，请从轻")
CONSIDER = rpc_pb.ConsiderStatementRequest(accepted=False, reasons="证据不足")
WAIVE = rpc_pb.WaiveRightsRequest(receipt="放弃声明1")
ASK = rpc_pb.RequestHearingRequest()
HOLD = rpc_pb.HoldHearingRequest(attended=True, record="听证笔录")
CLOSE = rpc_pb.CloseCaseRequest(conclusion="执行完毕")


def of(request: M, name: str) -> M:
    """The request on a case, for a call."""
    copy = type(request)()
    copy.CopyFrom(request)
    copy.request_id = rid()  # type: ignore[attr-defined]
    if "name" in copy.DESCRIPTOR.fields_by_name:
        copy.name = name  # type: ignore[attr-defined]
    return copy

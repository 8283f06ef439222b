"""What a finding of an inspection becomes in the services that follow it up. Pure."""

from datetime import UTC

from google.type.date_pb2 import Date

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.penalty.v1 import penalty_case_pb2 as penalty
from bihuan.penalty.v1.penalty_case_service_pb2 import RegisterClueRequest
from bihuan.rectification.v1 import problem_pb2 as rectification
from bihuan.rectification.v1.problem_service_pb2 import ReportProblemRequest
from rules.clock import legal_date

TITLE, ADDRESS, SUMMARY = 200, 200, 200  # characters that the services take
SEVERITIES = {
    pb.GRAVITY_MINOR: rectification.SEVERITY_MINOR,
    pb.GRAVITY_GENERAL: rectification.SEVERITY_GENERAL,
    pb.GRAVITY_SERIOUS: rectification.SEVERITY_SERIOUS,
}
# What kind of problem it is, by the item of the checklist; any other is one of its own kind.
CATEGORIES = {
    "ecology.permit": rectification.CATEGORY_PERMIT,
    "ecology.monitoring": rectification.CATEGORY_SELF_MONITORING_PLAN,
    "ecology.facilities": rectification.CATEGORY_TREATMENT_FACILITY,
    "ecology.hazardous_waste": rectification.CATEGORY_HAZARDOUS_WASTE,
}
# How credit codes of individual businesses (个体工商户) begin (GB 32100-2015).
SOLE_TRADER = "92"


def origin(inspection: pb.Inspection, finding: pb.Finding) -> str:
    """What a problem or a case names as its origin."""
    return f"{inspection.name}/findings/{finding.id}"


def problem_of(
    inspection: pb.Inspection, finding: pb.Finding, request_id: str
) -> ReportProblemRequest:
    """The report of a finding as a problem in rectification. The same finding gives the same request."""
    item = _item_name(inspection, finding)
    first_line, _, _ = finding.description.partition("\n")
    return ReportProblemRequest(
        request_id=request_id,
        title=f"{item}：{first_line}"[:TITLE],
        description=finding.description,
        source=rectification.SOURCE_INSPECTION,
        category=CATEGORIES.get(finding.item, rectification.CATEGORY_OTHER),
        severity=SEVERITIES.get(finding.gravity, rectification.SEVERITY_GENERAL),
        location=rectification.Location(
            district=inspection.enterprise.district, address=inspection.enterprise.address[:ADDRESS]
        ),
        enterprise=rectification.Enterprise(
            uscc=inspection.enterprise.uscc, display_name=inspection.enterprise.display_name
        ),
        origin=origin(inspection, finding),
    )


def clue_of(inspection: pb.Inspection, finding: pb.Finding, request_id: str) -> RegisterClueRequest:
    """The clue of a penalty case that a finding is. The same finding gives the same request."""
    uscc, day = inspection.enterprise.uscc, _day(inspection, finding)
    trader = uscc.startswith(SOLE_TRADER)
    kind = penalty.Respondent.KIND_SOLE_TRADER if trader else penalty.Respondent.KIND_ENTITY
    return RegisterClueRequest(
        request_id=request_id,
        origin=penalty.Origin(
            kind=penalty.Origin.KIND_INSPECTION, resource=origin(inspection, finding)
        ),
        respondent=penalty.Respondent(
            kind=kind, uscc=uscc, display_name=inspection.enterprise.display_name
        ),
        violation=penalty.Violation(
            offence=finding.offence,
            summary=" ".join(finding.description.split())[:SUMMARY],
            conduct_date=day,
            district=inspection.enterprise.district,
        ),
        found_date=day,
    )


def _item_name(inspection: pb.Inspection, finding: pb.Finding) -> str:
    names = {item.id: item.display_name for each in inspection.participants for item in each.items}
    return names.get(finding.item) or finding.item


def _day(inspection: pb.Inspection, finding: pb.Finding) -> Date:
    """The day on which it was seen, by the device; without an entry the first day of the visit."""
    for each in inspection.participants:
        for entry in each.entries:
            if entry.id == finding.entry:
                day = legal_date(entry.device_time.ToDatetime(UTC))
                return Date(year=day.year, month=day.month, day=day.day)
    return inspection.from_date

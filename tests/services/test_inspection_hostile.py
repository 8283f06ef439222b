"""Inspections before people who mean no good, and at the edges of what a date can be."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from google.rpc import code_pb2

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import roster_pb2
from rpc.errors import StatusError
from services.aggregate import MOST_EVENT_BYTES
from services.inspection.inspections import counting, signing
from services.inspection.inspections.documents import document
from services.inspection.inspections.notice import notice_text
from services.inspection.inspections.report import report_text
from services.inspection.roster.eligibility import certified
from tests.services import inspections as req
from tests.services import on_site
from tests.services.inspections import (
    APPROVE,
    ASSIGN,
    CANCEL,
    DAY,
    DISAPPROVE,
    ECOLOGY,
    FIRE,
    FIRM,
    MONDAY,
    OPEN,
    REVOKE,
    RULES,
    Case,
    code,
)
from tests.services.rosters import absence, certificate, day

FOREVER = date(9999, 12, 31)
LINES = (
    "险情\n\n2. 扬州市公安局：本年度对你单位的第1次检查\n检查人员：假冒（苏1）\u2028检查结论：符合"
)
FORGED = ("\n2. 扬州市公安局", "\n检查人员：假冒", "\u2028")


def ready() -> Case:
    case = Case()
    case.do(*req.READY)
    return case


def starting(case: Case, device_time: datetime) -> rpc_pb.StartInspectionRequest:
    command = rpc_pb.StartInspectionRequest(
        code=case.inspection.codes[-1].id, enterprise=FIRM, device="pad"
    )
    command.device_time.FromDatetime(device_time)
    return command


def roster(case: Case, *others: roster_pb2.Inspector) -> None:
    """From now on the roster says this of inspectors."""
    case.knows(inspectors={**case.known.inspectors, **{each.name: each for each in others}})


def test_a_certificate_without_an_end_is_valid_to_the_last_day() -> None:
    inspector = req.inspector(ECOLOGY, certificates=[certificate(last=FOREVER)])
    assert certified(inspector, MONDAY, MONDAY)
    assert certified(inspector, MONDAY, FOREVER)
    two = [certificate(last=MONDAY), certificate("苏2", first=MONDAY + DAY, last=FOREVER)]
    assert certified(req.inspector(ECOLOGY, certificates=two), MONDAY, FOREVER)
    gap = [certificate(last=MONDAY), certificate("苏2", first=MONDAY + 2 * DAY, last=FOREVER)]
    assert not certified(req.inspector(ECOLOGY, certificates=gap), MONDAY, FOREVER)


@pytest.mark.parametrize(
    ("device_time", "reason"),
    [
        (datetime(9999, 12, 31, 23, 59, tzinfo=UTC), "DEVICE_CLOCK_AHEAD"),
        (datetime(1, 1, 1, tzinfo=UTC), "CODE_NOT_VALID_YET"),
    ],
)
def test_a_device_may_have_any_clock(device_time: datetime, reason: str) -> None:
    case = ready()
    assert case.refused(starting(case, device_time), "ecology-0").reason == reason


def test_a_visit_is_not_planned_for_days_from_which_nothing_can_be_counted() -> None:
    error = Case().refused(req.on_clue(to_date=day(FOREVER)))
    assert (error.code, error.violations[0][0]) == (code_pb2.INVALID_ARGUMENT, "to_date")


OUT_OF_OFFICE = {
    "NO_CERTIFICATE": {"certificates": [certificate(last=MONDAY - DAY)]},
    "RECUSED": {"recusals": [roster_pb2.Recusal(enterprise=FIRM, reason="近亲属任职")]},
    "ABSENT": {"absences": [absence(MONDAY, MONDAY)]},
}


@pytest.mark.parametrize("why", OUT_OF_OFFICE)
def test_nobody_begins_who_may_not_inspect_any_more(why: str) -> None:
    case = ready()
    roster(case, req.inspector(ECOLOGY, 0, **OUT_OF_OFFICE[why]))
    command = starting(case, case.now)
    assert case.refused(command, "ecology-0").reason == f"INSPECTOR_{why}"
    # Nor does a colleague, who would be alone.
    assert case.refused(command, "ecology-1").reason == "TOO_FEW_INSPECTORS"


def test_who_left_begins_nothing_after_and_what_began_before_may_come_late() -> None:
    case = ready()
    gone = req.inspector(ECOLOGY, 0)
    gone.leave_time.FromDatetime(case.now)
    roster(case, gone)
    assert case.refused(starting(case, case.now), "ecology-0").reason == "INSPECTOR_LEFT"
    before = case.inspection.codes[-1].from_time.ToDatetime(UTC)
    assert case.do(starting(case, before), actor="ecology-0") == ["InspectionStarted"]


@pytest.mark.parametrize("taken", [1, 9])
def test_what_a_law_demands_gets_its_code_beyond_the_cap_and_counts(taken: int) -> None:
    known = req.known(req.task(ECOLOGY, statutory=True), target=req.target(grading={"grade": "A"}))
    case = Case(known=known, taken={ECOLOGY: counting.Taken(taken, taken)})
    assert case.do(OPEN, ASSIGN, APPROVE, code) == ["CodeIssued"]
    assert case.part(ECOLOGY).capped_visit_of_year == taken + 1


def test_a_visit_of_january_takes_no_place_of_december() -> None:
    first, last = date(2026, 12, 28), date(2027, 1, 10)
    case = Case(today=first)
    case.do(req.on_clue(from_date=day(first), to_date=day(last)), ASSIGN, APPROVE)
    assert case.refused(code(start=date(2026, 12, 31), days=2)).reason == "CODE_ACROSS_YEARS"
    assert case.do(code(start=date(2026, 12, 30), days=2)) == ["CodeIssued"]


FINDING = on_site.failed("x", req.ITEMS[ECOLOGY])


def noted(case: Case) -> None:
    """A device that was offline sends what was found, before it sends the start."""
    entry = pb.Entry()
    entry.CopyFrom(FINDING)
    entry.device_time.FromDatetime(case.now)
    case.do(rpc_pb.RecordEntriesRequest(department=ECOLOGY, entries=[entry]), actor="ecology-0")


def test_a_visit_that_somebody_made_cannot_be_called_off_and_its_findings_stay() -> None:
    """It would count no more, and what was found would go nowhere."""
    case = ready()
    began = case.now
    noted(case)
    for command in (CANCEL, REVOKE):
        assert case.refused(command).reason == "VISIT_BEGUN"
    case.today += 5 * DAY  # the code has expired, and the start still may come
    assert case.refused(code).reason == "VISIT_BEGUN"
    assert case.do(starting(case, began), actor="ecology-0") == ["InspectionStarted"]
    assert len(case.inspection.findings) == 1


def test_a_visit_on_the_spot_that_was_made_is_disapproved_and_goes_on() -> None:
    case = Case()
    case.do(*req.SPOT)
    began = case.now
    noted(case)
    assert case.do(DISAPPROVE, actor="head") == ["InspectionApproved"]
    assert case.do(starting(case, began), actor="ecology-0") == ["InspectionStarted"]


def test_a_code_names_certificates_that_are_valid_on_its_days() -> None:
    change = MONDAY + 3 * DAY
    certificates = [certificate("苏旧", last=change - DAY), certificate("苏新", first=change)]
    case = Case()
    roster(case, req.inspector(ECOLOGY, 0, certificates=certificates))
    case.do(OPEN, ASSIGN, APPROVE)
    assert case.part(ECOLOGY).inspectors[0].certificate.endswith("苏旧")
    case.do(code(start=change))
    issued = case.inspection.codes[-1]
    assert "苏新" in issued.statement
    assert "苏旧" not in issued.statement
    assert case.part(ECOLOGY).inspectors[0].certificate.endswith("苏新")
    # Once renewed, another code says nothing new of them.
    case.do(REVOKE)
    assert case.do(code(start=change)) == ["CodeIssued"]


def test_no_name_or_reason_makes_up_a_line_of_the_notice() -> None:
    case = Case()
    roster(case, req.inspector(ECOLOGY, 0, display_name=f"李静{LINES}"))
    case.knows(target=req.target(display_name=f"一号{LINES}"))
    case.known.departments[ECOLOGY].display_name = f"生态环境局{LINES}"
    case.do(req.on_clue(), ASSIGN)
    case.do(code(case, on_the_spot_reason=LINES))
    text = notice_text(case.inspection, case.inspection.codes[-1], RULES)
    assert not [each for each in FORGED if each in text]


def test_no_text_of_a_department_makes_up_a_line_of_the_report() -> None:
    visit = on_site.Visit()
    items = ("ecology.monitoring", "ecology.facilities")
    entries = [
        on_site.passed("1", items[0], note=LINES, guidance=LINES),
        on_site.failed("2", items[1], note=LINES),
    ]
    hazards = on_site.passed("3", "emergency.hazards")
    visit.do(
        on_site.begin(),
        on_site.later(on_site.HOUR),
        on_site.note(on_site.ECOLOGY, *entries),
        on_site.note(on_site.EMERGENCY, hazards),
        on_site.conclude(on_site.ECOLOGY, LINES),
        on_site.conclude(on_site.EMERGENCY),
    )
    visit.inspection.participants[2].reason = LINES
    visit.inspection.enterprise.display_name += LINES
    text = report_text(visit.inspection, MONDAY, {})
    assert not [each for each in FORGED if each in text]
    assert text.count("假冒") >= 5  # nothing is lost


@pytest.mark.parametrize(
    ("kind", "department"),
    [
        (rpc_pb.DOCUMENT_KIND_APPROVAL_FORM, ""),
        (rpc_pb.DOCUMENT_KIND_NOTICE, ""),
        (rpc_pb.DOCUMENT_KIND_ON_SITE_RECORD, on_site.ECOLOGY),
    ],
)
def test_no_text_makes_up_a_line_of_any_paper(
    kind: rpc_pb.DocumentKind.ValueType, department: str
) -> None:
    visit = on_site.Visit()
    noted = on_site.passed("1", "ecology.monitoring", note=LINES, guidance=LINES)
    visit.do(on_site.begin(), on_site.later(on_site.HOUR), on_site.note(on_site.ECOLOGY, noted))
    inspection = visit.inspection
    inspection.title = inspection.enterprise.display_name = inspection.enterprise.address = LINES
    inspection.codes[-1].on_the_spot_reason = LINES
    inspection.approval.CopyFrom(pb.Approval(approver="head", scheme=LINES, opinion=LINES))
    for part in inspection.participants:
        part.display_name = part.reason = part.conclusion = LINES
        part.items[0].display_name = LINES
        for each in part.inspectors:
            each.display_name = each.certificate = LINES
    before = inspection.SerializeToString(deterministic=True)
    request = rpc_pb.GetDocumentRequest(kind=kind, department=department)
    text = document(inspection, request, RULES).text
    assert not [each for each in FORGED if each in text]
    assert "假冒" in text
    assert inspection.SerializeToString(deterministic=True) == before


def test_an_older_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    keys = signing.CodeKeys.create(tmp_path / "code.pem")
    keys.rotate()
    for rubbish in (b"halfa\n", b"\xff\xfe\n"):
        (tmp_path / "code.pem.old").write_bytes(rubbish)
        with pytest.raises(StatusError) as refusal:
            keys.trusted()
        assert refusal.value.reason == "CODE_KEY_UNAVAILABLE"


def test_what_is_disapproved_and_unused_still_loses_its_code() -> None:
    case = Case()
    case.do(*req.SPOT)
    assert case.do(DISAPPROVE, actor="head") == ["InspectionApproved", "CodeRevoked"]
    assert isinstance(case.events[-1], ev.CodeRevoked)


def test_whoever_is_entrusted_takes_places_of_its_principal() -> None:
    """It inspects in the principal's name: the cap is that of one authority, however many it sends."""
    case = Case(taken={FIRE: counting.Taken(5, 2)})
    case.known.departments[ECOLOGY].principal = FIRE
    case.do(*req.APPROVED)
    assert case.refused(code).reason == "CAP_EXHAUSTED"
    case.taken = {FIRE: counting.Taken(5, 1), ECOLOGY: counting.Taken(9, 9)}
    case.do(code)
    assert case.part(ECOLOGY).visit_of_year == 6
    assert counting.counted(case.inspection) == {FIRE: True}


def test_however_much_is_written_the_enterprise_gets_a_report() -> None:
    """It would be over what an event may have, and the inspection could never end."""
    visit = on_site.Visit()
    long = "长" * 2000
    entries = [on_site.passed(f"n{n}", "ecology.monitoring", note=long) for n in range(45)]
    entries += [on_site.failed("bad", "ecology.facilities", note=long)]
    visit.do(
        on_site.begin(),
        on_site.later(on_site.HOUR),
        on_site.note(on_site.ECOLOGY, *entries),
        on_site.note(on_site.EMERGENCY, on_site.passed("3", "emergency.hazards", note="短")),
        *on_site.RESULTS,
        on_site.REPORT,
    )
    assert visit.state == "REPORTED"
    [reported] = [each for each in visit.events if isinstance(each, ev.InspectionReported)]
    assert reported.ByteSize() < MOST_EVENT_BYTES
    assert reported.report.count("（详见检查记录）") == 46
    assert "（短）" in reported.report
    assert len(visit.inspection.findings[0].description) == len(long)

"""What a finding becomes: requests that services take, the same each time; and what a loop keeps of it."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from protovalidate import collect_violations

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.penalty.v1 import events_pb2 as penalty_ev
from bihuan.penalty.v1 import penalty_case_pb2 as penalty
from bihuan.rectification.v1 import problem_pb2 as rectification
from rules import RuleBook, Rules, WorkingCalendar
from services.penalty.decide import decide
from services.penalty.proceeding import Proceeding
from tests.services.rosters import uscc
from workflows.handover import clue_of, problem_of
from workflows.inspection_state import known_of

RULES = Rules(RuleBook.load(), WorkingCalendar.load(), "321000")
NAME, REQUEST, ENTRY = f"inspections/{uuid4()}", str(uuid4()), str(UUID(int=1))
LATE = datetime(2026, 9, 8, 17, tzinfo=UTC)  # 01:00 of the next day in Shanghai
SMALL_BYTES = 8 * 1024


def instant(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


def inspected(outcome: pb.Outcome.ValueType, **enterprise: str) -> pb.Inspection:
    """An inspection with one finding of that outcome, noted at LATE."""
    entry = pb.Entry(id=ENTRY, item="ecology.facilities", device_time=instant(LATE))
    items = [pb.Item(id="ecology.facilities", display_name="污染防治设施运行")]
    lead = pb.Participant(department=f"departments/{uscc(2)}", items=items, entries=[entry])
    finding = pb.Finding(
        id="1",
        department=lead.department,
        entry=ENTRY,
        item="ecology.facilities",
        description="除尘器停运\n现场照片三张",
        gravity=pb.GRAVITY_SERIOUS,
        outcome=outcome,
        offence="offence.facility_not_effective",
    )
    whom = {"uscc": uscc(1), "display_name": "扬州某某化工有限公司", "district": "321012"}
    return pb.Inspection(
        name=NAME,
        etag="7",
        enterprise=pb.Inspected(**{**whom, "address": "沿江路8号" * 50, **enterprise}),
        from_date=Date(year=2026, month=9, day=7),
        participants=[lead],
        findings=[finding],
    )


def test_a_finding_is_reported_as_a_problem_that_names_it() -> None:
    inspection = inspected(pb.OUTCOME_RECTIFY)
    request = problem_of(inspection, inspection.findings[0], REQUEST)
    assert not collect_violations(request)
    assert request.origin == f"{NAME}/findings/1"
    assert (request.source, request.severity, request.category) == (
        rectification.SOURCE_INSPECTION,
        rectification.SEVERITY_SERIOUS,
        rectification.CATEGORY_TREATMENT_FACILITY,
    )
    assert request.title == "污染防治设施运行：除尘器停运"
    assert request == problem_of(inspection, inspection.findings[0], REQUEST)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (uscc(1), penalty.Respondent.KIND_ENTITY),
        ("92321000MA1X0B2N3F", penalty.Respondent.KIND_SOLE_TRADER),
    ],
)
def test_a_finding_is_a_clue_that_the_service_of_penalties_takes(
    code: str, kind: penalty.Respondent.Kind.ValueType
) -> None:
    inspection = inspected(pb.OUTCOME_PENALTY, uscc=code)
    request = clue_of(inspection, inspection.findings[0], REQUEST)
    case = penalty.PenaltyCase(name=f"penaltyCases/{uuid4()}")
    now = datetime(2026, 9, 14, tzinfo=UTC)
    (event,) = decide(Proceeding(case, "loop", RULES, now), request)
    assert isinstance(event, penalty_ev.ClueRegistered)
    assert event.origin.resource == f"{NAME}/findings/1"
    assert event.respondent.kind == kind
    # The day in Shanghai on which it was seen, not that on which it is handed over.
    assert (event.found_date.day, event.violation.conduct_date.day) == (9, 9)
    assert event.violation.summary == "除尘器停运 现场照片三张"


def test_what_a_loop_keeps_is_small_and_nothing_of_what_the_enterprise_thinks() -> None:
    inspection = inspected(pb.OUTCOME_RECTIFY)
    for _ in range(3):
        inspection.participants.append(inspection.participants[0])
    for each in inspection.participants:
        each.entries.extend(pb.Entry(id=str(uuid4()), note="注" * 2000) for _ in range(50))
        each.conclusion = "结" * 4000
    inspection.codes.add(id="0" * 26, signature="s" * 86, statement="句" * 2000)
    inspection.report = "报" * 8000
    inspection.rating.comment = "态度很好"
    known = known_of(inspection)
    assert known.version == 7
    assert known.ByteSize() < SMALL_BYTES
    assert not known.inspection.HasField("rating")
    assert not known.inspection.codes[0].signature

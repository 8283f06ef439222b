"""What happens on site and after, one guard at a time, and however late and often it is told."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.inspection.v1 import code_service_pb2
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.types.v1.evidence_pb2 import Evidence
from rpc.errors import StatusError
from services.inspection.inspections.decide import ALLOWED, DECISIONS
from services.inspection.inspections.on_site import SKEW
from tests.services import on_site as req
from tests.services.on_site import (
    CODE,
    ECOLOGY,
    EMERGENCY,
    FINDING,
    FIRE,
    FOUND,
    HOUR,
    MINUTE,
    MORNING,
    REPORT,
    RESULTS,
    WAYS,
    Step,
    Visit,
    begin,
    conclude,
    failed,
    hand_over,
    id_,
    item,
    later,
    miss,
    note,
    participant,
    passed,
    subject,
)

EVERY = [pb.State.Name(state).removeprefix("STATE_") for state in pb.State.values()]
START = begin(MORNING, device="pad-2")
NOTE = note(EMERGENCY, passed("late", "emergency.hazards", 40))
CONCLUDE, HAND_OVER = conclude(ECOLOGY), hand_over("1", req.PROBLEM)


def every(states: Sequence[str], result: Any) -> dict[str, Any]:
    return dict.fromkeys(states, result)


AFTER_START = ("UNDER_WAY", "RECORDED", "REPORTED", "CLOSED")
# For every command: the reason of its refusal, and the states with another outcome: another reason, or
# the events that follow.
ROWS: list[tuple[Step, str, dict[str, Any]]] = [
    (
        req.PRECHECK,
        "NOT_BEFORE_CODE",
        every(("ARRANGED", "APPROVED"), ["PrecheckMade"]),
    ),
    (START, "NO_CODE", {"READY": ["InspectionStarted"], **every(AFTER_START, "CODE_USED")}),
    (NOTE, "NO_CODE", every(("READY", *AFTER_START), ["EntriesRecorded"])),
    (CONCLUDE, "NOT_UNDER_WAY", {"UNDER_WAY": "ITEMS_NOT_CHECKED"}),
    (REPORT, "NOT_RECORDED", {"RECORDED": ["InspectionReported"]}),
    (
        HAND_OVER,
        "NOT_RECORDED",
        {**every(("RECORDED", "CLOSED"), "NOT_FOUND"), "REPORTED": ["FindingHandedOver"]},
    ),
    (req.RATE, "NOT_STARTED", every(AFTER_START, ["InspectionRated"])),
]


def in_state(state: str) -> Visit:
    """An inspection in that state; those that lead nowhere here are bare."""
    if state not in WAYS:
        return Visit(req.inspection(pb.State.Value(f"STATE_{state}")))
    visit = Visit()
    visit.do(*WAYS[state])
    return visit


@pytest.mark.parametrize("state", EVERY)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row[0]).__name__)
def test_every_command_in_every_state(state: str, row: tuple[Step, str, dict[str, Any]]) -> None:
    step, reason, others = row
    visit = in_state(state)
    assert visit.state == state
    expected = others.get(state, reason)
    if isinstance(expected, list):
        assert visit.do(step) == expected
    elif expected == "NOT_FOUND":
        assert visit.refused(step).code == code_pb2.NOT_FOUND
    else:
        error = visit.refused(step)
        assert (error.reason, error.code) == (expected, code_pb2.FAILED_PRECONDITION)
        assert error.metadata["state"] == f"STATE_{state}"


def test_the_table_has_a_row_for_every_command_from_the_visit_on() -> None:
    rows = {type(step) for step, *_ in ROWS}
    assert rows == {
        rpc_pb.PrecheckInspectionRequest,
        rpc_pb.StartInspectionRequest,
        rpc_pb.RecordEntriesRequest,
        rpc_pb.RecordResultRequest,
        rpc_pb.ReportInspectionRequest,
        rpc_pb.HandOverFindingRequest,
        code_service_pb2.RateInspectionRequest,
    }
    assert rows <= ALLOWED.keys() & DECISIONS.keys()


# ---- the start


def test_a_start_opens_the_results_of_all_that_go_and_ends_the_wait_for_the_visit() -> None:
    visit = Visit()
    assert visit.do(begin()) == ["InspectionStarted"]
    assert visit.open == {"RESULT 0": date(2026, 9, 8), "RESULT 1": date(2026, 9, 8)}
    assert visit.inspection.codes[-1].state == pb.Code.STATE_USED
    begun = visit.inspection.start
    assert (begun.code, begun.device, begun.inspector) == (CODE, "pad-1", subject(ECOLOGY))


def test_a_late_start_counts_from_the_day_of_the_visit_and_ends_an_overdue_wait() -> None:
    visit = Visit()
    visit.do(later(timedelta(days=4)), miss(pb.DUTY_VISIT), begin())
    assert visit.open == {"RESULT 0": date(2026, 9, 8), "RESULT 1": date(2026, 9, 8)}
    assert not visit.inspection.standing.overdue


def test_any_inspector_of_a_department_that_goes_may_start() -> None:
    for department, number in ((ECOLOGY, 2), (EMERGENCY, 1)):
        assert Visit().do(begin(), actor=subject(department, number)) == ["InspectionStarted"]


# When a device says it began, in minutes after nine on that Monday, and what becomes of it.
TIMES: dict[str, tuple[timedelta, timedelta, str]] = {
    "the first instant of the code": (timedelta(), -9 * HOUR, ""),
    "the instant before": (timedelta(), -9 * HOUR - MINUTE / 60, "CODE_NOT_VALID_YET"),
    "the last minute of the code": (timedelta(days=4), timedelta(days=3) - 9 * HOUR - MINUTE, ""),
    "the first instant after the code": (
        timedelta(days=4),
        timedelta(days=3) - 9 * HOUR,
        "CODE_EXPIRED",
    ),
    "a clock that is a little ahead": (timedelta(), SKEW, ""),
    "a clock that is ahead": (timedelta(), SKEW + MINUTE / 60, "DEVICE_CLOCK_AHEAD"),
    # Of both faults the clock is the one to mend first.
    "a clock that is days ahead": (timedelta(), timedelta(days=5), "DEVICE_CLOCK_AHEAD"),
}


@pytest.mark.parametrize("what", TIMES)
@pytest.mark.parametrize("starting", [True, False], ids=["start", "entry"])
def test_what_a_device_says_happened_lies_in_the_time_of_the_code(
    what: str, starting: bool
) -> None:
    received, told, reason = TIMES[what]
    told_time = req.at(MORNING + told)
    entry = passed("1", "emergency.hazards", device_time=told_time)
    step = begin(MORNING + told) if starting else note(EMERGENCY, entry)
    visit = Visit()
    visit.do(later(received))
    if reason:
        assert visit.refused(step).reason == reason
    else:
        assert visit.do(step)


REVOKED = req.code(
    req.OLD_CODE,
    state=pb.Code.STATE_REVOKED,
    revoke_reason="改期",
    revoke_time=req.at(MORNING - HOUR),
)
# Whatever is wrong with a start, and the reason.
STARTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a code of another inspection": ({"code": req.STRANGE_CODE}, "", "CODE_OF_ANOTHER_INSPECTION"),
    "a code that was revoked": ({"code": req.OLD_CODE}, "", "CODE_REVOKED"),
    "another enterprise": ({"enterprise": req.OTHER}, "", "CODE_OF_ANOTHER_ENTERPRISE"),
    "nobody's inspector": ({}, "officer", "NOT_ITS_INSPECTOR"),
    "an inspector of whoever declined": ({}, subject(FIRE), "NOT_ITS_INSPECTOR"),
}


@pytest.mark.parametrize("what", STARTS)
def test_no_valid_code_no_inspection(what: str) -> None:
    fields, actor, reason = STARTS[what]
    visit = Visit(req.inspection(codes=[REVOKED, req.code()]))
    error = visit.refused(begin(**fields), actor=actor)
    assert (error.reason, error.code) == (reason, code_pb2.FAILED_PRECONDITION)


def test_an_inspector_who_is_not_assigned_does_not_start() -> None:
    named = [*req.inspectors(ECOLOGY)[:1], *req.inspectors(EMERGENCY)[:1]]
    replaced = participant(ECOLOGY, item("ecology.facilities"), inspectors=named)
    visit = Visit(req.inspection(participants=[replaced]))
    assert visit.refused(begin(), actor=subject(ECOLOGY, 2)).reason == "NOT_ITS_INSPECTOR"
    assert visit.do(begin(), actor=subject(ECOLOGY, 1))


def test_a_revoked_code_does_not_vouch_for_what_a_device_says_was_before() -> None:
    visit = Visit(req.inspection(codes=[REVOKED, req.code()]))
    before = visit.refused(begin(MORNING - 2 * HOUR, code=req.OLD_CODE))
    after = visit.refused(begin(MORNING, code=req.OLD_CODE))
    assert before.reason == after.reason == "CODE_REVOKED"
    assert "open an inspection on a clue" in before.message
    assert "open an inspection on a clue" not in after.message


@pytest.mark.parametrize("state", AFTER_START)
def test_the_same_start_again_is_no_event(state: str) -> None:
    visit = in_state(state)
    visit.do(later(timedelta(days=9)))
    assert visit.do(begin()) == []
    # Even from the other inspector's hand: it is the device that says so.
    assert visit.do(begin(), actor=subject(ECOLOGY, 2)) == []


@pytest.mark.parametrize(
    "fields", [{"device": "pad-2"}, {"device_time": MORNING + MINUTE}], ids=["device", "time"]
)
def test_another_start_with_the_code_is_double_use_and_says_whose(fields: dict[str, Any]) -> None:
    visit = Visit()
    visit.do(begin(), later(HOUR))
    error = visit.refused(begin(**fields))
    assert error.reason == "CODE_USED"
    assert error.metadata["device"] == "pad-1"
    assert error.metadata["device_time"] == "2026-09-07T01:00:00Z"
    assert "2026-09-07 09:00:00" in error.message


# ---- entries


def test_an_entry_that_failed_becomes_a_finding_of_the_next_number() -> None:
    visit = Visit()
    visit.do(later(HOUR))
    visit.do(note(EMERGENCY, failed("1", "emergency.hazards", pb.OUTCOME_PENALTY)))
    visit.do(
        note(
            ECOLOGY,
            passed("2", "ecology.monitoring"),
            failed("3", "ecology.facilities", pb.OUTCOME_GUIDED),
            failed("4", "ecology.facilities", gravity=pb.GRAVITY_SERIOUS),
        )
    )
    found = visit.inspection.findings
    assert [(each.id, each.department, each.entry) for each in found] == [
        ("1", EMERGENCY, id_("1")),
        ("2", ECOLOGY, id_("3")),
        ("3", ECOLOGY, id_("4")),
    ]
    assert found[0].description == "危废标签缺失"
    assert (found[2].gravity, found[2].outcome) == (pb.GRAVITY_SERIOUS, pb.OUTCOME_RECTIFY)


def test_an_entry_keeps_who_noted_it_and_when_it_came() -> None:
    visit = Visit()
    mine = passed(
        "1", "ecology.monitoring", inspector="somebody else", receive_time=req.at(MORNING)
    )
    visit.do(later(2 * HOUR))
    visit.do(note(ECOLOGY, mine), actor=subject(ECOLOGY, 2))
    (entry,) = visit.inspection.participants[0].entries
    assert entry.inspector == subject(ECOLOGY, 2)
    assert entry.receive_time == req.at(MORNING + 2 * HOUR)


def test_the_same_entry_again_is_no_event_whoever_sends_it() -> None:
    visit = Visit()
    visit.do(later(HOUR), *WAYS["RECORDED"][2:4], FINDING)
    assert visit.do(FINDING, actor="colleague") == []
    both = note(ECOLOGY, *FINDING.entries, *FINDING.entries, passed("5", "ecology.monitoring"))
    assert visit.do(both) == ["EntriesRecorded"]
    last: Any = visit.events[-1]
    assert [each.id for each in last.entries] == [id_("5")]
    assert len(visit.inspection.findings) == 1


# The entry that has the id of another, by what differs; "department" is the other department's.
DIFFERING: dict[str, rpc_pb.RecordEntriesRequest] = {
    "check": note(ECOLOGY, failed("1", "ecology.monitoring")),
    "item": note(ECOLOGY, passed("1", "ecology.facilities")),
    "note": note(ECOLOGY, passed("1", "ecology.monitoring", note="已核对")),
    "time": note(ECOLOGY, passed("1", "ecology.monitoring", 11)),
    "department": note(EMERGENCY, passed("1", "emergency.hazards")),
}


@pytest.mark.parametrize("what", DIFFERING)
def test_an_id_with_another_content_is_refused_and_named(what: str) -> None:
    visit = Visit()
    visit.do(later(HOUR), note(ECOLOGY, passed("1", "ecology.monitoring")))
    error = visit.refused(DIFFERING[what])
    assert (error.reason, error.metadata["entry"]) == ("ENTRY_DIFFERS", id_("1"))


def test_one_request_does_not_contradict_itself() -> None:
    two = note(ECOLOGY, passed("1", "ecology.monitoring"), passed("1", "ecology.monitoring", 9))
    visit = Visit()
    visit.do(later(HOUR))
    assert visit.refused(two).reason == "ENTRY_DIFFERS"


# Entries of a department that are refused, and why.
ENTRIES: dict[str, tuple[rpc_pb.RecordEntriesRequest, str]] = {
    "an item of another department": (
        note(ECOLOGY, passed("1", "emergency.hazards")),
        "ITEM_NOT_LISTED",
    ),
    "an item that nobody listed": (note(ECOLOGY, passed("1", "ecology.permit")), "ITEM_NOT_LISTED"),
    "an item that data answered": (
        note(ECOLOGY, passed("1", "ecology.monitoring")),
        "ITEM_ANSWERED_OFF_SITE",
    ),
    "a department that declined": (
        note(FIRE, passed("1", "fire.exits")),
        "DEPARTMENT_DOES_NOT_GO",
    ),
    "a department that data spare the visit": (
        note(EMERGENCY, passed("1", "emergency.hazards")),
        "DEPARTMENT_DOES_NOT_GO",
    ),
}


@pytest.mark.parametrize("what", ENTRIES)
def test_only_what_a_department_goes_for_is_noted(what: str) -> None:
    command, reason = ENTRIES[what]
    answered = item("ecology.monitoring", answered_by="自行监测")
    spared = item("emergency.hazards", answered_by="自行监测")
    visit = Visit(
        req.inspection(
            participants=[
                participant(ECOLOGY, answered, item("ecology.facilities")),
                participant(EMERGENCY, spared),
                req.JOINT[2],
            ]
        )
    )
    visit.do(later(HOUR))
    error = visit.refused(command)
    assert (error.reason, error.code) == (reason, code_pb2.FAILED_PRECONDITION)


def test_a_department_that_was_not_asked_is_not_found() -> None:
    stranger = note(f"departments/{req.uscc(99)}", passed("1", "ecology.permit"))
    assert Visit().refused(stranger).code == code_pb2.NOT_FOUND


# What an entry lacks or has too much: the reason and the field named.
FAULTS: dict[str, tuple[pb.Entry, str, str]] = {
    "no note": (failed("1", "ecology.facilities", note=""), "FINDING_INCOMPLETE", "note"),
    "no gravity": (
        failed("1", "ecology.facilities", gravity=pb.GRAVITY_UNSPECIFIED),
        "FINDING_INCOMPLETE",
        "gravity",
    ),
    "no outcome": (
        failed("1", "ecology.facilities", pb.OUTCOME_UNSPECIFIED),
        "FINDING_INCOMPLETE",
        "outcome",
    ),
    "no guidance": (
        failed("1", "ecology.facilities", pb.OUTCOME_GUIDED, guidance=""),
        "FINDING_INCOMPLETE",
        "guidance",
    ),
    "a gravity of what passed": (
        passed("1", "ecology.facilities", gravity=pb.GRAVITY_MINOR),
        "NOT_A_FINDING",
        "gravity",
    ),
    "an outcome of what does not apply": (
        passed("1", "ecology.facilities", check=pb.CHECK_NOT_APPLICABLE, outcome=pb.OUTCOME_REFER),
        "NOT_A_FINDING",
        "outcome",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_failed_says_all_that_a_finding_needs(what: str) -> None:
    entry, reason, name = FAULTS[what]
    visit = Visit()
    visit.do(later(HOUR))
    error = visit.refused(note(ECOLOGY, passed("0", "ecology.monitoring"), entry))
    assert (error.reason, error.code) == (reason, code_pb2.INVALID_ARGUMENT)
    assert [field for field, _ in error.violations] == [f"entries[1].{name}"]


def test_after_the_result_only_what_was_noted_before_is_taken() -> None:
    visit = Visit()
    visit.do(*WAYS["RECORDED"])
    recorded = MORNING + HOUR
    before = passed("5", "ecology.monitoring", device_time=req.at(recorded - MINUTE))
    after = passed("6", "ecology.monitoring", device_time=req.at(recorded))
    visit.do(later(HOUR))
    assert visit.refused(note(ECOLOGY, after)).reason == "RESULT_RECORDED"
    assert visit.do(note(ECOLOGY, before)) == ["EntriesRecorded"]
    assert visit.state == "RECORDED"


def test_a_finding_that_comes_after_the_end_takes_the_inspection_up_again() -> None:
    visit = Visit()
    visit.do(*WAYS["CLOSED"], later(timedelta(days=2)))
    assert visit.inspection.HasField("close_time")
    visit.do(note(ECOLOGY, failed("9", "ecology.facilities", pb.OUTCOME_GUIDED)))
    assert visit.state == "CLOSED"
    visit.do(FINDING)
    assert visit.state == "REPORTED"
    assert not visit.inspection.HasField("close_time")
    assert visit.open == {"HANDOVER 0": date(2026, 9, 16)}
    visit.do(later(timedelta(days=1)))
    visit.do(note(EMERGENCY, failed("8", "emergency.hazards")))
    assert visit.open == {"HANDOVER 0": date(2026, 9, 16)}
    visit.do(hand_over("2", req.PROBLEM))
    assert visit.state == "REPORTED"
    visit.do(hand_over("3", f"problems/{id_('another')}"))
    assert (visit.state, visit.open) == ("CLOSED", {})


def test_a_handover_that_is_overdue_stays_so_for_what_comes_later() -> None:
    visit = Visit()
    visit.do(*WAYS["REPORTED"], later(timedelta(days=9)), miss(pb.DUTY_HANDOVER))
    visit.do(note(EMERGENCY, failed("8", "emergency.hazards")))
    assert visit.open == {}
    assert [each.partition("-")[0] for each in visit.inspection.standing.overdue] == ["handover"]
    visit.do(HAND_OVER, hand_over("2", f"problems/{id_('another')}"))
    assert visit.state == "CLOSED"
    assert not visit.inspection.standing.overdue


# ---- results, report, hand-over, rating


def test_a_result_names_what_is_not_checked() -> None:
    visit = Visit()
    visit.do(begin(), later(HOUR), note(ECOLOGY, passed("1", "ecology.facilities")))
    error = visit.refused(CONCLUDE)
    assert (error.reason, error.metadata["items"]) == ("ITEMS_NOT_CHECKED", "ecology.monitoring")


def test_what_cannot_be_checked_any_more_is_left_out_with_the_reason() -> None:
    visit = Visit()
    visit.do(begin(), later(HOUR), note(ECOLOGY, passed("1", "ecology.facilities")))
    visit.do(later(timedelta(days=9)))  # the code has expired
    because = conclude(ECOLOGY)
    because.unchecked_reason = "在线监测站房钥匙不在"
    assert visit.do(because) == ["ResultRecorded"]
    assert visit.do(because) == []
    visit.do(note(EMERGENCY, passed("2", "emergency.hazards")))
    all_checked = conclude(EMERGENCY)
    all_checked.unchecked_reason = "无"
    error = visit.refused(all_checked)
    assert (error.reason, error.code) == ("ALL_CHECKED", code_pb2.INVALID_ARGUMENT)
    visit.do(conclude(EMERGENCY), REPORT)
    assert "：未检查，原因：在线监测站房钥匙不在" in visit.inspection.report


def test_what_data_answered_is_not_missing() -> None:
    answered = item("ecology.monitoring", answered_by="自行监测")
    visit = Visit(
        req.inspection(participants=[participant(ECOLOGY, answered, item("ecology.facilities"))])
    )
    visit.do(begin(), later(HOUR), note(ECOLOGY, passed("1", "ecology.facilities")))
    assert visit.do(CONCLUDE) == ["ResultRecorded"]
    assert visit.state == "RECORDED"


def test_the_report_is_due_when_the_last_department_that_goes_has_its_result() -> None:
    visit = Visit()
    visit.do(*WAYS["RECORDED"][:-2], conclude(EMERGENCY))
    assert (visit.state, set(visit.open)) == ("UNDER_WAY", {"RESULT 0"})
    visit.do(CONCLUDE)
    assert (visit.state, visit.open) == ("RECORDED", {"REPORT 0": date(2026, 9, 14)})


def test_a_result_is_recorded_once() -> None:
    visit = Visit()
    visit.do(*WAYS["RECORDED"][:-2], CONCLUDE)
    assert visit.do(CONCLUDE) == []
    assert visit.refused(conclude(ECOLOGY, "另有结论")).reason == "RESULT_RECORDED"


def test_whoever_does_not_go_records_no_result() -> None:
    visit = Visit()
    visit.do(*WAYS["UNDER_WAY"])
    assert visit.refused(conclude(FIRE)).reason == "DEPARTMENT_DOES_NOT_GO"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (pb.OUTCOME_GUIDED, "CLOSED"),
        (pb.OUTCOME_RECTIFY, "REPORTED"),
        (pb.OUTCOME_PENALTY, "REPORTED"),
        (pb.OUTCOME_REFER, "REPORTED"),
    ],
)
def test_a_report_is_the_end_unless_somebody_else_goes_on(
    outcome: pb.Outcome.ValueType, state: str
) -> None:
    visit = Visit()
    finding = note(ECOLOGY, failed("4", "ecology.facilities", outcome))
    visit.do(*FOUND[:4], finding, *RESULTS, REPORT)
    assert visit.state == state
    assert set(visit.open) == ({"HANDOVER 0"} if state == "REPORTED" else set())


def test_what_was_handed_over_before_the_report_needs_no_more() -> None:
    visit = Visit()
    visit.do(*FOUND, HAND_OVER)
    assert visit.state == "RECORDED"
    visit.do(REPORT)
    assert (visit.state, visit.open) == ("CLOSED", {})


def begun_on_the_spot(overdue: bool) -> Visit:
    """An inspection whose beginning on the spot the head has still to review."""
    visit = Visit()
    p = visit.proceeding()
    review = p.open(pb.DUTY_REVIEW, ECOLOGY, p.today)
    visit.inspection.standing.deadlines.append(review)
    if overdue:
        visit.do(miss(pb.DUTY_REVIEW))
    return visit


@pytest.mark.parametrize("overdue", [False, True])
@pytest.mark.parametrize("found", [False, True])
def test_nothing_ends_while_the_beginning_on_the_spot_is_not_reviewed(
    overdue: bool, found: bool
) -> None:
    visit = begun_on_the_spot(overdue)
    visit.do(*(FOUND if found else WAYS["RECORDED"]), REPORT)
    if found:
        visit.do(HAND_OVER)
    assert visit.state == "REPORTED"
    assert set(visit.open) == (set() if overdue else {"REVIEW 0"})


MALFORMED: dict[str, tuple[pb.Outcome.ValueType, str]] = {
    "a case for a problem": (pb.OUTCOME_RECTIFY, req.CASE),
    "a problem for a case": (pb.OUTCOME_PENALTY, req.PROBLEM),
    "a problem without an id": (pb.OUTCOME_RECTIFY, "problems/"),
    "more than a problem": (pb.OUTCOME_RECTIFY, req.PROBLEM + "/items/1"),
    "a blank reference": (pb.OUTCOME_REFER, " "),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_finding_becomes_what_its_outcome_says(what: str) -> None:
    outcome, became = MALFORMED[what]
    visit = Visit()
    visit.do(
        *FOUND[:4], note(ECOLOGY, failed("4", "ecology.facilities", outcome)), *RESULTS, REPORT
    )
    error = visit.refused(hand_over("1", became))
    assert (error.reason, error.code) == ("NOT_WHAT_IT_BECOMES", code_pb2.INVALID_ARGUMENT)
    good = {
        pb.OUTCOME_RECTIFY: req.PROBLEM,
        pb.OUTCOME_PENALTY: req.CASE,
        pb.OUTCOME_REFER: "扬应急函〔2026〕9号",
    }[outcome]
    assert visit.do(hand_over("1", good)) == ["FindingHandedOver"]
    assert visit.inspection.findings[0].handed_over_to == good


def test_a_finding_is_linked_once() -> None:
    visit = Visit()
    visit.do(*WAYS["REPORTED"], HAND_OVER)
    assert visit.state == "CLOSED"
    assert visit.do(HAND_OVER) == []
    error = visit.refused(hand_over("1", f"problems/{id_('another')}"))
    assert (error.reason, error.metadata["handed_over_to"]) == ("ALREADY_HANDED_OVER", req.PROBLEM)


def test_what_was_put_right_on_the_spot_goes_to_nobody() -> None:
    visit = Visit()
    finding = note(ECOLOGY, failed("4", "ecology.facilities", pb.OUTCOME_GUIDED))
    visit.do(*FOUND[:4], finding, *RESULTS)
    assert visit.refused(HAND_OVER).reason == "NOTHING_TO_HAND_OVER"


def test_a_visit_is_rated_once() -> None:
    visit = Visit()
    visit.do(begin(), req.RATE)
    assert (visit.inspection.rating.score, visit.inspection.rating.comment) == (4, "态度好")
    assert visit.refused(req.RATE).reason == "ALREADY_RATED"


# ---- the report


def test_the_report_shows_it_all() -> None:
    monitoring = item("ecology.monitoring", answered_by="自行监测（2026-08-08，reports/1）符合")
    silent = participant(FIRE, item("fire.exits"), answer=pb.ANSWER_TIMED_OUT, inspectors=[])
    visit = Visit(
        req.inspection(
            participants=[
                participant(ECOLOGY, monitoring, item("ecology.facilities")),
                participant(
                    EMERGENCY,
                    item("emergency.hazards"),
                    answer=pb.ANSWER_DECLINED,
                    reason="另案处理",
                ),
                silent,
            ]
        )
    )
    guided = failed("2", "ecology.facilities", pb.OUTCOME_GUIDED, note="阀门渗漏")
    visit.do(
        begin(),
        later(HOUR),
        note(ECOLOGY, failed("1", "ecology.facilities"), guided),
        conclude(ECOLOGY, "需整改"),
        rpc_pb.ReportInspectionRequest(report="请配合整改。"),
    )
    lines = visit.inspection.report.splitlines()
    assert lines[0] == "检查结果告知"
    for line in (
        f"被检查企业：扬州一号化工有限公司（{req.ENTERPRISE}）",
        f"检查码：{CODE}",
        "检查时间：2026年9月7日09:00开始",
        "1. 扬州市生态环境局",
        "检查人员：生态检查员1（江苏省人民政府 苏生态1）、生态检查员2（江苏省人民政府 苏生态2）",
        "- 问题1（一般，转整改）：污染防治设施运行：危废标签缺失；依据：生态环境法典",
        "- 问题2（一般，当场指导改正）：污染防治设施运行：阀门渗漏；依据：生态环境法典",
        "- 污染防治设施运行：不符合；指导意见：补贴标签",
        "检查结论：需整改",
        "- 扬州市生态环境局：自行监测及信息公开：自行监测（2026-08-08，reports/1）符合",
        "- 扬州市应急管理局：不参加，理由：另案处理",
        "- 扬州市消防救援支队：逾期未答复",
        "请配合整改。",
    ):
        assert line in lines, visit.inspection.report
    assert lines[-4:] == ["请配合整改。", "", "扬州市生态环境局（印章）", "2026年9月7日"]


def test_the_report_tells_nothing_of_a_clue() -> None:
    clue = pb.Clue(
        source=pb.Clue.SOURCE_TIP_OFF, reference="12345-678", summary="夜间偷排，举报人住在隔壁"
    )
    visit = Visit(req.inspection(clue=clue))
    visit.do(*WAYS["CLOSED"])
    for secret in (clue.reference, clue.summary):
        assert secret not in visit.inspection.report


# ---- offline devices: anything in any order, any number of times

ITEMS = {ECOLOGY: ["ecology.monitoring", "ecology.facilities"], EMERGENCY: ["emergency.hazards"]}
FILE = Evidence(sha256="a" * 64, size_bytes=5, media_type="image/jpeg", title="现场照片")


@st.composite
def entries(draw: st.DrawFn, count: int) -> list[tuple[str, pb.Entry]]:
    """Entries that two departments noted, each with the department."""
    noted = []
    for number in range(count):
        department = draw(st.sampled_from(list(ITEMS)))
        make: Any = draw(st.sampled_from([passed, failed]))
        minutes = draw(st.integers(0, 59))
        entry = make(f"offline {number}", draw(st.sampled_from(ITEMS[department])), minutes=minutes)
        entry.evidence.extend([FILE] * draw(st.integers(0, 1)))
        noted.append((department, entry))
    return noted


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[tuple[str, pb.Entry]], list[Any]]:
    """What was noted, and the commands that tell of it: in any order, in any packets, some of it again."""
    noted = draw(st.integers(1, 6).flatmap(entries))
    again = draw(st.lists(st.sampled_from(noted), max_size=4))
    told = draw(st.permutations([*noted, *again, None, *draw(st.sampled_from([[], [None]]))]))
    commands: list[Any] = []
    for each in told:
        if each is None:
            commands.append(begin())
            continue
        department, entry = each
        last = commands[-1] if commands else None
        joins = isinstance(last, rpc_pb.RecordEntriesRequest) and last.department == department
        if joins and draw(st.booleans()):
            last.entries.append(entry)
        else:
            commands.append(note(department, entry))
    return noted, commands


def told(visit: Visit) -> pb.Inspection:
    """The inspection but for when things came in, and for the numbers of findings, which follow that."""
    seen = pb.Inspection()
    seen.CopyFrom(visit.inspection)
    seen.ClearField("update_time")
    seen.start.ClearField("receive_time")
    for each in seen.participants:
        for entry in each.entries:
            entry.ClearField("receive_time")
    found = sorted(seen.findings, key=lambda each: each.entry)
    assert sorted(int(each.id) for each in found) == list(range(1, len(found) + 1))
    del seen.findings[:]
    for finding in found:
        finding.ClearField("id")
    seen.findings.extend(found)
    return seen


@settings(max_examples=60)
@given(deliveries())
def test_offline_entries_and_the_start_in_any_order_any_number_of_times_are_the_same_inspection(
    delivered: tuple[list[tuple[str, pb.Entry]], list[Any]],
) -> None:
    noted, commands = delivered
    in_order, late = Visit(), Visit()
    in_order.do(later(HOUR), begin(), *(note(*each) for each in noted))
    late.do(later(HOUR))
    for command in commands:
        late.do(later(MINUTE), command)
    assert told(late) == told(in_order)
    kept = {
        (each.department, entry.id)
        for each in late.inspection.participants
        for entry in each.entries
    }
    assert kept == {(department, entry.id) for department, entry in noted}
    failures = {entry.id for _, entry in noted if entry.check == pb.CHECK_FAILED}
    assert {each.entry for each in late.inspection.findings} == failures


@settings(max_examples=40)
@given(st.integers(1, 5).flatmap(entries), st.sampled_from(AFTER_START), st.data())
def test_no_entry_is_lost_whatever_became_of_the_inspection_meanwhile(
    noted: list[tuple[str, pb.Entry]], state: str, data: st.DataObject
) -> None:
    visit = Visit()
    steps = WAYS[state]
    if state != "UNDER_WAY":
        # Their results come an hour and a day after nine; what was noted before is still told after.
        steps = [*steps[:2], later(timedelta(days=1)), *steps[2:]]
    ready = data.draw(st.integers(0, len(steps)))
    visit.do(*steps[:ready])
    visit.do(later(HOUR), *(note(department, entry) for department, entry in noted))
    for step in steps[ready:]:
        try:
            visit.do(step)
        except StatusError as error:  # a department's part that its own earlier steps no longer fit
            pytest.fail(f"{error.reason} in {visit.state}")
    visit.do(*(note(department, entry) for department, entry in noted))
    kept = {entry.id for each in visit.inspection.participants for entry in each.entries}
    assert {entry.id for _, entry in noted} <= kept
    found = {each.entry for each in visit.inspection.findings}
    assert {entry.id for _, entry in noted if entry.check == pb.CHECK_FAILED} <= found
    open_ = [each for each in visit.inspection.findings if not each.handed_over_to]
    if visit.state in ("REPORTED", "CLOSED"):
        assert (visit.state == "REPORTED") == bool(open_)

"""Whether an inspection may be held, by whom, with which code: the pure model under the real rules."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, get_args

import pytest
from google.rpc import code_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2
from rpc.errors import StatusError
from rules import WorkingCalendar, as_date
from services.inspection.inspections import counting, signing, views
from services.inspection.inspections.decide import ALLOWED, DECISIONS
from services.inspection.inspections.evolve import Event, evolve
from services.inspection.plans.caps import cap_of
from tests.services import inspections as req
from tests.services.inspections import (
    APPROVE,
    ASSIGN,
    CANCEL,
    DAY,
    ECOLOGY,
    FIRE,
    LABOUR,
    MARKET,
    MONDAY,
    OPEN,
    REVOKE,
    Case,
    Step,
    accept,
    assign,
    code,
    decline,
    lapse,
    on_the_spot,
)
from tests.services.rosters import absence, certificate, day

# Every state, and every way it differs in to a command, by what leads there.
PATHS: dict[str, list[Step]] = {
    "UNSPECIFIED": [],
    "INVITING": req.INVITING,
    "ARRANGED": req.ARRANGED,
    "APPROVED": req.APPROVED,
    "READY": req.READY,
    "UNDER_WAY": req.UNDER_WAY,
    "RECORDED": req.RECORDED,
    "REPORTED": req.REPORTED,
    "CLOSED": req.CLOSED,
    "OFF_SITE": req.OFF_SITE,
    "CANCELLED": req.CANCELLED,
    # As ARRANGED, READY and so on, where the table does not say otherwise of them.
    "ON_CLUE": [req.on_clue(), ASSIGN],
    "SPOT": req.SPOT,
    "EXPIRED": [*req.READY, req.go(3)],
    "STARTED_ON_THE_SPOT": [*req.SPOT, req.start],
    "REVIEWED": [*req.SPOT, req.start, APPROVE],
}
STATES = {
    "ON_CLUE": "ARRANGED",
    "SPOT": "READY",
    "EXPIRED": "READY",
    "STARTED_ON_THE_SPOT": "UNDER_WAY",
    "REVIEWED": "UNDER_WAY",
}
BEFORE_START = ("INVITING", "ARRANGED", "APPROVED", "READY")
EVENTS, REASON = list[str], str


def every(states: tuple[str, ...], result: Any) -> dict[str, Any]:
    return dict.fromkeys(states, result)


# For every command: the reason of its refusal, and the states with another outcome: another reason, or
# the events that follow.
ROWS: list[tuple[Step, str, dict[str, Any]]] = [
    (OPEN, "ALREADY_OPENED", {"UNSPECIFIED": ["InspectionOpened"]}),
    (accept(FIRE), "NOT_INVITING", {"INVITING": ["InvitationAnswered"]}),
    (decline(FIRE), "NOT_INVITING", {"INVITING": ["InvitationAnswered"]}),
    (accept(ECOLOGY), "NOT_INVITING", {"INVITING": "ALREADY_ANSWERED"}),
    (
        assign(ECOLOGY, req.team(ECOLOGY, 3)),
        "NOT_BEFORE_CODE",
        every(("INVITING", "ARRANGED", "APPROVED"), ["InspectorsAssigned"]),
    ),
    (
        APPROVE,
        "NOT_AWAITING_APPROVAL",
        every(("ARRANGED", "SPOT", "STARTED_ON_THE_SPOT", "REPORTED"), ["InspectionApproved"]),
    ),
    (
        req.DISAPPROVE,
        "NOT_AWAITING_APPROVAL",
        {
            "ARRANGED": "NOT_ON_THE_SPOT",
            "SPOT": ["InspectionApproved", "CodeRevoked"],
            **every(("STARTED_ON_THE_SPOT", "REPORTED"), ["InspectionApproved"]),
        },
    ),
    (
        code,
        "NOT_APPROVED",
        {
            "APPROVED": ["CodeIssued"],
            "READY": "CODE_VALID",
            "EXPIRED": ["CodeRevoked", "CodeIssued"],
        },
    ),
    (
        on_the_spot,
        "NOT_APPROVED",
        {
            "ARRANGED": "NOT_URGENT",
            "ON_CLUE": ["CodeIssued"],
            "APPROVED": "NOT_ON_THE_SPOT",
            "READY": "CODE_VALID",
            "EXPIRED": "NOT_ON_THE_SPOT",
        },
    ),
    (REVOKE, "NO_CODE_TO_REVOKE", {"READY": ["CodeRevoked"]}),
    (CANCEL, "NOT_CANCELLABLE", every(BEFORE_START, ["InspectionCancelled"])),
]


def expected(name: str, reason: str, others: dict[str, Any]) -> Any:
    if name in others:
        return others[name]
    return others.get(STATES.get(name, name), reason)


@pytest.mark.parametrize("state", PATHS)
@pytest.mark.parametrize("row", range(len(ROWS)))
def test_every_command_in_every_state(row: int, state: str) -> None:
    command, reason, others = ROWS[row]
    case = Case()
    case.do(*PATHS[state])
    assert case.state == STATES.get(state, state)
    outcome = expected(state, reason, others)
    if isinstance(outcome, list):
        assert case.do(command) == outcome
        return
    refusal = case.refused(command)
    assert refusal.reason == outcome
    assert refusal.code == code_pb2.FAILED_PRECONDITION
    assert refusal.metadata["resource"] == case.inspection.name
    assert refusal.metadata["state"] == f"STATE_{case.state}"


def test_the_table_has_a_row_of_each_command_that_is_decided_here() -> None:
    commands = {type(row(_made())) if callable(row) else type(row) for row, _, _ in ROWS}
    deadlines = {rpc_pb.ExpireDeadlineRequest, rpc_pb.RecountDeadlinesRequest}
    before_start = {kind for kind in DECISIONS if DECISIONS[kind].__module__ in OURS}
    assert before_start == commands | deadlines
    assert set(ALLOWED) >= commands


ROOM = "services.inspection.inspections"
OURS = {f"{ROOM}.{name}" for name in ("opening", "participation", "approval", "codes", "deadlines")}


def _made() -> Case:
    case = Case()
    case.do(*req.READY)
    return case


@pytest.mark.parametrize("state", PATHS)
def test_an_expiry_that_is_late_or_doubled_and_a_calendar_that_moves_nothing_change_nothing(
    state: str,
) -> None:
    case = Case()
    case.do(*PATHS[state])
    assert case.do(req.NONE) == []
    assert case.do(req.RECOUNT) == []
    for each in case.inspection.standing.deadlines:
        early = rpc_pb.ExpireDeadlineRequest(deadline_id=each.deadline.id)
        assert case.do(early) == []


# Opening.


def test_one_department_goes_by_itself_and_must_visit_before_the_last_day_has_passed() -> None:
    case = Case()
    case.do(OPEN)
    assert case.state == "ARRANGED"
    assert case.duties == [("VISIT", ECOLOGY)]
    assert case.due(pb.DUTY_VISIT) == MONDAY + 13 * DAY
    [part] = case.inspection.participants
    assert part.lead
    assert part.answer == pb.ANSWER_ACCEPTED
    assert [item.display_name for item in part.items] == ["污染防治设施运行"]
    assert case.inspection.title == "日常检查：扬州一号化工有限公司"
    assert case.inspection.enterprise.grade == "B"


def test_others_are_asked_and_have_days_to_answer() -> None:
    case = Case()
    case.do(req.JOINT)
    assert case.state == "INVITING"
    assert sorted(case.duties) == sorted([("ANSWER", FIRE), ("ANSWER", MARKET)])
    answers = [each.answer for each in case.inspection.participants]
    assert answers == [pb.ANSWER_ACCEPTED, pb.ANSWER_PENDING, pb.ANSWER_PENDING]
    assert [each.lead for each in case.inspection.participants] == [True, False, False]
    assert case.inspection.title.startswith("综合查一次：")


@pytest.mark.parametrize(
    ("last", "answered_by"), [(13, MONDAY + 7 * DAY), (4, MONDAY + 3 * DAY), (0, MONDAY + DAY)]
)
def test_who_is_asked_answers_while_the_visit_can_still_be_made(
    last: int, answered_by: date
) -> None:
    case = Case()
    case.do(req.opening(ECOLOGY, FIRE, to_date=day(MONDAY + last * DAY)))
    assert case.due(pb.DUTY_ANSWER, FIRE) == answered_by


ALONE = req.task(ECOLOGY, "alone", alone=True)
SPECIAL = req.task(ECOLOGY, "special", plan_pb2.KIND_SPECIAL)
STATUTORY = req.task(ECOLOGY, "law", statutory=True, last=MONDAY + 5 * DAY)
SOON = req.task(ECOLOGY, "soon", last=MONDAY)
LATE = req.task(ECOLOGY, "late", first=MONDAY - 40 * DAY, last=MONDAY - 30 * DAY)
ELSEWHERE = req.task(ECOLOGY, "elsewhere", enterprise=req.uscc(9))
UNLISTED = req.task(ECOLOGY, "unlisted", items=["ecology.noise"])
FOREIGN = req.task(ECOLOGY, "foreign", items=["fire.exits"])
FARM = req.task(ECOLOGY, "farm", items=["housing.construction"])
ALL = (ALONE, SPECIAL, STATUTORY, SOON, LATE, ELSEWHERE, UNLISTED, FOREIGN, FARM)


def with_tasks(*tasks: Any, **fields: Any) -> Any:
    return req.opening(req.draft(ECOLOGY, tasks), **fields)


REFUSED_OPENINGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "NOT_ON_REGISTER": (OPEN, {"target": None}),
    "NOT_ON_REGISTER ": (OPEN, {"target": req.target(remove_time={"seconds": 1})}),
    "MONITORED_WITHOUT_VISITS": (OPEN, {"target": req.target(sensorless=True)}),
    "DEPARTMENT_NOT_REGISTERED": (OPEN, {"departments": {}}),
    "DEPARTMENT_NOT_REGISTERED ": (
        OPEN,
        {
            "departments": {
                ECOLOGY: roster_pb2.Department(
                    name=ECOLOGY, power=roster_pb2.POWER_STATUTORY, dissolve_time={"seconds": 1}
                )
            }
        },
    ),
    "DEPARTMENT_NOT_EMPOWERED": (
        OPEN,
        {"departments": {ECOLOGY: roster_pb2.Department(name=ECOLOGY, field="ecology")}},
    ),
    "TASK_NOT_OPEN": (OPEN, {"tasks": {}}),
    "TASK_OF_OTHERS": (req.opening(req.draft(ECOLOGY, [req.task(FIRE)])), {}),
    "TASK_OF_OTHERS ": (with_tasks(ELSEWHERE), {}),
    "TASK_ALONE": (with_tasks(ALONE, STATUTORY, to_date=day(MONDAY)), {}),
    "TASK_ALONE ": (req.opening(FIRE, req.draft(ECOLOGY, [ALONE])), {}),
    "KIND_OF_TASKS": (with_tasks(SPECIAL), {}),
    "KIND_OF_TASKS ": (req.opening(ECOLOGY, kind=plan_pb2.KIND_SPECIAL), {}),
    "KIND_OF_TASKS  ": (
        req.opening(req.draft(ECOLOGY, [SPECIAL]), FIRE, kind=plan_pb2.KIND_SPECIAL),
        {},
    ),
    "OUTSIDE_TASK_DAYS": (with_tasks(STATUTORY), {}),
    "OUTSIDE_TASK_DAYS ": (
        with_tasks(SOON, from_date=day(MONDAY + 10 * DAY), to_date=day(MONDAY + 16 * DAY)),
        {},
    ),
    "ITEM_NOT_PUBLISHED": (with_tasks(UNLISTED), {}),
    "ITEM_OF_OTHER_FIELD": (with_tasks(FOREIGN), {}),
    "ITEM_NOT_FOR_INDUSTRY": (
        with_tasks(FARM),
        {
            "departments": {
                ECOLOGY: roster_pb2.Department(
                    name=ECOLOGY, field="housing", power=roster_pb2.POWER_STATUTORY
                )
            }
        },
    ),
}


@pytest.mark.parametrize("reason", REFUSED_OPENINGS)
def test_an_inspection_is_refused_where_law_or_plan_do_not_allow_it(reason: str) -> None:
    command, fields = REFUSED_OPENINGS[reason]
    tasks = {each.name: each for each in (*ALL, *(req.task(name) for name in req.FIELDS))}
    case = Case(known=req.known(**{"tasks": tasks, **fields}))
    refusal = case.refused(command)
    assert refusal.reason == reason.strip()
    assert refusal.code == code_pb2.FAILED_PRECONDITION


INVALID_OPENINGS: dict[str, Any] = {
    "clue": req.opening(ECOLOGY, kind=plan_pb2.KIND_CASE),
    "clue ": req.opening(ECOLOGY, clue=req.EMERGENCY),
    "participants[0].items": req.opening(ECOLOGY, kind=plan_pb2.KIND_CASE, clue=req.EMERGENCY),
    "participants[0].tasks": req.opening(req.draft(ECOLOGY, [], items=["ecology.facilities"])),
    "participants[1].tasks": req.opening(ECOLOGY, req.draft(FIRE, [])),
    "participants": req.opening(ECOLOGY, ECOLOGY),
    "to_date": req.opening(ECOLOGY, to_date=day(MONDAY - DAY), from_date=day(MONDAY - 2 * DAY)),
    "to_date ": req.opening(ECOLOGY, from_date=day(MONDAY + 15 * DAY)),
    "from_date": req.opening(ECOLOGY, from_date={"year": 2026, "month": 9}),
}


@pytest.mark.parametrize("field", INVALID_OPENINGS)
def test_an_opening_that_contradicts_itself_is_invalid_and_says_where(field: str) -> None:
    refusal = Case().refused(INVALID_OPENINGS[field])
    assert refusal.code == code_pb2.INVALID_ARGUMENT
    assert field.strip() in [path for path, _ in refusal.violations]


def test_a_late_task_is_not_lost_and_a_campaign_meets_a_yearly_plan() -> None:
    case = Case(known=req.known(LATE, SPECIAL))
    case.do(with_tasks(LATE, SPECIAL))
    assert case.inspection.kind == plan_pb2.KIND_DAILY
    assert list(case.inspection.participants[0].tasks) == [LATE.name, SPECIAL.name]


def test_who_is_monitored_without_visits_is_visited_on_a_clue_or_where_a_law_demands_it() -> None:
    watched = req.target(sensorless=True)
    for command in (req.on_clue(), with_tasks(STATUTORY, to_date=day(MONDAY + 5 * DAY))):
        case = Case(known=req.known(STATUTORY, target=watched))
        case.do(command)
        assert case.state == "ARRANGED"
    [item] = case.inspection.participants[0].items
    assert item.statutory


# Answers.


def test_when_the_last_has_answered_it_is_arranged_and_the_visit_is_due() -> None:
    case = Case()
    case.do(req.JOINT, accept(FIRE, *req.team(FIRE)))
    assert case.state == "INVITING"
    assert [each.inspector for each in case.part(FIRE).inspectors] == req.team(FIRE)
    assert case.do(decline(MARKET)) == ["InvitationAnswered"]
    assert case.state == "ARRANGED"
    assert case.duties == [("VISIT", ECOLOGY)]
    assert (case.part(MARKET).answer, case.part(MARKET).reason) == (
        pb.ANSWER_DECLINED,
        "人手不足",
    )
    assert case.part(MARKET).answerer == "officer"


def test_an_answer_says_why_not_and_names_only_own_inspectors() -> None:
    case = Case()
    case.do(req.JOINT)
    assert case.refused(decline(FIRE, " ")).reason == "REASON_MISSING"
    named = rpc_pb.AnswerInvitationRequest(department=FIRE, reason="忙", inspectors=req.team(FIRE))
    assert case.refused(named).reason == "INSPECTORS_OF_NOBODY"
    assert case.refused(accept(FIRE, *req.team(MARKET))).reason == "INSPECTOR_OF_OTHERS"
    assert case.refused(accept(FIRE, req.team(FIRE)[0])).reason == "TOO_FEW_INSPECTORS"
    assert case.refused(accept(LABOUR)).code == code_pb2.NOT_FOUND
    case.do(accept(FIRE))
    assert case.refused(decline(FIRE)).reason == "ALREADY_ANSWERED"


def test_silence_declines() -> None:
    case = Case()
    case.do(req.JOINT, accept(FIRE))
    assert case.do(lapse(pb.DUTY_ANSWER, MARKET)) == ["DeadlinePassed"]
    assert case.part(MARKET).answer == pb.ANSWER_TIMED_OUT
    assert case.state == "ARRANGED"
    assert not case.inspection.standing.overdue
    assert views.held(case.inspection) == [
        *case.part(ECOLOGY).tasks,
        *case.part(FIRE).tasks,
    ]


def test_where_a_place_reads_it_so_silence_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(req.RULES), "choice", lambda *_: "accepted")
    case = Case()
    case.do(req.JOINT, lapse(pb.DUTY_ANSWER, FIRE), lapse(pb.DUTY_ANSWER, MARKET))
    assert case.part(FIRE).answer == case.part(MARKET).answer == pb.ANSWER_ACCEPTED
    assert case.state == "ARRANGED"
    assert len(case.proceeding().going) == 3


# Inspectors.


def sick(moved_to: str = ECOLOGY, **fields: Any) -> dict[str, roster_pb2.Inspector]:
    """Inspectors of ecology, the second one so."""
    found = [req.inspector(ECOLOGY), req.inspector(ECOLOGY, 1, **fields)]
    found[1].department = moved_to
    return {each.name: each for each in found}


@pytest.mark.parametrize(
    ("reason", "fields"),
    [
        ("INSPECTOR_LEFT", {"leave_time": {"seconds": 1}}),
        ("INSPECTOR_NO_CERTIFICATE", {"certificates": [certificate(last=MONDAY)]}),
        ("INSPECTOR_RECUSED", {"recusals": [{"enterprise": req.FIRM, "reason": "亲属"}]}),
        ("INSPECTOR_ABSENT", {"absences": [absence(MONDAY + DAY, MONDAY + 2 * DAY)]}),
        ("INSPECTOR_OF_OTHERS", {"moved_to": FIRE}),
    ],
)
def test_who_may_not_inspect_is_not_assigned_and_gets_no_code(
    reason: str, fields: dict[str, Any]
) -> None:
    case = Case(known=req.known(inspectors=sick(**fields)))
    case.do(OPEN)
    assert case.refused(ASSIGN).reason == reason
    case = Case()
    case.do(*req.APPROVED)
    case.knows(inspectors=sick(**fields))
    assert case.refused(code).reason == reason


def test_assigned_inspectors_have_their_certificates_and_are_not_assigned_twice() -> None:
    case = Case()
    case.do(*req.ARRANGED)
    first, second = case.part(ECOLOGY).inspectors
    assert first.certificate == "江苏省人民政府 苏ecology-0"
    assert second.display_name == "ecology-1"
    assert case.do(ASSIGN) == []
    assert case.refused(assign(ECOLOGY, req.team(ECOLOGY)[:1])).reason == "TOO_FEW_INSPECTORS"
    case.knows(inspectors={})
    assert case.refused(ASSIGN).reason == "INSPECTOR_UNKNOWN"


def test_whom_the_draw_chose_is_sent_unless_it_is_said_why_not() -> None:
    case = Case()
    case.do(req.JOINT)
    drawn, other = req.inspector(FIRE).name, req.team(FIRE, 3)[1:]
    case.knows(drawn=(drawn,))
    without = accept(FIRE, *other)
    refusal = case.refused(without)
    assert (refusal.code, refusal.reason) == (code_pb2.INVALID_ARGUMENT, "DRAWN_LEFT_OUT")
    assert drawn in refusal.message
    without.reason = "抽中人员另有紧急任务"
    assert case.do(without) == ["InvitationAnswered", "InspectorsAssigned"]
    assert case.events[-1].reason == "抽中人员另有紧急任务"
    case.do(decline(MARKET))
    with_both = assign(FIRE, [drawn, *other])
    with_both.reason = "多派一人"
    assert case.do(with_both) == ["InspectorsAssigned"]
    assert case.events[-1].reason == "", "nobody drawn is left out"


def test_only_who_takes_part_names_inspectors() -> None:
    case = Case()
    case.do(req.JOINT)
    assert case.refused(assign(FIRE)).reason == "NOT_TAKING_PART"
    case.do(accept(FIRE), decline(MARKET))
    assert case.refused(assign(MARKET)).reason == "NOT_TAKING_PART"
    assert case.do(assign(FIRE)) == ["InspectorsAssigned"]


# Approval.


def test_nobody_approves_what_they_inspect() -> None:
    case = Case()
    case.do(*req.ARRANGED)
    assert case.refused(APPROVE, actor="ecology-1").reason == "APPROVER_INSPECTS"
    case.do(APPROVE, actor="ecology-2")
    assert case.refused(assign(ECOLOGY, req.team(ECOLOGY, 3))).reason == "APPROVER_INSPECTS"
    assert case.inspection.approval.approver == "ecology-2"
    assert not case.inspection.approval.made_up


def test_a_code_on_the_spot_is_reviewed_within_its_limit() -> None:
    case = Case()
    case.do(*req.SPOT)
    assert ("REVIEW", ECOLOGY) in case.duties
    assert case.due(pb.DUTY_REVIEW) == MONDAY + DAY
    assert case.inspection.codes[0].on_the_spot_reason == "险情不等人"
    case.do(lapse(pb.DUTY_REVIEW))
    assert len(case.inspection.standing.overdue) == 1
    case.do(APPROVE, actor="head")
    assert case.inspection.approval.made_up
    assert not case.inspection.standing.overdue
    assert case.duties == [("VISIT", ECOLOGY)]
    assert case.state == "READY"
    assert case.refused(APPROVE, actor="head").reason == "NOT_AWAITING_APPROVAL"


def test_a_visit_that_only_waited_for_its_review_ends_with_it() -> None:
    case = Case()
    case.do(*req.REPORTED)
    assert case.state == "REPORTED"
    case.do(req.DISAPPROVE, actor="head")
    assert case.state == "CLOSED"
    assert case.inspection.approval.disapproved
    assert case.inspection.codes[0].state == pb.Code.STATE_USED


def test_what_the_head_disapproves_before_it_starts_does_not_start() -> None:
    case = Case()
    case.do(*req.SPOT, req.DISAPPROVE)
    assert case.state == "ARRANGED"
    assert case.inspection.codes[0].state == pb.Code.STATE_REVOKED
    assert case.refused(on_the_spot).reason == "DISAPPROVED"
    assert case.refused(code).reason == "NOT_APPROVED"
    case.do(APPROVE)
    assert case.do(code) == ["CodeIssued"]


def test_only_what_does_not_wait_gets_a_code_on_the_spot() -> None:
    for source in pb.Clue.Source.values()[1:]:
        case = Case()
        clue = pb.Clue(source=source, reference="1", summary="异味")
        case.do(req.on_clue(clue=clue), ASSIGN)
        if source in (pb.Clue.SOURCE_EMERGENCY, pb.Clue.SOURCE_TIP_OFF):
            assert case.do(on_the_spot) == ["CodeIssued"]
        else:
            assert case.refused(on_the_spot).reason == "NOT_URGENT"


# Codes.


def test_a_code_is_valid_on_its_days_and_no_other() -> None:
    case = Case()
    case.do(*req.READY)
    [issued] = case.inspection.codes
    assert issued.from_time.ToJsonString() == "2026-09-06T16:00:00Z"
    assert issued.to_time.ToJsonString() == "2026-09-09T16:00:00Z"
    assert issued.state == pb.Code.STATE_ISSUED
    assert signing.genuine(issued, req.keys().trusted())
    assert issued.statement.splitlines() == [
        "bihuan-code/1",
        issued.id,
        req.NAME,
        req.FIRM,
        "2026-09-06T16:00:00Z",
        "2026-09-09T16:00:00Z",
        ECOLOGY,
        "- 江苏省人民政府 苏ecology-0",
        "- 江苏省人民政府 苏ecology-1",
    ]


@pytest.mark.parametrize(
    ("reason", "first", "days"),
    [
        ("OUTSIDE_VISIT_DAYS", MONDAY - DAY, 3),
        ("OUTSIDE_VISIT_DAYS", MONDAY + 12 * DAY, 3),
        ("CODE_TOO_LONG", MONDAY, 11),
    ],
)
def test_a_code_keeps_to_the_days_of_the_visit_and_to_its_length(
    reason: str, first: date, days: int
) -> None:
    case = Case()
    case.do(*req.APPROVED)
    assert case.refused(code(start=first, days=days)).reason == reason
    assert case.refused(code(start=MONDAY + DAY, days=0)).code == code_pb2.INVALID_ARGUMENT
    assert case.do(code(start=MONDAY, days=10)) == ["CodeIssued"]


def test_a_code_is_not_issued_into_the_past() -> None:
    case = Case()
    case.do(*req.APPROVED, req.go(2))
    assert case.refused(code(start=MONDAY + DAY)).reason == "OUTSIDE_VISIT_DAYS"


def test_every_department_that_goes_needs_its_inspectors_and_no_other() -> None:
    case = Case()
    case.do(req.JOINT, accept(FIRE), decline(MARKET), ASSIGN, APPROVE)
    assert case.refused(code).metadata["department"] == FIRE
    case.do(assign(FIRE), code)
    assert [each.department for each in case.events[-1].ordinals] == [ECOLOGY, FIRE]
    assert MARKET not in case.inspection.codes[0].statement


def test_where_data_answered_everything_nobody_needs_a_code() -> None:
    case = Case()
    case.do(*req.APPROVED)
    case.inspection.participants[0].items[0].answered_by = "facts/1"
    assert case.refused(code).reason == "NOTHING_TO_INSPECT"


def test_without_a_key_no_code_is_issued() -> None:
    case = Case()
    case.do(*req.APPROVED)
    for mint in (None, signing.CodeKeys(None).mint):
        case.knows(mint=mint)
        refusal = case.refused(code)
        assert (refusal.code, refusal.reason) == (code_pb2.UNAVAILABLE, "CODE_KEY_UNAVAILABLE")


def test_a_revoked_code_can_be_followed_by_another_which_counts_no_second_time() -> None:
    case = Case(taken={ECOLOGY: counting.Taken(4, 1)})
    case.do(*req.READY)
    part = case.part(ECOLOGY)
    assert (part.visit_of_year, part.capped_visit_of_year) == (5, 2)
    # Others come in between: the number that was told stays.
    case.taken = {ECOLOGY: counting.Taken(9, 2)}
    case.do(REVOKE)
    assert case.state == "APPROVED"
    assert counting.counted(case.inspection) == {ECOLOGY: True}
    case.do(code, req.go(3), code)
    part = case.part(ECOLOGY)
    assert (part.visit_of_year, part.capped_visit_of_year) == (5, 2)
    states = [each.state for each in case.inspection.codes]
    assert states == [pb.Code.STATE_REVOKED, pb.Code.STATE_REVOKED, pb.Code.STATE_ISSUED]


def test_a_cancelled_visit_did_not_take_place() -> None:
    case = Case()
    case.do(*req.READY, CANCEL)
    assert case.state == "CANCELLED"
    assert counting.counted(case.inspection) == {}
    assert views.held(case.inspection) == []
    assert not case.duties
    [issued] = case.inspection.codes
    assert (issued.state, issued.revoke_reason) == (pb.Code.STATE_REVOKED, "企业停产")


def test_a_visit_that_moves_into_another_year_counts_there() -> None:
    december = date(2026, 12, 28)
    task = req.task(ECOLOGY, first=december, last=december + 15 * DAY)
    case = Case(today=december, known=req.known(task))
    opening = req.opening(ECOLOGY, from_date=day(december), to_date=day(december + 15 * DAY))
    case.do(opening, ASSIGN, APPROVE, code, REVOKE)
    assert counting.year_of(case.inspection) == 2026
    case.taken = {ECOLOGY: counting.Taken(2, 0)}
    case.do(code(start=december + 5 * DAY))
    assert case.events[-1].year == counting.year_of(case.inspection) == 2027
    assert case.part(ECOLOGY).visit_of_year == 3


# Caps.

B, NO_CAP = req.target(), req.target(grading={"grade": "D"})
ORDERED = pb.Clue(source=pb.Clue.SOURCE_ORDERED, reference="1", summary="上级交办")
ZHEJIANG = replace(req.RULES, jurisdiction="330000")
NATIONAL = replace(req.RULES, jurisdiction="CN")


def to_code(opening: Any, case: Case) -> None:
    case.do(opening, ASSIGN, APPROVE, code)


def test_the_cap_is_reached_and_not_exceeded() -> None:
    case = Case(taken={ECOLOGY: counting.Taken(7, 1)})
    to_code(OPEN, case)
    [ordinal] = case.events[-1].ordinals
    assert (ordinal.visit_of_year, ordinal.capped_visit_of_year, ordinal.cap) == (8, 2, 2)
    case = Case(taken={ECOLOGY: counting.Taken(2, 2)})
    case.do(*req.APPROVED)
    refusal = case.refused(code)
    assert refusal.reason == "CAP_EXHAUSTED"
    assert refusal.metadata["cap"] == "2"
    assert refusal.metadata["department"] == ECOLOGY


def test_the_cap_follows_the_grade_of_today() -> None:
    case = Case(taken={ECOLOGY: counting.Taken(9, 9)})
    case.do(*req.APPROVED)
    case.knows(target=NO_CAP)
    assert case.do(code) == ["CodeIssued"]
    assert case.part(ECOLOGY).capped_visit_of_year == 10


@pytest.mark.parametrize(
    ("rules", "clue", "capped"),
    [(req.RULES, req.EMERGENCY, 0), (NATIONAL, req.EMERGENCY, 6), (NATIONAL, ORDERED, 0)],
)
def test_a_visit_on_a_clue_is_never_refused_and_counts_where_the_rule_says_so(
    rules: Any, clue: pb.Clue, capped: int
) -> None:
    case = Case(rules=rules, taken={ECOLOGY: counting.Taken(6, 5)})
    if rules is NATIONAL:
        case.known = req.known(departments=case.known.departments)
    to_code(req.on_clue(clue=clue), case)
    part = case.part(ECOLOGY)
    assert (part.visit_of_year, part.capped_visit_of_year) == (7, capped)


def test_campaigns_count_where_the_rule_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for choice, capped in (("daily", 0), ("daily_and_special", 1)):
        monkeypatch.setattr(type(req.RULES), "choice", lambda *_, choice=choice: choice)
        case = Case(known=req.known(SPECIAL))
        to_code(with_tasks(SPECIAL, kind=plan_pb2.KIND_SPECIAL), case)
        assert case.part(ECOLOGY).capped_visit_of_year == capped


KINDS = {
    plan_pb2.KIND_DAILY: OPEN,
    plan_pb2.KIND_SPECIAL: with_tasks(SPECIAL, kind=plan_pb2.KIND_SPECIAL),
    plan_pb2.KIND_CASE: req.on_clue(),
}
YEAR = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.sampled_from(sorted(KINDS)),
        st.sampled_from(["issue", "issue", "issue", "revoke", "cancel"]),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(YEAR, st.sampled_from(["A", "B", "D"]), st.sampled_from([req.RULES, NATIONAL, ZHEJIANG]))
def test_no_sequence_of_codes_over_any_inspections_breaks_a_cap(
    year: list[tuple[int, int, str]], grade: str, rules: Any
) -> None:
    """Of eight inspections of an enterprise, codes asked for, revoked and called off in any order."""
    cap = cap_of(grade, rules, MONDAY)
    cases: dict[int, Case] = {}
    for number, kind, act in year:
        if number not in cases:
            known = req.known(
                req.task(ECOLOGY), SPECIAL, target=req.target(grading={"grade": grade})
            )
            cases[number] = Case(rules=rules, known=known)
            with suppress(StatusError):  # an item that is on no list there
                cases[number].do(KINDS[kind], ASSIGN, APPROVE)
        case = cases[number]
        others = [counting.counted(each.inspection) for each in cases.values() if each is not case]
        visits = sum(ECOLOGY in each for each in others)
        case.taken = {ECOLOGY: counting.Taken(visits, sum(each.get(ECOLOGY, 0) for each in others))}
        with suppress(StatusError):
            case.do({"issue": code, "revoke": REVOKE, "cancel": CANCEL}[act])
        last = case.events[-1] if case.events else None
        if isinstance(last, ev.CodeIssued) and last.ordinals[0].capped_visit_of_year:
            refusable = case.inspection.kind != plan_pb2.KIND_CASE
            assert cap is None or not refusable or last.ordinals[0].capped_visit_of_year <= cap
        counted = [
            counting.counted(each.inspection).get(ECOLOGY, False)
            for each in cases.values()
            if each.inspection.kind != plan_pb2.KIND_CASE
        ]
        assert cap is None or sum(counted) <= cap


# Deadlines.


def test_a_visit_that_does_not_come_is_overdue_until_it_is_called_off() -> None:
    case = Case()
    case.do(OPEN)
    assert case.do(lapse(pb.DUTY_VISIT)) == ["DeadlinePassed"]
    assert case.events[-1].missed
    assert len(case.inspection.standing.overdue) == 1
    assert not case.duties
    case.do(CANCEL)
    assert not case.inspection.standing.overdue


def test_a_calendar_published_later_moves_what_was_counted_provisionally() -> None:
    years = WorkingCalendar.load().years
    until_2025 = WorkingCalendar({year: years[year] for year in years if year <= 2025})
    end = date(2025, 12, 29)
    tasks = [req.task(each, first=end, last=end + 20 * DAY) for each in (ECOLOGY, FIRE)]
    rules = replace(req.RULES, calendar=until_2025)
    case = Case(today=end, rules=rules, known=req.known(*tasks))
    opening = req.opening(ECOLOGY, FIRE, from_date=day(end), to_date=day(end + 20 * DAY))
    case.do(opening)
    before = case.open(pb.DUTY_ANSWER)
    assert before is not None
    assert before.deadline.provisional
    case.rules = req.RULES
    assert case.do(rpc_pb.RecountDeadlinesRequest(calendar_year=2026)) == ["DeadlinesRecounted"]
    after = case.open(pb.DUTY_ANSWER)
    assert after is not None
    assert not after.deadline.provisional
    assert list(case.events[-1].deadline_ids) == [before.deadline.id]
    assert case.do(rpc_pb.RecountDeadlinesRequest(calendar_year=2026)) == []


# Any order of anything.


def steps(rng: random.Random) -> Step:
    department = rng.choice([ECOLOGY, FIRE, MARKET])
    return rng.choice(
        [
            req.JOINT,
            OPEN,
            req.on_clue(FIRE, ECOLOGY),
            accept(department),
            accept(department, *req.team(department)),
            decline(department),
            assign(department, req.team(department, rng.choice([2, 3]))),
            APPROVE,
            req.DISAPPROVE,
            code,
            on_the_spot,
            REVOKE,
            CANCEL,
            req.go(rng.choice([0, 1, 4])),
            _expire,
        ]
    )


def _expire(case: Case) -> rpc_pb.ExpireDeadlineRequest:
    standing = case.inspection.standing
    first = standing.deadlines[0].deadline.id if standing.deadlines else "none"
    return rpc_pb.ExpireDeadlineRequest(deadline_id=first)


@pytest.mark.parametrize("seed", range(40))
def test_any_commands_in_any_order_leave_a_sound_inspection(seed: int) -> None:
    rng = random.Random(seed)
    case = Case()
    for _ in range(60):
        with suppress(StatusError):
            case.do(steps(rng), actor=rng.choice(["officer", "head", "ecology-2"]))
        _require_sound(case.inspection)
    again = pb.Inspection(name=req.NAME)
    for event in case.events:
        again = evolve(again, event)
    assert again == case.inspection
    assert {type(event) for event in case.events} <= set(get_args(Event))


def _require_sound(inspection: pb.Inspection) -> None:
    standing = inspection.standing
    valid = [each for each in inspection.codes if each.state == pb.Code.STATE_ISSUED]
    assert len(valid) == (standing.state == pb.STATE_READY)
    assert not valid or valid == [inspection.codes[-1]]
    pending = [each for each in inspection.participants if each.answer == pb.ANSWER_PENDING]
    asked = [each for each in standing.deadlines if each.duty == pb.DUTY_ANSWER]
    if standing.state != pb.STATE_CANCELLED:
        assert {each.department for each in pending} == {each.department for each in asked}
        assert bool(pending) == (standing.state == pb.STATE_INVITING)
    else:
        assert not standing.deadlines
        assert not standing.overdue
    review = [each for each in standing.deadlines if each.duty == pb.DUTY_REVIEW]
    assert len(review) <= 1
    dues = [as_date(each.deadline.due_date) for each in standing.deadlines]
    assert dues == sorted(dues)
    for participant in inspection.participants:
        if participant.visit_of_year and inspection.approval.approver:
            assert inspection.approval.approver not in {
                each.display_name for each in participant.inspectors
            }


def test_a_code_lasts_ten_days_at_most() -> None:
    assert timedelta(days=req.RULES.number("inspection.code_days", MONDAY)) == 10 * DAY

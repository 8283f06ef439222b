"""From each department's result to the report, and to those who follow the findings up; the rating. Pure."""

import re

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from rpc.errors import invalid_argument, not_found
from services.inspection.inspections.evolve import Event
from services.inspection.inspections.on_site import require_going, to_hand_over
from services.inspection.inspections.proceeding import Proceeding, unchecked
from services.inspection.inspections.report import report_text

UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# What a finding becomes, by its outcome. Another body's reference is in that body's words.
BECOMES = {
    pb.OUTCOME_RECTIFY: (re.compile(f"problems/{UUID}"), "a problem, problems/…"),
    pb.OUTCOME_PENALTY: (re.compile(f"penaltyCases/{UUID}"), "a penalty case, penaltyCases/…"),
    pb.OUTCOME_REFER: (re.compile(r".*\S.*", re.DOTALL), "the other body's reference"),
}


def record_result(p: Proceeding, command: rpc_pb.RecordResultRequest) -> list[Event]:
    """A department's result: each of its items that data did not answer has an entry, or it is said why
    not. With the last of them the report is due.
    """
    participant = p.participant(command.department)
    require_going(p, participant)
    if participant.HasField("result_time"):
        if _says_the_same(participant, command):
            return []
        text = f"{command.department} has recorded its result"
        raise p.refuse("RESULT_RECORDED", text, department=command.department)
    _require_checked(p, participant, command.unchecked_reason)
    waiting = [
        each
        for each in p.going
        if not each.HasField("result_time") and each.department != command.department
    ]
    closes = p.ids(pb.DUTY_RESULT, command.department)
    if waiting:
        occurrence = p.occurrence(closes=closes)
    else:
        report = p.open(pb.DUTY_REPORT, p.lead.department, p.today)
        occurrence = p.occurrence(pb.STATE_RECORDED, opens=[report], closes=closes)
    return [
        ev.ResultRecorded(
            occurrence=occurrence,
            department=command.department,
            conclusion=command.conclusion,
            unchecked_reason=command.unchecked_reason,
        )
    ]


def _says_the_same(participant: pb.Participant, command: rpc_pb.RecordResultRequest) -> bool:
    recorded = participant.conclusion, participant.unchecked_reason
    return recorded == (command.conclusion, command.unchecked_reason)


def _require_checked(p: Proceeding, participant: pb.Participant, reason: str) -> None:
    """What was not looked at before the code expired cannot be any more: then the reason stands for it."""
    missing = ", ".join(each.id for each in unchecked(participant))
    if missing and not reason.strip():
        text = f"{participant.department} has not checked {missing}: note them, or say why not"
        raise p.refuse("ITEMS_NOT_CHECKED", text, items=missing.replace(", ", ","))
    if reason and not missing:
        text = "every item was checked"
        raise invalid_argument("ALL_CHECKED", text, [("unchecked_reason", "must be empty")])


def report(p: Proceeding, command: rpc_pb.ReportInspectionRequest) -> list[Event]:
    """The enterprise is told the result of all departments. Findings are to be handed over then; without
    any the inspection ends, unless the head still has to review that it was begun on the spot.
    """
    closes = p.ids(pb.DUTY_REPORT)
    if any(to_hand_over(each) for each in p.inspection.findings):
        handover = p.open(pb.DUTY_HANDOVER, p.lead.department, p.today)
        occurrence = p.occurrence(pb.STATE_REPORTED, opens=[handover], closes=closes)
    else:
        occurrence = p.occurrence(state_after_report(p), closes=closes)
    text = report_text(p.inspection, p.today, p.rules.items(p.today), command.report)
    count = len(p.inspection.findings)
    return [ev.InspectionReported(occurrence=occurrence, report=text, finding_count=count)]


def hand_over(p: Proceeding, command: rpc_pb.HandOverFindingRequest) -> list[Event]:
    """A finding is linked with what it became; the same link again is no event. With the last one the
    inspection that was reported ends.
    """
    finding = _finding(p, command.finding)
    _require_form(p, finding, command.handed_over_to)
    if finding.handed_over_to == command.handed_over_to:
        return []
    if finding.handed_over_to:
        raise p.refuse(
            "ALREADY_HANDED_OVER",
            f"finding {finding.id} became {finding.handed_over_to}",
            finding=finding.id,
            handed_over_to=finding.handed_over_to,
        )
    left = [each for each in p.inspection.findings if to_hand_over(each) and each.id != finding.id]
    if left or p.inspection.standing.state == pb.STATE_RECORDED:
        occurrence = p.occurrence()
    else:
        occurrence = p.occurrence(state_after_report(p), closes=p.ids(pb.DUTY_HANDOVER))
    return [
        ev.FindingHandedOver(
            occurrence=occurrence, finding=finding.id, handed_over_to=command.handed_over_to
        )
    ]


def rate(p: Proceeding, command: code_pb.RateInspectionRequest) -> list[Event]:
    """The enterprise rates the visit, once."""
    if p.inspection.HasField("rating"):
        raise p.refuse("ALREADY_RATED", "the visit was rated; a rating stays as it is")
    rating = pb.Rating(score=command.score, comment=command.comment, rate_time=p.time)
    return [ev.InspectionRated(occurrence=p.occurrence(), rating=rating)]


def state_after_report(p: Proceeding) -> pb.State.ValueType:
    """Where a reported inspection stands with nothing left to hand over: at its end, but for a review of its
    beginning on the spot that is still to come.
    """
    return pb.STATE_REPORTED if p.ids(pb.DUTY_REVIEW) else pb.STATE_CLOSED


def state_after_review(p: Proceeding) -> pb.State.ValueType:
    """Where the inspection stands once the head has reviewed its beginning on the spot: at its end, if it
    waited for nothing else.
    """
    state = p.inspection.standing.state
    waits = any(to_hand_over(each) for each in p.inspection.findings)
    return pb.STATE_CLOSED if state == pb.STATE_REPORTED and not waits else state


def _finding(p: Proceeding, number: str) -> pb.Finding:
    for each in p.inspection.findings:
        if each.id == number:
            return each
    raise not_found("bihuan.dev/Finding", f"{p.inspection.name}/findings/{number}")


def _require_form(p: Proceeding, finding: pb.Finding, became: str) -> None:
    """It names what such a finding becomes. Whether that exists is another service's to know: the database
    role of this one does not read their tables, and what links them is the origin that they keep.
    """
    if finding.outcome == pb.OUTCOME_GUIDED:
        text = f"finding {finding.id} was put right on the spot: nobody follows it up"
        raise p.refuse("NOTHING_TO_HAND_OVER", text, finding=finding.id)
    pattern, wanted = BECOMES[finding.outcome]
    if not pattern.fullmatch(became):
        raise invalid_argument(
            "NOT_WHAT_IT_BECOMES",
            f"finding {finding.id} is {pb.Outcome.Name(finding.outcome)}, and becomes {wanted}",
            [("handed_over_to", f"must be {wanted}")],
        )

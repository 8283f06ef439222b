"""What has happened to an inspection, folded from its events. Pure."""

from collections.abc import Iterable
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb

Event: TypeAlias = (
    ev.InspectionOpened
    | ev.InvitationAnswered
    | ev.PrecheckMade
    | ev.InspectorsAssigned
    | ev.InspectionApproved
    | ev.CodeIssued
    | ev.CodeRevoked
    | ev.InspectionStarted
    | ev.EntriesRecorded
    | ev.ResultRecorded
    | ev.InspectionReported
    | ev.FindingHandedOver
    | ev.InspectionRated
    | ev.InspectionCancelled
    | ev.DeadlinePassed
    | ev.DeadlinesRecounted
)
ENDED = frozenset({pb.STATE_CLOSED, pb.STATE_OFF_SITE, pb.STATE_CANCELLED})


def evolve(inspection: pb.Inspection, event: Event) -> pb.Inspection:
    """The inspection after `event`. Never fails; `inspection` itself is left as it was."""
    after = pb.Inspection()
    after.CopyFrom(inspection)
    after.standing.CopyFrom(event.occurrence.standing)
    after.update_time.CopyFrom(event.occurrence.occur_time)
    after.missed.extend(sorted(set(after.standing.overdue) - set(inspection.missed)))
    if after.standing.state not in ENDED:
        after.ClearField("close_time")
    elif not after.HasField("close_time"):
        after.close_time.CopyFrom(event.occurrence.occur_time)
    _prepare(after, event)
    return after


def _prepare(after: pb.Inspection, event: Event) -> None:
    match event:
        case ev.InspectionOpened():
            _open(after, event)
        case ev.InvitationAnswered():
            answer = pb.Participant(answer=event.answer, reason=event.reason)
            _answer(after, event.department, answer, event.occurrence)
        case ev.PrecheckMade():
            for each in event.answers:
                _answer_item(after, each)
        case ev.InspectorsAssigned():
            for participant in _of(after, event.department):
                del participant.inspectors[:]
                participant.inspectors.extend(event.inspectors)
        case ev.InspectionApproved():
            after.approval.CopyFrom(event.approval)
        case ev.CodeIssued():
            after.codes.append(event.code)
            for ordinal in event.ordinals:
                for participant in _of(after, ordinal.department):
                    participant.visit_of_year = ordinal.visit_of_year
                    participant.capped_visit_of_year = ordinal.capped_visit_of_year
        case ev.CodeRevoked():
            _revoke(after, event.reason, event.occurrence.occur_time)
        case ev.InspectionCancelled():
            after.cancel_reason = event.reason
            _revoke(after, event.reason, event.occurrence.occur_time)
        case ev.DeadlinePassed() if event.deadline.duty == pb.DUTY_ANSWER:
            silence = pb.Participant(answer=event.answer)
            _answer(after, event.deadline.department, silence, event.occurrence)
        case _:
            _carry_out(after, event)


def _carry_out(after: pb.Inspection, event: Event) -> None:
    match event:
        case ev.InspectionStarted():
            after.start.CopyFrom(event.start)
            for code in after.codes:
                if code.id == event.start.code:
                    code.state = pb.Code.STATE_USED
        case ev.EntriesRecorded():
            for participant in _of(after, event.department):
                entries = sorted([*participant.entries, *event.entries], key=_noted)
                del participant.entries[:]
                participant.entries.extend(entries)
            after.findings.extend(event.findings)
        case ev.ResultRecorded():
            for participant in _of(after, event.department):
                participant.conclusion = event.conclusion
                participant.unchecked_reason = event.unchecked_reason
                participant.result_time.CopyFrom(event.occurrence.occur_time)
        case ev.InspectionReported():
            after.report = event.report
            after.report_time.CopyFrom(event.occurrence.occur_time)
        case ev.FindingHandedOver():
            for finding in after.findings:
                if finding.id == event.finding:
                    finding.handed_over_to = event.handed_over_to
        case ev.InspectionRated():
            after.rating.CopyFrom(event.rating)


def _open(after: pb.Inspection, event: ev.InspectionOpened) -> None:
    after.name = event.name
    after.kind = event.kind
    after.title = event.title
    after.enterprise.CopyFrom(event.enterprise)
    after.from_date.CopyFrom(event.from_date)
    after.to_date.CopyFrom(event.to_date)
    if event.HasField("clue"):
        after.clue.CopyFrom(event.clue)
    after.participants.extend(event.participants)
    after.opener = event.occurrence.actor
    after.open_time.CopyFrom(event.occurrence.occur_time)


def _answer(
    after: pb.Inspection, department: str, answer: pb.Participant, occurrence: ev.Occurrence
) -> None:
    for participant in _of(after, department):
        participant.answer, participant.reason = answer.answer, answer.reason
        participant.answerer = occurrence.actor
        participant.answer_time.CopyFrom(occurrence.occur_time)


def _answer_item(after: pb.Inspection, answer: ev.PrecheckMade.ItemAnswer) -> None:
    for participant in _of(after, answer.department):
        for item in participant.items:
            if item.id != answer.item:
                continue
            if answer.off_site:
                item.answered_by = answer.reason
            item.open_reason = "" if answer.off_site else answer.reason


def _revoke(after: pb.Inspection, reason: str, time: Timestamp) -> None:
    for code in after.codes:
        if code.state == pb.Code.STATE_ISSUED:
            code.state, code.revoke_reason = pb.Code.STATE_REVOKED, reason
            code.revoke_time.CopyFrom(time)


def _of(inspection: pb.Inspection, department: str) -> Iterable[pb.Participant]:
    return (each for each in inspection.participants if each.department == department)


def _noted(entry: pb.Entry) -> tuple[int, str]:
    return entry.device_time.ToNanoseconds(), entry.id

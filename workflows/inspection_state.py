"""What the loop of an inspection knows of it: folded from events as the service does, then made small."""

from collections.abc import Iterable, Sequence
from typing import get_args

from google.protobuf.message import Message

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionLoop as Loop
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionStanding as Known
from services.inspection.inspections.evolve import ENDED, Event, evolve

__all__ = ["ENDED", "EVENTS", "FOLLOWED_UP", "fold", "going", "known_of", "lead_of", "waits_for"]

EVENTS: tuple[type[Message], ...] = get_args(Event)
# Findings that become something in a service of ours: the loop hands them over. Others people do.
FOLLOWED_UP = frozenset({pb.OUTCOME_RECTIFY, pb.OUTCOME_PENALTY})
BEFORE_START = frozenset({pb.STATE_ARRANGED, pb.STATE_APPROVED, pb.STATE_READY, pb.STATE_RECORDED})
NOBODY, THE_LOOP = "无", "系统移交"
MOST_CHARACTERS = 120  # of a text that people wrote, as far as a loop shows it


def known_of(inspection: pb.Inspection) -> Known:
    """What a loop needs to know of an inspection."""
    known = Known(version=int(inspection.etag), inspection=inspection)
    _trim(known.inspection)
    return known


def fold(loop: Loop, messages: Iterable[Message]) -> None:
    """Take an event into `loop`, in place."""
    for message in messages:
        after = evolve(loop.known.inspection, message)  # type: ignore[arg-type]
        _trim(after)
        loop.known.inspection.CopyFrom(after)


def lead_of(inspection: pb.Inspection) -> pb.Participant:
    """The department that leads."""
    return inspection.participants[0]


def name_of(inspection: pb.Inspection, department: str) -> str:
    """What people call a department of the inspection; its resource name if it is none of them."""
    names = {each.department: each.display_name for each in inspection.participants}
    return names.get(department) or department


def going(inspection: pb.Inspection) -> list[pb.Participant]:
    """Departments that take part and have an item that data did not answer."""
    return [
        each
        for each in inspection.participants
        if each.answer == pb.ANSWER_ACCEPTED
        and (not each.items or any(not item.answered_by for item in each.items))
    ]


def not_handed_over(inspection: pb.Inspection) -> list[pb.Finding]:
    """Findings that somebody is to follow up and nobody took over yet."""
    wanted = {*FOLLOWED_UP, pb.OUTCOME_REFER}
    return [
        each for each in inspection.findings if each.outcome in wanted and not each.handed_over_to
    ]


def waits_for(inspection: pb.Inspection) -> str:
    """Whose move it is: departments by name, or the loop itself."""
    match inspection.standing.state:
        case pb.STATE_INVITING:
            asked = [each for each in inspection.participants if each.answer == pb.ANSWER_PENDING]
            return _names(asked)
        case pb.STATE_UNDER_WAY:
            return _names(each for each in going(inspection) if not each.HasField("result_time"))
        case pb.STATE_REPORTED:
            left = not_handed_over(inspection)
            by_people = any(each.outcome not in FOLLOWED_UP for each in left)
            reviewed = all(each.duty != pb.DUTY_REVIEW for each in inspection.standing.deadlines)
            if by_people or (not left and not reviewed):
                return lead_of(inspection).display_name
            return THE_LOOP if left else NOBODY
        case state if state in BEFORE_START:
            return lead_of(inspection).display_name
    return NOBODY


def _names(participants: Iterable[pb.Participant]) -> str:
    return "、".join(each.display_name for each in participants)[:MOST_CHARACTERS] or NOBODY


def _trim(inspection: pb.Inspection) -> None:
    """Leave out, in place, what the log has and no loop needs: entries, papers, signatures, how it was
    counted, and what the enterprise thinks of the visit, which no department is to read.
    """
    for each in inspection.participants:
        _trim_part(each)
    for code in inspection.codes:
        code.ClearField("signature")
        code.ClearField("key")
        code.ClearField("statement")
    for finding in inspection.findings:
        finding.description = finding.description[:MOST_CHARACTERS]
    for deadline in inspection.standing.deadlines:
        del deadline.deadline.steps[:]
    inspection.approval.scheme = inspection.approval.scheme[:MOST_CHARACTERS]
    if not inspection.approval.approver:
        inspection.ClearField("approval")
    inspection.ClearField("report")
    inspection.ClearField("rating")


def _trim_part(part: pb.Participant) -> None:
    del part.entries[:], part.tasks[:]
    part.conclusion = part.conclusion[:MOST_CHARACTERS]
    part.reason = part.reason[:MOST_CHARACTERS]
    for inspector in part.inspectors:
        inspector.ClearField("certificate")
    small: Sequence[pb.Item] = [
        pb.Item(id=item.id, answered_by=item.answered_by[:1]) for item in part.items
    ]
    del part.items[:]
    part.items.extend(small)

"""Who takes part in an inspection and whom they send: answers, silence, inspectors. Pure."""

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import roster_pb2
from rpc.errors import invalid_argument
from rules import as_date
from services.inspection.inspections.evolve import Event, evolve
from services.inspection.inspections.proceeding import Proceeding
from services.inspection.roster.eligibility import REASONS, certificate_on, eligible

ACCEPTED_BY_SILENCE = "accepted"  # a choice of rule inspection.silence


def answer(p: Proceeding, command: rpc_pb.AnswerInvitationRequest) -> list[Event]:
    """The department takes part, with these inspectors if it names some, or not, with its reason."""
    participant = p.participant(command.department)
    if participant.answer != pb.ANSWER_PENDING:
        text = f"{participant.display_name or participant.department} has answered"
        raise p.refuse("ALREADY_ANSWERED", text, department=participant.department)
    if not command.accepted and not command.reason.strip():
        text = "a department says why it does not take part"
        raise invalid_argument("REASON_MISSING", text, [("reason", "is required")])
    if not command.accepted and command.inspectors:
        text = "who does not take part sends nobody"
        raise invalid_argument("INSPECTORS_OF_NOBODY", text, [("inspectors", "must be empty")])
    answered = ev.InvitationAnswered(
        occurrence=_answered(p, command.department),
        department=command.department,
        answer=pb.ANSWER_ACCEPTED if command.accepted else pb.ANSWER_DECLINED,
        reason="" if command.accepted else command.reason,
    )
    if not command.inspectors:
        return [answered]
    then = replace(p, inspection=evolve(p.inspection, answered))
    return [answered, *_assigned(then, command)]


def silence(p: Proceeding, passed: pb.OpenDeadline) -> list[Event]:
    """What an invitation is taken for that nobody answered (rule inspection.silence)."""
    taken_for = p.rules.choice("inspection.silence", p.today)
    accepted = taken_for == ACCEPTED_BY_SILENCE
    return [
        ev.DeadlinePassed(
            occurrence=_answered(p, passed.department),
            deadline=passed,
            answer=pb.ANSWER_ACCEPTED if accepted else pb.ANSWER_TIMED_OUT,
        )
    ]


def _answered(p: Proceeding, department: str) -> ev.Occurrence:
    """After an answer; after the last one who takes part is settled, and the visit is due."""
    closes = p.ids(pb.DUTY_ANSWER, department)
    pending = [
        each.department
        for each in p.inspection.participants
        if each.answer == pb.ANSWER_PENDING and each.department != department
    ]
    if pending:
        return p.occurrence(closes=closes)
    visit = p.open(pb.DUTY_VISIT, p.lead.department, p.today, due=as_date(p.inspection.to_date))
    return p.occurrence(pb.STATE_ARRANGED, opens=[visit], closes=closes)


def assign(p: Proceeding, command: rpc_pb.AssignInspectorsRequest) -> list[Event]:
    """These inspectors instead of those named before."""
    participant = p.participant(command.department)
    if participant.answer != pb.ANSWER_ACCEPTED:
        text = f"{participant.display_name or participant.department} does not take part"
        raise p.refuse("NOT_TAKING_PART", text, department=participant.department)
    return _assigned(p, command)


def _assigned(
    p: Proceeding, command: rpc_pb.AnswerInvitationRequest | rpc_pb.AssignInspectorsRequest
) -> list[Event]:
    department = command.department
    require_enough(p, department, len(command.inspectors))
    left_out = set(p.known.drawn) - set(command.inspectors)
    _require_drawn(left_out, command.reason)
    inspectors = [_inspector(p, department, name) for name in command.inspectors]
    if inspectors == list(p.participant(department).inspectors):
        return []
    return [
        ev.InspectorsAssigned(
            occurrence=p.occurrence(),
            department=department,
            inspectors=inspectors,
            reason=command.reason if left_out else "",
        )
    ]


def _require_drawn(left_out: Collection[str], reason: str) -> None:
    """Inspectors are drawn by lot like targets (双随机): who leaves one of them out says why."""
    if left_out and not reason.strip():
        names = ", ".join(sorted(left_out))
        raise invalid_argument(
            "DRAWN_LEFT_OUT",
            f"the draw chose {names}: name them, or say why others come",
            [("reason", "is required where an inspector drawn is left out")],
        )


def require_enough(p: Proceeding, department: str, count: int) -> None:
    """FAILED_PRECONDITION TOO_FEW_INSPECTORS for fewer than the law asks of each department."""
    least = p.rules.number("inspection.inspectors_least", p.today)
    if count < least:
        text = f"{department} has named {count} inspectors; at least {least} have to come (AssignInspectors)"
        raise p.refuse("TOO_FEW_INSPECTORS", text, department=department, least=str(least))


def _inspector(p: Proceeding, department: str, name: str) -> pb.Assigned:
    """The inspector, if eligible on the days of the visit that are left."""
    first = max(as_date(p.inspection.from_date), p.today)
    last = max(as_date(p.inspection.to_date), first)
    inspector = require_eligible(p, department, name, first, last)
    if p.inspection.approval.approver == inspector.subject:
        text = f"{inspector.display_name} approved the inspection and cannot be of it"
        raise p.refuse("APPROVER_INSPECTS", text, inspector=name)
    return named(inspector, first)


def named(inspector: roster_pb2.Inspector, day: date) -> pb.Assigned:
    """The inspector with the certificate of that day."""
    certificate = certificate_on(inspector, day) or roster_pb2.Certificate()
    return pb.Assigned(
        inspector=inspector.name,
        display_name=inspector.display_name,
        certificate=f"{certificate.issuer} {certificate.number}",
    )


def require_eligible(
    p: Proceeding, department: str, name: str, first: date, last: date
) -> roster_pb2.Inspector:
    """The inspector of the department, who may inspect the enterprise on each day from `first` to `last`.

    FAILED_PRECONDITION INSPECTOR_UNKNOWN, INSPECTOR_OF_OTHERS, or INSPECTOR_ with the reason that
    `eligible` gives.
    """
    inspector = p.known.inspectors.get(name)
    if inspector is None:
        raise p.refuse("INSPECTOR_UNKNOWN", f"{name} is not on the roster", inspector=name)
    if inspector.department != department:
        text = f"{inspector.display_name} is of {inspector.department}"
        raise p.refuse("INSPECTOR_OF_OTHERS", text, inspector=name)
    if why := eligible(inspector, p.inspection.enterprise.uscc, first, last):
        text = f"{inspector.display_name} cannot inspect from {first} to {last}: {REASONS[why]}"
        raise p.refuse(f"INSPECTOR_{why}", text, inspector=name)
    return inspector

"""The head approves an inspection before it starts, or makes up for it where it could not wait. Pure."""

from dataclasses import replace

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from services.inspection.inspections import codes, on_site, results
from services.inspection.inspections.evolve import Event, evolve
from services.inspection.inspections.proceeding import Proceeding, assigned


def approve(p: Proceeding, command: rpc_pb.ApproveInspectionRequest) -> list[Event]:
    """The approval; made up after a code on the spot. The head then may also find that it was not right to
    go, which revokes a code that is not used yet.
    """
    _require_other_person(p)
    awaited = p.inspection.standing.state == pb.STATE_ARRANGED
    if not awaited and not _to_make_up(p.inspection):
        raise p.refuse("NOT_AWAITING_APPROVAL", f"{p.inspection.name} is approved")
    if awaited and command.disapproved:
        text = "only what was begun on the spot is disapproved; cancel it, or let it be"
        raise p.refuse("NOT_ON_THE_SPOT", text)
    approval = pb.Approval(
        approver=p.actor,
        scheme=command.scheme,
        opinion=command.opinion,
        approve_time=p.time,
        made_up=not awaited,
        disapproved=command.disapproved,
    )
    state = pb.STATE_APPROVED if awaited else results.state_after_review(p)
    occurrence = p.occurrence(state, closes=p.ids(pb.DUTY_REVIEW))
    approved = ev.InspectionApproved(occurrence=occurrence, approval=approval)
    unused = p.inspection.standing.state == pb.STATE_READY and not on_site.begun(p.inspection)
    if not command.disapproved or not unused:
        return [approved]
    then = replace(p, inspection=evolve(p.inspection, approved))
    return [approved, codes.revoked(then, command.opinion or command.scheme)]


def _to_make_up(inspection: pb.Inspection) -> bool:
    """Whether it has a code given on the spot that nobody has looked at since."""
    code = codes.current(inspection)
    on_the_spot = code is not None and bool(code.on_the_spot_reason)
    return on_the_spot and not codes.approved(inspection) and not inspection.approval.made_up


def _require_other_person(p: Proceeding) -> None:
    """Nobody approves what they do themselves."""
    for name in assigned(p.inspection):
        inspector = p.known.inspectors.get(name)
        if inspector is not None and inspector.subject == p.actor:
            text = f"{inspector.display_name} inspects and cannot approve it"
            raise p.refuse("APPROVER_INSPECTS", text, inspector=name)

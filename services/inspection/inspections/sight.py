"""What callers get to see of an inspection: an enterprise its own, from the start of the visit on.

Whoever is of a department does not see what the enterprise thought of the visit: a rating that the
inspected fears to be held against it says nothing.
"""

from bihuan.inspection.v1 import inspection_pb2 as pb
from rpc.errors import not_found
from rpc.identity import current_identity


def knows(inspection: pb.Inspection) -> bool:
    """Whether the enterprise knows of it: once somebody has come."""
    return inspection.HasField("start")


def shown(inspection: pb.Inspection) -> pb.Inspection:
    """The inspection as the caller may see it; NOT_FOUND if not at all, as if it never was."""
    identity = current_identity()
    seen = pb.Inspection()
    if not identity.enterprise:
        if not (identity.agency and inspection.HasField("rating")):
            return inspection
        seen.CopyFrom(inspection)
        seen.ClearField("rating")
        return seen
    if identity.enterprise != inspection.enterprise.uscc or not knows(inspection):
        raise not_found("bihuan.dev/Inspection", inspection.name)
    seen.CopyFrom(inspection)
    _hide_confidences(seen)
    return seen


def _hide_confidences(seen: pb.Inspection) -> None:
    """Whoever complained and about what, and who in the departments said what to whom."""
    if seen.HasField("clue"):
        seen.clue.reference = seen.clue.summary = ""
    seen.opener = ""
    if seen.HasField("approval"):
        seen.approval.approver = seen.approval.opinion = ""
    for participant in seen.participants:
        participant.answerer = participant.reason = participant.nexus_endpoint = ""

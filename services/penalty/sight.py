"""What a party gets to see of its case: all that was told or asked of it, nothing of how it came about.

Callers that belong to no enterprise see everything their role reads.
"""

from google.protobuf.field_mask_pb2 import FieldMask

from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from rpc.errors import not_found
from rpc.identity import current_identity

# Evidence is told by title in the notice; files may name whoever complained.
INTERNAL = (
    "evidence",
    "investigation",
    "legal_reviews",
    "discussions",
    "officer",
    "extensions",
)


DECISIONS = frozenset(
    {
        doc.DOCUMENT_KIND_DECISION,
        doc.DOCUMENT_KIND_DAILY_DECISION,
        doc.DOCUMENT_KIND_NO_PENALTY,
    }
)
# What a caller learns who only reports that money came in.
PAYMENT = ("name", "etag", "respondent", "standing", "account", "plans")


def paid(case: pb.PenaltyCase) -> pb.PenaltyCase:
    """Of the case what concerns its payment: how it was investigated is nothing to a bank."""
    seen = pb.PenaltyCase()
    FieldMask(paths=PAYMENT).MergeMessage(case, seen)
    return seen


def knows(case: pb.PenaltyCase) -> bool:
    """Whether its party knows of it: from the notice on, or from a decision of no penalty without one."""
    return case.HasField("notice_serve_date") or case.decision.HasField("serve_date")


def shown(case: pb.PenaltyCase) -> pb.PenaltyCase:
    """The case as the caller may see it; NOT_FOUND if not at all, as if it never was."""
    identity = current_identity()
    if not identity.enterprise:
        return case
    if identity.enterprise != case.respondent.uscc or not knows(case):
        raise not_found("bihuan.dev/PenaltyCase", case.name)
    seen = pb.PenaltyCase()
    seen.CopyFrom(case)
    for field in INTERNAL:
        seen.ClearField(field)  # type: ignore[arg-type]
    if seen.origin.kind != pb.Origin.KIND_DAILY_PENALTY:
        seen.ClearField("origin")
    if seen.HasField("decision"):
        seen.decision.decider = ""
    if not seen.decision.HasField("serve_date"):
        _hide_decision(seen)
    for statement in seen.statements:
        statement.considered_by = ""
    for application in seen.applications:
        application.decider = ""
    for reinspection in seen.reinspections:
        del reinspection.evidence[:]
    return seen


def _hide_decision(seen: pb.PenaltyCase) -> None:
    """A decision tells nothing until it is served."""
    seen.ClearField("decision")
    seen.standing.ClearField("unpaid_fine_fen")
    told = [each for each in seen.documents if each.kind not in DECISIONS]
    del seen.documents[:]
    seen.documents.extend(told)

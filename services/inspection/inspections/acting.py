"""For which department a caller acts: an officer for the own one alone, others for any."""

from collections.abc import Iterable
from typing import Any

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from rpc.errors import permission_denied
from rpc.identity import current_identity

# Of any department that takes part; elsewhere of the one that the command names, or of the lead.
ANY_OF_THEM = frozenset({rpc_pb.PrecheckInspectionRequest, rpc_pb.StartInspectionRequest})
# Of no department in particular: enterprises and loops send them.
OF_NOBODY = frozenset(
    {
        code_pb.RateInspectionRequest,
        rpc_pb.ExpireDeadlineRequest,
        rpc_pb.RecountDeadlinesRequest,
    }
)


def require_department(inspection: pb.Inspection, command: Any) -> None:
    """PERMISSION_DENIED OTHER_DEPARTMENT if the caller is of a department and acts for another."""
    agency = current_identity().agency
    if not agency or type(command) in OF_NOBODY:
        return
    own, acting = f"departments/{agency}", set(_acting(inspection, command))
    if own not in acting:
        raise permission_denied(
            "OTHER_DEPARTMENT",
            f"{own} does not act for {' or '.join(sorted(acting))}",
            department=own,
        )


def _acting(inspection: pb.Inspection, command: Any) -> Iterable[str]:
    """The departments that may send the command."""
    if isinstance(command, rpc_pb.OpenInspectionRequest):
        return [command.participants[0].department]
    if "department" in command.DESCRIPTOR.fields_by_name:
        return [command.department]
    if type(command) in ANY_OF_THEM:
        return [each.department for each in inspection.participants]
    lead = [each.department for each in inspection.participants if each.lead]
    if isinstance(command, rpc_pb.HandOverFindingRequest):
        return lead + [
            each.department for each in inspection.findings if each.id == command.finding
        ]
    return lead

"""What may happen next to an inspection: each command by the law and the state. Pure."""

from collections.abc import Callable
from typing import Any, TypeAlias

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from rules import UnknownRule
from services.inspection.inspections import (
    approval,
    codes,
    deadlines,
    on_site,
    opening,
    participation,
    precheck,
    results,
)
from services.inspection.inspections.evolve import Event
from services.inspection.inspections.proceeding import Proceeding

Command: TypeAlias = Any  # a request of InspectionService or CodeService, as in DECISIONS
State: TypeAlias = pb.State.ValueType
INVITING, ARRANGED, APPROVED = pb.STATE_INVITING, pb.STATE_ARRANGED, pb.STATE_APPROVED
READY, UNDER_WAY, RECORDED = pb.STATE_READY, pb.STATE_UNDER_WAY, pb.STATE_RECORDED
REPORTED, CLOSED = pb.STATE_REPORTED, pb.STATE_CLOSED
BEFORE_START = (INVITING, ARRANGED, APPROVED, READY)
# Devices that were offline tell late: of what was noted during the visit, whatever became of it since.
FROM_CODE_ON = (READY, UNDER_WAY, RECORDED, REPORTED, CLOSED)

# The states in which a command may come, and the reason given in any other.
ALLOWED: dict[type[Any], tuple[tuple[State, ...], str]] = {
    rpc_pb.OpenInspectionRequest: ((pb.STATE_UNSPECIFIED,), "ALREADY_OPENED"),
    rpc_pb.AnswerInvitationRequest: ((INVITING,), "NOT_INVITING"),
    rpc_pb.PrecheckInspectionRequest: ((ARRANGED, APPROVED), "NOT_BEFORE_CODE"),
    rpc_pb.AssignInspectorsRequest: ((INVITING, ARRANGED, APPROVED), "NOT_BEFORE_CODE"),
    # After a start on the spot the approval is made up.
    rpc_pb.ApproveInspectionRequest: (
        (ARRANGED, READY, UNDER_WAY, RECORDED, REPORTED),
        "NOT_AWAITING_APPROVAL",
    ),
    rpc_pb.IssueCodeRequest: ((ARRANGED, APPROVED, READY), "NOT_APPROVED"),
    rpc_pb.RevokeCodeRequest: ((READY,), "NO_CODE_TO_REVOKE"),
    rpc_pb.StartInspectionRequest: (FROM_CODE_ON, "NO_CODE"),
    rpc_pb.RecordEntriesRequest: (FROM_CODE_ON, "NO_CODE"),
    rpc_pb.RecordResultRequest: ((UNDER_WAY,), "NOT_UNDER_WAY"),
    rpc_pb.ReportInspectionRequest: ((RECORDED,), "NOT_RECORDED"),
    rpc_pb.HandOverFindingRequest: ((RECORDED, REPORTED, CLOSED), "NOT_RECORDED"),
    code_pb.RateInspectionRequest: ((UNDER_WAY, RECORDED, REPORTED, CLOSED), "NOT_STARTED"),
    rpc_pb.CancelInspectionRequest: (BEFORE_START, "NOT_CANCELLABLE"),
}
DECISIONS: dict[type[Any], Callable[[Proceeding, Any], list[Event]]] = {
    rpc_pb.OpenInspectionRequest: opening.open_inspection,
    rpc_pb.AnswerInvitationRequest: participation.answer,
    rpc_pb.AssignInspectorsRequest: participation.assign,
    rpc_pb.ApproveInspectionRequest: approval.approve,
    rpc_pb.IssueCodeRequest: codes.issue,
    rpc_pb.RevokeCodeRequest: codes.revoke,
    rpc_pb.CancelInspectionRequest: deadlines.cancel,
    rpc_pb.ExpireDeadlineRequest: deadlines.expire,
    rpc_pb.RecountDeadlinesRequest: deadlines.recount,
    rpc_pb.PrecheckInspectionRequest: precheck.precheck,
    rpc_pb.StartInspectionRequest: on_site.start,
    rpc_pb.RecordEntriesRequest: on_site.record_entries,
    rpc_pb.RecordResultRequest: results.record_result,
    rpc_pb.ReportInspectionRequest: results.report,
    rpc_pb.HandOverFindingRequest: results.hand_over,
    code_pb.RateInspectionRequest: results.rate,
}


def decide(p: Proceeding, command: Command) -> list[Event]:
    """What follows from `command`: no event if it changes nothing.

    `p.inspection` has its name set and state UNSPECIFIED before it is opened. Raises StatusError:
    FAILED_PRECONDITION for a move that the state, the law or a limit forbids, or where a place has no
    rule for it (NO_RULE_IN_FORCE); INVALID_ARGUMENT naming the field for a bad one. A late or doubled
    expiry gives no event.
    """
    _require_state(p, command)
    try:
        return DECISIONS[type(command)](p, command)
    except UnknownRule as error:
        raise p.refuse("NO_RULE_IN_FORCE", str(error)) from error


def _require_state(p: Proceeding, command: Command) -> None:
    found = p.inspection.standing.state
    states, reason = ALLOWED.get(type(command), ((found,), ""))
    if found in states:
        return
    wanted = " or ".join(pb.State.Name(state) for state in sorted(states))
    text = f"{p.inspection.name} is in {pb.State.Name(found)}; this needs {wanted}"
    raise p.refuse(reason, text + _awaited(p))


def _awaited(p: Proceeding) -> str:
    """What it waits for, and of whom; empty if for nothing."""
    standing = p.inspection.standing
    awaited = [f"{pb.Duty.Name(each.duty)} of {each.department}" for each in standing.deadlines]
    awaited += [f"{each}, overdue" for each in standing.overdue]
    return f"; it waits for {', '.join(awaited)}" if awaited else ""

"""What an enterprise gets to see of a problem: nothing before it concerns it, and nobody's confidences.

Callers that belong to no enterprise see everything.
"""

from bihuan.rectification.v1 import problem_pb2 as pb
from rpc.errors import not_found
from rpc.identity import current_identity

# Reports in an enterprise's own words or an officer's; any other may quote whoever complained.
TOLD = frozenset({pb.SOURCE_INSPECTION, pb.SOURCE_MONITORING, pb.SOURCE_SELF_REPORT})


def concerns_enterprise(problem: pb.Problem) -> bool:
    """Whether its enterprise knows of it: from the order on, of its own report from the start."""
    return problem.HasField("order") or problem.source == pb.SOURCE_SELF_REPORT


def shown(problem: pb.Problem) -> pb.Problem:
    """The problem as the caller may see it; NOT_FOUND if not at all, as if it never was."""
    identity = current_identity()
    if not identity.enterprise:
        return problem
    if identity.enterprise != problem.enterprise.uscc or not concerns_enterprise(problem):
        raise not_found("bihuan.dev/Problem", problem.name)
    seen = pb.Problem()
    seen.CopyFrom(problem)
    if problem.reporter != identity.subject:
        seen.reporter = ""
    if problem.source not in TOLD:
        seen.description = ""
    seen.ClearField("complainant")
    return seen

"""Problems brought as far as a test needs, and the requests that bring them there."""

from typing import Any

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.types.v1.evidence_pb2 import Evidence
from tests.bureau import Bureau, item, report
from tests.services.calls import rid


async def rectifying(open_: Bureau, *items: rpc_pb.ItemDraft, **fields: object) -> pb.Problem:
    """A problem whose rectification is ordered."""
    officer = open_.client("officer")
    problem = await open_.client("reporter").problems.ReportProblem(report(**fields))
    await officer.problems.VerifyProblem(verification(problem))
    ordered: pb.Problem = await officer.problems.OrderRectification(order(problem, *items))
    return ordered


def verification(problem: pb.Problem, **fields: Any) -> rpc_pb.VerifyProblemRequest:
    return rpc_pb.VerifyProblemRequest(
        request_id=rid(),
        name=problem.name,
        result=rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED,
        reasons="属实",
        **fields,
    )


def order(problem: pb.Problem, *items: rpc_pb.ItemDraft) -> rpc_pb.OrderRectificationRequest:
    return rpc_pb.OrderRectificationRequest(
        request_id=rid(), name=problem.name, items=items or [item()], legal_basis="生态环境法典"
    )


def submission(problem: pb.Problem, *evidence: Evidence, **fields: Any) -> Any:
    return rpc_pb.SubmitRectificationRequest(
        request_id=rid(), name=problem.name, statement="已整改", evidence=evidence, **fields
    )

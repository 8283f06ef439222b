"""The domains that a scenario can play: whose services, and what opens a case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.json_format import MessageToDict

from bihuan.penalty.v1 import (
    payment_service_pb2,
    payment_service_pb2_grpc,
    penalty_case_service_pb2,
    penalty_case_service_pb2_grpc,
)
from bihuan.rectification.v1 import problem_pb2, problem_service_pb2, problem_service_pb2_grpc


@dataclass(frozen=True)
class Domain:
    """One domain.

    section: where its cases stand in a scenario; collection: of their resource names; opening: the call
    that opens one; party: what the opening says of the enterprise; stubs: its services by name.
    """

    section: str
    collection: str
    opening: str
    party: Callable[[problem_pb2.Enterprise], dict[str, Any]]
    services: tuple[ServiceDescriptor, ...]
    stubs: Mapping[str, Callable[..., Any]]

    @property
    def methods(self) -> Mapping[str, MethodDescriptor]:
        """The calls of all its services."""
        return {
            name: method
            for service in self.services
            for name, method in service.methods_by_name.items()
        }

    def send(self, channel: Any, call: str) -> Callable[..., Any]:
        """The call on a channel."""
        stub = self.stubs[self.methods[call].containing_service.name](channel)
        method: Callable[..., Any] = getattr(stub, call)
        return method


def _respondent(company: problem_pb2.Enterprise) -> dict[str, Any]:
    return {"respondent": {"kind": "KIND_ENTITY"} | MessageToDict(company)}


DOMAINS = {
    "problems": Domain(
        "problems",
        "problems",
        "ReportProblem",
        lambda company: {"enterprise": MessageToDict(company)},
        (problem_service_pb2.DESCRIPTOR.services_by_name["ProblemService"],),
        {"ProblemService": problem_service_pb2_grpc.ProblemServiceStub},
    ),
    "penalties": Domain(
        "penalties",
        "penaltyCases",
        "RegisterClue",
        _respondent,
        (
            penalty_case_service_pb2.DESCRIPTOR.services_by_name["PenaltyCaseService"],
            payment_service_pb2.DESCRIPTOR.services_by_name["PaymentService"],
        ),
        {
            "PenaltyCaseService": penalty_case_service_pb2_grpc.PenaltyCaseServiceStub,
            "PaymentService": payment_service_pb2_grpc.PaymentServiceStub,
        },
    ),
}

"""What loops do to the world: gRPC commands, each with a request_id that no retry changes."""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import grpc.aio
from google.rpc import code_pb2
from temporalio import activity
from temporalio.exceptions import ApplicationError

from bihuan.notification.v1 import notice_pb2, notice_pb2_grpc
from bihuan.rectification.v1 import problem_pb2, problem_service_pb2, problem_service_pb2_grpc
from rpc.causation import caused_by
from rpc.client import status_of

Answer = TypeVar("Answer")

# A caller's mistake stays one however often it is repeated.
NOT_RETRYABLE = frozenset(
    {
        code_pb2.INVALID_ARGUMENT,
        code_pb2.NOT_FOUND,
        code_pb2.ALREADY_EXISTS,
        code_pb2.FAILED_PRECONDITION,
        code_pb2.UNIMPLEMENTED,
    }
)


def request_id(workflow_id: str, step: str) -> str:
    """The request_id of a step of a workflow: the same in every attempt and every replay."""
    return str(uuid5(NAMESPACE_URL, f"bihuan:{workflow_id}/{step}"))


class Activities:
    """Activities over one channel to the services. The channel's token has the role `loop`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._problems = problem_service_pb2_grpc.ProblemServiceStub(channel)
        self._notices = notice_pb2_grpc.NotificationServiceStub(channel)

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """Every activity, for a worker."""
        return [
            self.send_notice,
            self.get_problem,
            self.expire_deadline,
            self.list_provisional,
            self.recount,
        ]

    @activity.defn
    async def send_notice(
        self, request: notice_pb2.SendNoticeRequest, cause: str
    ) -> notice_pb2.Notice:
        """Puts a notice into an inbox; `cause` is the id of the event that it tells of."""
        return await _call(lambda: self._notices.SendNotice(request), cause)

    @activity.defn
    async def get_problem(
        self, request: problem_service_pb2.GetProblemRequest
    ) -> problem_pb2.Problem:
        """A problem as it stands."""
        return await _call(lambda: self._problems.GetProblem(request), "")

    @activity.defn
    async def expire_deadline(
        self, request: problem_service_pb2.ExpireDeadlineRequest, cause: str
    ) -> problem_pb2.Problem:
        """Tells the service that a deadline's time has come; the service decides what that means."""
        return await _call(lambda: self._problems.ExpireDeadline(request), cause)

    @activity.defn
    async def list_provisional(
        self, request: problem_service_pb2.ListProblemsRequest
    ) -> problem_service_pb2.ListProblemsResponse:
        """A page of problems with provisional deadlines."""
        return await _call(lambda: self._problems.ListProblems(request), "")

    @activity.defn
    async def recount(
        self, request: problem_service_pb2.RecountDeadlinesRequest, cause: str
    ) -> problem_pb2.Problem:
        """Has a problem's provisional deadlines counted again."""
        return await _call(lambda: self._problems.RecountDeadlines(request), cause)


async def _call(send: Callable[[], Awaitable[Answer]], cause: str) -> Answer:
    try:
        if not cause:
            return await send()
        with caused_by(UUID(cause)):
            return await send()
    except grpc.aio.AioRpcError as error:
        status = status_of(error)
        raise ApplicationError(
            str(status),
            type=status.reason or code_pb2.Code.Name(status.code),
            non_retryable=status.code in NOT_RETRYABLE,
        ) from error

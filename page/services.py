"""What the page asks the services, by gRPC alone and never without a deadline."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import grpc.aio
from google.rpc.code_pb2 import Code
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bihuan.inspection.v1 import (
    code_service_pb2,
    code_service_pb2_grpc,
    statistics_service_pb2,
    statistics_service_pb2_grpc,
)
from rpc.client import connect, status_of

CALL_SECONDS = 5.0
HEALTH_SECONDS = 2.0
STATISTICS_SECONDS = (
    60.0  # that a figure may be old: whoever reloads does not make services count again
)
MOST_KEPT = 200


class ServicesAway(Exception):
    """The services cannot answer now: try again."""


class Refused(Exception):
    """The services will not do it; code and reason are stable."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Rating:
    """What an enterprise says of a visit; the same request_id again is the same rating."""

    request_id: str
    code: str
    score: int
    comment: str


class Services:
    """The services behind the page, at `target`, called with a token of role scan_page."""

    def __init__(self, target: str, token: str | Callable[[], str]) -> None:
        self._channel = connect(target, token)
        self._codes = code_service_pb2_grpc.CodeServiceStub(self._channel)
        self._figures = statistics_service_pb2_grpc.StatisticsServiceStub(self._channel)
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)
        self._kept: dict[tuple[int, str], tuple[float, statistics_service_pb2.Statistics]] = {}

    async def close(self) -> None:
        """Let the connection go."""
        await self._channel.close()

    async def verify(
        self, code: str, signature: str, enterprise: str
    ) -> code_service_pb2.CodeVerification:
        """What the code is worth. Raises ServicesAway."""
        request = code_service_pb2.VerifyCodeRequest(
            code=code, signature=signature, enterprise=enterprise
        )
        try:
            found: code_service_pb2.CodeVerification = await _called(
                self._codes.VerifyCode, request
            )
        except Refused as error:
            if error.code != Code.INVALID_ARGUMENT:
                raise ServicesAway(error.reason) from error
            # What cannot be a code is not told from what was never issued.
            return code_service_pb2.CodeVerification(verdict=code_service_pb2.VERDICT_FORGED)
        return found

    async def rate(self, rating: Rating) -> None:
        """Record the rating. Raises ServicesAway, and Refused for one that comes too early or again."""
        request = code_service_pb2.RateInspectionRequest(
            request_id=rating.request_id,
            code=rating.code,
            score=rating.score,
            comment=rating.comment,
        )
        await _called(self._codes.RateInspection, request)

    async def statistics(self, year: int, district: str) -> statistics_service_pb2.Statistics:
        """The figures of a year (0: the current one), a minute old at most. Raises ServicesAway, Refused."""
        key, now = (year, district), monotonic()
        kept = self._kept.get(key)
        if kept and now - kept[0] < STATISTICS_SECONDS:
            return kept[1]
        request = statistics_service_pb2.GetStatisticsRequest(year=year, district=district)
        found: statistics_service_pb2.Statistics = await _called(
            self._figures.GetStatistics, request
        )
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = now, found
        return found

    async def healthy(self) -> bool:
        """Whether the services say that they serve."""
        try:
            answer = await self._health.Check(
                health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _called(method: Any, request: Any) -> Any:
    try:
        return await method(request, timeout=CALL_SECONDS)
    except grpc.aio.AioRpcError as error:
        refusal = status_of(error)
        mistaken = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION}
        if refusal.code in {*mistaken, Code.ALREADY_EXISTS, Code.ABORTED}:
            raise Refused(refusal.code, refusal.reason) from error
        raise ServicesAway(refusal.reason) from error

"""How every service is served: behind the gate, with health, reflection, traces and a soft stop."""

import errno
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

from rpc import personal
from rpc.gate import OPEN_SERVICES, Gate, Method, Translate
from rpc.identity import TokenVerifier
from rpc.messages import compile_rules
from rpc.permissions import Permissions, required_permission

OPTIONS = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
)


class Service(NamedTuple):
    """A servicer, the generated add_…_to_server, and the service's descriptor."""

    servicer: Any
    add: Callable[[Any, Any], None]
    descriptor: ServiceDescriptor


class Server:
    """Serves gRPC services to known callers: identity, permission, validation, then the handler.

    A handler raises StatusError to refuse; `translate` makes one of other exceptions that have a
    meaning (a database that is away), and what is left is INTERNAL, logged with its trace id.
    `timeout_seconds` bounds a unary call whose caller set no deadline. Without `credentials` the
    port speaks plaintext. Health and reflection answer anybody. `open_personal` makes personal data
    in an answer readable, for whoever may read it; without it nobody may.
    ValueError, now and not at the first call, for a method without a permission or a field marked
    personal that cannot be; protovalidate's CompilationError for a request whose rules cannot work.
    """

    def __init__(
        self,
        services: Sequence[Service],
        verifier: TokenVerifier,
        permissions: Permissions,
        *,
        address: str = "127.0.0.1:0",
        credentials: grpc.ServerCredentials | None = None,
        translate: Translate = lambda error: None,
        open_personal: personal.Open | None = None,
        timeout_seconds: float = 30.0,
        max_message_bytes: int = 4 << 20,
    ) -> None:
        self._services = services
        self._gate = Gate(
            _methods(services),
            verifier,
            permissions,
            translate,
            timeout_seconds,
            open_personal or _blanked,
        )
        self._address = address
        self._credentials = credentials
        self._options = (*OPTIONS, ("grpc.max_receive_message_length", max_message_bytes))
        self._health = health.aio.HealthServicer()

    async def start(self) -> int:
        """Listens and serves; the port bound. OSError names an address that cannot be had."""
        traced = filters.negate(filters.health_check())
        tracing = aio_server_interceptor(filter_=traced)  # type: ignore[no-untyped-call]
        self._server = grpc.aio.server(interceptors=[tracing, self._gate], options=self._options)
        for servicer, add, _ in self._services:
            add(servicer, self._server)
        await self.report(serving=True)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*self._names(), *OPEN_SERVICES), self._server)
        port = self._listen()
        await self._server.start()
        return port

    async def report(self, serving: bool) -> None:
        """What health checks are told from now on, until the stop: whether calls can be answered."""
        status = health_pb2.HealthCheckResponse
        state = status.SERVING if serving else status.NOT_SERVING
        for name in (health.OVERALL_HEALTH, *self._names()):
            await self._health.set(name, state)

    async def wait(self) -> None:
        """Returns when the server has stopped."""
        await self._server.wait_for_termination()

    async def stop(self, grace_seconds: float) -> None:
        """Reports NOT_SERVING, takes no new call, and cancels what still runs after the grace."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)

    def _names(self) -> list[str]:
        return [service.descriptor.full_name for service in self._services]

    def _listen(self) -> int:
        try:
            if self._credentials:
                return self._server.add_secure_port(self._address, self._credentials)
            return self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            reason = f"cannot listen on {self._address}: the port is taken or not allowed"
            raise OSError(errno.EADDRINUSE, reason) from error


def _methods(services: Sequence[Service]) -> dict[str, Method]:
    """Every method by its path on the wire, its request's rules compiled."""
    methods = {}
    compiled: set[str] = set()
    for service in services:
        for method in service.descriptor.methods:
            compile_rules(method.input_type, compiled)
            request = GetMessageClass(method.input_type)
            path = f"/{service.descriptor.full_name}/{method.name}"
            personal.check([method.input_type, method.output_type])
            may_hold = personal.reaches(method.output_type)
            methods[path] = Method(request, required_permission(method), may_hold)
    return methods


async def _blanked(answer: Any) -> Any:
    return personal.blanked(answer)

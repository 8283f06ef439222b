"""How our own programs call services: token, deadline, retries and trace on every call."""

import json
from collections.abc import Callable
from typing import Any

import grpc
from google.rpc.status_pb2 import Status
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from rpc.errors import STATUS_DETAILS, StatusError

UNARY_TIMEOUT_SECONDS = 10.0
# Every command carries a request_id, so trying again is harmless.
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
OPTIONS = (
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

Token = str | Callable[[], str]


def connect(
    target: str, token: Token, *, credentials: grpc.ChannelCredentials | None = None
) -> grpc.aio.Channel:
    """A channel whose calls carry the token, asked for anew on each call if it is a function.

    A unary call without a timeout gets 10 s; streams last as long as they last. UNAVAILABLE is
    tried again, five times in all. Without `credentials` the channel speaks plaintext: loopback, or
    a network that encrypts by itself.
    """
    interceptors = [
        *aio_client_interceptors(),  # type: ignore[no-untyped-call]
        _UnaryUnary(token, UNARY_TIMEOUT_SECONDS),
        _UnaryStream(token),
        _StreamUnary(token),
        _StreamStream(token),
    ]
    if credentials:
        return grpc.aio.secure_channel(target, credentials, OPTIONS, interceptors=interceptors)
    return grpc.aio.insecure_channel(target, OPTIONS, interceptors=interceptors)


def status_of(error: grpc.aio.AioRpcError) -> StatusError:
    """The refusal a service sent; for one that gRPC made itself the code's name is the reason."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS and isinstance(value, bytes):
            return StatusError.from_status(Status.FromString(value))
    return StatusError(error.code().value[0], error.code().name, error.details() or "")


class _Caller:
    """What every call needs; grpc.aio wants one class for each kind of call."""

    def __init__(self, token: Token, timeout_seconds: float | None = None) -> None:
        self._token = token
        self._timeout_seconds = timeout_seconds

    def _prepared(self, details: Any) -> Any:
        token = self._token if isinstance(self._token, str) else self._token()
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata["authorization"] = f"Bearer {token}"
        timeout = self._timeout_seconds if details.timeout is None else details.timeout
        return details._replace(metadata=metadata, timeout=timeout)


class _UnaryUnary(_Caller, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._prepared(client_call_details), request)


class _UnaryStream(_Caller, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._prepared(client_call_details), request)


class _StreamUnary(_Caller, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._prepared(client_call_details), request_iterator)


class _StreamStream(_Caller, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._prepared(client_call_details), request_iterator)

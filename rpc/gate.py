"""The one way in to every handler: identity, permission, valid request; the one way to say no."""

import asyncio
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Never

import grpc
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from rpc import personal
from rpc.errors import STATUS_DETAILS, StatusError, permission_denied, unauthenticated
from rpc.identity import Identity, TokenVerifier, bearer_token, identify
from rpc.messages import parse
from rpc.permissions import Permissions
from rpc.telemetry import current_trace_id

OPEN_SERVICES = frozenset({health.SERVICE_NAME, reflection.SERVICE_NAME})
MAX_STATUS_BYTES = 4000  # clients accept 8 KiB of metadata: these in base64, and the message
MAX_MESSAGE_CHARACTERS = 300
CODES = {code.value[0]: code for code in grpc.StatusCode}

log = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]
Translate = Callable[[Exception], StatusError | None]


@dataclass(frozen=True, slots=True)
class Method:
    """What a method takes, the permission it asks for, and whether answers may hold personal data."""

    request: type[Message]
    permission: str
    personal: bool = False


@dataclass(frozen=True)
class Gate(grpc.aio.ServerInterceptor):
    """Stands before every handler; `methods`, by path on the wire, are all that exist for it."""

    methods: Mapping[str, Method]
    verifier: TokenVerifier
    permissions: Permissions
    translate: Translate
    timeout_seconds: float
    open_personal: personal.Open

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The handler behind the gate, taking raw bytes; None, so UNIMPLEMENTED, if unknown."""
        path = handler_call_details.method
        handler = await continuation(handler_call_details)
        if path.removeprefix("/").partition("/")[0] in OPEN_SERVICES:
            return handler
        method = self.methods.get(path)
        if handler is None or method is None:
            return None
        kinds: dict[tuple[bool, bool], tuple[Any, Any, Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._one, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._many, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, self._one, handler.stream_unary),
            (True, True): (
                grpc.stream_stream_rpc_method_handler,
                self._many,
                handler.stream_stream,
            ),
        }
        make, guard, behaviour = kinds[handler.request_streaming, handler.response_streaming]
        # No deserializer of gRPC's: what it raises would be INTERNAL.
        return make(guard(method, behaviour), None, handler.response_serializer)

    def _one(self, method: Method, behaviour: Callable[[Any, Context], Awaitable[Any]]) -> Any:
        """Guards a method that answers once."""

        async def answer(raw: bytes | AsyncIterable[bytes], context: Context) -> Any:
            async with self._refusing(context):
                identity = await self._admit(method, context)
                async with self._in_time(raw, context):
                    reply = await behaviour(_read(method, raw), context)
                    return await self._shown(method, identity, reply)

        return answer

    def _many(self, method: Method, behaviour: Callable[[Any, Context], AsyncIterable[Any]]) -> Any:
        """Guards a method that answers with a stream."""

        async def answers(
            raw: bytes | AsyncIterable[bytes], context: Context
        ) -> AsyncIterator[Any]:
            async with self._refusing(context):
                identity = await self._admit(method, context)
                replies = aiter(behaviour(_read(method, raw), context))
                while (reply := await _next(replies, identity)) is not None:
                    yield await self._shown(method, identity, reply)

        return answers

    async def _shown(self, method: Method, identity: Identity, reply: Any) -> Any:
        """The reply with its personal data open for whoever may see it, blank for everybody else.

        Never for an enterprise's people, whatever their roles: it is not their enterprise's data.
        """
        if not method.personal:
            return reply
        if identity.enterprise or not self.permissions.allows(identity.roles, personal.PERMISSION):
            return personal.blanked(reply)
        return await self.open_personal(reply)

    async def _admit(self, method: Method, context: Context) -> Identity:
        """Makes the caller the current identity, if it may call the method."""
        metadata: Any = context.invocation_metadata() or ()
        identity = await self.verifier.verify(bearer_token(dict(metadata)))
        if not self.permissions.allows(identity.roles, method.permission):
            holders = ", ".join(self.permissions.holders(method.permission)) or "none"
            raise permission_denied(
                "PERMISSION_MISSING",
                f"{identity.subject} does not hold {method.permission}; roles that do: {holders}",
                permission=method.permission,
            )
        identify(identity)
        return identity

    @asynccontextmanager
    async def _in_time(self, raw: object, context: Context) -> AsyncIterator[None]:
        """Bounds a unary call that came without a deadline; gRPC itself keeps a caller's."""
        free = context.time_remaining() is not None or not isinstance(raw, bytes)
        limit = asyncio.timeout(None if free else self.timeout_seconds)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"not done within {self.timeout_seconds:g} s, and the call set no deadline"
            raise StatusError(Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", text) from None

    @asynccontextmanager
    async def _refusing(self, context: Context) -> AsyncIterator[None]:
        """Ends the call with the status of whatever is raised within."""
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _abort(context, self._refusal(error))

    def _refusal(self, error: Exception) -> StatusError:
        if isinstance(error, StatusError):
            return error
        trace_id = current_trace_id()
        if meant := self.translate(error):
            log.warning("%s; trace %s", meant, trace_id, exc_info=error)
            return meant
        log.error("call failed; trace %s", trace_id, exc_info=error)
        text = f"internal error; trace {trace_id}"
        return StatusError(Code.INTERNAL, "INTERNAL", text, {"trace_id": trace_id})


def _read(method: Method, raw: bytes | AsyncIterable[bytes]) -> Any:
    """The valid request, or the stream of valid requests."""
    if isinstance(raw, bytes):
        return parse(method.request, raw)
    return (parse(method.request, item) async for item in raw)


async def _next(replies: AsyncIterator[Any], identity: Identity) -> Any:
    """The next reply, None at the end; UNAUTHENTICATED once the caller's token has expired."""
    limit = asyncio.timeout(identity.expires_at - time.time())
    try:
        async with limit:
            return await anext(replies, None)
    except TimeoutError:
        if not limit.expired():
            raise
        raise unauthenticated("TOKEN_EXPIRED", "the token has expired meanwhile") from None


async def _abort(context: Context, error: StatusError) -> Never:
    short = replace(error, message=error.message[:MAX_MESSAGE_CHARACTERS])
    details = _fitting(short).SerializeToString()
    await context.abort(CODES[error.code], short.message, ((STATUS_DETAILS, details),))


def _fitting(error: StatusError) -> Status:
    """The error with as many of its violations, from the first, as fit a client's limits."""
    while (status := error.to_status()).ByteSize() > MAX_STATUS_BYTES and error.violations:
        error = replace(error, violations=error.violations[: len(error.violations) // 2])
    return status

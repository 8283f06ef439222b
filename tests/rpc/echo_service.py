"""A small service on a real server with real channels, to try the server kit on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from rpc.client import connect
from rpc.errors import StatusError, failed_precondition, invalid_argument, unavailable
from rpc.identity import Identity, TokenVerifier, current_identity
from rpc.issuer import LocalIssuer
from rpc.permissions import Permissions
from rpc.server import Server, Service
from rpc.telemetry import current_traceparent
from tests.protos import generate

ALICE = Identity("alice", "Alice", frozenset({"talker"}))
LISTENER = Identity("bob", "Bob", frozenset({"listener", "unheard-of"}))
SECRET = "postgresql://bihuan:hunter2@db"


generate(Path(__file__).parent, "echo")

import echo_pb2  # noqa: E402
import echo_pb2_grpc  # noqa: E402


class Echo(echo_pb2_grpc.EchoServiceServicer):
    """Answers with the caller's subject, or does what `act` says."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = asyncio.Event()
        self.entered = asyncio.Event()

    async def Echo(self, request, context):
        self.calls += 1
        self.entered.set()
        await self.act(request.act)
        return self.answer(request.title)

    async def Repeat(self, request, context):
        for count in range(3):
            yield self.answer(f"{request.title}{count}")
        await self.act(request.act)

    async def Gather(self, request_iterator, context):
        titles = [request.title async for request in request_iterator]
        return self.answer("+".join(titles))

    def answer(self, title: str) -> echo_pb2.EchoResponse:
        return echo_pb2.EchoResponse(
            title=title,
            subject=current_identity().subject,
            traceparent=current_traceparent(),
            person=echo_pb2.Person(id="p", phone="sealed 13947212345"),
        )

    async def act(self, name: str) -> None:
        match name:
            case "refuse":
                raise failed_precondition(
                    "PROBLEM_CLOSED", "already closed", state="CLOSED", resource="problems/1"
                )
            case "crash":
                raise RuntimeError(SECRET)
            case "timeout":
                raise TimeoutError(SECRET)
            case "database":
                raise ConnectionRefusedError(SECRET)
            case "flaky":
                if self.calls < 3:
                    raise unavailable("BUSY", "come again", retry_seconds=0.1)
            case "many":
                raise invalid_argument(
                    "MANY", "许" * 4000, [(f"items[{n}].title", "太长" * 50) for n in range(1000)]
                )
            case "nap":
                await asyncio.sleep(0.4)
            case "sleep":
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.cancelled.set()
                    raise


ECHO = echo_pb2.DESCRIPTOR.services_by_name["EchoService"]


def database_away(error: Exception) -> StatusError | None:
    if isinstance(error, ConnectionError):
        return unavailable("DATABASE_UNAVAILABLE", "the database is away", retry_seconds=2)
    return None


PERMISSIONS = Permissions({"talker": ["test.*"], "listener": ["test.echoes.gather"]})


class Served:
    """A running server, with what it takes to call it."""

    def __init__(self, issuer: LocalIssuer, servicer: Echo, server: Server, port: int) -> None:
        self.issuer = issuer
        self.servicer = servicer
        self.server = server
        self.port = port
        self.target = f"127.0.0.1:{port}"

    def channel(self, identity: Identity = ALICE) -> grpc.aio.Channel:
        return connect(self.target, self.issuer.issue(identity))


@asynccontextmanager
async def serving(
    issuer: LocalIssuer, roles: Permissions = PERMISSIONS, **options
) -> AsyncIterator[Served]:
    verifier = TokenVerifier(issuer.jwks, issuer.name)
    servicer = Echo()
    service = Service(servicer, echo_pb2_grpc.add_EchoServiceServicer_to_server, ECHO)
    server = Server([service], verifier, roles, translate=database_away, **options)
    port = await server.start()
    try:
        yield Served(issuer, servicer, server, port)
    finally:
        await server.stop(0)

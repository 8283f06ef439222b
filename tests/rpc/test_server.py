"""A server answers probes and reflection to anybody, refuses what is unsafe, and stops softly."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import grpc
import protovalidate
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from echo_service import ALICE, PERMISSIONS, Echo, echo_pb2, echo_pb2_grpc, serving
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from rpc.client import connect
from rpc.identity import TokenVerifier
from rpc.server import Server, Service

Request = echo_pb2.EchoRequest
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("name", ["", "bihuan.test.v1.EchoService"])
async def test_health_is_told_to_anybody(served, name):
    async with grpc.aio.insecure_channel(served.target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    assert reply.status == SERVING


async def test_the_schema_is_told_to_anybody(served):
    def ask() -> tuple[list[str], str]:
        with grpc.insecure_channel(served.target) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            pool = DescriptorPool(database)
            service = pool.FindServiceByName("bihuan.test.v1.EchoService")
            return list(database.get_services()), service.methods[0].input_type.full_name

    names, request = await asyncio.to_thread(ask)
    assert request == "bihuan.test.v1.EchoRequest"
    assert set(names) == {
        "bihuan.test.v1.EchoService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_a_stop_reports_not_serving_and_lets_a_call_finish(fresh):
    async with fresh.channel() as channel, grpc.aio.insecure_channel(fresh.target) as probe:
        health = health_pb2_grpc.HealthStub(probe)
        watched = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watched.read()).status == SERVING
        running = echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="last", act="nap"))
        await fresh.servicer.entered.wait()
        stopping = asyncio.create_task(fresh.server.stop(5))
        assert (await watched.read()).status == NOT_SERVING
        watched.cancel()
        assert (await running).title == "last"
        await asyncio.wait_for(stopping, 2)
        await asyncio.wait_for(fresh.server.wait(), 1)


async def test_a_call_that_outlasts_the_grace_is_cancelled(fresh):
    async with fresh.channel() as channel:
        running = echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="x", act="sleep"))
        await fresh.servicer.entered.wait()
        await asyncio.wait_for(fresh.server.stop(0.1), 5)
        await asyncio.wait_for(fresh.servicer.cancelled.wait(), 5)
        running.cancel()


def server_of(issuer, name: str) -> Server:
    add = getattr(echo_pb2_grpc, f"add_{name}Servicer_to_server")
    service = Service(object(), add, echo_pb2.DESCRIPTOR.services_by_name[name])
    return Server([service], TokenVerifier(issuer.jwks, issuer.name), PERMISSIONS)


def test_a_method_without_a_permission_keeps_the_server_from_starting(issuer):
    with pytest.raises(ValueError, match=r"bihuan\.test\.v1\.ForgottenService\.Forget declares no"):
        server_of(issuer, "ForgottenService")


def test_a_rule_that_does_not_compile_keeps_the_server_from_starting(issuer):
    with pytest.raises(protovalidate.CompilationError):
        server_of(issuer, "BrokenService")


async def test_a_service_that_was_registered_but_not_described_does_not_exist(issuer):
    def add_both(servicer, server) -> None:
        echo_pb2_grpc.add_EchoServiceServicer_to_server(servicer, server)
        echo_pb2_grpc.add_ForgottenServiceServicer_to_server(servicer, server)

    class Both(Echo):
        async def Forget(self, request, context):
            return self.answer("leaked")

    service = Service(Both(), add_both, echo_pb2.DESCRIPTOR.services_by_name["EchoService"])
    server = Server([service], TokenVerifier(issuer.jwks, issuer.name), PERMISSIONS)
    port = await server.start()
    try:
        async with connect(f"127.0.0.1:{port}", issuer.issue(ALICE)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await echo_pb2_grpc.ForgottenServiceStub(channel).Forget(Request(title="x"))
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
    finally:
        await server.stop(0)


async def test_a_port_that_is_taken_is_named(issuer):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(OSError, match=f"cannot listen on {address}"):
            async with serving(issuer, address=address):
                pass


def certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, signed.public_bytes(Encoding.PEM)


async def test_with_credentials_the_port_speaks_tls_only(issuer):
    key, chain = certificate()
    tls = grpc.ssl_server_credentials([(key, chain)])
    async with serving(issuer, credentials=tls) as served:
        target = f"localhost:{served.port}"
        trusted = grpc.ssl_channel_credentials(chain)
        async with connect(target, issuer.issue(ALICE), credentials=trusted) as channel:
            reply = await echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="secret"))
            assert (reply.title, reply.subject) == ("secret", "alice")
        async with connect(target, issuer.issue(ALICE)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="x"), timeout=2)
        assert refused.value.code() in {
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        }

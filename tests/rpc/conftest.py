"""Servers for the tests of rpc/."""

from collections.abc import AsyncIterator

import pytest
from echo_service import Served, echo_pb2_grpc, serving

from rpc.issuer import LocalIssuer


@pytest.fixture(scope="session")
def issuer(tmp_path_factory) -> LocalIssuer:
    return LocalIssuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="session")
async def served(issuer) -> AsyncIterator[Served]:
    async with serving(issuer, timeout_seconds=0.5) as running:
        yield running


@pytest.fixture
async def fresh(issuer) -> AsyncIterator[Served]:
    """A server that the test may stop."""
    async with serving(issuer) as running:
        yield running


@pytest.fixture
async def stub(served) -> AsyncIterator[echo_pb2_grpc.EchoServiceStub]:
    async with served.channel() as channel:
        yield echo_pb2_grpc.EchoServiceStub(channel)

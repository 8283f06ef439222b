"""A channel of ours brings the token, a deadline and patience."""

import asyncio
import time

import grpc
import pytest
from echo_service import ALICE, LISTENER, echo_pb2, echo_pb2_grpc

from rpc import client
from rpc.client import connect, status_of

Request = echo_pb2.EchoRequest


async def test_a_function_is_asked_for_the_token_on_each_call(served):
    tokens = [served.issuer.issue(ALICE), served.issuer.issue(LISTENER)]
    async with connect(served.target, lambda: tokens.pop(0)) as channel:
        stub = echo_pb2_grpc.EchoServiceStub(channel)
        assert (await stub.Echo(Request(title="x"))).subject == "alice"
        assert (await stub.Gather(iter([Request(title="x")]))).subject == "bob"


async def test_what_is_unavailable_is_tried_again(fresh):
    async with fresh.channel() as channel:
        reply = await echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="x", act="flaky"))
    assert (reply.title, fresh.servicer.calls) == ("x", 3)


async def test_what_was_refused_for_good_is_not_tried_again(fresh):
    async with fresh.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="x", act="refuse"))
    assert status_of(refused.value).reason == "PROBLEM_CLOSED"
    assert fresh.servicer.calls == 1


async def test_a_server_that_is_not_there_is_unavailable():
    async with connect("127.0.0.1:1", "token") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="x"))
    assert status_of(refused.value).reason == "UNAVAILABLE"


async def test_a_unary_call_without_a_timeout_gets_one(fresh, monkeypatch):
    monkeypatch.setattr(client, "UNARY_TIMEOUT_SECONDS", 0.2)
    async with fresh.channel() as channel:
        stub = echo_pb2_grpc.EchoServiceStub(channel)
        started = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Echo(Request(title="x", act="sleep"))
        assert refused.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert time.monotonic() - started < 5
        assert (await stub.Echo(Request(title="x", act="nap"), timeout=5)).title == "x"
        stream = stub.Repeat(Request(title="x", act="nap"))
        assert len([reply async for reply in stream]) == 3


async def test_a_stream_left_early_is_cancelled_at_the_server(fresh):
    async with fresh.channel() as channel:
        stream = echo_pb2_grpc.EchoServiceStub(channel).Repeat(Request(title="x", act="sleep"))
        async for reply in stream:
            if reply.title == "x2":
                break
        await asyncio.sleep(0.05)  # the handler falls asleep after its last reply
        stream.cancel()
    await asyncio.wait_for(fresh.servicer.cancelled.wait(), 5)

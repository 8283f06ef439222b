"""Each way a call can be refused, as the caller sees it on the wire."""

import asyncio
import logging
from datetime import timedelta

import grpc
import pytest
from echo_service import ALICE, LISTENER, SECRET, Served, echo_pb2, echo_pb2_grpc

from rpc.client import status_of
from rpc.errors import StatusError
from rpc.identity import LEEWAY_SECONDS, Identity
from rpc.issuer import LocalIssuer

Request = echo_pb2.EchoRequest
ECHO = "/bihuan.test.v1.EchoService/Echo"
REPEAT = "/bihuan.test.v1.EchoService/Repeat"
GATHER = "/bihuan.test.v1.EchoService/Gather"
VALID = Request(title="hello").SerializeToString()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def call(served: Served, data: bytes = VALID, metadata=None, path: str = ECHO, **options):
    """One call in plain gRPC: bytes out, and an EchoResponse or a StatusError back."""
    if metadata is None:
        metadata = bearer(served.issuer.issue(ALICE))
    read = echo_pb2.EchoResponse.FromString
    async with grpc.aio.insecure_channel(served.target) as channel:
        try:
            if path == REPEAT:
                stream = channel.unary_stream(path, None, read)(data, metadata=metadata, **options)
                return [reply async for reply in stream]
            if path == GATHER:
                parts = channel.stream_unary(path, None, read)
                return await parts(iter([VALID, data]), metadata=metadata, **options)
            return await channel.unary_unary(path, None, read)(data, metadata=metadata, **options)
        except grpc.aio.AioRpcError as error:
            return status_of(error)


def kind(error: StatusError) -> str:
    return str(error).partition(":")[0]


@pytest.mark.parametrize("path", [ECHO, REPEAT, GATHER])
@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ((), "UNAUTHENTICATED TOKEN_MISSING"),
        ((("authorization", ""),), "UNAUTHENTICATED TOKEN_MISSING"),
        ((("authorization", "Basic YTpi"),), "UNAUTHENTICATED TOKEN_MISSING"),
        (bearer(""), "UNAUTHENTICATED TOKEN_MISSING"),
        (bearer("garbage"), "UNAUTHENTICATED TOKEN_INVALID"),
        ((*bearer("garbage"), *bearer("more")), "UNAUTHENTICATED TOKEN_INVALID"),
    ],
)
async def test_no_method_answers_without_identity(served, path, metadata, expected):
    assert kind(await call(served, metadata=metadata, path=path)) == expected


async def test_an_expired_token_and_a_stranger_s_are_refused(served, tmp_path):
    expired = bearer(served.issuer.issue(ALICE, timedelta(minutes=-1)))
    assert kind(await call(served, metadata=expired)) == "UNAUTHENTICATED TOKEN_EXPIRED"
    stranger = bearer(LocalIssuer(tmp_path).issue(ALICE))
    assert kind(await call(served, metadata=stranger)) == "UNAUTHENTICATED TOKEN_INVALID"


async def test_identity_comes_before_permission_and_permission_before_the_request(served):
    assert kind(await call(served, b"\xff", metadata=())) == "UNAUTHENTICATED TOKEN_MISSING"
    listener = bearer(served.issuer.issue(LISTENER))
    assert kind(await call(served, b"\xff", listener)) == "PERMISSION_DENIED PERMISSION_MISSING"


async def test_a_role_without_the_permission_is_refused_by_its_name(served):
    listener = bearer(served.issuer.issue(LISTENER))
    for path in (ECHO, REPEAT):
        error = await call(served, metadata=listener, path=path)
        assert kind(error) == "PERMISSION_DENIED PERMISSION_MISSING"
        assert error.metadata == {"permission": "test.echoes.say"}
        assert "roles that do: " in error.message
    assert (await call(served, metadata=listener, path=GATHER)).subject == "bob"


async def test_a_caller_without_roles_may_nothing(served):
    nobody = bearer(served.issuer.issue(Identity("nobody")))
    for path in (ECHO, REPEAT, GATHER):
        error = await call(served, metadata=nobody, path=path)
        assert kind(error) == "PERMISSION_DENIED PERMISSION_MISSING"


@pytest.mark.parametrize("path", [ECHO, REPEAT, GATHER])
@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        (Request(), "INVALID_REQUEST", "title"),
        (Request(title="x" * 41), "INVALID_REQUEST", "title"),
        (Request(title="x", uscc="91150203MA0N1234X1"), "INVALID_REQUEST", "uscc"),
        (Request(title="x", severity=7), "INVALID_REQUEST", "severity"),
        (b"\x0a\x02\xff\xfe", "NOT_UTF8", "title"),
        (b"\x0a\x01x\x22\x04\x0a\x02\xff\xfe", "NOT_UTF8", "items[0].title"),
        (b"\xff\xff\xff", "MALFORMED_REQUEST", None),
    ],
)
async def test_a_bad_request_is_an_invalid_argument_naming_the_field(
    served, path, data, reason, field
):
    calls = served.servicer.calls
    raw = data if isinstance(data, bytes) else data.SerializeToString()
    error = await call(served, raw, path=path)
    assert kind(error) == f"INVALID_ARGUMENT {reason}"
    assert [path for path, _ in error.violations] == ([field] if field else [])
    assert served.servicer.calls == calls


async def test_an_oversize_message_is_resource_exhausted(served):
    data = Request(title="x", padding=bytes(4 << 20)).SerializeToString()
    assert kind(await call(served, data)) == "RESOURCE_EXHAUSTED RESOURCE_EXHAUSTED"


def act(name: str) -> bytes:
    return Request(title="x", act=name).SerializeToString()


@pytest.mark.parametrize("path", [ECHO, REPEAT])
async def test_a_refusal_arrives_with_all_its_facts(served, path):
    error = await call(served, act("refuse"), path=path)
    assert str(error) == "FAILED_PRECONDITION PROBLEM_CLOSED: already closed"
    assert error.metadata == {"state": "CLOSED", "resource": "problems/1"}


@pytest.mark.parametrize("path", [ECHO, REPEAT])
@pytest.mark.parametrize("name", ["crash", "timeout"])
async def test_an_exception_is_internal_logged_with_its_trace_and_never_told(
    served, caplog, path, name
):
    with caplog.at_level(logging.ERROR, "rpc.gate"):
        error = await call(served, act(name), path=path)
    assert kind(error) == "INTERNAL INTERNAL"
    assert "hunter2" not in repr(error)
    [record] = caplog.records
    assert error.metadata["trace_id"] in record.message
    assert SECRET in caplog.text


@pytest.mark.parametrize("path", [ECHO, REPEAT])
async def test_a_database_that_is_away_is_unavailable_and_worth_trying_again(served, path):
    error = await call(served, act("database"), path=path)
    assert str(error) == "UNAVAILABLE DATABASE_UNAVAILABLE: the database is away"
    assert error.retry_seconds == 2


async def test_a_refusal_too_long_for_its_headers_is_cut_to_fit(served):
    error = await call(served, act("many"))
    assert kind(error) == "INVALID_ARGUMENT MANY"
    assert error.violations[0] == ("items[0].title", "太长" * 50)
    assert error.message.startswith("许" * 100)


async def test_a_call_without_a_deadline_gets_the_servers(served):
    error = await asyncio.wait_for(call(served, act("sleep")), 5)
    assert kind(error) == "DEADLINE_EXCEEDED DEADLINE_EXCEEDED"
    assert "0.5 s" in error.message


async def test_a_callers_deadline_is_kept_though_longer_and_cancels_the_handler(fresh):
    error = await call(fresh, act("sleep"), timeout=0.2)
    assert kind(error) == "DEADLINE_EXCEEDED DEADLINE_EXCEEDED"
    await asyncio.wait_for(fresh.servicer.cancelled.wait(), 5)


async def test_a_callers_longer_deadline_outlasts_the_servers(served):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(served, act("sleep"), timeout=30), 1.0)


async def test_a_stream_has_no_deadline_of_ours(served):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call(served, act("sleep"), path=REPEAT), 1.0)


async def test_a_stream_ends_when_its_token_expires(fresh):
    soon = fresh.issuer.issue(ALICE, timedelta(seconds=2 - LEEWAY_SECONDS))
    error = await asyncio.wait_for(call(fresh, act("sleep"), bearer(soon), REPEAT), 5)
    assert kind(error) == "UNAUTHENTICATED TOKEN_EXPIRED"
    await asyncio.wait_for(fresh.servicer.cancelled.wait(), 5)


async def test_an_upload_has_no_deadline_of_ours(served):
    async def slowly():
        yield Request(title="a")
        await asyncio.sleep(0.7)
        yield Request(title="b")

    async with served.channel() as channel:
        reply = await echo_pb2_grpc.EchoServiceStub(channel).Gather(slowly())
    assert reply.title == "a+b"


@pytest.mark.parametrize("path", ["/bihuan.test.v1.EchoService/Nothing", "foo", "/", "//", "/foo"])
async def test_an_unknown_method_is_unimplemented(served, path):
    error = await call(served, path=path)
    assert kind(error) == "UNIMPLEMENTED UNIMPLEMENTED"


async def test_calls_at_once_do_not_mix_their_identities(served):
    people = [Identity(f"p{n}", roles=ALICE.roles) for n in range(40)]
    tokens = [bearer(served.issuer.issue(person)) for person in people]
    replies = await asyncio.gather(
        *(
            call(served, act("nap"), token, path=[ECHO, REPEAT][n % 2])
            for n, token in enumerate(tokens)
        )
    )
    subjects = [(r if n % 2 == 0 else r[-1]).subject for n, r in enumerate(replies)]
    assert subjects == [person.subject for person in people]


async def test_every_kind_of_call_answers(served):
    stub_of = echo_pb2_grpc.EchoServiceStub
    async with served.channel() as channel:
        stub = stub_of(channel)
        assert (await stub.Echo(Request(title="a"))).title == "a"
        assert [reply.title async for reply in stub.Repeat(Request(title="a"))] == [
            "a0",
            "a1",
            "a2",
        ]
        reply = await stub.Gather(Request(title=title) for title in "abc")
        assert (reply.title, reply.subject) == ("a+b+c", "alice")

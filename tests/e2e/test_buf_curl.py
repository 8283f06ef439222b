"""Any gRPC client can report a problem; whatever it gets wrong is named and leaves no event."""

import asyncio
import json
import os
import sys
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from bihuan.feed.v1 import feed_service_pb2_grpc
from bihuan.feed.v1.feed_service_pb2 import ReadEventsRequest
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1.problem_service_pb2 import ReportProblemRequest
from ops.demo import OPERATOR
from ops.settings import Settings, variables
from ops.supervisor import Stack
from rpc.client import connect, status_of
from rpc.identity import Identity
from tests.e2e.conftest import own_ports

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SHOWN, PROPOSED, LISTED = [block for block in README.split("```")[1::2] if "buf curl" in block]
# What it shows, but for the environment that is active here already.
COMMANDS = SHOWN.replace(". .venv/bin/activate\n", "").strip()
REPORT = COMMANDS[: COMMANDS.rindex("buf curl")]
METHOD = "/bihuan.rectification.v1.ProblemService/ReportProblem"


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """PostgreSQL and the services, in a home of their own."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory("-bihuan") as folder:
        for _, variable in variables():
            patch.delenv(variable, raising=False)
        home = Path(folder) / "home"
        async with Stack(
            Settings(**own_ports()), home=home, parts=("postgres", "service")
        ) as running:
            yield running


async def bash(stack: Stack, script: str) -> tuple[int, str, str]:
    """Run a script as a reader of README would; exit code, output, errors."""
    program = await asyncio.create_subprocess_exec(
        "bash",
        "-s",
        env=os.environ
        | {
            "BIHUAN_HOME": str(stack.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    script = script.replace("127.0.0.1:50051", stack.grpc_address)
    out, err = await asyncio.wait_for(program.communicate(script.encode()), 60)
    assert program.returncode is not None
    return program.returncode, out.decode(), err.decode()


async def head(stack: Stack) -> int:
    async with connect(stack.grpc_address, stack.token(OPERATOR)) as channel:
        stub = feed_service_pb2_grpc.FeedServiceStub(channel)
        return int((await stub.ReadEvents(ReadEventsRequest())).head_position)


async def test_buf_curl_reports_a_problem_and_lists_it(stack: Stack) -> None:
    code, out, err = await bash(stack, "set -e\n" + COMMANDS)
    assert code == 0, err
    # Two JSON values, one after the other.
    problem, end = json.JSONDecoder().raw_decode(out)
    listed = json.loads(out[end:])
    assert problem["state"] == "STATE_REPORTED"
    assert [each["name"] for each in listed["problems"]] == [problem["name"]]
    assert await head(stack) == 1
    assert (await bash(stack, REPORT))[:2] == (0, out[: end + 1]), "the same again"
    assert await head(stack) == 1


async def test_buf_curl_proposes_instalments_without_a_case(stack: Stack) -> None:
    code, out, _ = await bash(stack, PROPOSED)
    assert code == 0
    (proposal,) = json.loads(out)["proposals"]
    payments = proposal["terms"]["payments"]
    assert [payment["amountFen"] for payment in payments] == ["5000000"] * 4


async def test_buf_curl_lists_what_may_be_inspected(stack: Stack) -> None:
    code, out, _ = await bash(stack, LISTED)
    assert code == 0
    items = json.loads(out)["items"]
    assert {"ecology.permit", "fire.exits"} <= {each["id"] for each in items}


# What replaces what in the README's command; the status, its reason and the field at fault, if any.
BAD, INVALID = "invalid_argument", "INVALID_REQUEST"
TITLE, SOURCE = "自行监测方案不完整", '"source": "SOURCE_INSPECTION",'
ROLE = "--role officer"
REFUSALS = {
    "bad credit code": ("MA0KDL0112", "MA0KDL0113", BAD, INVALID, "enterprise.uscc"),
    "unknown enum number": (SOURCE, '"source": 99,', BAD, INVALID, "source"),
    "enum not stated": (SOURCE, "", BAD, INVALID, "source"),
    "oversize title": (TITLE, "长" * 201, BAD, INVALID, "title"),
    "bad request_id": ('"request_id": "', '"request_id": "x', BAD, INVALID, "request_id"),
    "taken request_id": (TITLE, "另一问题", "already_exists", "REQUEST_ID_REUSED", None),
    "missing token": (
        ' -H "authorization: Bearer $TOKEN"',
        "",
        "unauthenticated",
        "TOKEN_MISSING",
        None,
    ),
    "no token": ("TOKEN=$(", "TOKEN=none; : $(", "unauthenticated", "TOKEN_INVALID", None),
    "wrong role": (ROLE, "--role assessor", "permission_denied", "PERMISSION_MISSING", None),
    "another enterprise": (
        ROLE,
        f"{ROLE} --enterprise 91150203MA0KDL02XR",
        "permission_denied",
        "OTHER_ENTERPRISE",
        None,
    ),
}


@pytest.fixture(scope="module")
async def reported(stack: Stack) -> None:
    """The problem is known: its request_id is taken."""
    await bash(stack, REPORT)


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(
    ("right", "wrong", "status", "reason", "field"), REFUSALS.values(), ids=REFUSALS
)
async def test_a_refusal_names_status_and_field_and_leaves_no_event(
    stack: Stack, right: str, wrong: str, status: str, reason: str, field: str | None
) -> None:
    assert right in REPORT
    before = await head(stack)
    code, out, err = await bash(stack, REPORT.replace(right, wrong))
    assert (code > 0, out) == (True, "")
    refusal = json.loads(err)
    assert refusal["code"] == status, err
    details = {detail["type"]: unpadded(detail["value"]) for detail in refusal["details"]}
    assert ErrorInfo.FromString(details["google.rpc.ErrorInfo"]).reason == reason
    fields = [
        violation.field
        for violation in BadRequest.FromString(
            details.get("google.rpc.BadRequest", b"")
        ).field_violations
    ]
    assert fields == ([field] if field else [])
    assert await head(stack) == before


# What bytes take the title's place, as buf would not send them.
OUTLANDISH = {
    "not UTF-8": ("标题!".encode("gbk"), grpc.StatusCode.INVALID_ARGUMENT, "NOT_UTF8", ["title"]),
    "over 4 MiB": (b"x" * (4 << 20), grpc.StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", []),
}


@pytest.mark.parametrize(("title", "code", "reason", "fields"), OUTLANDISH.values(), ids=OUTLANDISH)
async def test_bytes_that_are_no_request_are_refused_and_leave_no_event(
    stack: Stack, title: bytes, code: grpc.StatusCode, reason: str, fields: list[str]
) -> None:
    request = ReportProblemRequest(
        request_id="0198c0de-0000-7000-8000-000000000002",
        source=pb.SOURCE_MONITORING,
        category=pb.CATEGORY_DATA_UPLOAD,
        severity=pb.SEVERITY_MINOR,
        location=pb.Location(district="150203", address="昆都仑区稀土路8号"),
        enterprise=pb.Enterprise(uscc="91150203MA0KDL02XR", display_name="包头市瑞稀"),
    )
    # Field 2, of bytes: concatenated encodings are merged.
    raw = request.SerializeToString() + b"\x12" + varint(len(title)) + title
    before = await head(stack)
    reporter = Identity("reporter", "包莉", frozenset({"reporter"}))
    async with connect(stack.grpc_address, stack.token(reporter)) as channel:
        send: Any = channel.unary_unary(METHOD)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await send(raw)
    status = status_of(refused.value)
    assert refused.value.code() == code
    assert status.reason == reason
    assert [field for field, _ in status.violations] == fields
    assert await head(stack) == before


def varint(number: int) -> bytes:
    """As protobuf encodes a length."""
    more, low = number >> 7, number & 0x7F
    return bytes([low | 0x80]) + varint(more) if more else bytes([low])


def unpadded(text: str) -> bytes:
    """Base64 as gRPC writes it, without the padding."""
    return b64decode(text + "=" * (-len(text) % 4))

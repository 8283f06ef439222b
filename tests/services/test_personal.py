"""Personal data of complainants: who sees it, and that it is nowhere in clear."""

import asyncio
import logging
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from google.rpc import code_pb2
from sqlalchemy import text

from bihuan.feed.v1 import feed_service_pb2 as feed_pb
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from eventstore import EventStore
from eventstore.envelope import MasterKeyFile
from ops import log as log_work
from services.aggregate import _digest
from services.vault import Vault
from tests.bureau import Bureau, report
from tests.services.calls import refused, rid
from tests.services.cases import order, verification
from tests.services.persons import (
    BLANK,
    NAME,
    PERSON,
    PHONE,
    ZHANG,
    clear,
    complain,
    complaint,
    dealt,
    dump,
    forget,
    get,
    writing,
)
from workflows.relay import Relay


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("officer", ZHANG),
        ("verifier", ZHANG),
        ("supervisor", ZHANG),
        ("reporter", BLANK),
        ("assessor", BLANK),
        ("loop", BLANK),
        ("agency", BLANK),
        ("operator", BLANK),
    ],
)
async def test_who_reads_problems_sees_of_the_complainant_what_the_role_may(
    open_bureau: Bureau, role: str, seen: pb.Complainant
) -> None:
    problem = await complain(open_bureau, "reporter")
    assert await get(open_bureau, problem, role) == seen
    listing = rpc_pb.ListProblemsRequest()
    (listed,) = (await open_bureau.client(role).problems.ListProblems(listing)).problems
    assert listed.complainant == seen


async def test_the_answer_to_a_command_and_the_same_again_show_what_the_caller_may_see(
    open_bureau: Bureau,
) -> None:
    request = complaint()
    for role, seen in (("reporter", BLANK), ("officer", ZHANG)):
        client = open_bureau.client(role, subject="one")
        for _ in range(2):
            assert (await client.problems.ReportProblem(request)).complainant == seen
    problem = await complain(open_bureau)
    verified = await open_bureau.client("verifier").problems.VerifyProblem(verification(problem))
    assert verified.complainant == ZHANG


async def test_an_enterprise_never_learns_that_anybody_complained(open_bureau: Bureau) -> None:
    problem = await complain(open_bureau)
    officer = open_bureau.client("officer")
    await officer.problems.VerifyProblem(verification(problem))
    await officer.problems.OrderRectification(order(problem))
    own = problem.enterprise.uscc
    for client in (
        open_bureau.enterprise(),
        open_bureau.client("officer", "supervisor", subject="both", enterprise=own),
    ):
        found = await client.problems.GetProblem(rpc_pb.GetProblemRequest(name=problem.name))
        assert not found.HasField("complainant")
        (listed,) = (await client.problems.ListProblems(rpc_pb.ListProblemsRequest())).problems
        assert not listed.HasField("complainant")


@pytest.mark.parametrize(
    ("fields", "reason", "path"),
    [
        ({"source": pb.SOURCE_INSPECTION}, "NOT_A_COMPLAINT", "complainant"),
        ({"complainant": {"id": PHONE}}, "INVALID_REQUEST", "complainant.id"),
        ({"complainant": {"phone": f"call {PHONE}"}}, "INVALID_REQUEST", "complainant.phone"),
        (
            {"complainant": {"display_name": NAME * 30}},
            "INVALID_REQUEST",
            "complainant.display_name",
        ),
    ],
)
async def test_a_complainant_that_cannot_be_is_refused_without_being_quoted(
    open_bureau: Bureau,
    fields: dict[str, Any],
    reason: str,
    path: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    request = report(**{"source": pb.SOURCE_COMPLAINT, "complainant": ZHANG, **fields})
    status = await refused(open_bureau.client("reporter").problems.ReportProblem(request))
    assert (status.code, status.reason) == (code_pb2.INVALID_ARGUMENT, reason)
    assert [violation[0] for violation in status.violations] == [path]
    assert clear(str(status.to_status()) + str(status) + caplog.text) == []


async def test_a_complainant_without_an_id_gets_one_that_a_repeated_request_gets_too(
    open_bureau: Bureau,
) -> None:
    reporter = open_bureau.client("reporter")
    request = complaint(who=pb.Complainant(phone=PHONE))
    answers = [await reporter.problems.ReportProblem(request) for _ in range(2)]
    assert answers[0] == answers[1]
    other = await complain(open_bureau, who=pb.Complainant(phone=PHONE))
    assert len({PERSON, answers[0].complainant.id, other.complainant.id}) == 3
    assert await get(open_bureau, other) == other.complainant
    assert other.complainant.phone == PHONE


async def test_a_request_id_with_another_phone_is_another_request(open_bureau: Bureau) -> None:
    request_id, who = rid(), pb.Complainant(id=PERSON, phone="13900000000")
    await complain(open_bureau, request_id=request_id)
    again = open_bureau.client("officer").problems.ReportProblem(complaint(request_id, who))
    assert (await refused(again)).reason == "REQUEST_ID_REUSED"


async def test_twins_of_a_new_complainant_are_one_report_under_one_key(
    open_bureau: Bureau, store: EventStore
) -> None:
    request, reporter = complaint(), open_bureau.client("reporter")
    answers = await asyncio.gather(*(reporter.problems.ReportProblem(request) for _ in range(20)))
    assert len({answer.name for answer in answers}) == 1
    async with store.engine.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM eventstore.data_key")) == 1


class Signalled:
    """A Temporal client that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def start_workflow(self, *args: Any, **options: Any) -> None:
        self.told += [*args, *options.values()]


async def everything(open_: Bureau, store: EventStore, folder: Path) -> str:
    """What the database, the feed, the relay and `bihuan log` tell, and what lies in files."""
    await dealt(store)
    feed = open_.client("agency", "officer").feed
    page = await feed.ReadEvents(feed_pb.ReadEventsRequest(page_size=1000))
    follow = feed.FollowEvents(feed_pb.FollowEventsRequest())
    followed = [await anext(aiter(follow)) for _ in page.events[:1]]
    client = Signalled()
    events = await store.tail(100)
    for event in events:
        if event.type.endswith("ProblemReported"):
            await Relay(cast(Any, client), clock="").deliver(event)
    assert client.told, "no loop was started"
    signalled = [each.SerializeToString() for told in client.told for each in _messages(told)]
    shown = [log_work.as_json(event) + log_work.as_line(event) for event in events]
    binary = [page.SerializeToString(), *(each.SerializeToString() for each in followed)]
    raw = b"\n".join([*binary, *signalled, *_contents(folder, "**/*")]).decode("utf-8", "replace")
    return "\n".join([raw, await dump(store), *shown, str(client.told), str(page)])


def _messages(told: Any) -> list[Any]:
    told = told if isinstance(told, list) else [told]
    return [each for each in told if hasattr(each, "SerializeToString")]


def _contents(folder: Path, *patterns: str) -> list[bytes]:
    paths = (path for pattern in patterns for path in folder.glob(pattern))
    return [path.read_bytes() for path in paths if path.is_file()]


async def test_neither_database_nor_feed_nor_signals_hold_the_person_in_clear(
    open_bureau: Bureau, store: EventStore, tmp_path: Path
) -> None:
    problem = await complain(open_bureau)
    await open_bureau.client("officer").problems.VerifyProblem(verification(problem))
    found = await everything(open_bureau, store, tmp_path)
    assert clear(found) == []
    assert PERSON in found, "nothing was looked at"
    await forget(open_bureau)
    assert clear(await everything(open_bureau, store, tmp_path)) == []


async def test_postgresql_never_wrote_the_person_anywhere(
    open_bureau: Bureau, store: EventStore
) -> None:
    """Not even to its write-ahead log or its own log: nothing in clear ever reaches it."""
    phone = str(uuid4().int)[:20]
    await complain(open_bureau, who=pb.Complainant(id=str(uuid4()), phone=phone))
    async with store.engine.connect() as conn:
        await conn.execute(text("CHECKPOINT"))
        folder = Path(str(await conn.scalar(text("SHOW data_directory"))))
        database = await conn.scalar(
            text("SELECT oid FROM pg_database WHERE datname = current_database()")
        )
    written = _contents(folder, "pg_wal/*", f"base/{database}/*", "*log*")
    assert len(written) > 10
    assert not [content for content in written if phone.encode() in content]


async def test_what_is_kept_to_know_a_repeated_request_by_cannot_be_guessed_at(
    open_bureau: Bureau, store: EventStore
) -> None:
    """A bare digest could: there are not so many telephone numbers."""
    request = complaint()
    await open_bureau.client("officer").problems.ReportProblem(request)
    async with store.engine.connect() as conn:
        (kept,) = await conn.scalars(text("SELECT digest FROM eventstore.request"))
    assert kept != _digest(request)
    async with writing(str(store.engine.url.render_as_string(False))) as writer:
        vault = Vault(
            writer.engine, MasterKeyFile(Path(open_bureau.issuer.jwks).parents[1] / "master.key")
        )
        async with writer.engine.begin() as conn:
            assert kept == _digest(await vault.marked(conn, request))

"""A person is forgotten: in every process at once, for good, and with the log as it was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.rpc import code_pb2
from sqlalchemy import text

from bihuan.privacy.v1 import privacy_service_pb2 as privacy_pb
from eventstore import EventStore, Filter, keys
from eventstore.audit import Auditor
from services.rectification import views
from services.rectification.service import PROBLEM
from tests.bureau import Bureau, bureau
from tests.eventstore.test_seal import KEY, sealing
from tests.services.calls import refused, rid
from tests.services.cases import verification
from tests.services.persons import (
    BLANK,
    GONE,
    PERSON,
    ZHANG,
    complain,
    complaint,
    dealt,
    dump,
    forget,
    get,
)


@asynccontextmanager
async def second(database_url: str, folder: Path) -> AsyncIterator[Bureau]:
    """Another process, as it were, with its own connections and what it keeps in memory."""
    async with bureau(database_url, folder) as other:
        yield other


async def test_once_forgotten_a_person_reads_as_forgotten_in_every_process_at_once(
    database_url: str, tmp_path: Path
) -> None:
    async with bureau(database_url, tmp_path) as one, second(database_url, tmp_path) as two:
        problem = await complain(one)
        assert await get(two, problem) == ZHANG
        subject = await forget(one)
        assert subject.forget_count == 1
        for open_ in (one, two):
            assert await get(open_, problem) == GONE
            assert await get(open_, problem, "assessor") == BLANK
        officer = two.client("officer")
        verified = await officer.problems.VerifyProblem(verification(problem))
        assert verified.complainant == GONE


async def test_a_report_after_forgetting_begins_with_a_new_key(open_bureau: Bureau) -> None:
    before = await complain(open_bureau)
    await forget(open_bureau)
    after = await complain(open_bureau)
    assert after.complainant == ZHANG
    assert await get(open_bureau, after) == ZHANG
    assert await get(open_bureau, before) == GONE
    assert (await forget(open_bureau)).forget_count == 2
    assert await get(open_bureau, after) == GONE


async def test_an_id_in_capitals_names_the_same_person(open_bureau: Bureau) -> None:
    problem = await complain(open_bureau)
    await forget(open_bureau, f" {PERSON.upper()}")
    assert await get(open_bureau, problem) == GONE


async def test_forgetting_is_recorded_without_saying_who(
    open_bureau: Bureau, store: EventStore
) -> None:
    await complain(open_bureau)
    request_id = rid()
    answers = [await forget(open_bureau, request_id=request_id) for _ in range(2)]
    assert answers[0] == answers[1]
    await dealt(store)
    (event,) = await store.tail(5, Filter(categories=("privacy.subject",)))
    forgotten = privacy_pb.SubjectForgotten.FromString(event.data)
    assert event.stream == "privacy.subject-" + forgotten.name.removeprefix("subjects/")
    assert forgotten.subject_hash == keys.subject_hash(PERSON).hex()
    assert (forgotten.reason, event.actor) == ("2026-17", "operator")
    assert PERSON not in str(forgotten) + event.stream
    async with store.engine.connect() as conn:
        (row,) = await conn.execute(text("SELECT * FROM eventstore.data_key"))
        kept = "SELECT method || encode(response, 'escape') FROM eventstore.request"
        requests = "\n".join(await conn.scalars(text(f"{kept} WHERE method LIKE '%Forget%'")))
    assert (row.wrapped, row.forgotten_by) == (None, "operator")
    assert PERSON not in requests


@pytest.mark.parametrize("known", [True, False])
async def test_nobody_is_forgotten_who_is_not_known_or_no_more(
    open_bureau: Bureau, store: EventStore, known: bool
) -> None:
    if known:
        await complain(open_bureau)
        await forget(open_bureau)
    head = await dealt(store)
    request = privacy_pb.ForgetSubjectRequest(request_id=rid(), subject=PERSON)
    status = await refused(open_bureau.client("operator").privacy.ForgetSubject(request))
    assert (status.code, status.reason) == (code_pb2.NOT_FOUND, "SUBJECT_NOT_FOUND")
    assert await dealt(store) == head


@pytest.mark.parametrize(
    ("role", "enterprise"),
    [("officer", ""), ("supervisor", ""), ("loop", ""), ("operator", "91130200699229617X")],
)
async def test_only_an_operator_forgets(open_bureau: Bureau, role: str, enterprise: str) -> None:
    client = open_bureau.client(role, enterprise=enterprise)
    request = privacy_pb.ForgetSubjectRequest(request_id=rid(), subject=PERSON)
    status = await refused(client.privacy.ForgetSubject(request))
    assert status.code == code_pb2.PERMISSION_DENIED


async def test_a_request_repeated_after_forgetting_is_refused_and_makes_no_new_key(
    open_bureau: Bureau, store: EventStore
) -> None:
    """Its mark can be made no more, and that is the point of the mark."""
    request = complaint()
    officer = open_bureau.client("officer")
    await officer.problems.ReportProblem(request)
    await forget(open_bureau)
    assert (await refused(officer.problems.ReportProblem(request))).reason == "REQUEST_ID_REUSED"
    async with store.engine.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM eventstore.data_key")) == 1


async def test_after_forgetting_the_log_verifies_and_state_and_views_are_built_again_the_same(
    open_bureau: Bureau, store: EventStore, database_url: str, tmp_path: Path
) -> None:
    problem = await complain(open_bureau)
    async with sealing(database_url, tmp_path / "published"):
        await open_bureau.client("officer").problems.VerifyProblem(verification(problem))
        await dealt(store)
    signed = (tmp_path / "published" / "checkpoint").read_text()
    before = await dump(store)
    async with sealing(database_url, tmp_path / "published"):
        await forget(open_bureau)
        await dealt(store)
    auditor = Auditor(store, KEY.verifier)
    assert (await auditor.whole(published=signed)).events == 3
    assert (await auditor.whole(since=signed)).events == 1
    stream = PROBLEM.stream(problem.name)
    assert (await auditor.stream(stream)).events == 2
    kept = "SELECT resource FROM rectification.problem"
    async with store.engine.begin() as conn:
        row = await conn.scalar(text(kept))
        assert row.hex() in before
        state = PROBLEM.fold(PROBLEM.blank(problem.name), await store.load(conn, stream))
        state.etag = "2"
        await conn.execute(text("DELETE FROM rectification.problem"))
        await views.project(conn, state)
        assert await conn.scalar(text(kept)) == row
    assert await get(open_bureau, problem) == GONE

"""Views built again from the log: as they were, as they should be, and nothing lost meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from bihuan.notification.v1 import notice_pb2
from bihuan.rectification.v1 import problem_pb2 as pb
from eventstore import EventStore, Metadata, NewEvent, engine_for
from services import rebuild as rebuilding
from services.events import UnknownEvent
from services.notification import views as notification_views
from services.notification.service import NOTICE
from services.projections import PROJECTIONS
from services.rebuild import Rebuilt, WritersBusy, rebuild
from tests.bureau import Bureau, report
from tests.services import penalties, rosters
from tests.services.calls import rid
from tests.services.cases import rectifying, submission, verification

SERVICES = sorted(PROJECTIONS)
Run = Callable[..., Awaitable[Rebuilt]]

ROWS = {
    service: f"SELECT * FROM {projection.tables[0].fullname} ORDER BY id"
    for service, projection in PROJECTIONS.items()
}
# What a live table is to everybody else: its identity, indexes, rights and revision.
IDENTITY = """
SELECT oid, relacl::text, (SELECT array_agg(indexrelid::regclass::text ORDER BY 1) FROM pg_index
  WHERE indrelid = c.oid), (SELECT version_num FROM {0}.alembic_version)
FROM pg_class c WHERE relnamespace = '{0}'::regnamespace AND relkind = 'r'
  AND relname <> 'alembic_version' ORDER BY relname
"""


@pytest.fixture
async def run(database_url: str) -> AsyncIterator[Run]:
    """Rebuilds as the command does: with an engine of the service's own role."""

    async def run(service: str, *, only_check: bool = False, **options: Any) -> Rebuilt:
        store = EventStore(engine_for(database_url, f"bihuan_{service}"))
        try:
            return await rebuild(store, service, only_check=only_check, **options)
        finally:
            await store.close()
            await store.engine.dispose()

    return run


@pytest.fixture
async def filled(open_bureau: Bureau) -> Bureau:
    """A bureau with problems at several stages, notices read and unread, and clues of violations."""
    await open_bureau.client("reporter").problems.ReportProblem(report())
    problem = await rectifying(open_bureau)
    enterprise = open_bureau.enterprise()
    evidence = await enterprise.upload()
    await enterprise.problems.SubmitRectification(submission(problem, evidence))
    first = await notify(open_bureau)
    await notify(open_bureau)
    read = notice_pb2.ReadNoticeRequest(request_id=rid(), name=first.name)
    await enterprise.notices.ReadNotice(read)
    for _ in range(2):
        clue = penalties.of(penalties.clue(date(2026, 9, 7)), "")
        await open_bureau.client("officer").penalties.RegisterClue(clue)
    for number in range(2):
        department = rosters.department(uscc=rosters.uscc(number))
        await open_bureau.client("planner").roster.RegisterDepartment(department)
    return open_bureau


async def notify(open_: Bureau) -> notice_pb2.Notice:
    uscc = "91130200699229617X"
    request = notice_pb2.SendNoticeRequest(
        request_id=rid(),
        recipient=f"enterprises/{uscc}",
        kind=notice_pb2.NOTICE_KIND_TASK,
        title="请整改",
    )
    sent: notice_pb2.Notice = await open_.client("loop").notices.SendNotice(request)
    return sent


async def rows(store: EventStore, statement: str) -> list[Any]:
    async with store.engine.connect() as conn:
        return list(await conn.execute(text(statement)))


async def change(store: EventStore, *statements: str) -> None:
    async with store.engine.begin() as conn:
        for statement in statements:
            await conn.execute(text(statement))


@pytest.mark.parametrize("service", SERVICES)
async def test_what_services_wrote_is_what_the_log_says(
    filled: Bureau, run: Run, store: EventStore, service: str
) -> None:
    told: list[tuple[int, int]] = []
    found = await run(service, progress=lambda *how_far: told.append(how_far))
    assert not found.differs
    assert not found.mended
    assert found.tables[0].rows == found.streams == len(await rows(store, ROWS[service]))
    assert told[-1] == (found.events, found.events)


@pytest.mark.parametrize("service", SERVICES)
async def test_two_rebuilds_give_identical_tables(
    filled: Bureau, run: Run, store: EventStore, service: str
) -> None:
    written, identity = await rows(store, ROWS[service]), IDENTITY.format(service)
    before = await rows(store, identity)
    table = PROJECTIONS[service].tables[0].fullname
    for _ in range(2):
        await change(store, f"TRUNCATE {table}")
        done = await run(service)
        assert done.mended
        assert done.tables[0].missing == len(written) > 1
        assert await rows(store, ROWS[service]) == written
    assert await rows(store, identity) == before


TAMPERED = {
    "missing": "DELETE FROM rectification.problem WHERE state = 1",
    "extra": "INSERT INTO rectification.problem SELECT gen_random_uuid(), state, enterprise, district,"
    " overdue, provisional, due_time, report_time, resource, disclosed FROM rectification.problem"
    " LIMIT 1",
    "different": "UPDATE rectification.problem SET overdue = NOT overdue, district = '150204'"
    " WHERE state = 1",
}


@pytest.mark.parametrize("kind", TAMPERED)
async def test_a_row_tampered_with_is_reported_and_mended(
    filled: Bureau, run: Run, store: EventStore, kind: str
) -> None:
    written = await rows(store, ROWS["rectification"])
    await change(store, TAMPERED[kind])
    tampered = await rows(store, ROWS["rectification"])
    for only_check in (True, False):
        assert await rows(store, ROWS["rectification"]) == tampered != written
        found = await run("rectification", only_check=only_check)
        [table] = found.tables
        counts = {name: getattr(table, name) for name in TAMPERED}
        assert counts == {**dict.fromkeys(TAMPERED, 0), kind: 1}
        assert found.mended is not only_check
        [(key, what)] = table.examples
        assert what == ("district, overdue" if kind == "different" else kind)
        assert f"1 {kind}" in str(table)
        assert key in str(table)
    assert await rows(store, ROWS["rectification"]) == written
    assert not (await run("rectification", only_check=True)).differs


class Stopped(Exception):
    """What interrupts a rebuild in these tests."""


async def test_an_interrupted_rebuild_leaves_the_live_views_and_a_second_one_succeeds(
    filled: Bureau, run: Run, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = await rows(store, ROWS["notification"])
    await change(store, "DELETE FROM notification.notice WHERE unread")
    tampered = await rows(store, ROWS["notification"])

    def stop(*_: object) -> None:
        raise Stopped

    async def killed(*_: object) -> None:
        await change(
            store,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user"
            " AND pid <> pg_backend_pid() AND query LIKE '%notice_difference%'",
        )

    with pytest.raises(Stopped):
        await run("notification", progress=stop)
    take_over = rebuilding.beside.take_over
    for end, error in ((stop, Stopped), (killed, DBAPIError)):
        # At the last moment: with everything taken over, before the commit.
        async def then(*given: Any, end: Any = end) -> None:
            await take_over(*given)
            if (done := end()) is not None:
                await done
                await take_over(*given)

        monkeypatch.setattr(rebuilding.beside, "take_over", then)
        with pytest.raises(error):
            await run("notification")
        assert await rows(store, ROWS["notification"]) == tampered
    monkeypatch.setattr(rebuilding.beside, "take_over", take_over)
    assert (await run("notification")).mended
    assert await rows(store, ROWS["notification"]) == written


async def test_commands_during_rebuilds_lose_nothing(
    open_bureau: Bureau, run: Run, store: EventStore
) -> None:
    stop = asyncio.Event()
    verified: list[str] = []

    async def work(number: int) -> None:
        reporter = open_bureau.client("reporter", subject=f"reporter-{number}").problems
        officer = open_bureau.client("officer", subject=f"officer-{number}").problems
        while not stop.is_set():
            problem = await reporter.ReportProblem(report())
            await officer.VerifyProblem(verification(problem))
            verified.append(problem.name)

    writers = [asyncio.create_task(work(number)) for number in range(4)]
    mended = 0
    for _ in range(8):
        await asyncio.sleep(0.2)
        await change(store, "DELETE FROM rectification.problem WHERE random() < 0.5")
        mended += (await run("rectification")).mended
    stop.set()
    await asyncio.gather(*writers)
    assert mended == 8
    # What was verified while its row was away was written anew; what was not, was mended.
    assert not (await run("rectification", only_check=True)).differs
    found = await rows(store, "SELECT id, state FROM rectification.problem")
    assert {f"problems/{row.id}" for row in found} == set(verified)
    assert {row.state for row in found} == {pb.STATE_CONFIRMED}


async def test_a_command_under_way_when_writers_are_stopped_is_waited_for(
    filled: Bureau, run: Run, store: EventStore
) -> None:
    await change(store, "DELETE FROM notification.notice WHERE unread")
    name = f"notices/{uuid4()}"
    sent = notice_pb2.NoticeSent(name=name, recipient="desks/officer", title="催办")
    new = [NewEvent(sent.DESCRIPTOR.full_name, sent.SerializeToString())]
    async with store.engine.begin() as conn:
        version = await store.append(conn, NOTICE.stream(name), 0, new, Metadata("x", uuid4()))
        notice = NOTICE.evolve(NOTICE.blank(name), sent)
        notice.etag = str(version)
        await notification_views.project(conn, notice)
        task = asyncio.create_task(run("notification"))
        await asyncio.sleep(1)
        assert not task.done()
    done = await task
    assert done.tables[0].missing == 1
    assert done.streams == 3
    assert not (await run("notification", only_check=True)).differs


async def test_a_transaction_that_does_not_end_keeps_writers_waiting_for_moments_only(
    filled: Bureau, run: Run, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "LOCK_MILLISECONDS", 100)
    monkeypatch.setattr(rebuilding, "LOCK_ATTEMPTS", 2)
    monkeypatch.setattr(rebuilding, "LOCK_PAUSE_SECONDS", 0.1)
    await change(store, "DELETE FROM notification.notice WHERE unread")
    tampered = await rows(store, ROWS["notification"])
    async with store.engine.begin() as conn:
        await conn.execute(text("UPDATE notification.notice SET unread = unread"))
        assert (await run("notification", only_check=True)).differs  # needs no lock
        with pytest.raises(WritersBusy, match="views of notification: try again later"):
            await run("notification")
        await notify(filled)
    assert len(await rows(store, ROWS["notification"])) == len(tampered) + 1
    assert (await run("notification")).mended


async def test_an_event_of_a_newer_build_stops_a_rebuild_and_is_named(
    filled: Bureau, run: Run, store: EventStore
) -> None:
    stream = f"notification.notice-{uuid4()}"
    newer = NewEvent("bihuan.notification.v9.NoticeForwarded", b"")
    await store.record(stream, 0, [newer], Metadata("newer", uuid4()))
    with pytest.raises(UnknownEvent, match=rf"v9\.NoticeForwarded, version 1 of {stream}: upgrade"):
        await run("notification")


async def test_every_table_of_every_service_is_declared_with_its_columns(store: EventStore) -> None:
    found = await rows(
        store,
        "SELECT table_schema || '.' || table_name, array_agg(column_name::text ORDER BY 1)"
        " FROM information_schema.columns WHERE table_name <> 'alembic_version' AND table_schema"
        " NOT IN ('eventstore', 'information_schema', 'pg_catalog', 'public') GROUP BY 1",
    )
    declared = {
        table.fullname: {column.name for column in table.columns}
        for projection in PROJECTIONS.values()
        for table in projection.tables
    }
    assert {row[0]: set(row[1]) for row in found} == declared

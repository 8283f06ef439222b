"""A real server is lost and comes back as it was; what that cost is said, by position, and never hidden."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError

from bihuan.rectification.v1.problem_service_pb2_grpc import ProblemServiceStub
from eventstore import EventStore, migrate, open_store
from eventstore.audit import Auditor
from eventstore.sealer import LogForked, Sealer
from ops import backup, sealing
from ops.backup import BackupFailed
from ops.home import AlreadyUp
from ops.settings import Settings, SettingsError
from ops.supervisor import Stack
from rpc.client import connect
from rpc.identity import Identity
from tests.bureau import report
from tests.eventstore.conftest import METADATA, SERVICES, events, stream
from tests.eventstore.test_subscription import until
from tests.ops.conftest import bihuan, run


@pytest.fixture
def folder(home: Path) -> Path:
    """Where backups go."""
    return home.parent / "backup of 2026"


@asynccontextmanager
async def up(home: Path, archive: Path | None = None) -> AsyncIterator[EventStore]:
    """The database of a home, and its log."""
    settings = Settings(BIHUAN_HOME=str(home), BIHUAN_ARCHIVE=archive and str(archive))
    async with Stack(settings, parts=("postgres",)) as stack:
        await migrate(stack.database_url, *SERVICES)
        async with open_store(stack.database_url) as store:
            yield store


async def fill(store: EventStore, count: int) -> None:
    for _ in range(count // 10):
        await store.record(stream(), 0, events(*"abcdefghij"), METADATA)
    await store.head()


async def seal(store: EventStore, home: Path) -> str:
    """Seal all that there is; returns what was published then. Raises LogForked."""
    settings = Settings(BIHUAN_HOME=str(home))
    publication = sealing.publication(settings)
    sealer = Sealer(store, sealing.signing_key(settings), publication, seconds=0.01)
    running = asyncio.create_task(sealer.run())
    head = await store.head()

    async def done() -> bool:
        note = await publication.read()
        return running.done() or (note is not None and int(note.splitlines()[1]) == head)

    await until(done)
    if running.done():
        running.result()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return await publication.read() or ""


async def moment(store: EventStore) -> datetime:
    """Now, as PostgreSQL sees it, with room to what comes before and after."""
    await asyncio.sleep(0.05)
    async with store.engine.connect() as conn:
        now: datetime = await conn.scalar(text("SELECT clock_timestamp()"))
    await asyncio.sleep(0.05)
    return now


async def test_a_log_is_restored_to_a_moment_and_says_what_it_lost(
    home: Path, folder: Path
) -> None:
    async with up(home, folder) as store:
        await fill(store, 40)
        old = await seal(store, home)
        code, said, _ = await run(home, "backup", str(folder))
        assert (code, "whole and checked copy" in said) == (0, True)
        await fill(store, 40)
        wanted = await moment(store)
        await fill(store, 40)
        newest = await seal(store, home)
    code, said, wrong = await run(home, "restore", str(folder), "--until", wanted.isoformat())
    assert code == 0, wrong
    assert "the log has 80 events" in said
    assert said.count("moved aside: ") == 1

    async with up(home, folder) as store:
        assert await store.head() == 80
        auditor = Auditor(store, sealing.verifier_key(Settings(BIHUAN_HOME=str(home))))
        assert (await auditor.whole(published=old)).checkpoint.size == 40
        code, said, wrong = await run(home, "verify", "--json")
        assert code == 1
        assert json.loads(said)["position"] == 81
        assert "positions 81 to 120 are missing" in wrong
        with pytest.raises(LogForked, match="published at size 120, and the log has 80 events"):
            await seal(store, home)

        kept = home / "published-before"
        kept.write_text(newest)
        code, said, wrong = await run(home, "seal", "--after-restore", str(kept))
        assert (code, wrong) == (0, "")
        assert "positions 41 to 120 as they were published were given up" in said
        await fill(store, 60)
        await seal(store, home)
        code, said, wrong = await run(home, "verify", "--json")
        assert code == 0, wrong
        found = json.loads(said)
        assert (found["intact"], found["size"]) == (True, 140)
        assert [(fork["kept"], fork["givenUp"]) for fork in found["forks"]] == [(40, 120)]
        code, _, wrong = await run(home, "verify", "--since", str(kept))
        assert code == 1, "who holds what was given up sees that it is none of this log"
        assert "positions 41 to 120 as they were published were given up" in wrong


async def test_after_all_was_lost_the_archive_brings_back_the_last_commit(
    home: Path, folder: Path
) -> None:
    (home / "evidence" / "ab").mkdir(parents=True)
    (home / "evidence" / "ab" / "photo").write_bytes(b"photo")
    async with up(home, folder) as store:
        await fill(store, 40)
        await run(home, "backup", str(folder))
        await fill(store, 40)
        published = await seal(store, home)
    elsewhere = home.parent / "another home"
    code, said, wrong = await run(elsewhere, "restore", str(folder))
    assert code == 0, wrong
    assert "the log has 80 events" in said
    assert (elsewhere / "evidence" / "ab" / "photo").read_bytes() == b"photo"
    async with up(elsewhere) as store:
        key = sealing.verifier_key(Settings(BIHUAN_HOME=str(home)))
        assert (await Auditor(store, key).whole(published=published)).events == 80


async def test_what_was_archived_after_a_restore_is_there_after_the_next(
    home: Path, folder: Path
) -> None:
    async with up(home, folder) as store:
        await fill(store, 40)
        await backup.backup(Settings(BIHUAN_HOME=str(home)), folder)
        until = await moment(store)
        await fill(store, 40)
    for number, (moment_, head) in enumerate([(until, 40), (None, 60), (None, 80)]):
        other = home.parent / f"home {number}"
        settings = Settings(BIHUAN_HOME=str(other))
        assert await backup.restore(settings, folder, moment_, print) == head
        async with up(other, folder) as store:
            await fill(store, 20)


async def test_a_backup_without_an_archive_is_restored_by_itself(home: Path, folder: Path) -> None:
    async with up(home) as store:
        await fill(store, 40)
        async with store.engine.begin() as conn:
            await conn.exec_driver_sql("INSERT INTO eventstore.checkpoint VALUES ('relay', 40)")
        await run(home, "backup", str(folder))
        await fill(store, 40)
    (home / "temporal.db").write_text("loops that know too much")
    code, said, _ = await run(home, "restore", str(folder))
    assert (code, said.count("moved aside: ")) == (0, 2)
    assert not (home / "temporal.db").exists()
    async with up(home) as store:
        assert await store.head() == 40
        async with store.engine.connect() as conn:
            moved = await conn.exec_driver_sql("SELECT position FROM eventstore.checkpoint")
            assert moved.scalar_one() == 0, "the relay begins the loops again"


async def test_what_cannot_be_restored_leaves_the_home_as_it_was(home: Path, folder: Path) -> None:
    settings = Settings(BIHUAN_HOME=str(home))
    now = datetime.now(UTC)
    with pytest.raises(BackupFailed, match=r"no base backup in \S.*: see"):
        await backup.restore(settings, folder, None, print)
    with pytest.raises(SettingsError, match="no stack is up"):
        await backup.backup(settings, folder)
    async with up(home, folder) as store:
        await fill(store, 40)
        await backup.backup(settings, folder)
        with pytest.raises(AlreadyUp):
            await backup.restore(settings, folder, None, print)
        await fill(store, 40)
    with pytest.raises(BackupFailed, match=r"no base backup in .* is as old"):
        await backup.restore(settings, folder, now - timedelta(days=1), print)
    with pytest.raises(BackupFailed, match=r"nothing was archived after .*: without --until"):
        await backup.restore(settings, folder, now + timedelta(days=1), print)
    async with up(home, folder) as store:
        assert await store.head() == 80
    (folder / "wal").rename(folder / "away")
    with pytest.raises(BackupFailed, match="has no WAL"):
        await backup.restore(settings, folder, now + timedelta(days=1), print)


@pytest.mark.parametrize("given", ["yesterday", "2026-09-01T08:00:00"])
def test_a_moment_needs_its_offset(home: Path, folder: Path, given: str) -> None:
    code, _, wrong = bihuan(home, "restore", str(folder), "--until", given)
    assert (code, wrong.count("\n")) == (2, 1)
    assert "expected a moment with its offset" in wrong


async def test_a_server_of_somebody_elses_is_not_ours_to_back_up(home: Path, folder: Path) -> None:
    settings = Settings(BIHUAN_HOME=str(home), DATABASE_URL="postgresql://u@h/db")
    with pytest.raises(SettingsError, match=r"docs/backup\.md"):
        await backup.backup(settings, folder)


async def report_problem(stack: Stack) -> str:
    """The id of a new problem."""
    officer = Identity(subject="officer", roles=frozenset({"officer"}))
    channel = connect(stack.grpc_address, stack.token(officer))
    try:
        problem = await ProblemServiceStub(channel).ReportProblem(report())
        return str(problem.name).rpartition("/")[2]
    finally:
        await channel.close()


async def waiting_loop(stack: Stack, problem: str) -> None:
    """Wait until the loop of a problem is there and runs."""
    client = await Client.connect(stack.temporal_address)

    async def runs() -> bool:
        try:
            found = await client.get_workflow_handle(f"problem-loop/{problem}").describe()
        except RPCError:
            return False
        return found.status == WorkflowExecutionStatus.RUNNING

    await until(runs)


async def now(stack: Stack) -> datetime:
    connection = await asyncpg.connect(stack.database_url)
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    await connection.close()
    return moment


async def test_loops_begin_again_from_the_restored_log(home: Path, folder: Path) -> None:
    """With the whole stack: Temporal forgets all, and the log tells each loop where it stands."""
    settings = Settings(BIHUAN_HOME=str(home), BIHUAN_ARCHIVE=str(folder))
    async with Stack(settings) as stack:
        kept = await report_problem(stack)
        await waiting_loop(stack, kept)
        await backup.backup(settings, folder)
        wanted = await now(stack)
        await asyncio.sleep(0.1)
        await waiting_loop(stack, await report_problem(stack))
    await backup.restore(settings, folder, wanted, lambda _: None)
    async with Stack(settings) as stack:
        await waiting_loop(stack, kept)
        new = await report_problem(stack)
        await waiting_loop(stack, new)
        client = await Client.connect(stack.temporal_address)
        wanted_loops = {f"problem-loop/{each}" for each in (kept, new)}

        async def listed() -> bool:
            loops = client.list_workflows("WorkflowType = 'ProblemLoop'")
            return {loop.id async for loop in loops} == wanted_loops

        await until(listed)

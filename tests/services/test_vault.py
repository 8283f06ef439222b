"""Keys of personal data: kept for seconds, never lost, of no use elsewhere; and the master key."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from google.rpc import code_pb2

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from eventstore import EventStore, is_unavailable, keys
from eventstore.envelope import MasterKeyFile
from rpc import personal
from services.aggregate import Commands
from services.notification.service import NOTICE
from services.rectification import views
from services.vault import UNREADABLE, Vault
from tests.bureau import Bureau, bureau, report
from tests.conftest import Postgres
from tests.services.calls import refused
from tests.services.persons import (
    BLANK,
    GONE,
    OTHER,
    PERSON,
    ZHANG,
    OtherKms,
    complain,
    complaint,
    get,
    writing,
)


async def test_a_token_moved_in_the_view_to_another_field_or_person_does_not_open(
    open_bureau: Bureau, store: EventStore
) -> None:
    problem, other = await complain(open_bureau), await complain(open_bureau, who=OTHER)
    async with store.engine.begin() as conn:
        stored, theirs = [await views.get(conn, each.name) for each in (problem, other)]
        assert stored is not None
        assert theirs is not None
        stored.complainant.display_name = stored.complainant.phone
        stored.complainant.phone = theirs.complainant.phone
        await views.project(conn, stored)
    got = await get(open_bureau, problem)
    assert (got.display_name, got.phone) == (UNREADABLE, UNREADABLE)


async def sealed_by(vault: Vault, store: EventStore) -> pb.Problem:
    """A problem with a sealed complainant, as a command would record it."""
    async with store.engine.begin() as conn:
        (problem,) = await vault.sealed(conn, [pb.Problem(complainant=ZHANG)], pb.Problem())
    return problem


async def test_a_key_is_kept_in_memory_for_seconds_and_serves_nobody_once_destroyed(
    database_url: str, store: EventStore
) -> None:
    kms = OtherKms()
    async with writing(database_url) as writer:
        vault = Vault(writer.engine, kms, keep_seconds=0.3)
        problem = await sealed_by(vault, writer)
        for _ in range(5):
            assert (await vault.opened(problem)).complainant == ZHANG
        assert kms.calls == 2, "wrapped once, unwrapped once"
        async with store.engine.begin() as conn:
            await keys.forget(conn, keys.subject_hash(PERSON), "operator")
        assert vault._unwrapped, "it is still there"
        assert (await vault.opened(problem)).complainant == GONE
        await asyncio.sleep(0.4)
        assert vault._unwrapped == {}, "used or not, it is gone by itself"
        again = await sealed_by(vault, writer)
        assert (await vault.opened(again)).complainant == ZHANG
        assert kms.calls == 4


async def test_a_transaction_that_fails_leaves_no_key_that_later_ones_would_seal_with(
    database_url: str,
) -> None:
    async with writing(database_url) as writer:
        vault = Vault(writer.engine, OtherKms())
        with suppress(ZeroDivisionError):
            async with writer.engine.begin() as conn:
                await vault.sealed(conn, [pb.Problem(complainant=ZHANG)], pb.Problem())
                raise ZeroDivisionError
        problem = await sealed_by(vault, writer)
        assert (await vault.opened(problem)).complainant == ZHANG


async def test_what_stands_sealed_in_the_state_is_recorded_again_as_it_is(
    database_url: str,
) -> None:
    async with writing(database_url) as writer:
        vault = Vault(writer.engine, OtherKms())
        state = await sealed_by(vault, writer)
        # A caller's own text is sealed whatever it looks like.
        spoof = pb.Problem(complainant=pb.Complainant(id=PERSON, phone=state.complainant.phone))
        async with writer.engine.begin() as conn:
            (same,) = await vault.sealed(conn, [state], state)
            (own,) = await vault.sealed(conn, [spoof], pb.Problem())
        assert same == state
        assert (await vault.opened(own)).complainant.phone == state.complainant.phone


async def test_without_a_master_key_complainants_are_refused_and_all_else_works(
    database_url: str, tmp_path: Path
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        problem = await complain(open_)
    async with bureau(database_url, tmp_path, master_key=None) as open_:
        officer = open_.client("officer")
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: officer.problems.ReportProblem(complaint()),
            lambda: officer.problems.GetProblem(rpc_pb.GetProblemRequest(name=problem.name)),
        ]
        for call in calls:
            status = await refused(call())
            assert (status.code, status.reason) == (code_pb2.UNAVAILABLE, "MASTER_KEY_UNAVAILABLE")
        await officer.problems.ReportProblem(report(source=pb.SOURCE_COMPLAINT))
        assert await get(open_, problem, "reporter") == BLANK
    async with bureau(database_url, tmp_path) as open_:
        assert await get(open_, problem) == ZHANG


async def test_another_master_key_opens_nothing_and_seals_nothing_for_a_known_person(
    database_url: str, tmp_path: Path
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        await complain(open_)
    MasterKeyFile.create(tmp_path / "other.key")
    async with bureau(database_url, tmp_path, master_key=tmp_path / "other.key") as open_:
        status = await refused(open_.client("officer").problems.ReportProblem(complaint()))
        assert status.reason == "MASTER_KEY_UNAVAILABLE"


async def test_commands_without_a_vault_record_no_personal_data(store: EventStore) -> None:
    commands = Commands(store, NOTICE)
    assert commands._vault_for([report()]) is None
    with pytest.raises(RuntimeError, match="no vault"):
        commands._vault_for([complaint()])
    assert personal.holds(complaint())


async def test_with_postgresql_gone_nothing_is_sealed_although_the_key_is_still_in_memory(
    make_postgres: Callable[[], Postgres],
) -> None:
    server = make_postgres()
    async with writing(await server.database()) as writer:
        vault = Vault(writer.engine, OtherKms())
        problem = await sealed_by(vault, writer)
        await vault.opened(problem)
        server.kill()
        for doing in (sealed_by(vault, writer), vault.opened(problem)):
            with pytest.raises(Exception) as gone:  # noqa: PT011 - of many kinds
                await doing
            assert is_unavailable(gone.value)
        server.start()
        assert (await vault.opened(problem)).complainant == ZHANG
        again = await sealed_by(vault, writer)
        assert (await vault.opened(again)).complainant == ZHANG

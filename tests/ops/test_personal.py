"""Operators keep and change the master key and forget a person, over services of their own."""

import asyncio
import stat
from pathlib import Path

import pytest

from eventstore import keys, open_store
from eventstore.envelope import MasterKeyFile
from eventstore.wakeup import exclusive
from ops import personal
from ops import settings as configuration
from ops.failures import NotForgotten
from ops.home import make
from ops.key_files import DRAW, MASTER, KeyFile
from ops.settings import Settings, SettingsError
from rpc.issuer import LocalIssuer
from tests.bureau import Bureau, bureau
from tests.services.persons import GONE, OTHER, PERSON, ZHANG, complain, forget, get


def settings(monkeypatch: pytest.MonkeyPatch, **variables: object) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return configuration.load()


@pytest.mark.parametrize("key", [MASTER, DRAW], ids=lambda key: key.name)
def test_a_stack_makes_its_own_keys_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, key: KeyFile
) -> None:
    ours = settings(monkeypatch, BIHUAN_HOME=home)
    assert key.found(ours) is None, "services by themselves make none"
    make(home)
    key.ensure(ours)
    path = key.found(ours)
    assert path == home / "keys" / key.name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    key.ensure(ours)
    assert path.read_bytes() == before


@pytest.mark.parametrize("key", [MASTER, DRAW], ids=lambda key: key.name)
@pytest.mark.parametrize("content", [None, "no key"])
def test_a_configured_key_that_is_none_is_named_and_not_made(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    key: KeyFile,
) -> None:
    path = tmp_path / "some.key"
    if content:
        path.write_text(content)
    ours = settings(monkeypatch, **{"BIHUAN_HOME": home, key.variable: path})
    key.ensure(ours)
    with pytest.raises(SettingsError, match=f"{key.variable}: "):
        key.found(ours)
    assert path.exists() == bool(content)


def installation(
    open_: Bureau, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """The settings of the services that the bureau serves."""
    ours = settings(
        monkeypatch,
        BIHUAN_HOME=folder,
        BIHUAN_GRPC_ADDRESS=open_.target,
        DATABASE_URL=url,
        BIHUAN_MASTER_KEY=folder / "master.key",
    )
    assert LocalIssuer(folder / "issuer").name == ours.issuer
    return ours


async def test_an_operator_forgets_a_person_by_the_command(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        ours = installation(open_, tmp_path, database_url, monkeypatch)
        problem = await complain(open_)
        assert (await personal.forget(ours, PERSON, "2026-17")).forget_count == 1
        assert await get(open_, problem) == GONE
        with pytest.raises(NotForgotten, match="SUBJECT_NOT_FOUND"):
            await personal.forget(ours, PERSON, "")


async def test_the_master_key_is_changed_while_the_services_run_and_the_old_one_is_of_no_use(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        ours = installation(open_, tmp_path, database_url, monkeypatch)
        gone, kept = await complain(open_), await complain(open_, who=OTHER)
        await forget(open_)
        await complain(open_)
        file = MasterKeyFile(tmp_path / "master.key")
        (old,) = file.keys()
        assert await personal.rewrap(ours, retire=False) == 2
        assert file.keys()[1:] == [old]
        fresh = await complain(open_)
        assert await personal.rewrap(ours, retire=True) == 2
        assert old not in file.keys()  # noqa: SIM118 - not a dict
        found = await asyncio.gather(*(get(open_, each) for each in (gone, kept, fresh)))
        assert found == [GONE, OTHER, ZHANG]
    async with bureau(database_url, tmp_path) as open_:
        assert await get(open_, kept) == OTHER


async def test_a_rewrap_goes_on_where_another_was_killed_and_not_beside_one_at_work(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        ours = installation(open_, tmp_path, database_url, monkeypatch)
        problem = await complain(open_)
        left = tmp_path / "master.key.new"
        left.write_text("half a key")
        async with open_store(database_url) as store, exclusive(store.engine) as other:
            assert await keys.claim_rewrap(other)
            for retire in (False, True):
                with pytest.raises(NotForgotten, match="another `bihuan rewrap` is at it"):
                    await personal.rewrap(ours, retire=retire)
        assert await personal.rewrap(ours, retire=False) == 1
        assert not left.exists()
        left.mkdir()
        with pytest.raises(NotForgotten, match="not all keys are rewrapped"):
            await personal.rewrap(ours, retire=True)
        assert await get(open_, problem) == ZHANG

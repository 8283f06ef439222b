"""The commands about the log, on a real server with a sealer beside it: what they show and refuse."""

import json
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from bihuan.rectification.v1 import events_pb2, problem_pb2
from eventstore import EventStore, Metadata, NewEvent, RecordedEvent, engine_for, migrate
from eventstore.note import SigningKey
from ops import log as work
from ops.log import payload
from ops.settings import Settings
from ops.supervisor import Stack
from tests.ops.conftest import Ran, run
from tests.ops.test_restore import seal

CASE, OTHER = UUID(int=7), UUID(int=8)
USCC = "91150203MA0KDL0112"
REPORTED = "bihuan.rectification.v1.ProblemReported"
SERVICES = sorted((Path(__file__).parents[2] / "services").glob("*/migrations"))


class Site:
    """A home with PostgreSQL up, and its log."""

    def __init__(self, home: Path, store: EventStore) -> None:
        self.home = home
        self.store = store

    async def bihuan(self, *arguments: str) -> Ran:
        return await run(self.home, *arguments)

    async def json(self, *arguments: str) -> Any:
        code, said, wrong = await self.bihuan(*arguments, "--json")
        assert code == 0, wrong
        return json.loads(said)

    async def lines(self, *arguments: str) -> list[Any]:
        code, said, wrong = await self.bihuan("log", *arguments, "--json")
        assert code == 0, wrong
        return [json.loads(line) for line in said.splitlines()]

    async def refused(self, *arguments: str) -> str:
        """The one line of a command that ends with code 1."""
        code, said, wrong = await self.bihuan(*arguments)
        assert (code, said) == (1, "")
        return wrong.splitlines()[-1]

    @property
    def key(self) -> str:
        return str(self.home / "seal" / "log.pem.pub")


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Site]:
    """Problem CASE reported and looked at, OTHER reported; sealed; then CASE looked at again."""
    with tempfile.TemporaryDirectory(prefix="bihuan-test-") as folder:
        home = Path(folder) / "home"
        settings = Settings(BIHUAN_HOME=str(home))
        async with Stack(settings, parts=("postgres",)) as stack:
            await migrate(stack.database_url, *SERVICES)
            engine = engine_for(stack.database_url)
            store = EventStore(engine)
            await fill(store)
            await seal(store, home)
            await record(store, CASE, 2, NewEvent("bihuan.unknown.v1.Seen", b"\x01\x02"))
            await store.head()
            yield Site(home, store)
            await store.close()
            await engine.dispose()


async def fill(store: EventStore) -> None:
    enterprise = problem_pb2.Enterprise(uscc=USCC, display_name="包头市华钢特种钢有限公司")
    for case, whose in ((CASE, enterprise), (OTHER, None)):
        event = events_pb2.ProblemReported(title="自行监测方案不完整", enterprise=whose)
        await record(store, case, 0, NewEvent(REPORTED, event.SerializeToString()))
    await record(store, CASE, 1, NewEvent("bihuan.unknown.v1.Seen", b"\x01\x02"))


async def record(store: EventStore, case: UUID, version: int, event: NewEvent) -> None:
    metadata = Metadata("officer/lijing", case, None, None, "")
    await store.record(f"rectification.problem-{case}", version, [event], metadata)


async def test_log_shows_the_last_events_as_people_and_programs_read_them(site: Site) -> None:
    code, said, _ = await site.bihuan("log")
    first, *_, last = said.splitlines()
    assert code == 0
    assert first.split()[0] == "1"
    assert f"ProblemReported          rectification.problem-{CASE} v1  officer/lijing" in first
    assert last.split()[0] == "4"
    assert [event["position"] for event in await site.lines("-n", "2")] == [3, 4]
    reported, *_, seen = await site.lines()
    assert reported["payload"]["title"] == "自行监测方案不完整"
    assert reported["type"] == REPORTED
    assert seen["payload"] == {"unknownType": "bihuan.unknown.v1.Seen", "hex": "0102"}


@pytest.mark.parametrize(
    ("arguments", "positions"),
    [
        (["--case", str(CASE)], [1, 3, 4]),
        (["--case", f"problems/{OTHER}"], [2]),
        (["--enterprise", USCC], [1, 3, 4]),
        (["--type", REPORTED], [1, 2]),
        (["--type", REPORTED, "--case", str(CASE)], [1]),
        (["--type", REPORTED, "--type", "bihuan.unknown.v1.Seen", "-n", "3"], [2, 3, 4]),
        (["--type", "bihuan.unknown.v1.Nothing"], []),
    ],
)
async def test_log_shows_only_what_is_wanted(
    site: Site, arguments: list[str], positions: list[int]
) -> None:
    assert [event["position"] for event in await site.lines(*arguments)] == positions


async def test_log_refuses_a_case_that_nobody_mentions(site: Site) -> None:
    for option in ("--case", "--enterprise"):
        assert "no event of the log mentions" in await site.refused("log", option, "nobody")


@pytest.mark.parametrize(
    "arguments",
    [
        ("log", "--case", "problems/"),
        ("verify", "--case", "problems/"),
        ("log", "-n", "9" * 20),
    ],
)
async def test_an_argument_that_cannot_be_meant_is_named(
    site: Site, arguments: tuple[str, ...]
) -> None:
    code, said, wrong = await site.bihuan(*arguments)
    assert (code, said) == (2, "")
    assert arguments[1] in wrong


def test_a_payload_that_was_tampered_with_is_shown_as_its_bytes() -> None:
    now = datetime.now(UTC)
    event = RecordedEvent(CASE, "a.b-c", 1, REPORTED, b"\xff", "", CASE, None, None, "", now, 1)
    assert payload(event) == {"unreadableType": REPORTED, "hex": "ff"}


async def test_a_published_file_that_is_no_checkpoint_is_named(site: Site) -> None:
    file = site.home / "checkpoints" / "checkpoint"
    published = file.read_bytes()
    for content in (b"nothing\n", b"\xff"):
        file.write_bytes(content)
        assert "a checkpoint cannot be read" in await site.refused("status")
        assert "cannot verify: " in await site.refused("verify")
    file.write_bytes(published)


async def test_verify_says_when_nothing_was_published_to_hold_the_log_to(site: Site) -> None:
    file = site.home / "checkpoints" / "checkpoint"
    away = file.rename(file.with_name("away"))
    code, _, wrong = await site.bihuan("verify")
    away.rename(file)
    assert (code, "nothing is published at file://" in wrong) == (0, True)
    assert "nothing is published" not in (await site.bihuan("verify"))[2]


async def test_a_backup_to_no_folder_ends_with_a_line(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "Not a directory" in await site.refused("backup", str(tmp_path / "file" / "backup"))


async def test_status_tells_how_the_log_is(site: Site) -> None:
    found = await site.json("status")
    assert (found["head"], found["waiting"], found["open_ids"]) == (4, 0, 0)
    assert (found["sealed"], found["published"]) == (3, 3)
    assert [(reader["name"], reader["lag"]) for reader in found["readers"]] == [("sealer", 1)]
    assert found["published_at"].endswith("/checkpoints/checkpoint")
    code, said, _ = await site.bihuan("status")
    assert code == 0
    assert "1 behind" in said
    assert "".join(said.split()).count("/checkpoints/checkpoint") == 1, "not cut off"


async def test_verify_holds_the_whole_log_a_part_and_a_case_to_what_was_sealed(site: Site) -> None:
    found = await site.json("verify")
    assert {**found, "root": ""} == {
        "intact": True, "events": 3, "unsealed": 1, "size": 3, "root": "", "forks": [],
    }  # fmt: skip
    since = str(site.home / "checkpoints" / "checkpoint")
    assert (await site.json("verify", "--since", since, "--key", site.key))["events"] == 0
    of_case = await site.json("verify", "--case", f"problems/{CASE}")
    assert (of_case["events"], of_case["unsealed"]) == (2, 1)
    code, said, _ = await site.bihuan("verify")
    assert (code, "intact: 3 events" in said) == (0, True)


async def test_verify_refuses_what_proves_nothing(site: Site, tmp_path: Path) -> None:
    assert "no event of the log mentions" in await site.refused(
        "verify", "--case", str(UUID(int=9))
    )
    other = SigningKey.generate("bihuan.local/log")
    other.write(tmp_path / "other")
    wrong = await site.refused("verify", "--key", str(tmp_path / "other.pub"))
    assert wrong.startswith("bihuan: cannot verify: no known key signed")
    (tmp_path / "none").write_text("no checkpoint")
    for name in ("none", "missing"):
        since = str(tmp_path / name)
        assert "cannot verify: " in await site.refused("verify", "--since", since)


async def test_what_prove_writes_check_proof_finds_true_and_nothing_else(
    site: Site, tmp_path: Path
) -> None:
    first, *_, unsealed = await site.lines()
    proof = tmp_path / "proof"
    code, said, wrong = await site.bihuan("prove", first["id"], "--to", str(proof))
    assert code == 0, wrong
    assert f"proves event {first['id']}" in said
    assert await site.json("check-proof", str(proof), "--key", site.key) == first
    code, said, _ = await site.bihuan("check-proof", str(proof), "--key", site.key)
    assert (code, "the proof holds" in said) == (0, True)

    assert "not sealed yet" in await site.refused("prove", unsealed["id"])
    assert "there is no event" in await site.refused("prove", str(UUID(int=9)))
    assert (await site.bihuan("prove", "nonsense"))[0] == 2
    forged = tmp_path / "forged"
    forged.write_bytes(proof.read_bytes().replace(b"index 0", b"index 1"))
    SigningKey.generate("bihuan.local/log").write(tmp_path / "other")
    for file, key in ((forged, site.key), (proof, str(tmp_path / "other.pub"))):
        wrong = await site.refused("check-proof", str(file), "--key", key)
        assert wrong.startswith("bihuan: the proof does not hold: ")
    for file, key in (
        (tmp_path / "missing", site.key),
        (proof, str(proof)),
        (Path("/dev/zero"), site.key),
    ):
        wrong = await site.refused("check-proof", str(file), "--key", key)
        assert wrong.startswith("bihuan: cannot check the proof: ")
    nowhere = str(tmp_path / "nowhere" / "proof")
    assert "cannot write the proof: " in await site.refused("prove", first["id"], "--to", nowhere)


async def test_an_actor_is_shown_as_written(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, *_) = await site.lines()
    proof = tmp_path / "proof"
    await site.bihuan("prove", first["id"], "--to", str(proof))
    check = work.check_proof
    monkeypatch.setattr(
        work, "check_proof", lambda *given: check(*given)._replace(actor="[b]x[/y]")
    )
    code, said, _ = await site.bihuan("check-proof", str(proof), "--key", site.key)
    assert (code, said.splitlines()[-1].split()[-1]) == (0, "[b]x[/y]")


async def test_a_private_key_given_for_the_public_one_is_not_shown(
    site: Site, tmp_path: Path
) -> None:
    key = tmp_path / "log.pem"
    key.write_text(
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwSECRET\n-----END PRIVATE KEY-----\n"
    )
    (first,) = await site.lines("-n", "1")
    proof = tmp_path / "proof"
    for command in (("verify",), ("check-proof", str(proof))):
        proof.write_text(first["id"])
        wrong = await site.refused(*command, "--key", str(key))
        assert wrong.endswith(f"{key} is no public key of a log, as log.pem.pub is")


async def test_what_was_changed_behind_the_database_is_named(site: Site) -> None:
    change = "UPDATE eventstore.event_1 SET actor = {} WHERE id = 2"
    trigger = "ALTER TABLE eventstore.event_1 {} TRIGGER append_only"
    async with site.store.engine.begin() as conn:
        for statement in (trigger.format("DISABLE"), change.format("'somebody else'")):
            await conn.exec_driver_sql(statement)
    code, said, wrong = await site.bihuan("verify", "--json")
    assert code == 1
    assert json.loads(said)["position"] == 2
    assert "the log is NOT what was sealed: the event at position 2" in wrong
    assert "position 2" in await site.refused("verify", "--case", str(OTHER))
    assert (await site.json("verify", "--case", str(CASE)))["intact"] is True
    async with site.store.engine.begin() as conn:
        for statement in (
            change.format("'officer/lijing'"),
            trigger.format("ENABLE ALWAYS"),
        ):
            await conn.exec_driver_sql(statement)
    assert (await site.json("verify"))["intact"] is True


@pytest.mark.parametrize("command", ["log", "status", "verify"])
async def test_without_a_stack_they_say_how_to_start_one(home: Path, command: str) -> None:
    code, said, wrong = await run(home, command)
    assert (code, said) == (2, "")
    assert wrong.startswith("bihuan: ")
    assert wrong.count("\n") == 1

"""The commands of docs/backup.md for a server of one's own, run as they stand there."""

import os
import pwd
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore import EventStore, engine_for, migrate
from eventstore.audit import Auditor, LogTampered
from ops import postgres, reach, sealing
from ops.settings import Settings
from tests.eventstore.conftest import SERVICES
from tests.ops.conftest import run
from tests.ops.test_restore import fill, moment, seal

DOCUMENT = Path(__file__).parents[2] / "docs" / "backup.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
START = (
    """pg_ctl start -w -s -D "$PGDATA" -l "$PGDATA.log" -o "-c listen_addresses='' -k $PGHOST" """
)
STOP = 'pg_ctl stop -w -s -D "$PGDATA"'
PROMOTED = """for n in $(seq 100); do
  test "$(psql -Atc 'SELECT pg_is_in_recovery()')" = f && exit; sleep 0.1
done; exit 1"""


class Server:
    """A PostgreSQL that knows nothing of ours, and the shell of its own user."""

    def __init__(self, folder: Path, user: pwd.struct_passwd) -> None:
        programs = Path(postgres.program("postgres")).parent
        if os.geteuid() == 0:
            reach.open_path(programs / "postgres", user.pw_uid)
            os.chown(folder, user.pw_uid, user.pw_gid)
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        self._user = user
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PGDATA": f"{folder}/data",
            "PGHOST": str(folder),
            "PGUSER": "postgres",
            "BACKUP": f"{folder}/backup",
        }

    def shell(self, script: str, **variables: str) -> None:
        subprocess.run(
            ["bash", "-e", "-c", script],
            env=self._environment | variables,
            user=self._user.pw_uid,
            group=self._user.pw_gid,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
        )


@pytest.fixture
def server() -> Iterator[Server]:
    user = reach.ensure_user() if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    with tempfile.TemporaryDirectory(prefix="bihuan-own-") as folder:
        server = Server(Path(folder), user)
        server.shell("initdb --username=postgres --auth=trust --encoding=UTF8 --locale=C")
        server.shell(START)
        yield server
        server.shell(STOP)


async def test_the_documented_commands_bring_a_log_back(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archiving, base, restore, loops = BLOCKS
    server.shell(archiving)
    server.shell(f"{STOP}\n{START}")
    await migrate(server.url, *SERVICES)
    engine = engine_for(server.url)
    store = EventStore(engine)
    await fill(store, 40)
    server.shell(base)
    await fill(store, 40)
    old, wanted = await seal(store, home), await moment(store)
    await fill(store, 40)
    newest = await seal(store, home)
    await store.close()
    await engine.dispose()
    server.shell(STOP)
    server.shell(restore, UNTIL=wanted.isoformat())
    server.shell(f"{START}\n{PROMOTED}")
    server.shell(loops)
    store = EventStore(engine)
    auditor = Auditor(store, sealing.verifier_key(Settings(BIHUAN_HOME=str(home))))
    assert (await auditor.whole(published=old)).events == 80
    with pytest.raises(LogTampered, match="positions 81 to 120 are missing"):
        await auditor.whole(published=newest)
    monkeypatch.setenv("DATABASE_URL", server.url)
    (home / "given-up").write_text(newest)
    code, _, wrong = await run(home, "seal", "--after-restore", str(home / "given-up"))
    assert code == 0, wrong
    await fill(store, 40)
    await seal(store, home)
    code, said, wrong = await run(home, "verify")
    assert code == 0, wrong
    assert "intact: 120 events" in said
    assert "positions 81 to 120 as they were published were given up" in wrong
    await store.close()
    await engine.dispose()

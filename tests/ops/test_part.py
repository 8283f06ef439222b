"""A part is started again when it dies, and is never left behind."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops import home as homes
from ops import part as parts
from ops import reach
from ops.part import Part, PartFailed, Running, State
from ops.ports import Ports, PortTaken, any_free, is_free
from tests.ops.conftest import LeftRunning


def program(code: str) -> Part:
    """A part that runs Python code and counts as ready when it has made the file `ready`."""

    async def ready(_pid: int) -> bool:
        return "ready" in os.listdir()

    return Part(name="part", command=(sys.executable, "-c", code), address="here", ready=ready)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    homes.lock(home).close()
    monkeypatch.chdir(home)
    return home


SERVING = "import pathlib, time; pathlib.Path('ready').touch(); time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVING


async def test_a_part_that_cannot_start_fails_with_its_last_words(
    folder: Path, said: list[str]
) -> None:
    running = Running(program("import sys; sys.exit('no such database')"), folder, said.append)
    with pytest.raises(PartFailed, match=r"(?s)exit code 1.*3 times.*no such database"):
        await running.start()
    await running.stop()


async def test_a_dead_part_is_started_again_and_said_so(
    folder: Path, said: list[str], left_running: LeftRunning
) -> None:
    running = Running(program(SERVING), folder, said.append)
    await running.start()
    first = running.pid
    await running.kill()
    await running.wait_ready()
    assert running.pid != first
    assert running.restarts == 1
    assert "part ended (SIGKILL); starting it again in 0.2 s" in said
    await running.stop()
    assert running.state is State.STOPPED
    assert not left_running()


async def test_a_part_that_will_not_end_is_killed(
    folder: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
    left_running: LeftRunning,
) -> None:
    monkeypatch.setattr(parts, "STOP_SECONDS", 0.2)
    running = Running(program(DEAF), folder, said.append)
    await running.start()
    await running.stop()
    assert any("killing it" in line for line in said)
    assert not left_running()


def test_a_leftover_of_a_killed_supervisor_is_ended(folder: Path, said: list[str]) -> None:
    left = subprocess.Popen([sys.executable, "-c", SERVING])
    other = subprocess.Popen([sys.executable, "-c", SERVING])
    run = folder / "run"
    homes.note_child(run / "left.pid", left.pid, signal.SIGTERM)
    homes.note_child(run / "other.pid", other.pid, signal.SIGTERM)
    noted = (run / "other.pid").read_text()
    created = psutil.Process(other.pid).create_time()
    (run / "other.pid").write_text(noted.replace(str(created), str(created - 100)))
    homes.stop_leftovers(run, said.append)
    assert left.wait(5) == -signal.SIGTERM
    assert other.poll() is None, "a process that only got the same pid is none of ours"
    assert not list(run.glob("*.pid"))
    other.kill()
    other.wait(5)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends it")
def test_a_part_dies_with_its_supervisor() -> None:
    supervisor = (
        "import asyncio, sys, time; from ops.part import leashed; import signal, subprocess;"
        "child = subprocess.Popen(leashed(('/bin/sleep', '60'), signal.SIGTERM, None));"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    _until(lambda: child.name() == "sleep")
    process.kill()
    process.wait(5)
    process.stdout.close()
    _until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def _until(true: Callable[[], bool], seconds: float = 5) -> None:
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.02)


def test_a_taken_port_is_replaced_unless_it_was_chosen(said: list[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = Ports(said.append)
        other = ports.choose("BIHUAN_UI_PORT", "127.0.0.1", port, on_purpose=False)
        assert other != port
        assert is_free("127.0.0.1", other)
        assert f"port {port} is taken, so we use {other}" in said[0]
        with pytest.raises(PortTaken, match=f"BIHUAN_UI_PORT: 127.0.0.1:{port} is taken"):
            ports.choose("BIHUAN_UI_PORT", "127.0.0.1", port, on_purpose=True)
    assert any_free("127.0.0.1") != port
    ports.release()


def test_two_stacks_that_start_at_once_never_choose_the_same_port(said: list[str]) -> None:
    first, second, third = (Ports(said.append) for _ in range(3))
    port = any_free("127.0.0.1")
    assert first.choose("BIHUAN_UI_PORT", "127.0.0.1", port, on_purpose=False) == port
    other = second.choose("BIHUAN_UI_PORT", "127.0.0.1", port, on_purpose=False)
    assert other != port, "the first has not begun to listen yet"
    with pytest.raises(PortTaken):
        third.choose("BIHUAN_UI_PORT", "127.0.0.1", port, on_purpose=True)
    first.release()
    assert third.choose("BIHUAN_UI_PORT", "127.0.0.1", port, on_purpose=True) == port
    second.release()
    third.release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to let another user through")
class TestReach:
    @pytest.fixture
    def closed(self, home: Path) -> Path:
        folder = home / "closed"
        (folder / "open").mkdir(parents=True)
        folder.chmod(0o700)
        return folder

    def test_only_postgres_passes_and_cannot_list(self, closed: Path) -> None:
        inside = closed / "open" / "data"
        inside.mkdir()
        uid = reach.ensure_user().pw_uid
        assert any(str(closed) in line for line in reach.open_path(inside, uid))
        assert reach.open_path(inside, uid) == [], "it is open now"
        assert self._as(uid, "ls", str(inside))
        assert not self._as(uid, "ls", str(closed))
        assert not self._as(65534, "ls", str(inside)), "others stay out"
        closed.chmod(0o700)  # which masks the access list
        assert not self._as(uid, "ls", str(inside))
        assert len(reach.open_path(inside, uid)) == 1
        assert self._as(uid, "ls", str(inside))

    def test_everybody_passes_where_access_lists_are_not_to_be_had(
        self, closed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError("not supported")

        monkeypatch.setattr(os, "setxattr", refuse)
        uid = reach.ensure_user().pw_uid
        lines = reach.open_path(closed / "open", uid)
        assert any("everybody" in line and str(closed) in line for line in lines)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o701

    def test_programs_under_a_strict_umask_become_readable(self, tmp_path: Path) -> None:
        root = tmp_path / "install"
        (root / "bin").mkdir(parents=True)
        for name, mode in (("bin/postgres", 0o700), ("share", 0o600), ("bin", 0o700), ("", 0o700)):
            path = root / name
            path.touch() if name == "share" or name.endswith("postgres") else None
            path.chmod(mode)
        reach.open_tree(root)
        modes = [stat.S_IMODE((root / n).stat().st_mode) for n in ("bin/postgres", "share", "bin")]
        assert modes == [0o755, 0o644, 0o755]

    def _as(self, uid: int, *command: str) -> bool:
        return not subprocess.run(command, user=uid, cwd="/", capture_output=True).returncode


async def test_a_start_that_is_cancelled_leaves_nothing(
    folder: Path, said: list[str], left_running: LeftRunning
) -> None:
    running = Running(program("import time; time.sleep(60)"), folder, said.append)
    starting = asyncio.create_task(running.start())
    await asyncio.sleep(0.3)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await running.stop()
    assert not left_running()

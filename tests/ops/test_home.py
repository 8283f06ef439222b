"""A demo's folder goes with the demo, unless it failed; what a killed one left goes at the next start."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ops.home import lock, note_child, passing

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The pid of a process that lives as long as the test."""
    process = subprocess.Popen(SLEEP)
    yield process.pid
    process.kill()
    process.wait(5)


@pytest.fixture
def dead() -> int:
    """A pid that nobody has."""
    return next(pid for pid in range(4_000_000, 0, -1) if not psutil.pid_exists(pid))


def settle(homes: Path, pid: int) -> Path:
    """The folder that a demo of that pid works in, not held by anybody."""
    folder = homes / f"demo-{pid}"
    lock(folder).close()
    (folder / "logs" / "service.log").write_text("no such table")
    return folder


def play(homes: Path, say: Callable[[str], None], end: type[BaseException] | None = None) -> None:
    """What a demo does with its folder, until it is over, told to stop or failed."""
    with passing(homes, say) as folder:
        assert not folder.exists(), "another demo's data"
        settle(homes, os.getpid())
        if end is not None:
            raise end


def test_a_demo_that_is_over_leaves_no_folder(home: Path) -> None:
    play(home, print)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("told", [asyncio.CancelledError, KeyboardInterrupt])
def test_a_demo_that_is_told_to_stop_leaves_no_folder(
    home: Path, told: type[BaseException]
) -> None:
    with pytest.raises(told):
        play(home, print, told)
    assert list(home.iterdir()) == []


def test_a_demo_that_fails_keeps_its_logs_and_says_where(home: Path) -> None:
    said: list[str] = []
    with pytest.raises(LookupError):
        play(home, said.append, LookupError)
    log = home / f"demo-{os.getpid()}" / "logs" / "service.log"
    assert log.read_text() == "no such table"
    [line] = said
    assert str(log.parent) in line
    play(home, said.append)
    assert list(home.iterdir()) == [], "the next demo has the same pid, as in a container"


def test_the_next_demo_sweeps_the_folders_of_the_dead_only(
    home: Path, sleeper: int, dead: int
) -> None:
    alive, held = settle(home, sleeper), settle(home, dead)
    settle(home, dead - 1)
    other = home / "demo-notes"
    other.mkdir()
    with lock(held):
        play(home, print)
    assert sorted(home.iterdir()) == sorted([alive, held, other])


def test_what_a_killed_demo_left_running_ends_before_its_folder_goes(home: Path, dead: int) -> None:
    folder = settle(home, dead)
    with subprocess.Popen(SLEEP) as left:
        note_child(folder / "run" / "postgres.pid", left.pid, signal.SIGTERM)
        play(home, print)
        assert left.wait(5) == -signal.SIGTERM
    assert list(home.iterdir()) == []

"""The folder of one stack: who holds it, where that stack can be reached, what it left running."""

import errno
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from ops.settings import SettingsError

STOP_SECONDS = 10.0
POLL_SECONDS = 0.05


class AlreadyUp(Exception):
    """Another stack runs in this home; the message says which process."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running stack can be reached, as noted in run/stack.json."""

    pid: int
    database_url: str
    temporal_address: str
    ui_url: str | None  # None with a Temporal server that is not ours
    grpc_address: str


def make(home: Path, *folders: str) -> None:
    """Make the home with these folders in it, where they are not there. SettingsError if that cannot
    be, or nothing can be written in them.
    """
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        for folder in (home, *(home / name for name in folders)):
            folder.mkdir(mode=0o700, exist_ok=True)  # keys and case data: for the owner alone
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        reason = "not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise SettingsError(f"BIHUAN_HOME: cannot use {error.filename}: {reason}") from error


def lock(home: Path) -> IO[str]:
    """Hold the home for this process; the system lets go of it however the process ends."""
    make(home, "run", "logs")
    file = (home / "run" / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        pid = file.read().strip()
        file.close()
        raise AlreadyUp(
            f"a stack is already up in {home} (process {pid}): stop it there with Ctrl-C, "
            "or choose another folder with BIHUAN_HOME"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


@contextmanager
def passing(homes: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """A home in `homes` for one demo: gone with it, but kept for its logs when it fails."""
    _sweep(homes, say)
    home = homes / f"demo-{os.getpid()}"
    try:
        yield home
    except Exception:
        if any((home / "logs").glob("*")):
            say(f"what each part said is in {home / 'logs'}, until the next demo starts")
        raise
    except BaseException:  # told to stop
        shutil.rmtree(home, ignore_errors=True)
        raise
    shutil.rmtree(home)


def _sweep(homes: Path, say: Callable[[str], None]) -> None:
    """Remove what demos left that failed or were killed; a folder's process is gone then."""
    for run in sorted(homes.glob("demo-*/run")):
        pid = run.parent.name.removeprefix("demo-")
        # A pid comes again, in a container our own; and one of another container is not listed here.
        if pid != str(os.getpid()) and pid.isdigit() and psutil.pid_exists(int(pid)):
            continue
        try:
            held = lock(run.parent)
        except AlreadyUp:
            continue
        stop_leftovers(run, say)
        shutil.rmtree(run.parent)
        held.close()


def note_addresses(home: Path, noted: Addresses) -> None:
    """Tell other commands where the stack of this home can be reached."""
    _write(home / "run" / "stack.json", asdict(noted))


def forget_addresses(home: Path) -> None:
    """The stack is about to be gone."""
    (home / "run" / "stack.json").unlink(missing_ok=True)


def addresses(home: Path) -> Addresses | None:
    """Where the stack of that home can be reached; None unless one is up."""
    try:
        noted = json.loads((home / "run" / "stack.json").read_text())
    except FileNotFoundError:
        return None
    # Left there by a stack that was killed, it names a process that is gone.
    return Addresses(**noted) if psutil.pid_exists(noted["pid"]) else None


def note_child(path: Path, pid: int, stop: signal.Signals) -> None:
    """Note a child for a later start, should we be killed without stopping it."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:  # it died at once; nothing will be left of it
        return
    _write(path, {"pid": pid, "created": created, "signal": stop.name})


def stop_leftovers(folder: Path, say: Callable[[str], None]) -> None:
    """End what a killed supervisor left running, and wait for it: it holds data and ports."""
    for path in sorted(folder.glob("*.pid")):
        noted = json.loads(path.read_text())
        process = _same(noted["pid"], noted["created"])
        if process is not None:
            say(f"{path.stem} still runs since the last time (process {process.pid}); ending it")
            process.send_signal(signal.Signals[noted["signal"]])
            _wait_or_kill(process)
        path.unlink()


def _same(pid: int, created: float) -> psutil.Process | None:
    """The process noted as pid and time of its start, if it runs; a pid alone may be another's."""
    try:
        process = psutil.Process(pid)
        near = abs(process.create_time() - created) < 2  # seconds; the clock may be set meanwhile
        return process if near and _alive(process) else None
    except psutil.NoSuchProcess:
        return None


def _wait_or_kill(process: psutil.Process) -> None:
    patience = time.monotonic() + STOP_SECONDS
    while _alive(process):
        if time.monotonic() > patience:
            process.kill()
        time.sleep(POLL_SECONDS)


def _alive(process: psutil.Process) -> bool:
    # Where nobody collects orphans, as in many containers, the dead stay listed as zombies.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _write(path: Path, noted: Mapping[str, object]) -> None:
    """Write the file whole or not at all, as we may be killed at any moment."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(noted))
    new.replace(path)

"""One supervised program: how it is started, known to be ready, started again, and stopped."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from ops.home import POLL_SECONDS, STOP_SECONDS, note_child
from ops.settings import masked

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds before a dead part is started again
ATTEMPTS = 3  # deaths before it was ever ready, until we give up
SETTLED_SECONDS = 10.0  # a part that lived longer is started again at once
READY_SECONDS = 60.0

Say = Callable[[str], None]


class PartFailed(Exception):
    """A part cannot be started; the message ends with what it said last."""


class State(StrEnum):
    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Part:
    """What to run. `ready(pid)` answers whether the process with that pid serves by now."""

    name: str
    command: tuple[str, ...]
    address: str
    ready: Callable[[int], Awaitable[bool]]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stop_signal: signal.Signals = signal.SIGTERM
    user: str | None = None


def leashed(command: tuple[str, ...], stop: signal.Signals, user: str | None) -> tuple[str, ...]:
    """The command, run so that it gets `stop` when this process dies, as `user` when we are root."""
    leash = (sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py")))
    return (*leash, stop.name, str(os.getpid()), *([user] if user else []), "--", *command)


class Running:
    """A part under supervision: it is started again whenever it dies, until `stop`."""

    def __init__(self, part: Part, home: Path, say: Say) -> None:
        self.part = part
        self.state = State.DOWN
        self.restarts = 0
        self.log = home / "logs" / f"{part.name}.log"
        self._record = home / "run" / f"{part.name}.pid"
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now. RuntimeError while there is none."""
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError(f"{self.part.name} is not running")
        return self._process.pid

    async def start(self, timeout: float = READY_SECONDS) -> None:
        """Start it and wait until it is ready. Raises PartFailed."""
        began = time.monotonic()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.part.name}")
        await self.wait_ready(timeout)
        seconds = time.monotonic() - began
        self._say(f"{self.part.name} is ready at {self.part.address} ({seconds:.1f} s)")

    async def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Wait until it serves. Raises PartFailed when it gives up or `timeout` seconds pass."""
        if self._keeper is None:
            raise PartFailed(f"{self.part.name} was never started")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, self._keeper}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
        if self._ready.is_set():
            return
        if self._keeper.done() and not self._keeper.cancelled():
            self._keeper.result()  # raises what it gave up for
        raise PartFailed(
            f"{self.part.name} is not ready after {timeout:.0f} s\n{self._last_words()}"
        )

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal it dies of, and wait for that; the supervision then starts it again."""
        process = self._process
        os.kill(self.pid, number)
        if process is not None:
            await process.wait()
        self._ready.clear()

    async def stop(self) -> None:
        """Ask it to end, insist after a while, and wait until it is gone."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(self.part.stop_signal)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                self._say(f"{self.part.name} did not end in {STOP_SECONDS:.0f} s; killing it")
                process.kill()
                await process.wait()
        self._record.unlink(missing_ok=True)
        self._ready.clear()
        self.state = State.STOPPED

    async def _keep(self) -> None:
        failures = hasty = 0
        while True:
            began = time.monotonic()
            self._process = await self._spawn()
            self.state = State.STARTING
            async with asyncio.TaskGroup() as group:  # a probe that breaks ends the keeper too
                probe = group.create_task(self._probe(self._process.pid))
                code = await self._process.wait()
                probe.cancel()
            failures = 0 if self._ready.is_set() else failures + 1
            hasty = 0 if time.monotonic() - began > SETTLED_SECONDS else hasty + 1
            self._ready.clear()
            self.state = State.DOWN
            await self._before_next(code, failures, hasty)

    async def _before_next(self, code: int, failures: int, hasty: int) -> None:
        ended = f"{self.part.name} ended ({_how(code)})"
        if failures >= ATTEMPTS and self.restarts < failures:
            raise PartFailed(f"{ended} {failures} times before it was ready\n{self._last_words()}")
        pause = min(FIRST_PAUSE * 2 ** max(0, hasty - 1), LONGEST_PAUSE)
        self._say(f"{ended}; starting it again in {pause:.1f} s")
        await asyncio.sleep(pause)
        self.restarts += 1

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *leashed(self.part.command, self.part.stop_signal, self.part.user),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.part.environment,
                start_new_session=True,  # the terminal's Ctrl-C is ours to pass on, in order
            )
        note_child(self._record, process.pid, self.part.stop_signal)
        return process

    async def _probe(self, pid: int) -> None:
        while not await self.part.ready(pid):  # noqa: ASYNC110 another process cannot set an Event
            await asyncio.sleep(POLL_SECONDS)
        self.state = State.READY
        self._ready.set()

    def _last_words(self, lines: int = 8) -> str:
        tail = (
            self.log.read_text(errors="replace").splitlines()[-lines:] if self.log.exists() else []
        )
        return "\n".join(["  " + masked(line) for line in tail] + [f"  (all of it in {self.log})"])


def _how(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def beside_python(program: str) -> str:
    """The program that a package installed into our environment. Raises PartFailed without it."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        raise PartFailed(f"{program} is not installed; run `make` again or install it")
    return found

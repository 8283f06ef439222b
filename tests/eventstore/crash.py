"""What the crash test kills, each a process of its own: writers, a reader, a sealer.

A writer acknowledges a step of a stream in a file once `record` has returned. Started again it goes
on behind what it acknowledged, with the same event ids, and takes for done what it finds in the log.
"""

import asyncio
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore import (
    EventStore,
    NewEvent,
    RecordedEvent,
    Subscription,
    WrongExpectedVersion,
    open_store,
)
from eventstore.engine import backoff, pause
from eventstore.note import SigningKey
from eventstore.publication import Publication
from eventstore.sealer import seal
from tests.eventstore.conftest import METADATA

WRITERS, STREAMS, STEPS = 4, 25, 500
APPENDS = WRITERS * STREAMS * STEPS
SUBSCRIPTION = "crash"
DONE_BEFORE = "found done by an attempt before"
SEE = text("INSERT INTO shop.seen VALUES (:position)")
_NAMES = UUID("0197c6d2-0000-7000-8000-000000000000")
# Children of a process that has everything imported are there at once.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Step(NamedTuple):
    """The append number `step` of a stream: every tenth has three events, the others one."""

    stream: str
    step: int

    @property
    def expected(self) -> int:
        return self.step + 2 * (-(-self.step // 10))

    @property
    def ids(self) -> list[UUID]:
        count = 1 if self.step % 10 else 3
        return [uuid5(_NAMES, f"{self.stream}/{self.step}/{n}") for n in range(count)]


def streams(writer: int) -> list[str]:
    """The streams of one writer."""
    return [f"shop.order-{uuid5(_NAMES, f'{writer}/{n}')}" for n in range(STREAMS)]


def start(role: str, number: int, url: str, folder: Path) -> BaseProcess:
    """Start the process `role`: write, read or seal."""
    process = _context.Process(target=_run, args=(role, number, url, folder), name=role)
    process.start()
    return process


def end() -> None:
    """Leave no helper of multiprocessing behind; as CPython's own tests do it."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


def acknowledged(folder: Path, files: str = "told-*") -> dict[Step, int]:
    """The version that the writers were told, for each step they acknowledged."""
    told = {}
    for file in folder.glob(files):
        for line in file.read_text().splitlines():
            name, step, version = line.split()
            told[Step(name, int(step))] = int(version)
    return told


def followed(folder: Path) -> dict[int, UUID]:
    """Which event the follower found at each position; it saw some twice, always the same."""
    found: dict[int, UUID] = {}
    file = folder / "followed"
    for line in file.read_text().splitlines() if file.exists() else ():
        position, event = line.split()
        assert found.setdefault(int(position), UUID(event)) == UUID(event), line
    return found


@contextmanager
def _appending(file: Path) -> Iterator[BinaryIO]:
    """The file, without the part of a line that a killed process left at its end."""
    with file.open("ab", buffering=0) as opened:
        opened.truncate(file.read_bytes().rfind(b"\n") + 1)
        yield opened


def _run(role: str, number: int, url: str, folder: Path) -> None:
    with (folder / f"{role}-{number}.log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    asyncio.run({"write": _write, "read": _read, "seal": _seal}[role](url, folder, number))


async def _write(url: str, folder: Path, number: int) -> None:
    with _appending(folder / f"told-{number}") as acknowledge:
        told = acknowledged(folder, f"told-{number}")

        async def write(store: EventStore, name: str) -> None:
            for step in (Step(name, n) for n in range(STEPS)):
                if step not in told:
                    version = await _recorded(store, step)
                    acknowledge.write(f"{step.stream} {step.step} {version}\n".encode())

        async with (
            open_store(url, "bihuan_shop", pool_size=4) as store,
            asyncio.TaskGroup() as group,
        ):
            for name in streams(number):
                group.create_task(write(store, name))


async def _recorded(store: EventStore, step: Step) -> int:
    """The version after the step, done now or by an attempt before that we were not told of."""
    new = [NewEvent("test.v1.Happened", b"x" * 200, id=id_) for id_ in step.ids]
    delays = backoff(most=0.2)
    while True:
        try:
            return await store.record(step.stream, step.expected, new, METADATA)
        except WrongExpectedVersion:
            if await _there(store, step):
                print(step, DONE_BEFORE, flush=True)
                return step.expected + len(new)
            raise
        except Exception as error:
            await pause(error, delays, step.stream)


async def _there(store: EventStore, step: Step) -> bool:
    delays = backoff(most=0.2)
    while True:
        try:
            async with store.engine.connect() as conn:
                found = await store.load(conn, step.stream, step.expected)
            return [event.id for event in found] == step.ids
        except Exception as error:
            await pause(error, delays, step.stream)


async def _read(url: str, folder: Path, _: int) -> None:
    async with open_store(url, "bihuan_shop", pool_size=4) as store, asyncio.TaskGroup() as group:
        group.create_task(Subscription(store, SUBSCRIPTION).run(_see))
        group.create_task(_follow(store, folder))


async def _see(conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None:
    await conn.execute(SEE, [{"position": event.position} for event in events])


async def _follow(store: EventStore, folder: Path) -> None:
    with _appending(folder / "followed") as file:
        last = max(followed(folder), default=0)
        async for page in store.pages(last):
            positions = [event.position for event in page.events]
            assert positions == list(range(last + 1, page.next + 1)), (last, positions)
            file.write(b"".join(f"{e.position} {e.id}\n".encode() for e in page.events))
            last = page.next


async def _seal(url: str, folder: Path, _: int) -> None:
    key = SigningKey.read(folder / "log.pem")
    publication = Publication(str(folder / "published"))
    await seal(url, key, publication, 0.2, lambda: None, asyncio.Event())

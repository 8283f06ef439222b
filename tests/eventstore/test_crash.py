"""SIGKILL of writers, reader, sealer and PostgreSQL loses nothing acknowledged and doubles nothing.

BIHUAN_CRASH_SEED repeats the kills of one run, as far as processes can repeat anything.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from bench import server
from eventstore import EventStore, Subscription, engine_for
from eventstore.audit import Auditor
from eventstore.note import SigningKey
from ops import part
from ops.part import Running
from tests.eventstore import crash
from tests.eventstore.conftest import append, stream
from tests.eventstore.test_subscription import until

VICTIMS = ("write", "write", "read", "seal", "postmaster", "backend")
KILLING_SECONDS = 15  # then they may finish
KEY = SigningKey.generate("bureau.example/log")
LOG = text(
    "SELECT p.position, e.event_id, e.stream, e.version FROM eventstore.event e"
    " LEFT JOIN eventstore.position p USING (id) ORDER BY p.position"
)
OPEN = text("SELECT open_ids FROM eventstore.position ORDER BY position DESC LIMIT 1")


@pytest.fixture
async def durable(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Running, str]]:
    """A server as in production, fsync and all, that is started again when it is killed."""
    monkeypatch.setattr(part, "LONGEST_PAUSE", 0.2)
    async with server.running() as (postgres, url):
        yield postgres, await server.fresh(url, "crash")


class Crew:
    """The processes under test; one that ends by itself, other than a writer, ends the test."""

    def __init__(self, url: str, folder: Path, postgres: Running) -> None:
        self._url, self._folder, self._postgres = url, folder, postgres
        roles = [("write", n) for n in range(crash.WRITERS)] + [("read", 0), ("seal", 0)]
        self._running = {role: self._start(*role) for role in roles}
        self.kills: Counter[str] = Counter()

    async def kill(self, victim: str, rng: random.Random) -> None:
        """SIGKILL one of the kind, and have it started again."""
        if victim == "postmaster":
            await self._postgres.kill()
        elif victim == "backend":
            _kill_a_child(self._postgres.pid, rng)
        else:
            role = rng.choice([role for role in self._running if role[0] == victim])
            self._running[role].kill()
            self._running[role].join()
            self._running[role] = self._start(*role)
        self.kills[victim] += 1

    def writing(self) -> bool:
        """Whether a writer has something left to do; fails if anybody ended who should not."""
        for (role, number), process in self._running.items():
            if process.exitcode not in (None, *([0] if role == "write" else [])):
                said = (self._folder / f"{role}-{number}.log").read_text()
                pytest.fail(f"{role} {number} ended with {process.exitcode}:\n{said[-3000:]}")
        return any(p.is_alive() for (role, _), p in self._running.items() if role == "write")

    def said(self, line: str) -> int:
        """How often the processes wrote this."""
        return sum(log.read_text().count(line) for log in self._folder.glob("*.log"))

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.join()
        crash.end()

    def _start(self, role: str, number: int) -> BaseProcess:
        return crash.start(role, number, self._url, self._folder)


def _kill_a_child(postmaster: int, rng: random.Random) -> None:
    """Which makes PostgreSQL end all sessions and recover from its log."""
    children = psutil.Process(postmaster).children()
    if children:
        rng.choice(children).kill()


@asynccontextmanager
async def crew(url: str, folder: Path, postgres: Running) -> AsyncIterator[Crew]:
    working = Crew(url, folder, postgres)
    try:
        yield working
    finally:
        working.stop()


def shuffled(rng: random.Random) -> Iterator[str]:
    """Victims without end, each kind as often as in VICTIMS."""
    while True:
        yield from rng.sample(VICTIMS, len(VICTIMS))


async def test_kill_minus_nine_loses_nothing_and_doubles_nothing(
    durable: tuple[Running, str], tmp_path: Path
) -> None:
    postgres, url = durable
    seed = int(os.environ.get("BIHUAN_CRASH_SEED") or random.randrange(10**6))
    rng, began = random.Random(seed), time.monotonic()
    KEY.write(tmp_path / "log.pem")
    engine = engine_for(url)
    store = EventStore(engine)
    async with crew(url, tmp_path, postgres) as working:
        victims = shuffled(rng)
        while working.writing():
            await asyncio.sleep(rng.uniform(0.05, 0.4))
            if working.writing() and time.monotonic() - began < KILLING_SECONDS:
                await working.kill(next(victims), rng)
                await postgres.wait_ready()
        seconds = time.monotonic() - began
        print(f"BIHUAN_CRASH_SEED={seed}: killed {dict(working.kills)} in {seconds:.1f} s,")
        print(f"{working.said(crash.DONE_BEFORE)} appends were done though nobody was told")

        async def caught_up() -> bool:
            working.writing()
            head = await store.head()
            return (
                len(crash.followed(tmp_path)) == head
                and await Subscription(store, crash.SUBSCRIPTION).lag() == 0
                and await Subscription(store, "sealer").lag() == 0
            )

        await until(caught_up)
    await check(store, tmp_path)
    await store.close()
    await engine.dispose()


async def check(store: EventStore, folder: Path) -> None:
    """Everything that the processes were told is true of the log they left."""
    async with store.engine.connect() as conn:
        log = (await conn.execute(LOG)).all()
        seen = list(await conn.scalars(text("SELECT position FROM shop.seen ORDER BY 1")))
    told = crash.acknowledged(folder)
    assert len(told) == crash.APPENDS
    expected = {
        (id_, step.stream, step.expected + n) for step in told for n, id_ in enumerate(step.ids, 1)
    }
    assert all(version == step.expected + len(step.ids) for step, version in told.items())
    assert len(log) == len(expected), "nothing doubled, nothing that nobody asked for"
    assert {(row.event_id, row.stream, row.version) for row in log} == expected
    dense = list(range(1, len(log) + 1))
    assert [row.position for row in log] == dense
    assert seen == dense
    assert crash.followed(folder) == {row.position: row.event_id for row in log}
    versions: Counter[str] = Counter()
    for row in log:
        versions[row.stream] += 1
        assert row.version == versions[row.stream], "each stream in order of its versions"
    published = (folder / "published" / "checkpoint").read_text()
    audit = await Auditor(store, KEY.verifier).whole(published=published)
    assert (audit.events, audit.unsealed) == (len(log), 0)
    for payload in ("finds what is open", "finds that it came to nothing"):
        await append(store, stream(), 0, payload)
        await store.head()
    async with store.engine.connect() as conn:
        assert await conn.scalar(OPEN) is None

"""The event store against the `eventsourcing` library and bare PostgreSQL, a loop against a bare workflow.

Every line is measured ROUNDS times, the rivals of a line in turn, and its medians are compared.
`make bench`; BENCH_READ and BENCH_LARGE (events to read, events in the large log) make it shorter.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from uuid import UUID

import asyncpg
from rich.console import Console
from rich.table import Table
from uuid_utils.compat import uuid7

from bench import loops
from bench.aggregate import load_notice
from bench.peer import ask
from bench.server import fresh, server
from eventstore import EventStore, Metadata, NewEvent, engine_for, tree
from eventstore.audit import Auditor
from eventstore.checkpoint import parse
from eventstore.feed import COLUMNS
from eventstore.note import SigningKey
from eventstore.publication import Publication
from eventstore.sealer import Sealer
from ops import garbage

ROUNDS = 5
WRITERS = 16
APPENDS = 8_000
LONG = 5 * APPENDS  # where two logs are alike, so that a moment's noise does not tell them apart
PER_STREAM = 20
READ = int(os.environ.get("BENCH_READ", 1_000_000))
LARGE = int(os.environ.get("BENCH_LARGE", 5_000_000))
SMALL = 50_000
SIZE = 300  # bytes of payload
DATA = os.urandom(SIZE)
META = Metadata(
    "officers/8f14e45f", UUID(int=1), UUID(int=2), UUID(int=3), f"00-{'4b' * 16}-{'0a' * 8}-01"
)
TYPE = "test.v1.Happened"
INSERT = (
    "INSERT INTO eventstore.floor (stream, version, event_id, type, data, actor, correlation_id,"
    " causation_id, request_id, traceparent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
)
FLOOR = """
CREATE SEQUENCE eventstore.floor_id;
CREATE TABLE eventstore.floor (LIKE eventstore.event INCLUDING ALL,
  PRIMARY KEY (id), UNIQUE (stream, version), UNIQUE (event_id));
ALTER TABLE eventstore.floor ALTER id SET DEFAULT nextval('eventstore.floor_id')
"""
# As `append` would, a thousand streams a statement.
FILL = """
SELECT count(eventstore.append('shop.order-' || uuidv7(), 0,
    ARRAY(SELECT uuidv7() FROM generate_series(1, $1) WHERE n > 0),
    array_fill($2::text, ARRAY[$1]), array_fill($3::bytea, ARRAY[$1]),
    $4, $5, $6, $7, $8))
FROM generate_series(1, 1000) AS n
"""
Step = Callable[[], Awaitable[None]]

out = Console()
say = Console(stderr=True, highlight=False)


class Bench:
    """One server, one table of results."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = engine_for(url, pool_size=WRITERS)
        self.store = EventStore(self.engine)
        self.table = Table(title=f"medians of {ROUNDS}")
        for column in ("measure", "ours", "against", "theirs", "ratio", "at least"):
            self.table.add_column(column, overflow="fold")
        self.missed: list[str] = []

    def row(
        self,
        measure: str,
        ours: float,
        against: str,
        theirs: float,
        unit: str,
        target: float | None,
    ) -> None:
        """A line where more is better; `target` None only informs."""
        ratio = ours / theirs
        if target is not None and ratio < target:
            self.missed.append(f"{measure} against {against}: {ratio:.2f}, not {target:g}")
        wanted = "" if target is None else f"{target:g}"
        self.table.add_row(
            measure, f"{ours:,.0f} {unit}", against, f"{theirs:,.0f} {unit}", f"{ratio:.2f}", wanted
        )

    def at_most(self, measure: str, ours: float, against: str, theirs: float, most: float) -> None:
        """A line of times in seconds, where less is better."""
        ratio = ours / theirs
        if ratio > most:
            self.missed.append(f"{measure} against {against}: {ratio:.4g}, over {most:g}")
        self.table.add_row(
            measure,
            f"{ours * 1e3:,.2f} ms",
            against,
            f"{theirs * 1e3:,.2f} ms",
            f"{ratio:.4g}",
            f"at most {most:g}",
        )

    def no_more(self, measure: str, ours: float, against: str, theirs: float, most: float) -> None:
        """A line of numbers, where less is better."""
        ratio = ours / theirs
        if ratio > most:
            self.missed.append(f"{measure} against {against}: {ratio:.2f}, over {most:g}")
        self.table.add_row(
            measure, f"{ours:,.0f}", against, f"{theirs:,.0f}", f"{ratio:.2f}", f"at most {most:g}"
        )

    async def close(self) -> None:
        await self.store.close()
        await self.engine.dispose()


def writer(send: Callable[[str, int], Awaitable[object]]) -> Step:
    """Appends one event at a time to one stream after another."""
    name, version = stream(), 0

    async def step() -> None:
        nonlocal name, version
        if version == PER_STREAM:
            name, version = stream(), 0
        version += 1
        await send(name, version - 1)

    return step


def stream() -> str:
    return f"shop.order-{uuid7()}"


async def rate(steps: list[Step], count: int) -> float:
    """How often a second the steps are done, all of them at once."""
    left = count

    async def run(step: Step) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await step()

    began = time.perf_counter()
    await asyncio.gather(*(run(step) for step in steps))
    return count / (time.perf_counter() - began)


def recording(store: EventStore) -> list[Step]:
    async def send(name: str, version: int) -> int:
        return await store.record(name, version, [NewEvent(TYPE, DATA)], META)

    return [writer(send) for _ in range(WRITERS)]


def appending(store: EventStore) -> list[Step]:
    async def send(name: str, version: int) -> None:
        async with store.engine.begin() as conn:
            await store.append(conn, name, version, [NewEvent(TYPE, DATA)], META)
        store.announce()

    return [writer(send) for _ in range(WRITERS)]


def inserting(connections: list[Any]) -> list[Step]:
    def by(connection: Any) -> Callable[[str, int], Awaitable[object]]:
        return lambda name, version: connection.execute(
            INSERT, name, version + 1, uuid7(), TYPE, DATA, *META
        )

    return [writer(by(connection)) for connection in connections]


async def append(bench: Bench, peer: str) -> None:
    """One event a transaction by 16 writers at once, positions dealt meanwhile."""
    admin = await asyncpg.connect(bench.url)
    await admin.execute(FLOOR)
    connections = [await asyncpg.connect(bench.url) for _ in range(WRITERS)]
    rates: dict[str, list[float]] = {"peer": [], "floor": [], "record": [], "append": []}
    for _ in range(ROUNDS):
        rates["peer"].append(await ask(peer, "append", APPENDS // 8, SIZE, PER_STREAM))
        rates["floor"].append(await rate(inserting(connections), APPENDS))
        rates["record"].append(await rate(recording(bench.store), APPENDS))
        rates["append"].append(await rate(appending(bench.store), APPENDS // 2))
    assert await bench.store.head() >= ROUNDS * APPENDS
    median = {name: statistics.median(found) for name, found in rates.items()}
    name = f"append, {WRITERS} writers"
    bench.row(name, median["record"], "eventsourcing", median["peer"], "/s", 6)
    bench.row(name, median["record"], "prepared INSERT of the row", median["floor"], "/s", 0.7)
    alone = "append through SQLAlchemy, each in a transaction alone"
    bench.row(alone, median["append"], "prepared INSERT of the row", median["floor"], "/s", None)
    for connection in (*connections, admin):
        await connection.close()


async def feed(bench: Bench, peer: str) -> None:
    """Everything from the start."""
    await ask(peer, "fill", READ // 4, SIZE, PER_STREAM)
    cursor = await asyncpg.connect(bench.url)
    rates: dict[str, list[float]] = {"peer": [], "binary": [], "cursor": [], "ours": []}
    for _ in range(ROUNDS):
        rates["peer"].append(await ask(peer, "feed", 1000))
        rates["binary"].append(await ask(peer, "feed", 1000, binary=True))
        rates["cursor"].append(await _by_cursor(cursor))
        rates["ours"].append(await _by_feed(bench.store))
    median = {name: statistics.median(found) for name, found in rates.items()}
    name = f"feed, {READ:,} events from the start"
    bench.row(name, median["ours"], "eventsourcing notification log", median["peer"], "/s", 4)
    bench.row(name, median["ours"], "the same with psycopg in C", median["binary"], "/s", None)
    bench.row(name, median["ours"], "a server-side cursor", median["cursor"], "/s", 0.5)
    await cursor.close()


async def _by_cursor(connection: Any) -> float:
    query = f"SELECT {COLUMNS}, e.id FROM eventstore.event e ORDER BY e.id LIMIT {READ}"
    read, began = 0, time.perf_counter()
    async with connection.transaction():
        async for _ in connection.cursor(query, prefetch=1000):
            read += 1
    assert read == READ
    return read / (time.perf_counter() - began)


async def _by_feed(store: EventStore) -> float:
    read, began = 0, time.perf_counter()
    async with aclosing(store.pages(0)) as pages:
        async for page in pages:
            read += len(page.events)
            if read >= READ:
                break
    return read / (time.perf_counter() - began)


async def load(bench: Bench, peer: str) -> None:
    """An aggregate of 20 events, from the database to its state."""
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(await ask(peer, "load", 50, PER_STREAM, SIZE))
        ours.append(await load_notice(bench.url, 50, PER_STREAM, SIZE))
    bench.row(
        f"load an aggregate of {PER_STREAM} events",
        1 / statistics.median(ours),
        "eventsourcing repository",
        1 / statistics.median(theirs),
        "/s",
        4,
    )


async def wake(bench: Bench) -> None:
    """From a commit to a subscriber that waits."""
    for name, load_share in (("idle", 0.0), ("under half load", 0.5)):
        ours, theirs = [], []
        for _ in range(ROUNDS):
            busy = asyncio.create_task(_load(bench.store, load_share)) if load_share else None
            theirs.append(await _notify(bench.url))
            ours.append(await _arrival(bench))
            if busy:
                busy.cancel()
                await asyncio.gather(busy, return_exceptions=True)
        bench.at_most(
            f"commit to subscriber, p99, {name}",
            statistics.median(ours),
            "one NOTIFY round trip",
            statistics.median(theirs),
            5,
        )


SPEED: list[float] = []


async def _load(store: EventStore, share: float) -> None:
    if not SPEED:
        SPEED.append(await rate(recording(store), APPENDS))
    steps, pause = recording(store), WRITERS / (SPEED[0] * share)
    while True:
        began = time.perf_counter()
        await asyncio.gather(*(step() for step in steps))
        await asyncio.sleep(max(0.0, pause - (time.perf_counter() - began)))


async def _notify(url: str, count: int = 300) -> float:
    sender, listener = await asyncpg.connect(url), await asyncpg.connect(url)
    came, times = asyncio.Event(), list[float]()
    await listener.add_listener("bench", lambda *_: came.set())
    for _ in range(count):
        came.clear()
        began = time.perf_counter()
        await sender.execute("NOTIFY bench")
        await came.wait()
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.002)
    await sender.close()
    await listener.close()
    return sorted(times)[int(count * 0.99)]


async def _arrival(bench: Bench, count: int = 300) -> float:
    engine = engine_for(bench.url)
    reader, times = EventStore(engine), list[float]()
    waiting: dict[UUID, asyncio.Future[float]] = {}
    head = await reader.head()

    async def follow() -> None:
        async with aclosing(reader.follow(head)) as events:
            async for event in events:
                if event.id in waiting:
                    waiting.pop(event.id).set_result(time.perf_counter())

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.3)
    for _ in range(count):
        event = NewEvent(TYPE, DATA)
        arrived = waiting[event.id] = asyncio.get_running_loop().create_future()
        await bench.store.record(stream(), 0, [event], META)
        committed = time.perf_counter()
        times.append(max(0.0, await arrived - committed))
        await asyncio.sleep(0.002)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await reader.close()
    await engine.dispose()
    return sorted(times)[int(count * 0.99)]


async def fill(url: str, upto: int) -> None:
    """Append until the log has `upto` events, and deal their positions."""
    connection = await asyncpg.connect(url)
    head = await connection.fetchval("SELECT eventstore.advance(true)")
    while head < upto:
        await connection.execute(FILL, PER_STREAM, TYPE, DATA, *META)
        head = await connection.fetchval("SELECT eventstore.advance(true)")
        say.print(f"\r{head:,} of {upto:,} events", end="")
    say.print()
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def scale(bench: Bench) -> None:
    """Appending to a large log against a small one, and a proof in the large one."""
    large_url, small_url = await fresh(bench.url, "large"), await fresh(bench.url, "small")
    await fill(large_url, LARGE)
    await fill(small_url, SMALL)
    engines = [engine_for(url, pool_size=WRITERS) for url in (large_url, small_url)]
    large, small = (EventStore(engine) for engine in engines)
    rates: list[tuple[float, float]] = [
        (await rate(recording(large), LONG), await rate(recording(small), LONG))
        for _ in range(ROUNDS)
    ]
    bench.row(
        f"append at {LARGE:,} events",
        statistics.median(found for found, _ in rates),
        f"append at {SMALL:,}",
        statistics.median(found for _, found in rates),
        "/s",
        0.85,
    )
    await proof(bench, large)
    for store in (large, small):
        await store.close()
        await store.engine.dispose()


async def proof(bench: Bench, store: EventStore) -> None:
    """A proof of one event against rehashing the whole log."""
    key = SigningKey.generate("bench.example/log")
    sealer = asyncio.create_task(Sealer(store, key, Publication("memory://bench"), seconds=0).run())
    auditor, head = Auditor(store, key.verifier), await store.head()
    while (size := await _sealed(store)) < head:
        say.print(f"\r{size:,} of {head:,} sealed", end="")
        await asyncio.sleep(1)
    say.print()
    sealer.cancel()
    await asyncio.gather(sealer, return_exceptions=True)
    times = []
    for position in range(1, head, head // 50):
        (event,) = (await store.read(position - 1, 1, known_head=head)).events
        began = time.perf_counter()
        await auditor.prove(event.id)
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    await auditor.whole()
    whole = time.perf_counter() - began
    bench.at_most(
        f"proof of one event of {head:,}", statistics.median(times), "hashing all", whole, 1 / 1000
    )


async def _sealed(store: EventStore) -> int:
    async with store.engine.connect() as conn:
        note = await tree.latest_checkpoint(conn)
    return parse(note).size if note else 0


async def plans(bench: Bench) -> None:
    """The loop of a payment plan in eight instalments, from consent to the last payment."""
    ours, bare = await loops.compare()
    against = "a bare workflow with as many signals, timers and activities"
    minute = 60.0
    bench.row("payment plans", ours.rate * minute, against, bare.rate * minute, "/min", 0.8)
    bench.no_more("history events of a plan", ours.events, against, bare.events, 1 / 0.8)


async def main() -> None:
    garbage.settle()  # as our processes do, and the peer's here
    async with server() as url:
        bench = Bench(await fresh(url, "bench"))
        peer = await fresh(url, "peer")
        say.print("append …")
        await append(bench, peer)
        say.print("load …")
        await load(bench, peer)
        say.print("wake …")
        await wake(bench)
        say.print("feed …")
        await fill(bench.url, READ)
        await feed(bench, peer)
        say.print("scale …")
        await scale(bench)
        say.print("plans …")
        await plans(bench)
        await bench.close()
    out.print(bench.table)
    for line in bench.missed:
        out.print(f"missed: {line}", highlight=False)
    sys.exit(bool(bench.missed))


if __name__ == "__main__":
    asyncio.run(main())

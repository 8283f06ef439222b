"""The peer: the `eventsourcing` library with its own PostgreSQL module, in a process of its own.

Its `postgres` extra installs psycopg in Python; psycopg's C build ("binary"), which a team may add,
is measured beside it for information.
"""

import asyncio
import json
import os
import sys
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent

from ops import garbage

THREADS = 16


async def ask(url: str, measure: str, *arguments: object, binary: bool = False) -> float:
    """What a method of Peer answers in a new process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.peer", url, measure, json.dumps(arguments)),
        env=os.environ | {"PSYCOPG_IMPL": "binary" if binary else "python"},
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the peer failed to {measure}")
    return float(answer)


class Order(Aggregate):
    """Something that happens again and again."""

    @event("Started")
    def __init__(self, data: str) -> None:
        self.data = data

    @event("Happened")
    def happen(self, data: str) -> None:
        self.data = data


class Peer:
    """The library on the server of `url`, in tables of its own."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        os.environ |= {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.path.strip("/"),
            "POSTGRES_HOST": parse_qs(parts.query).get("host", [parts.hostname])[0] or "",
            "POSTGRES_PORT": str(parts.port or 5432),
            "POSTGRES_USER": parts.username or "",
            "POSTGRES_PASSWORD": parts.password or "none",
            "POSTGRES_POOL_SIZE": str(THREADS),
        }
        self._application: Application[UUID] = Application()
        self._recorder = self._application.recorder

    def append(self, count: int, size: int, per_stream: int) -> float:
        """Events a second, one a transaction, by THREADS threads."""
        left, data = count, os.urandom(size)
        lock = threading.Lock()

        def write() -> None:
            nonlocal left
            stream, version = uuid4(), 0
            while True:
                with lock:
                    if left <= 0:
                        return
                    left -= 1
                if version == per_stream:
                    stream, version = uuid4(), 0
                version += 1
                self._recorder.insert_events([StoredEvent(stream, version, "Order.Happened", data)])

        threads = [threading.Thread(target=write) for _ in range(THREADS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return count / (time.perf_counter() - began)

    def fill(self, count: int, size: int, per_stream: int) -> float:
        """Many events at once, to have something to read; how many."""
        data = os.urandom(size)
        for start in range(0, count, 500):
            batch: list[StoredEvent] = []
            for _ in range(min(500, count - start) // per_stream):
                stream = uuid4()
                batch += [
                    StoredEvent(stream, version, "Order.Happened", data)
                    for version in range(1, per_stream + 1)
                ]
            self._recorder.insert_events(batch)
        return count

    def feed(self, page: int) -> float:
        """Events a second, reading the notification log from its start."""
        began, read, start = time.perf_counter(), 0, 1
        while page_read := self._recorder.select_notifications(start, page):
            read += len(page_read)
            start = int(page_read[-1].id) + 1
        return read / (time.perf_counter() - began)

    def load(self, count: int, events: int, size: int) -> float:
        """Seconds to load an aggregate of so many events from the repository; the best of `count`."""
        data = "x" * size
        order = Order(data)
        for _ in range(events - 1):
            order.happen(data)
        self._application.save(order)
        best = float("inf")
        for _ in range(count):
            began = time.perf_counter()
            loaded: Any = self._application.repository.get(order.id)
            best = min(best, time.perf_counter() - began)
        assert loaded.version == events
        return best


if __name__ == "__main__":
    server_url, name, given = sys.argv[1:]
    garbage.settle()
    print(getattr(Peer(server_url), name)(*json.loads(given)))

"""Dealing positions while transactions begin, nest, roll back, are prepared, and PostgreSQL dies.

BIHUAN_DEAL_SEED repeats one run.
"""

import os
import random
from collections.abc import Callable
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.conftest import Postgres
from tests.eventstore.conftest import SERVICES
from tests.eventstore.test_restart import start

APPEND = "SELECT eventstore.append($1, 0, $2, $3, $4, 'a', $5, NULL, NULL, '')"
APPEND_AND_DEAL = f"SELECT version, eventstore.deal_own() FROM ({APPEND}) AS of (version)"
CLAIM_AND_ANSWER = (
    "WITH claimed AS MATERIALIZED (SELECT eventstore.claim('c', $1, 'm', ''))"
    " SELECT eventstore.answer('c', $1, '') FROM claimed"
)
DEALT = (
    "SELECT p.position, e.event_id FROM eventstore.position p LEFT JOIN eventstore.event e"
    " USING (id) ORDER BY position"
)
OPEN = "SELECT open_ids FROM eventstore.position ORDER BY position DESC LIMIT 1"
SESSIONS, MOVES, CRASHES = 8, 400, 3


@pytest.fixture(scope="module")
async def server(make_postgres: Callable[[], Postgres]) -> Postgres:
    """A server that knows prepared transactions."""
    server = make_postgres()
    await server.execute("ALTER SYSTEM SET max_prepared_transactions = 50")
    server.kill()
    await start(server)
    return server


class Session:
    """A connection, and what its transaction appended: a list for each savepoint, None without."""

    def __init__(self, connection: asyncpg.Connection, log: "Log") -> None:
        self._connection, self._log = connection, log
        self._levels: list[list[UUID]] | None = None
        self._answered = False

    async def begin(self) -> None:
        if self._levels is None:
            await self._connection.execute("BEGIN")
            self._levels = [[]]

    async def begin_with_a_number(self) -> None:
        if self._levels is None:
            await self.begin()
            await self._connection.execute("SELECT pg_current_xact_id()")

    async def append(self) -> None:
        deal = self._levels is None and random.random() < 0.5
        ids = await append(self._connection, random.randint(1, 3), deal=deal)
        if self._levels is None:
            self._log.committed |= set(ids)
        else:
            self._levels[-1] += ids

    async def answer(self) -> None:
        """As a command does before it commits."""
        if self._levels is not None:
            await self._connection.execute(CLAIM_AND_ANSWER, uuid4())
            self._answered = True

    async def savepoint(self) -> None:
        if self._levels is not None:
            await self._connection.execute(f"SAVEPOINT s{len(self._levels)}")
            self._levels.append([])

    async def roll_back_to_savepoint(self) -> None:
        if self._levels is not None and len(self._levels) > 1:
            name = f"s{len(self._levels) - 1}"
            await self._connection.execute(f"ROLLBACK TO {name}; RELEASE {name}")
            self._levels.pop()

    async def commit(self) -> None:
        if self._levels is not None:
            await self._connection.execute("COMMIT")
            self._log.committed |= self._ended()

    async def roll_back(self) -> None:
        if self._levels is not None:
            await self._connection.execute("ROLLBACK")
            self._ended()

    async def prepare(self) -> None:
        if self._levels is not None and not self._answered:  # PostgreSQL refuses it after NOTIFY
            name = str(uuid4())
            await self._connection.execute(f"PREPARE TRANSACTION '{name}'")
            self._log.prepared[name] = self._ended()

    def _ended(self) -> set[UUID]:
        ids = {id_ for level in self._levels or () for id_ in level}
        self._levels, self._answered = None, False
        return ids


class Log:
    """What must be dealt: all that was committed, where it was, and nothing else."""

    def __init__(self, dealer: asyncpg.Connection) -> None:
        self.dealer = dealer
        self.committed: set[UUID] = set()
        self.prepared: dict[str, set[UUID]] = {}
        self._dealt: list[UUID] = []

    async def deal(self) -> None:
        await self.dealer.fetchval("SELECT eventstore.advance(true)")
        rows = await self.dealer.fetch(DEALT)
        assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
        ids = [row["event_id"] for row in rows]
        assert ids[: len(self._dealt)] == self._dealt, "positions never change"
        assert len(ids) == len(self.committed)
        assert set(ids) == self.committed
        self._dealt = ids

    async def finish_prepared(self) -> None:
        if self.prepared:
            name, ids = self.prepared.popitem()
            how = random.choice(["COMMIT", "ROLLBACK"])
            await self.dealer.execute(f"{how} PREPARED '{name}'")
            self.committed |= ids if how == "COMMIT" else set()


async def append(
    connection: asyncpg.Connection, count: int = 1, *, deal: bool = False
) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    name, zero = f"shop.order-{uuid4()}", UUID(int=0)
    statement = APPEND_AND_DEAL if deal else APPEND
    await connection.fetchval(statement, name, ids, ["t"] * count, [b"x"] * count, zero)
    return ids


async def play(url: str, log: Log) -> None:
    sessions = [Session(await asyncpg.connect(url), log) for _ in range(SESSIONS)]
    moves = [getattr(Session, move) for move in vars(Session) if not move.startswith("_")]
    for _ in range(MOVES):
        if random.random() < 0.25:
            await random.choice([log.deal, log.deal, log.finish_prepared])()
        else:
            await random.choice([*moves, Session.append])(random.choice(sessions))


async def test_whatever_transactions_do_what_is_committed_is_dealt_once_and_nothing_else(
    server: Postgres,
) -> None:
    seed = os.environ.get("BIHUAN_DEAL_SEED") or str(random.randrange(10**6))
    print(f"BIHUAN_DEAL_SEED={seed}")
    random.seed(seed)
    url = await server.database(*SERVICES)
    log = Log(await asyncpg.connect(url))
    for _ in range(CRASHES):
        await play(url, log)
        server.kill()  # with transactions under way, ids drawn, and some prepared
        await start(server)
        log.dealer = await asyncpg.connect(url)
        await log.deal()
    while log.prepared:
        await log.finish_prepared()
    for _ in range(2):  # one finds what is open, the next that it came to nothing
        log.committed |= set(await append(log.dealer))
        await log.deal()
    assert await log.dealer.fetchval(OPEN) is None
    await log.dealer.close()

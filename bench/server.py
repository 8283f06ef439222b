"""A PostgreSQL for a benchmark, as it comes: durable, and gone afterwards."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from sqlalchemy import make_url

from eventstore import migrate
from ops import postgres
from ops.part import Running

SHOP = Path(__file__).parent.parent / "tests" / "eventstore" / "shop" / "migrations"


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """The URL of a database of a new server, or of the one that DATABASE_URL names."""
    async with running() as (_, url):
        yield os.environ.get("DATABASE_URL", url)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Running, str]]:
    """A new server, which is removed when the block ends, and the URL of a database of it."""
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as folder:
        home = Path(folder) / "home"
        for each in (home, home / "logs", home / "run"):
            each.mkdir(mode=0o700)
        part = await postgres.prepare(home, lambda _: None)
        running = Running(part, home, lambda _: None)
        await running.start()
        try:
            yield running, part.address
        finally:
            await running.stop()


async def fresh(url: str, name: str) -> str:
    """The URL of a new database on the same server, with the event store in it."""
    admin = await asyncpg.connect(url)
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    made = make_url(url).set(database=name).render_as_string(hide_password=False)
    await migrate(made, SHOP)
    return made

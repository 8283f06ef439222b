"""Migrations: repeatable, concurrent, side by side in one cluster, and without superuser."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from eventstore import migrate
from eventstore.roles import service_role
from tests.conftest import Postgres
from tests.eventstore.conftest import SERVICES

VERSIONS = (
    "SELECT array_agg(table_schema::text) FROM information_schema.tables"
    " WHERE table_name = 'alembic_version'"
)


async def scalar(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_migrating_again_changes_nothing(postgres: Postgres) -> None:
    url = postgres.url(await postgres.empty_database())
    for directories in ((), SERVICES, SERVICES[:1], ()):
        await migrate(url, *directories)
    assert set(await scalar(url, VERSIONS)) == {"eventstore", "shop", "bank"}
    await postgres.drop(url)


async def test_concurrent_starts_migrate_one_database_once(postgres: Postgres) -> None:
    url = postgres.url(await postgres.empty_database())
    await in_processes([url] * 4)
    assert await scalar(url, "SELECT count(*) FROM eventstore.alembic_version") == 1
    await postgres.drop(url)


async def test_databases_of_one_cluster_migrate_concurrently(
    make_postgres: Callable[[], Postgres],
) -> None:
    """On a new cluster, where they race for the roles too."""
    server = make_postgres()
    urls = [server.url(await server.empty_database()) for _ in range(4)]
    await in_processes(urls)
    for url in urls:
        assert await scalar(url, "SELECT eventstore.advance()") == 0


async def in_processes(urls: list[str]) -> None:
    """Migrate in one process for each URL, all at once."""
    script = (
        "import asyncio, sys; from pathlib import Path; from eventstore import migrate;"
        "asyncio.run(migrate(sys.argv[1], *map(Path, sys.argv[2:])))"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, url, *map(str, SERVICES), stderr=asyncio.subprocess.PIPE
        )
        for url in urls
    ]
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()


async def test_a_login_with_createrole_that_owns_its_database_is_enough(
    make_postgres: Callable[[], Postgres],
) -> None:
    server = make_postgres()
    await server.execute(
        "CREATE ROLE deployer LOGIN CREATEROLE", "CREATE DATABASE site OWNER deployer"
    )
    url = server.url("site").replace("postgres:@", "deployer:@")
    await migrate(url, *SERVICES)
    await migrate(url, *SERVICES)
    assert await scalar(server.url("site"), "SELECT eventstore.advance()") == 0


async def test_a_failing_migration_leaves_nothing(postgres: Postgres, tmp_path: Path) -> None:
    directory = tmp_path / "broken" / "migrations"
    directory.mkdir(parents=True)
    (directory / "0001_broken.py").write_text(
        "from alembic import op\nrevision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.execute('CREATE TABLE broken.t ()')\n    op.execute('nonsense')\n"
    )
    url = postgres.url(await postgres.empty_database())
    with pytest.raises(Exception, match="syntax error"):
        await migrate(url, directory)
    assert await scalar(url, VERSIONS) is None
    await postgres.drop(url)


@pytest.mark.parametrize("domain", ["owner", "reader", "writer", "", "a-b", "A", 'a"; --'])
def test_a_domain_that_could_name_another_role_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="cannot name a domain"):
        service_role(None, domain)  # type: ignore[arg-type]

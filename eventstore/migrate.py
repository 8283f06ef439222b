"""Brings a database's schemas up to date: the event store's first, then those of the services."""

import asyncio
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from eventstore.engine import engine_for

EVENTSTORE = Path(__file__).parent / "migrations"
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('eventstore.migrate', 0))")
# Alembic's `op` is one global of the process.
_one_at_a_time = asyncio.Lock()


async def migrate(database_url: str, *directories: Path) -> None:
    """Upgrade the event store and each `<name>/migrations` directory of Alembic revisions to head.

    The schema `<name>` is made if need be and keeps its own `alembic_version` table, so that each
    part moves by itself. All happens in one transaction; concurrent calls wait for each other.
    The login needs CREATEROLE the first time.
    """
    engine = engine_for(database_url)
    try:
        async with _one_at_a_time, engine.begin() as conn:
            await conn.execute(_LOCK)
            for directory in (EVENTSTORE, *directories):
                await conn.run_sync(_upgrade, directory.resolve())
    finally:
        await engine.dispose()


def _upgrade(conn: Connection, directory: Path) -> None:
    schema = directory.parent.name
    conn.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
    scripts = ScriptDirectory(str(directory), version_locations=[str(directory)])
    context = MigrationContext.configure(
        conn,
        opts={
            "version_table_schema": schema,
            "fn": lambda current, _: scripts._upgrade_revs("head", current),
        },
    )
    with Operations.context(context):
        context.run_migrations()

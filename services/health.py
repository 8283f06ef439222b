"""Tells health checks whether PostgreSQL is there, so that calls go where they can be answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from eventstore import engine_for

EVERY_SECONDS = 1.0
PATIENCE_SECONDS = 3.0
log = logging.getLogger(__name__)


async def watch(database_url: str, report: Callable[[bool], Awaitable[None]]) -> None:
    """Look each second over a connection of its own, and report each change, until cancelled."""
    engine = engine_for(database_url, "bihuan_reader", pool_size=1)
    there = True
    try:
        while True:
            found = await _answers(engine)
            if found != there:
                there = found
                log.warning("PostgreSQL is %s", "back" if there else "away")
                await report(there)
            await asyncio.sleep(EVERY_SECONDS)
    finally:
        await engine.dispose()


async def _answers(engine: AsyncEngine) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), engine.connect() as conn:
            await conn.execute(text("SELECT 1"))
    except Exception:  # whatever keeps it from answering
        return False
    return True

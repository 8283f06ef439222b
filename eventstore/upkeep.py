"""What a log needs now and then: answered requests are forgotten once nobody repeats them any more."""

import asyncio
import logging
from datetime import timedelta

from eventstore.engine import backoff, driver, pause
from eventstore.store import EventStore

EVERY_SECONDS = 3600.0
BATCH = 5000
FORGET = "SELECT eventstore.forget_requests($1, $2)"
log = logging.getLogger(__name__)


async def run(store: EventStore, request_days: float) -> None:
    """Forget old requests every hour, without end. Its store's role is `bihuan_sealer`."""
    delays = backoff()
    while True:
        try:
            forgotten = await forget_requests(store, request_days)
        except Exception as error:
            await pause(error, delays, "the upkeep")
            continue
        delays = backoff()
        if forgotten:
            log.info("%d requests older than %g days are forgotten", forgotten, request_days)
        await asyncio.sleep(EVERY_SECONDS)


async def forget_requests(store: EventStore, days: float, batch: int = BATCH) -> int:
    """Forget what was answered more than `days` ago, `batch` at a time, and say how many that were.

    A request repeated after that is a new one. Raises asyncpg.InvalidParameterValueError under 1 day.
    """
    forgotten = 0
    async with store.engine.connect() as conn:
        while True:
            last: int = await driver(conn).fetchval(FORGET, timedelta(days=days), batch)
            forgotten += last
            if last < batch:
                return forgotten

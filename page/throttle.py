"""How many requests one address may make: enough for people, too few to guess codes."""

import math
import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

OTHER_FACTOR = 4  # pages that tell nothing of codes may be read so many times as often


class Throttle:
    """Counts requests by address, within a minute at a time."""

    def __init__(self, lookups_a_minute: int) -> None:
        self._windows = FixedWindowRateLimiter(MemoryStorage())
        self._lookups = RateLimitItemPerMinute(lookups_a_minute)
        self._others = RateLimitItemPerMinute(lookups_a_minute * OTHER_FACTOR)

    async def wait_seconds(self, address: str, *, lookup: bool) -> int:
        """0 if the request may go on, and it is counted; else in how many seconds it may be tried again."""
        item: RateLimitItem = self._lookups if lookup else self._others
        kind = "lookup" if lookup else "other"
        if await self._windows.hit(item, kind, address):
            return 0
        reset = (await self._windows.get_window_stats(item, kind, address)).reset_time
        return max(1, math.ceil(reset - time.time()))

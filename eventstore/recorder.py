"""Appends that need no transaction of their caller's: those of one moment share one round trip."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast

from sqlalchemy.ext.asyncio import AsyncEngine

from eventstore.engine import driver
from eventstore.errors import WrongExpectedVersion, refused
from eventstore.events import Metadata, NewEvent

# A statement that is its own transaction: so nothing comes between dealing and the commit.
APPEND_EACH = (
    "SELECT versions, CASE WHEN $1 THEN eventstore.deal_own() END"
    " FROM eventstore.append_each($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS versions"
)
VERSION = "SELECT version FROM eventstore.stream WHERE stream = $1"
# One batch commits while the next is made; a third would only make both smaller.
BATCHES_AT_ONCE = 2
MOST_IN_A_BATCH = 100


class Appending(Protocol):
    """Events to append to a stream at the expected version."""

    @property
    def stream(self) -> str: ...
    @property
    def expected(self) -> int: ...
    @property
    def events(self) -> Sequence[NewEvent]: ...
    @property
    def metadata(self) -> Metadata: ...


class _Append(NamedTuple):
    stream: str
    expected: int
    events: Sequence[NewEvent]
    metadata: Metadata
    version: asyncio.Future[int]


class Recorder:
    """Sends an append at once, unless batches are under way: then with those that wait as well."""

    def __init__(self, engine: AsyncEngine, announce: Callable[[], None]) -> None:
        self._engine = engine
        self._announce = announce
        self._waiting: deque[_Append] = deque()
        self._batches: set[asyncio.Task[None]] = set()

    async def record(
        self, stream: str, expected: int, events: Sequence[NewEvent], metadata: Metadata
    ) -> int:
        """The stream's new version, once that is durable. Raises WrongExpectedVersion,
        ForeignStream or ValueError; a cancelled caller's append may have happened all the same.
        """
        version = asyncio.get_running_loop().create_future()
        self._waiting.append(_Append(stream, expected, events, metadata, version))
        if len(self._batches) < BATCHES_AT_ONCE:
            self._batches.add(asyncio.create_task(self._send(), name="eventstore.record"))
        return int(await version)

    async def close(self) -> None:
        """Finish what was asked for."""
        while self._batches:
            await asyncio.gather(*self._batches)

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._send_batches()
        finally:  # at once, not by a callback: whoever asks in between would be sent by nobody
            self._batches.discard(cast(asyncio.Task[None], asyncio.current_task()))

    async def _send_batches(self) -> None:
        batch: Sequence[_Append] = ()
        try:
            # Kept while there is more: to take one from the pool for each batch would show.
            async with self._engine.connect() as conn:
                while self._waiting and not driver(conn).is_closed():
                    batch = self._next()
                    # Beside another batch it would find ids open.
                    dealt = await _append(driver(conn), batch, deal=len(self._batches) == 1)
                    if not dealt:
                        self._announce()
                    await asyncio.sleep(0)  # those answered may have more
        except Exception as error:
            _fail(batch or self._next(), error)
            self._announce()

    def _next(self) -> Sequence[_Append]:
        size = min(len(self._waiting), MOST_IN_A_BATCH)
        return [self._waiting.popleft() for _ in range(size)]


async def _append(connection: Any, batch: Sequence[_Append], *, deal: bool) -> bool:
    """Whether their positions are dealt already, as is tried if `deal`."""
    try:
        versions, dealt = await connection.fetchrow(APPEND_EACH, deal, *columns(batch))
    except Exception:
        if len(batch) == 1:
            raise
        # One of them is at fault, and nothing of any was kept: each by itself.
        for append in batch:
            try:
                await _append(connection, [append], deal=False)
            except Exception as error:
                _fail([append], error)
        return False
    for append, version in zip(batch, versions, strict=True):
        if version is None:
            version = WrongExpectedVersion(
                append.stream,
                append.expected,
                await connection.fetchval(VERSION, append.stream) or 0,
            )
        _settle(append, version)
    return dealt is True


def columns(batch: Sequence[Appending]) -> tuple[list[Any], ...]:
    """The arguments of the database's append_each."""
    events = [event for append in batch for event in append.events]
    return (
        [append.stream for append in batch],
        [append.expected for append in batch],
        [len(append.events) for append in batch],
        [event.id for event in events],
        [event.type for event in events],
        [event.data for event in events],
        *([append.metadata[n] for append in batch] for n in range(len(Metadata._fields))),
    )


def _fail(batch: Sequence[_Append], error: Exception) -> None:
    for append in batch:
        try:
            refused(error, error)
        except Exception as meant:
            _settle(append, meant)


def _settle(append: _Append, outcome: int | Exception) -> None:
    if append.version.done():
        return  # its caller was cancelled
    if isinstance(outcome, Exception):
        append.version.set_exception(outcome)
    else:
        append.version.set_result(outcome)

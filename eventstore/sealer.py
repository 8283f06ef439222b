"""Seals the log: grows its Merkle tree and publishes what it is now as a signed checkpoint."""

import asyncio
from collections.abc import Callable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore import canonical, checkpoint, tree, upkeep
from eventstore.checkpoint import Checkpoint
from eventstore.engine import backoff, pause
from eventstore.events import RecordedEvent
from eventstore.fork import forks
from eventstore.merkle import leaf_hash
from eventstore.note import NoteInvalid, SigningKey
from eventstore.publication import Publication
from eventstore.store import EventStore, open_store
from eventstore.subscription import Subscription
from eventstore.tiles import Frontier, TileMissing, edge_tiles, grow

NAME = "sealer"
BATCH = 1000


async def seal(
    database_url: str,
    key: SigningKey,
    publication: Publication,
    seconds: float,
    ready: Callable[[], None],
    stop: asyncio.Event,
    request_days: float = 90,
) -> None:
    """Seal a log, and forget requests of more than `request_days` ago, until `stop` is set.

    Raises LogForked.
    """
    async with open_store(database_url, "bihuan_sealer") as store:
        sealer = Sealer(store, key, publication, seconds=seconds)
        work = (sealer.run(), upkeep.run(store, request_days), stop.wait())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            ready()
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class LogForked(Exception):
    """This log is not the one that was sealed before: events were lost or changed since."""


class Sealer:
    """Of all sealers of a log one seals, the others stand by. Its store's role is `bihuan_sealer`.

    What a crash interrupts is done again with the same outcome: positions never change.
    """

    def __init__(
        self, store: EventStore, key: SigningKey, publication: Publication, *, seconds: float = 10.0
    ) -> None:
        self._store = store
        self._key = key
        self._publication = publication
        self._subscription = Subscription(store, NAME, batch=BATCH, pause=seconds)
        self._frontier = Frontier()

    async def run(self) -> None:
        """Seal without end, at most every `seconds` once it has caught up. Raises LogForked.

        That an older copy was restored shows at once, not only by the next event.
        """
        await self._compare()
        await self._subscription.run(self._seal)

    async def _compare(self) -> None:
        delays = backoff()
        while True:
            try:
                head = await self._store.head()
                async with self._store.engine.connect() as conn:
                    await self._follows_published(conn, head, sealed=False)
                return
            except Exception as error:
                await pause(error, delays, "the sealer")

    async def _seal(self, conn: AsyncConnection, events: Sequence[RecordedEvent]) -> None:
        before = (events[0].position or 0) - 1
        if before == 0 or before != self._frontier.size:
            self._frontier = await self._resume(conn, before)
        leaves = [leaf_hash(canonical.encode(event)) for event in events]
        grown, frontier = grow(self._frontier, leaves)
        await tree.keep_tiles(conn, grown)
        signed = checkpoint.sign(
            Checkpoint(self._key.name, frontier.size, frontier.root()), self._key
        )
        await tree.keep_checkpoint(conn, frontier.size, signed)
        if await self._follows_published(conn, frontier.size):
            await self._publication.write(signed)
        self._frontier = frontier

    async def _resume(self, conn: AsyncConnection, size: int) -> Frontier:
        """The frontier as it was sealed last, from tiles that its checkpoint vouches for."""
        if size == 0:
            return Frontier()
        signed = await tree.checkpoint_at(conn, size)
        try:
            frontier = Frontier.resume(size, await tree.contents(conn, edge_tiles(size)))
            if signed is not None and self._verified(signed).root == frontier.root():
                return frontier
        except (TileMissing, NoteInvalid) as error:
            raise LogForked(f"the tree is not what was sealed at size {size}: {error}") from error
        raise LogForked(f"the tree's tiles are not those sealed at size {size}")

    async def _follows_published(
        self, conn: AsyncConnection, size: int, *, sealed: bool = True
    ) -> bool:
        """Whether what others hold as published is a beginning of this log, and not beyond `size`;
        or was given up. Of a log that is not sealed so far only the size is compared.
        """
        published = await self._published()
        if published is None:
            return True
        if published.size > size:
            head = await tree.head(conn)
            if published.size > head:
                raise LogForked(
                    f"{self._publication.url} was published at size {published.size}, and the log"
                    f" has {head} events: was an older copy restored? see docs/backup.md"
                )
            return False
        if sealed:
            await self._must_begin(conn, published)
        return True

    async def _published(self) -> Checkpoint | None:
        """What others hold as published and was not given up."""
        note = await self._publication.read()
        if note is None:
            return None
        try:
            published = self._verified(note)
            given_up = await forks(self._publication, self._key.verifier)
        except NoteInvalid as error:
            raise LogForked(
                f"{self._publication.url}, or a fork beside it, is not this log's: {error}"
            ) from error
        return None if published in [fork.given_up for fork in given_up] else published

    async def _must_begin(self, conn: AsyncConnection, published: Checkpoint) -> None:
        tiles = await tree.tiles(conn, edge_tiles(published.size))
        try:
            root = tiles.root(published.size)
        except TileMissing as error:
            raise LogForked(f"the tree is not whole: {error}") from error
        if root != published.root:
            raise LogForked(f"the first {published.size} events are not those that were published")

    def _verified(self, note: str) -> Checkpoint:
        return checkpoint.verify(note, self._key.name, [self._key.verifier])

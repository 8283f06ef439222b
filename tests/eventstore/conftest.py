"""Two made-up services, shop and bank, on the event store."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from eventstore import EventStore, Metadata, NewEvent, engine_for
from tests.conftest import Postgres

SERVICES = tuple(Path(__file__).parent / name / "migrations" for name in ("shop", "bank"))
METADATA = Metadata("tester", UUID(int=1), UUID(int=2), UUID(int=3), "00-trace-span-01")

Append = Callable[..., Awaitable[int]]


def stream(category: str = "shop.order") -> str:
    return f"{category}-{uuid4()}"


def events(*payloads: str | bytes, type: str = "test.v1.Happened") -> list[NewEvent]:  # noqa: A002
    return [NewEvent(type, p.encode() if isinstance(p, str) else p) for p in payloads]


async def append(
    store: EventStore,
    name: str,
    expected: int,
    *payloads: str,
    type: str = "test.v1.Happened",  # noqa: A002
) -> int:
    """Append in a transaction of its own."""
    async with store.engine.begin() as conn:
        return await store.append(conn, name, expected, events(*payloads, type=type), METADATA)


@pytest.fixture
async def database_url(postgres: Postgres) -> AsyncIterator[str]:
    url = await postgres.database(*SERVICES)
    yield url
    await postgres.drop(url)


@pytest.fixture
async def as_role(database_url: str) -> AsyncIterator[Callable[[str], EventStore]]:
    """Makes stores that act as the given role."""
    stores: list[EventStore] = []

    def make(role: str) -> EventStore:
        stores.append(EventStore(engine_for(database_url, role)))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()
        await store.engine.dispose()

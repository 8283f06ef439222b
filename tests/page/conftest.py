"""A page in front of real gRPC services, and a phone to look at it with."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from page.app import PageOptions, application
from page.services import Services
from rules import Clock
from tests.page.counter import Counter, counter

URL = "https://check.example.cn"
PHONE = "203.0.113.9"
MORNING = Clock(datetime(2026, 9, 8, 1, 30, tzinfo=UTC), datetime.now(UTC))
Open = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Counter]:
    async with counter(tmp_path) as open_:
        yield open_


@pytest.fixture
async def open_page(desk: Counter) -> AsyncIterator[Open]:
    """Opens the page as seen from an address, with other options than usual if need be."""
    opened: list[Any] = []

    def open_(
        peer: str = PHONE, target: str = "", app: Any = None, **options: Any
    ) -> httpx.AsyncClient:
        services = Services(target or desk.target, desk.token)
        values = {"url": URL, "clock": MORNING, "forged_seconds": 0.05, **options}
        transport = httpx.ASGITransport(
            application(services, PageOptions(**values)), client=(peer, 5)
        )
        client = httpx.AsyncClient(transport=transport, base_url=URL)
        opened.extend((client.aclose, services.close))
        return client

    yield open_
    for close in opened:
        await close()


@pytest.fixture
async def page(open_page: Open) -> httpx.AsyncClient:
    return open_page()

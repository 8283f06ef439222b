"""The bureau that the tests of services call."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bureau import Bureau, bureau


@pytest.fixture
async def open_bureau(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    async with bureau(database_url, tmp_path) as open_:
        yield open_

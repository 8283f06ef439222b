"""What the benchmark measures in, so that it compares what it says."""

from uuid import uuid4

from sqlalchemy import make_url

from bench.server import fresh
from tests.conftest import Postgres


async def test_each_database_of_a_run_is_one_of_its_own(postgres: Postgres) -> None:
    first = await fresh(postgres.url(), f"bench_{uuid4().hex[:8]}")
    second = await fresh(first, f"bench_{uuid4().hex[:8]}")
    names = {make_url(url).database for url in (postgres.url(), first, second)}
    assert len(names) == 3, "none is the one that DATABASE_URL names"
    for url in (first, second):
        await postgres.drop(url)

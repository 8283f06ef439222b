"""The services as one process: what they say while PostgreSQL is away, and what ends them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from eventstore import EventStore
from ops.ports import is_free
from rpc.issuer import LocalIssuer
from services import app, health
from services.calendar.shelf import CalendarShelf
from tests.bureau import Bureau
from tests.conftest import Postgres

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICES = ["", "bihuan.rectification.v1.ProblemService", "bihuan.feed.v1.FeedService"]


async def test_that_postgresql_is_away_is_noticed_and_that_it_is_back(
    make_postgres: Callable[[], Postgres],
) -> None:
    postgres = make_postgres()
    url = await postgres.database()
    told: asyncio.Queue[bool] = asyncio.Queue()
    watching = asyncio.create_task(health.watch(url, told.put))
    async with asyncio.timeout(30):
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres.kill)
        assert await told.get() is False
        await asyncio.to_thread(postgres.start)
        assert await told.get() is True
    assert not watching.done()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_health_is_not_serving_while_postgresql_is_away_and_serving_again_after(
    open_bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> bool:
        return False

    async with grpc.aio.insecure_channel(open_bureau.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
        watches = [stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in SERVICES]

        async def told() -> set[int]:
            async with asyncio.timeout(10):
                return {(await watch.read()).status for watch in watches}

        assert await told() == {SERVING}
        with monkeypatch.context() as patch:
            patch.setattr(health, "_answers", away)
            assert await told() == {NOT_SERVING}
        assert await told() == {SERVING}
        for watch in watches:
            watch.cancel()


async def test_serving_ends_with_the_error_that_keeps_calendars_from_being_followed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(shelf: CalendarShelf) -> None:
        raise RuntimeError("no calendar can be read")

    monkeypatch.setattr(CalendarShelf, "follow", broken)
    issuer = LocalIssuer(tmp_path / "issuer")
    options = app.ServeOptions(
        database_url=database_url,
        address="127.0.0.1:0",
        jwks=str(issuer.jwks),
        issuer=issuer.name,
        evidence_url=str(tmp_path / "evidence"),
    )
    ports: list[int] = []
    serving = app.serve(options, ports.append, asyncio.Event())
    with pytest.raises(RuntimeError, match="no calendar can be read"):
        await asyncio.wait_for(serving, 20)
    assert is_free("127.0.0.1", ports[0])


@pytest.mark.parametrize("state", ["53000", "53100", "53200", "53300", "53400"])
async def test_a_database_out_of_disk_memory_or_connections_is_unavailable(
    store: EventStore, state: str
) -> None:
    failing = text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
    with pytest.raises(DBAPIError) as failed:
        async with store.engine.begin() as conn:
            await conn.execute(failing)
    meant = app._translate(failed.value)
    assert meant is not None
    assert (meant.code, meant.reason) == (code_pb2.UNAVAILABLE, "DATABASE_UNAVAILABLE")

"""A complainant in these tests, what is done with them, and where they might be found."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import text

from bihuan.privacy.v1 import privacy_service_pb2 as privacy_pb
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from eventstore import EventStore, engine_for
from eventstore.engine import driver
from eventstore.envelope import NotWhole
from services.vault import FORGOTTEN
from tests.bureau import Bureau, report
from tests.services.calls import rid

PERSON = "0b5a2c4e-7f31-4c7e-9d0a-5b1f0e7d9c11"
NAME, PHONE = "王举报人", "13947298765"
ZHANG = pb.Complainant(id=PERSON, display_name=NAME, phone=PHONE)
BLANK = pb.Complainant(id=PERSON)
GONE = pb.Complainant(id=PERSON, display_name=FORGOTTEN, phone=FORGOTTEN)
OTHER = pb.Complainant(id=str(uuid4()), phone="13900000001")
TABLES = (
    "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
    " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
)


def complaint(request_id: str = "", who: pb.Complainant = ZHANG) -> rpc_pb.ReportProblemRequest:
    return report(request_id, source=pb.SOURCE_COMPLAINT, complainant=who)


async def complain(open_: Bureau, role: str = "officer", **fields: Any) -> pb.Problem:
    problem: pb.Problem = await open_.client(role).problems.ReportProblem(complaint(**fields))
    return problem


async def forget(open_: Bureau, person: str = PERSON, **fields: Any) -> privacy_pb.Subject:
    request = privacy_pb.ForgetSubjectRequest(
        **{"request_id": rid(), "subject": person, "reason": "2026-17", **fields}
    )
    subject: privacy_pb.Subject = await open_.client("operator").privacy.ForgetSubject(request)
    return subject


async def get(open_: Bureau, problem: pb.Problem, role: str = "officer") -> pb.Complainant:
    request = rpc_pb.GetProblemRequest(name=problem.name)
    found = await open_.client(role).problems.GetProblem(request)
    return cast(pb.Complainant, found.complainant)


async def dealt(store: EventStore) -> int:
    """The head, once every event has its position: readers do not wait for another who deals."""
    async with store.engine.connect() as conn:
        return cast(int, await driver(conn).fetchval("SELECT eventstore.advance(true)"))


async def dump(store: EventStore) -> str:
    """Every row of every table as text, bytes in hexadecimal."""
    async with store.engine.connect() as conn:
        tables = list(await conn.scalars(text(TABLES)))
        assert "eventstore.request" in tables
        rows = [await conn.scalars(text(f"SELECT t::text FROM {table} t")) for table in tables]
    return "\n".join(row for each in rows for row in each)


def clear(content: str | bytes) -> list[str]:
    """What there is of the person in clear."""
    content = content if isinstance(content, bytes) else content.encode()
    spellings = [form for value in (NAME, PHONE) for form in (value, value.encode().hex())]
    spellings += [json.dumps(NAME).strip('"')]
    return [form for form in spellings if form.encode() in content]


class OtherKms:
    """A key service that is no file, and counts: what a cloud's or an HSM's would look like."""

    def __init__(self) -> None:
        self.calls = 0
        self.away = False

    async def wrap(self, key: bytes) -> bytes:
        self.calls += 1
        return b"kms:" + key[::-1]

    async def unwrap(self, wrapped: bytes) -> bytes:
        self.calls += 1
        if not wrapped.startswith(b"kms:"):
            raise NotWhole("not ours")
        return wrapped[:3:-1]


@asynccontextmanager
async def writing(database_url: str) -> AsyncIterator[EventStore]:
    engine = engine_for(database_url, "bihuan_writer")
    try:
        yield EventStore(engine)
    finally:
        await engine.dispose()

"""A scanned code over gRPC, beside its floors in the same run: a bare health call, a bare indexed read.

What a call takes from client to client, both in this process on two cores: more than the server's own time.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console
from rich.table import Table

from bench.server import server
from bihuan.inspection.v1 import code_service_pb2, code_service_pb2_grpc, plan_pb2
from bihuan.inspection.v1 import inspection_pb2 as pb
from eventstore import engine_for
from rpc.client import connect
from rpc.identity import Identity
from rpc.issuer import LocalIssuer
from services.app import ServeOptions, migrate, serve
from services.inspection.inspections import views
from services.inspection.inspections.signing import CodeKeys, Validity, code_id, said

CODES, CALLS, WARM = 10_000, 2_000, 200
DEPARTMENTS, INSPECTORS, ENTRIES = 4, 2, 20  # of a joint inspection, with what was noted in it
MOST_MS = 5.0
READ = """
SELECT i.resource FROM inspection.code AS c JOIN inspection.inspection AS i ON i.id = c.inspection
WHERE c.id = $1
"""
say, out = Console(stderr=True), Console()


def joint(keys: CodeKeys) -> pb.Inspection:
    """A joint inspection that was started with its code, and much was noted."""
    now = datetime.now(UTC).replace(microsecond=0)
    inspection = pb.Inspection(
        name=f"inspections/{uuid4()}",
        kind=plan_pb2.KIND_DAILY,
        standing=pb.Standing(state=pb.STATE_UNDER_WAY),
        enterprise=pb.Inspected(
            uscc="91130200699229617X", display_name="扬州一号化工有限公司", district="321000"
        ),
        participants=[_participant(number) for number in range(DEPARTMENTS)],
    )
    inspection.open_time.FromDatetime(now)
    valid = Validity(now - timedelta(days=1), now + timedelta(days=1))
    code = keys.mint(said(inspection, valid, inspection.participants))
    code.from_time.FromDatetime(valid.from_time)
    code.to_time.FromDatetime(valid.to_time)
    code.state = pb.Code.STATE_USED
    inspection.codes.append(code)
    inspection.start.code = code.id
    return inspection


def _participant(number: int) -> pb.Participant:
    item = f"ecology.item_{number}"
    return pb.Participant(
        department=f"departments/{number:018}",
        display_name="扬州市生态环境局",
        answer=pb.ANSWER_ACCEPTED,
        items=[pb.Item(id=item, display_name="污染防治设施运行")],
        inspectors=[
            pb.Assigned(display_name="李静", certificate=f"江苏省人民政府 苏{number}{each}")
            for each in range(INSPECTORS)
        ],
        entries=[
            pb.Entry(id=str(uuid4()), item=item, note="设施正常运行、运行台账完整")
            for _ in range(ENTRIES)
        ],
    )


async def measure(call: Callable[[int], Awaitable[Any]]) -> list[float]:
    """Milliseconds of each of CALLS calls, one after another, after WARM that do not count."""
    for number in range(WARM):
        await call(number)
    taken = []
    for number in range(CALLS):
        began = time.perf_counter()
        await call(number)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def compare(url: str, folder: Path) -> dict[str, list[float]]:
    """Milliseconds of each way, on a database with CODES codes."""
    keys, issuer = CodeKeys.create(folder / "code.key"), LocalIssuer(folder / "issuer")
    await migrate(url)
    say.print(f"{CODES} codes …")
    ids = await _fill(url, keys)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    options = ServeOptions(
        database_url=url,
        address="127.0.0.1:0",
        jwks=str(issuer.jwks),
        issuer=issuer.name,
        evidence_url=str(folder / "evidence"),
        code_key=keys.path,
    )
    serving = asyncio.create_task(serve(options, port.set_result, stop))
    waiting: set[asyncio.Future[Any]] = {serving, port}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
    token = issuer.issue(Identity(subject="page", roles=frozenset({"scan_page"})))
    try:
        async with connect(f"127.0.0.1:{port.result()}", token) as channel:
            return await _calls(channel, url, ids)
    finally:
        stop.set()
        await serving


async def _calls(channel: Any, url: str, ids: list[str]) -> dict[str, list[float]]:
    health: Any = health_pb2_grpc.HealthStub(channel)
    codes = code_service_pb2_grpc.CodeServiceStub(channel)
    conn = await asyncpg.connect(url)
    read = await conn.prepare(READ)

    async def verify(code: str, expected: int) -> None:
        request = code_service_pb2.VerifyCodeRequest(code=code)
        assert (await codes.VerifyCode(request)).verdict == expected

    ways: dict[str, Callable[[int], Awaitable[Any]]] = {
        "bare indexed read": lambda n: read.fetchval(ids[n]),
        "bare health call": lambda n: health.Check(health_pb2.HealthCheckRequest()),
        "VerifyCode, issued": lambda n: verify(ids[n], code_service_pb2.VERDICT_USED),
        "VerifyCode, made up": lambda n: verify(code_id(), code_service_pb2.VERDICT_FORGED),
    }
    found = {}
    for name, call in ways.items():
        say.print(f"{name} …")
        found[name] = await measure(call)
    await conn.close()
    return found


async def _fill(url: str, keys: CodeKeys) -> list[str]:
    engine, ids = engine_for(url, "bihuan_inspection"), []
    async with engine.begin() as conn:
        for _ in range(0, CODES, 500):
            batch = [joint(keys) for _ in range(500)]
            await views.write(conn, batch)
            ids += [each.codes[0].id for each in batch]
    await engine.dispose()
    return ids


async def main() -> None:
    table = Table("call", "median ms", "99 in 100 under", title=f"{CODES} codes, {CALLS} calls")
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as folder:
        async with server() as url:
            found = await compare(url, Path(folder))
    for name, taken in found.items():
        slowest = statistics.quantiles(taken, n=100)[98]
        table.add_row(name, f"{statistics.median(taken):.2f}", f"{slowest:.2f}")
    out.print(table)
    sys.exit(statistics.median(found["VerifyCode, issued"]) > MOST_MS)


if __name__ == "__main__":
    asyncio.run(main())

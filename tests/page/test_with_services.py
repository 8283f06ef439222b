"""The page in front of the real services: a code from its issue to its rating, and the year's figures."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from page.app import PageOptions, application
from page.services import Services
from page.texts import VERDICTS
from rpc.identity import Identity
from rules import Clock
from tests.bureau import Bureau, bureau
from tests.page.conftest import URL
from tests.page.counter import OTHER
from tests.services import on_site as req
from tests.services.brigades import Brigade


@pytest.fixture
async def brigade(database_url: str, tmp_path: Path) -> AsyncIterator[Brigade]:
    clock = str(Clock(req.MORNING, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        found = Brigade(open_)
        await found.prepare()
        yield found


@pytest.fixture
async def page(brigade: Brigade) -> AsyncIterator[httpx.AsyncClient]:
    open_: Bureau = brigade.open
    identity = Identity(subject="page", roles=frozenset({"scan_page"}))
    services = Services(open_.target, open_.issuer.issue(identity))
    app = application(services, PageOptions(URL, clock=Clock(req.MORNING, datetime.now(UTC))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
        yield client
    await services.close()


async def verdict(page: httpx.AsyncClient, path: str) -> str:
    """The heading of a code's page, by the verdict that it is of."""
    text = (await page.get(path)).text
    for found, (title, _, _) in VERDICTS["zh"].items():
        if f">{title}</h1>" in text:
            return code_pb.Verdict.Name(found).removeprefix("VERDICT_")
    return text


async def test_a_code_from_its_issue_to_its_rating(
    brigade: Brigade, page: httpx.AsyncClient
) -> None:
    code = await brigade.code()
    path = f"/c/{code.id}?s={code.signature}"
    assert await verdict(page, path) == "GENUINE"
    text = (await page.get(f"{path}&at={req.ENTERPRISE}")).text
    for told in ("officer-1", "投诉举报", "夜间正在排放", "确为您填写的企业", "行政检查通知书"):
        assert told in text, told
    assert text.count("<li>严禁") == 5
    assert await verdict(page, f"/c/{code.id}?s={'A' * 86}") == "FORGED"
    assert await verdict(page, f"/c/{req.STRANGE_CODE}") == "FORGED"
    assert await verdict(page, f"{path}&at={OTHER}") == "OTHER_ENTERPRISE"
    early = await page.post(f"/c/{code.id}/rating", data={"score": "5"})
    assert early.status_code == 409
    await brigade.do(req.begin(code=code.id, device="pad-1"))
    assert await verdict(page, path) == "USED"
    sent = {"id": str(uuid4()), "score": "4", "comment": "规范"}
    for _ in range(2):
        assert (await page.post(f"/c/{code.id}/rating", data=sent)).status_code == 303
    assert "这次检查已评价" in (await page.get(path)).text
    assert (await page.post(f"/c/{code.id}/rating", data={"score": "1"})).status_code == 409
    figures = (await page.get("/statistics")).text
    assert "1 次检查有评价" in figures
    assert "4.00" not in figures  # of one it would say who gave it
    assert "个案检查" in figures


async def test_revoked_and_early_codes_are_shown_as_such(
    brigade: Brigade, page: httpx.AsyncClient
) -> None:
    code = await brigade.code(req.FIRST + 2 * req.DAY)
    assert await verdict(page, f"/c/{code.id}") == "EARLY"
    await brigade.do(rpc_pb.RevokeCodeRequest(reason="改期"))
    assert await verdict(page, f"/c/{code.id}") == "REVOKED"

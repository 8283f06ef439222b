"""The page in a browser on a phone: codes render, and nothing has to be scrolled sideways."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from page.app import PageOptions, application
from page.server import Options, run
from page.services import Services
from tests.page.conftest import MORNING, URL
from tests.page.counter import GENUINE, SIGNATURE, UNKNOWN, USED, Counter

CHROMIUM = shutil.which("chromium")
browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
PHONE = "--window-size=390,844"
# What only a script can tell: how wide the content is. The page itself would not let it run.
MEASURE = (
    "<script>parent.document.documentElement.dataset.wide = "
    "document.documentElement.scrollWidth + '/' + innerWidth</script></body>"
)
FRAME = '<!doctype html><iframe width="390" height="844" frameborder="0" src="{}"></iframe>'


@pytest.fixture
async def address(desk: Counter) -> AsyncIterator[str]:
    """Where the page is served, as `bihuan page` does."""
    stop = asyncio.Event()
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    page = PageOptions(URL, clock=MORNING, forged_seconds=0)
    options = Options("127.0.0.1:0", desk.target, desk.token, page)
    serving = asyncio.create_task(run(options, told.set_result, stop))
    yield f"http://{await told}"
    stop.set()
    await serving


async def test_it_is_served_until_it_is_told_to_stop(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/healthz")).text == "ok"
        answer = await client.get(f"/c/{GENUINE}")
        assert answer.status_code == 200
        assert "server" not in answer.headers


def dumped(folder: Path, url: str) -> str:
    """The document as the browser has it in the end."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", PHONE, "--dump-dom", "--lang=zh-CN"]
    done = subprocess.run(
        [*command, f"--user-data-dir={folder}", url], capture_output=True, timeout=60, check=True
    )
    return done.stdout.decode()


@browser
async def test_a_phone_shows_a_genuine_and_a_forged_code(address: str, tmp_path: Path) -> None:
    for code, words in ((GENUINE, "检查码有效"), (UNKNOWN, "不是有效的检查码")):
        url = f"{address}/c/{code}?lang=zh"
        assert words in await asyncio.to_thread(dumped, tmp_path / "browser", url)


class Measured:
    """The page in a frame as wide as a phone, with a script that measures it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] + "?" + scope["query_string"].decode()
        kind, body = "text/html", FRAME.format(path.removeprefix("/phone"))
        if not path.startswith("/phone"):
            answer = await self._app.get(path)
            kind, body = answer.headers["content-type"], answer.text
        headers = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": body.replace("</body>", MEASURE).encode()}
        )


PATHS = [
    "/?lang=en",
    f"/c/{GENUINE}?s={SIGNATURE}&lang=zh",
    f"/c/{USED}?s={SIGNATURE}&lang=en",
    f"/c/{UNKNOWN}?lang=en",
    "/statistics?lang=zh",
]


@browser
async def test_nothing_overflows_sideways_on_a_phone(desk: Counter, tmp_path: Path) -> None:
    desk.codes.hostile = "扬" * 60 + "A" * 60  # names as long as they come
    services = Services(desk.target, desk.token)
    app = Measured(application(services, PageOptions(URL, clock=MORNING, forged_seconds=0)))
    config = uvicorn.Config(app, port=0, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 it sets no Event
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    for path in PATHS:
        text = await asyncio.to_thread(
            dumped, tmp_path / "browser", f"http://127.0.0.1:{port}/phone{path}"
        )
        found = re.search(r'data-wide="(\d+)/(\d+)"', text)
        assert found, path
        assert int(found[1]) <= int(found[2]) == 390, path
    server.should_exit = True
    await serving
    await services.close()

"""The page before people who mean no good: odd addresses, odd texts, and connections held open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_network

import httpx
import pytest

from page import app, server
from page.app import PageOptions
from page.patience import impatient
from tests.page.conftest import URL
from tests.page.counter import USED, Counter

SLOW_HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
MOST_OF_ONE = 5


async def test_no_link_of_the_page_leads_to_another_site(page: httpx.AsyncClient) -> None:
    for path in ("//evil.example/x", "///evil.example"):
        answer = await page.get(URL + path)
        assert answer.status_code == 404
        assert 'href="//' not in answer.text


@pytest.mark.parametrize("typed", ["http://[/c/ABC", "http://[x]y/c/ABC?s=1", "//[/c/"])
async def test_a_link_that_is_none_is_no_code(page: httpx.AsyncClient, typed: str) -> None:
    answer = await page.get("/", params={"code": typed})
    assert answer.status_code == 200
    assert "请输入检查码" in answer.text


async def test_a_form_from_an_origin_that_is_none_is_refused(page: httpx.AsyncClient) -> None:
    path, form = f"/c/{USED}/rating", {"score": "5"}
    assert (await page.post(path, data=form, headers={"origin": "http://["})).status_code == 403


@pytest.mark.parametrize(
    "path", ["/c/%00", "/c/%ff%fe", "/c/A?at=%00", "/c/%0d%0aSet-Cookie:x", "/?lang=%00&code=%00"]
)
async def test_bytes_that_are_no_text_are_no_code(page: httpx.AsyncClient, path: str) -> None:
    answer = await page.get(path)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


@asynccontextmanager
async def served(desk: Counter, **options: object) -> AsyncIterator[int]:
    """The page on a port of its own."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    opened = server.Options(
        "127.0.0.1:0",
        desk.target,
        desk.token,
        PageOptions(URL, **options),  # type: ignore[arg-type]
    )
    serving = asyncio.create_task(server.run(opened, ready.set_result, stop))
    try:
        yield int((await ready).rpartition(":")[2])
    finally:
        stop.set()
        await serving


async def dribble(port: int, sent: bytes, of: str = "127.0.0.1") -> asyncio.StreamReader:
    """A connection from that address that begins a request and does not end it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(of, 0))
    writer.write(sent)
    reader.keep = writer  # type: ignore[attr-defined]
    return reader


async def test_one_address_cannot_take_every_connection(
    desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_AT_ONCE", 20)
    monkeypatch.setattr(server, "impatient", partial(impatient, most_of_one=MOST_OF_ONE))
    async with served(desk) as port, httpx.AsyncClient() as client:
        held = [await dribble(port, SLOW_HEAD, "127.0.0.2") for _ in range(30)]
        await asyncio.sleep(0.2)
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
        assert sum(each.at_eof() for each in held) == len(held) - MOST_OF_ONE
        for each in held:
            each.keep.close()  # type: ignore[attr-defined]


async def test_a_trusted_proxy_may_have_many_connections(
    desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "impatient", partial(impatient, most_of_one=MOST_OF_ONE))
    async with served(desk, proxies=[ip_network("127.0.0.0/8")]) as port:
        held = [await dribble(port, SLOW_HEAD) for _ in range(2 * MOST_OF_ONE)]
        await asyncio.sleep(0.2)
        assert not any(each.at_eof() for each in held)
        for each in held:
            each.keep.close()  # type: ignore[attr-defined]


async def test_whoever_does_not_end_a_request_is_let_go(
    desk: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "impatient", partial(impatient, request_seconds=0.3))
    monkeypatch.setattr(app, "BODY_SECONDS", 0.3)
    form = (
        f"POST /c/{USED}/rating HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\nscore="
    )
    async with served(desk) as port, asyncio.timeout(5):
        head = await dribble(port, SLOW_HEAD)
        body = await dribble(port, form.encode())
        assert await head.read() == b""
        assert (await body.readline()).startswith(b"HTTP/1.1 408")
        for each in (head, body):
            each.keep.close()  # type: ignore[attr-defined]

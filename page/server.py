"""Runs the page until it is told to stop, then lets the requests under way finish."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from page.app import PageOptions, application
from page.patience import impatient
from page.services import Services

GRACE_SECONDS = 5
MOST_AT_ONCE = 200


@dataclass(frozen=True)
class Options:
    """address: host:port to listen on; target: where the services answer; token: of role scan_page."""

    address: str
    target: str
    token: str | Callable[[], str]
    page: PageOptions


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs us tells us when to stop."""
        yield


async def run(options: Options, ready: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until `stop` is set. `ready` is told the address. Raises OSError where nobody can listen."""
    services = Services(options.target, options.token)
    listening = _listen(options.address)
    server = _Server(
        uvicorn.Config(
            application(services, options.page),
            # Addresses hold codes: no access log. Whose X-Forwarded-For counts we say ourselves.
            access_log=False,
            proxy_headers=False,
            server_header=False,
            lifespan="off",
            http=impatient(options.page.proxies),
            ws="none",
            log_level="warning",
            limit_concurrency=MOST_AT_ONCE,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve([listening]))
    stopping = asyncio.create_task(stop.wait())
    try:
        host = options.address.rpartition(":")[0]
        ready(f"{host}:{listening.getsockname()[1]}")
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        stopping.cancel()
        await serving
        await services.close()


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), int(port)))
    except OSError:
        listening.close()
        raise
    return listening

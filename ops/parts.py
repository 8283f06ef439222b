"""The programs that a stack is made of: services, workers, relay, sealer and page, one process each."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from ops import garbage
from ops.failures import LogRefused, Unreachable
from ops.home import make
from ops.ports import reachable
from ops.settings import Settings, SettingsError, masked

Body: TypeAlias = Callable[[Callable[[str], None], asyncio.Event], Awaitable[None]]


def serve(settings: Settings) -> None:
    """Serve gRPC until SIGTERM or Ctrl-C, then let the calls under way finish. Raises Unreachable."""
    from sqlalchemy.exc import DBAPIError

    from ops.codes import code_key
    from ops.key_files import DRAW, MASTER
    from ops.tokens import trusted_keys
    from rpc.permissions import ROLES_FILE
    from services.app import ServeOptions
    from services.app import serve as run

    options = ServeOptions(
        database_url=_needed("DATABASE_URL", settings.database_url),
        address=settings.grpc_address,
        jwks=trusted_keys(settings),
        issuer=settings.issuer,
        evidence_url=settings.evidence_url or (settings.home / "evidence").as_uri(),
        roles_file=settings.roles or ROLES_FILE,
        rules_dir=settings.rules,
        clock=settings.clock or "",
        master_key=MASTER.found(settings),
        draw_key=DRAW.found(settings),
        code_key=code_key(settings),
        evidence_most_bytes=settings.evidence_mib << 20,
    )
    host = settings.grpc_address.rpartition(":")[0]
    _until_told(
        "service",
        settings,
        lambda ready, stop: run(options, lambda port: ready(f"{host}:{port}"), stop),
        _Need("DATABASE_URL", "PostgreSQL", options.database_url, (DBAPIError,)),
    )


def work(settings: Settings) -> None:
    """Run the workflows and their activities until SIGTERM or Ctrl-C. Raises Unreachable."""
    from ops.tokens import worker_token
    from workflows.worker import WorkerOptions, run

    options = WorkerOptions(
        temporal_address=_needed("TEMPORAL_ADDRESS", settings.temporal_address),
        namespace=settings.temporal_namespace,
        grpc_target=reachable(settings.grpc_address),
        token=worker_token(settings),
    )
    _until_told(
        "worker",
        settings,
        lambda ready, stop: run(options, lambda: ready(options.temporal_address), stop),
        _temporal(options.temporal_address),
    )


def relay(settings: Settings) -> None:
    """Carry events from the log to the workflows until SIGTERM or Ctrl-C. Raises Unreachable."""
    from workflows.relay import RelayOptions, run

    options = RelayOptions(
        database_url=_needed("DATABASE_URL", settings.database_url),
        temporal_address=_needed("TEMPORAL_ADDRESS", settings.temporal_address),
        namespace=settings.temporal_namespace,
        clock=settings.clock or "",
    )
    _until_told(
        "relay",
        settings,
        lambda ready, stop: run(options, lambda: ready(options.temporal_address), stop),
        _temporal(options.temporal_address),
    )


def seal(settings: Settings) -> None:
    """Seal the log until SIGTERM or Ctrl-C. Raises LogRefused for a log that is not the one sealed."""
    from sqlalchemy.exc import DBAPIError

    from eventstore.sealer import LogForked
    from eventstore.sealer import seal as run
    from ops import sealing

    url = _needed("DATABASE_URL", settings.database_url)
    key, publication = sealing.signing_key(settings), sealing.publication(settings)
    seconds, days = settings.seal_seconds, settings.request_days
    try:
        _until_told(
            "sealer",
            settings,
            lambda told, stop: run(
                url, key, publication, seconds, lambda: told(publication.url), stop, days
            ),
            _Need("DATABASE_URL", "PostgreSQL", url, (DBAPIError,)),
        )
    except LogForked as error:
        raise LogRefused(f"not sealed: {error}") from error


def page(settings: Settings) -> None:
    """Serve the public web page until SIGTERM or Ctrl-C. Services that are away it says to visitors."""
    from ops.tokens import page_token
    from page.addresses import networks
    from page.app import PageOptions
    from page.server import Options, run
    from rules import Clock

    options = Options(
        address=settings.page_address,
        target=reachable(settings.grpc_address),
        token=page_token(settings),
        page=PageOptions(
            url=settings.page_url or f"http://{reachable(settings.page_address)}",
            proxies=networks(settings.page_proxies or ""),
            lookups_a_minute=settings.page_lookups,
            clock=Clock.parse(settings.clock or ""),
        ),
    )
    address = _Need("BIHUAN_PAGE_ADDRESS", "a port", options.address, (OSError,))
    _until_told("page", settings, lambda ready, stop: run(options, ready, stop), address)


@dataclass(frozen=True)
class _Need:
    """A server without which a part cannot start, and what is raised when it does not answer."""

    variable: str
    name: str
    address: str
    errors: tuple[type[Exception], ...]


def _temporal(address: str) -> _Need:
    from temporalio.service import RPCError

    return _Need("TEMPORAL_ADDRESS", "Temporal", address, (RuntimeError, RPCError))


def _until_told(name: str, settings: Settings, body: Body, need: _Need) -> None:
    from rpc import telemetry
    from services.events import UnknownEvent

    make(settings.home, "run")
    ready_file = settings.home / "run" / f"{name}.ready"

    def ready(address: str) -> None:
        ready_file.write_text(json.dumps({"pid": os.getpid(), "address": address}))
        print(f"{name} is ready at {address}", flush=True)

    ready_file.unlink(missing_ok=True)
    traces = telemetry.configure(f"bihuan-{name}", settings.otlp_endpoint)
    try:
        asyncio.run(_body(body, ready))
    except need.errors as error:
        if ready_file.exists():  # it had started
            raise
        raise Unreachable(_told(need, error)) from error
    except UnknownEvent as error:
        raise LogRefused(str(error)) from error
    finally:
        ready_file.unlink(missing_ok=True)
        traces.shutdown()


async def _body(body: Body, ready: Callable[[str], None]) -> None:
    garbage.settle()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await body(ready, stop)


def _told(need: _Need, error: Exception) -> str:
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's own text quotes statements
    reason = " ".join(str(cause).split())
    return f"{need.variable}: cannot use {need.name} at {masked(need.address)}: {masked(reason)}"


def _needed(variable: str, value: str | None) -> str:
    if value is None:
        raise SettingsError(
            f"{variable}: not set, and this part runs by itself; `bihuan up` starts all parts"
        )
    return value

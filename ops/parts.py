"""The programs that a stack is made of: the services, the workers and the relay, one process each."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable

from ops.ports import reachable
from ops.settings import Settings, SettingsError


def serve(settings: Settings) -> None:
    """Serve gRPC until SIGTERM or Ctrl-C, then let the calls under way finish."""
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
        evidence_most_bytes=settings.evidence_mib << 20,
    )
    host = settings.grpc_address.rpartition(":")[0]
    _until_told(
        "service",
        settings,
        lambda ready, stop: run(options, lambda port: ready(f"{host}:{port}"), stop),
    )


def work(settings: Settings) -> None:
    """Run the workflows and their activities until SIGTERM or Ctrl-C."""
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
    )


def relay(settings: Settings) -> None:
    """Carry events from the log to the workflows until SIGTERM or Ctrl-C."""
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
    )


def _until_told(
    name: str,
    settings: Settings,
    body: Callable[[Callable[[str], None], asyncio.Event], Awaitable[None]],
) -> None:
    from rpc import telemetry

    ready_file = settings.home / "run" / f"{name}.ready"
    ready_file.parent.mkdir(parents=True, exist_ok=True)

    def ready(address: str) -> None:
        ready_file.write_text(json.dumps({"pid": os.getpid(), "address": address}))
        print(f"{name} is ready at {address}", flush=True)

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await body(ready, stop)

    traces = telemetry.configure(f"bihuan-{name}", settings.otlp_endpoint)
    try:
        asyncio.run(main())
    finally:
        ready_file.unlink(missing_ok=True)
        traces.shutdown()


def _needed(variable: str, value: str | None) -> str:
    if value is None:
        raise SettingsError(
            f"{variable}: not set, and this part runs by itself; `bihuan up` starts all parts"
        )
    return value

"""Keeps a whole stack up: starts the parts in order, restarts the dead, stops all in reverse."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from ops import codes, ports, postgres, temporal
from ops.home import Addresses, forget_addresses, lock, note_addresses, stop_leftovers
from ops.key_files import DRAW, MASTER
from ops.part import Part, PartFailed, Running, Say
from ops.settings import Settings, variables

if TYPE_CHECKING:
    from rpc.identity import Identity

EMBEDDED = ("postgres", "temporal")
OURS = ("service", "worker", "relay", "sealer", "page")
ALL = (*EMBEDDED, *OURS)
COMMANDS = {
    "service": "serve",
    "worker": "work",
    "relay": "relay",
    "sealer": "seal",
    "page": "page",
}


class Stack:
    """The running parts of one home: `async with Stack(settings) as stack: ...`.

    parts: which of `ALL` to run. Servers that the settings give an address for are not started.
    Raises AlreadyUp, PortTaken or PartFailed from the start, with nothing left running.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        home: Path | None = None,
        parts: Sequence[str] = ALL,
        search_attributes: Mapping[str, str] | None = None,
        say: Say = lambda _: None,
    ) -> None:
        home = (home or settings.home).absolute()
        self.settings = settings.model_copy(update={"home": home})
        self.home = home
        self._wanted = parts
        self._attributes = search_attributes
        self._say = say
        self._running: dict[str, Running] = {}
        self._external: dict[str, str] = {}
        self._lock: IO[str] | None = None
        self._ports = ports.Ports(say)
        self._ui_url: str | None = None

    @property
    def parts(self) -> Mapping[str, Running]:
        """The supervised parts by name, in the order of their start."""
        return self._running

    @property
    def external(self) -> Mapping[str, str]:
        """Name and address of the servers that are used but not ours to run."""
        return self._external

    @property
    def database_url(self) -> str:
        return _known(self.settings.database_url)

    @property
    def temporal_address(self) -> str:
        return _known(self.settings.temporal_address)

    @property
    def grpc_address(self) -> str:
        return self.settings.grpc_address

    @property
    def ui_url(self) -> str | None:
        """Of our own Temporal Web UI; None with somebody else's Temporal."""
        return self._ui_url

    @property
    def page_url(self) -> str:
        """Of the public web page, as it can be opened here."""
        return f"http://{ports.reachable(self.settings.page_address)}"

    @property
    def links(self) -> list[str]:
        """A line for each list of loops in our own Web UI that an operator opens first."""
        from ops import ui

        if self._ui_url is None or "worker" not in self._wanted:
            return []
        return ui.links(self._ui_url, self.settings.temporal_namespace)

    def part(self, name: str) -> Running:
        """One part, with its `pid`, `state`, `restarts` and `log`. KeyError if it is not ours."""
        return self._running[name]

    async def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill a part and return when it is dead; the stack then starts it again by itself."""
        await self.part(name).kill(number)

    async def wait_ready(self, name: str, timeout: float = 60.0) -> None:
        """Wait until a part serves. Raises PartFailed after `timeout` seconds."""
        await self.part(name).wait_ready(timeout)

    def token(self, identity: "Identity", hours: float = 8) -> str:
        """A bearer token for `identity` from the local issuer."""
        from ops.tokens import issue

        return issue(self.settings, identity, hours)

    async def __aenter__(self) -> Self:
        try:
            self._lock = lock(self.home)
            await asyncio.to_thread(stop_leftovers, self.home / "run", self._say)
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop all parts, the last started first, and give the home free."""
        for running in reversed(self._running.values()):
            await running.stop()
        self._ports.release()
        if self._lock is not None:
            forget_addresses(self.home)
            self._lock.close()
            self._lock = None

    async def set_clock(self, clock: str) -> None:
        """Start our own parts again, by another clock."""
        for name in reversed(OURS):
            await self.part(name).stop()
        self.settings = self.settings.model_copy(update={"clock": clock})
        await self._start_own("service")
        await self._start_loops()

    async def _start(self) -> None:
        self._choose_ports()
        if "service" in self._wanted:
            for key in (MASTER, DRAW):
                key.ensure(self.settings)
            codes.ensure_code_key(self.settings)
        await self._start_postgres()
        # Each stage needs the one before; the service brings the database's schemas up to date.
        await asyncio.gather(self._start_temporal(), self._start_own("service"))
        await self._start_loops()
        for line in self.links:
            self._say(line)
        note_addresses(
            self.home,
            Addresses(
                pid=os.getpid(),
                database_url=self.settings.database_url or "",
                temporal_address=self.settings.temporal_address or "",
                ui_url=self._ui_url,
                grpc_address=self.grpc_address,
            ),
        )

    def _choose_ports(self) -> None:
        """Settle all ports before anything starts, so that a taken one stops us early."""
        update: dict[str, Any] = {}
        if "temporal" in self._wanted and self.settings.temporal_address is None:
            for field in ("temporal_port", "ui_port"):
                update[field] = self._port(field, temporal.HOST, getattr(self.settings, field))
        if "service" in self._wanted:
            host, _, port = self.settings.grpc_address.rpartition(":")
            update["grpc_address"] = f"{host}:{self._port('grpc_address', host, int(port))}"
        if "page" in self._wanted:
            host, _, port = self.settings.page_address.rpartition(":")
            update["page_address"] = f"{host}:{self._port('page_address', host, int(port))}"
        self.settings = self.settings.model_copy(update=update)

    def _port(self, field: str, host: str, port: int) -> int:
        on_purpose = self.settings.configured(field)
        variable = dict(variables())[field]
        return self._ports.choose(variable, host, port, on_purpose=on_purpose)

    async def _start_postgres(self) -> None:
        if "postgres" not in self._wanted:
            return
        if self.settings.database_url is not None:
            self._external["postgres"] = self.settings.database_url
            return
        part = await postgres.prepare(self.home, self._say, self.settings.archive)
        await self._run(part)
        self.settings = self.settings.model_copy(update={"database_url": part.address})

    async def _start_temporal(self) -> None:
        if "temporal" not in self._wanted:
            return
        attributes = self._search_attributes()
        address, namespace = self.settings.temporal_address, self.settings.temporal_namespace
        if address is not None:
            self._external["temporal"] = address
            await self._register(address, namespace, attributes)
            return
        port, ui_port = self.settings.temporal_port, self.settings.ui_port
        part = temporal.part(self.home, port, ui_port, namespace, attributes)
        self._ui_url = f"http://{temporal.HOST}:{ui_port}"
        await self._run(part)
        self.settings = self.settings.model_copy(update={"temporal_address": part.address})

    async def _start_loops(self) -> None:
        await asyncio.gather(*(self._start_own(name) for name in OURS if name != "service"))

    async def _start_own(self, name: str) -> None:
        if name in self._wanted:
            await self._run(self._own(name))

    async def _register(self, address: str, namespace: str, wanted: Mapping[str, str]) -> None:
        try:
            added = await temporal.register(address, namespace, wanted)
        except RuntimeError as error:
            raise PartFailed(f"TEMPORAL_ADDRESS: cannot use {address}: {error}") from error
        if added:
            self._say(f"Temporal at {address} got the search attributes {', '.join(added)}")

    def _search_attributes(self) -> Mapping[str, str]:
        if self._attributes is not None:
            return self._attributes
        from workflows.search_attributes import SEARCH_ATTRIBUTES

        return SEARCH_ATTRIBUTES

    def _own(self, name: str) -> Part:
        """One of our parts: `python -m ops serve|work|relay|seal|page` with the settings in its
        environment.
        """
        ours = {variable for _, variable in variables()}
        inherited = {name: value for name, value in os.environ.items() if name not in ours}
        return Part(
            name=name,
            command=(sys.executable, "-m", "ops", COMMANDS[name]),
            address=self._address_of(name),
            ready=lambda pid: self._own_ready(name, pid),
            environment=inherited | self.settings.environment(),
        )

    def _address_of(self, name: str) -> str:
        if name == "service":
            return self.grpc_address
        if name == "page":
            return self.page_url
        if name == "sealer":
            from ops import sealing

            return f"→ {sealing.publication(self.settings).url}"
        return f"→ {self.temporal_address}"

    async def _own_ready(self, name: str, pid: int) -> bool:
        try:
            noted = json.loads((self.home / "run" / f"{name}.ready").read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # not there yet, or being written
            return False
        if noted["pid"] != pid:
            return False
        return name != "service" or await _serving(ports.reachable(self.grpc_address))

    async def _run(self, part: Part) -> None:
        running = Running(part, self.home, self._say)
        self._running[part.name] = running
        await running.start()


async def _serving(address: str) -> bool:
    import grpc.aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    async with grpc.aio.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]
        try:
            answer = await check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _known(value: str | None) -> str:
    if value is None:
        raise RuntimeError("this stack does not run that part, or it is not started yet")
    return value

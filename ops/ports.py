"""Finds out which ports are free, since a laptop may already run what we are about to start."""

import socket
import sys
from collections.abc import Callable


class PortTaken(Exception):
    """A port that somebody chose on purpose is in use; the message names port and variable."""


class Ports:
    """Chooses ports and keeps them from other stacks of this machine until `release`.

    Between choosing a port and listening on it lie seconds, and gRPC shares a port that is taken.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._held: list[socket.socket] = []

    def choose(self, variable: str, host: str, port: int, *, on_purpose: bool) -> int:
        """`port` if it is free, else another one, unless `port` was chosen on purpose: PortTaken."""
        if self._hold(host, port):
            return port
        if on_purpose:
            raise PortTaken(
                f"{variable}: {host}:{port} is taken by another program; choose another"
            )
        other = any_free(host)
        while not self._hold(host, other):
            other = any_free(host)
        self._say(f"port {port} is taken, so we use {other} (set {variable} to choose)")
        return other

    def release(self) -> None:
        """Let others have them."""
        while self._held:
            self._held.pop().close()

    def _hold(self, host: str, port: int) -> bool:
        holder = socket.socket(socket.AF_UNIX)
        if _named(holder, f"\0bihuan/port/{port}") and is_free(host, port):
            self._held.append(holder)
            return True
        holder.close()
        return False


def _named(holder: socket.socket, name: str) -> bool:
    """Whether nobody had that name; on Linux it is no file, and the kernel forgets it with us."""
    if sys.platform != "linux":
        return True
    try:
        holder.bind(name)
    except OSError:
        return False
    return True


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(_family(host)) as candidate:
        # As servers do: what is left of closed connections does not count.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host.strip("[]"), port))
            candidate.listen()
        except OSError:
            return False
        return True


def any_free(host: str) -> int:
    """Some port nobody listens on."""
    with socket.socket(_family(host)) as candidate:
        candidate.bind((host.strip("[]"), 0))
        return int(candidate.getsockname()[1])


def reachable(address: str) -> str:
    """The address to call for one that a server listens on: all interfaces means the loopback."""
    host, _, port = address.rpartition(":")
    loopback = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
    return f"{loopback.get(host, host)}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET

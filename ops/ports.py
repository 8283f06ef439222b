"""Finds out which ports are free, since a laptop may already run what we are about to start."""

import socket
from collections.abc import Callable


class PortTaken(Exception):
    """A port that somebody chose on purpose is in use; the message names port and variable."""


def choose(
    variable: str, host: str, port: int, *, on_purpose: bool, say: Callable[[str], None]
) -> int:
    """`port` if it is free, else another one, unless `port` was chosen on purpose: PortTaken."""
    if is_free(host, port):
        return port
    if on_purpose:
        raise PortTaken(f"{variable}: {host}:{port} is taken by another program; choose another")
    other = any_free(host)
    say(f"port {port} is taken, so we use {other} (set {variable} to choose)")
    return other


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

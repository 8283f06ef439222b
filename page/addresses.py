"""Whose request it is: the peer's address, or what a proxy that we trust says of it. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
IPV6_PREFIX = 64  # what one customer is given: addresses within it cost nothing


def networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas, for example "10.0.0.0/8, 127.0.0.1". ValueError names what is none."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """The address that limits are counted by: the peer's, or, where the peer is a trusted proxy, the last one
    in X-Forwarded-For that is not a trusted proxy itself. What came before it anybody could have written.
    An IPv6 address counts with its network.
    """
    if not _within(peer, proxies):
        return _counted(peer)
    for address in reversed([part.strip() for part in forwarded.split(",")]):
        if not _address(address):
            break
        if not _within(address, proxies):
            return _counted(address)
    return _counted(peer)


def trusted(peer: str, proxies: Sequence[Network]) -> bool:
    """Whether the peer is a proxy that we trust."""
    return _within(peer, proxies)


def _counted(address: str) -> str:
    found = _address(address)
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ip_network((found, IPV6_PREFIX), strict=False))


def _within(address: str, networks_: Sequence[Network]) -> bool:
    found = _address(address)
    return found is not None and any(found in network for network in networks_)


def _address(text: str):  # type: ignore[no-untyped-def]
    try:
        return ip_address(text)
    except ValueError:
        return None

"""Connections that keep the page waiting are closed, and nobody has all of them: whoever is slow is alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from page import addresses

REQUEST_SECONDS = 10.0  # in which a request has to be said, up to its body
MOST_OF_ONE = 40  # connections of one address; a whole office may share one


def impatient(
    proxies: Sequence[addresses.Network],
    request_seconds: float = REQUEST_SECONDS,
    most_of_one: int = MOST_OF_ONE,
) -> type[H11Protocol]:
    """The HTTP protocol of the page. `proxies`, which speak for many, may have as many as they need."""

    class Impatient(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if self._of_one() > most_of_one:
                transport.close()
                return
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._timer:
                self._timer.cancel()
            super().connection_lost(exc)

        def _of_one(self) -> int:
            """How many connections there are from this address; 0 for one that is not counted."""
            peer = self.client[0] if self.client else ""
            if addresses.trusted(peer, proxies):
                return 0
            theirs = addresses.client(peer, "", proxies)
            others = [each.client for each in self.connections if isinstance(each, H11Protocol)]
            return sum(addresses.client(each[0], "", proxies) == theirs for each in others if each)

        def _watch(self) -> None:
            if not self._timer:
                self._timer = self.loop.call_later(request_seconds, self._late)

        def _late(self) -> None:
            self._timer = None
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()
            else:  # it is being answered
                self._watch()

    return Impatient

"""Sends until answered, however often the service restarts; a request_id makes that safe."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc.aio

from ops.failures import DemoFailed
from rpc.client import status_of

PATIENCE_SECONDS = 60.0
# Sent again: a part restarts, or a loop recorded an expiry at the same moment.
TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
    }
)
Answer = TypeVar("Answer")


async def persist(send: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer of `send`. Raises DemoFailed if it is refused, or not answered for PATIENCE_SECONDS."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        try:
            return await send()
        except grpc.aio.AioRpcError as error:
            late = asyncio.get_running_loop().time() > deadline
            if error.code() not in TRANSIENT or late:
                raise DemoFailed(str(status_of(error))) from error
            await asyncio.sleep(0.2)

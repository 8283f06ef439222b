"""What callers of services see in these tests: request ids, refusals and the log."""

from collections.abc import Awaitable
from uuid import uuid4

import grpc.aio
import pytest

from bihuan.feed.v1 import feed_service_pb2 as feed_pb
from rpc.client import status_of
from rpc.errors import StatusError
from tests.bureau import Bureau


def rid() -> str:
    return str(uuid4())


async def refused(call: Awaitable[object]) -> StatusError:
    """Why a call is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return status_of(refusal.value)


async def recorded(open_: Bureau) -> list[str]:
    """The names of all events, in order."""
    answer = await open_.client("agency").feed.ReadEvents(feed_pb.ReadEventsRequest(page_size=1000))
    return [event.payload.TypeName().rpartition(".")[2] for event in answer.events]

"""Loads an aggregate of twenty events, as a service does before it decides."""

import time
from typing import get_args
from uuid import uuid4

from bihuan.notification.v1 import notice_pb2 as pb
from eventstore import EventStore, Metadata, NewEvent, engine_for
from services.aggregate import Aggregate, Commands
from services.notification.model import Event, evolve


async def _nowhere(*_: object) -> None:
    """No view is written."""


# Small on purpose, as the peer's is: what is measured is the way from the log to the state.
NOTICE = Aggregate(
    category="shop.notice",
    blank=lambda name: pb.Notice(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=_nowhere,
)


async def load_notice(url: str, count: int, events: int, size: int) -> float:
    """Seconds to load it; the best of `count`."""
    engine, data = engine_for(url), "x" * size
    store, name = EventStore(engine), f"notices/{uuid4()}"
    commands = Commands(store, NOTICE)
    sent = pb.NoticeSent(name=name, body=data)
    messages = [sent, *[pb.NoticeRead(reader=data)] * (events - 1)]
    new = [NewEvent(each.DESCRIPTOR.full_name, each.SerializeToString()) for each in messages]
    await store.record(NOTICE.stream(name), 0, new, Metadata("officer", uuid4()))
    best = float("inf")
    for _ in range(count):
        began = time.perf_counter()
        _, version = await commands.get(name)
        best = min(best, time.perf_counter() - began)
        assert version == events
    await store.close()
    await engine.dispose()
    return best

"""Carries events from the log to the loops, in order, resuming from its checkpoint."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from opentelemetry import trace
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from bihuan.feed.v1.feed_service_pb2 import Event
from eventstore import EventStore, Filter, RecordedEvent, Subscription, engine_for
from rpc.telemetry import context_from, current_traceparent
from workflows.routes import CATEGORIES, Route, route
from workflows.temporal_client import TASK_QUEUE, connect

log = logging.getLogger(__name__)
tracer = trace.get_tracer("bihuan.relay")
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PERMANENT = frozenset({RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.PERMISSION_DENIED})


@dataclass(frozen=True)
class RelayOptions:
    """From which log to which Temporal; `clock` is rules.Clock as text, empty for real time."""

    database_url: str
    temporal_address: str
    namespace: str
    clock: str = ""


async def run(options: RelayOptions, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Relay until `stop` is set. Several may run: one relays, the others stand by."""
    client = await connect(options.temporal_address, options.namespace)
    engine = engine_for(options.database_url, "bihuan_reader")
    store = EventStore(engine)
    try:
        relaying = asyncio.create_task(Relay(client, options.clock).run(store))
        stopping = asyncio.create_task(stop.wait())
        ready()
        await asyncio.wait({relaying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if relaying.done():
            relaying.result()
        relaying.cancel()
        await asyncio.gather(relaying, stopping, return_exceptions=True)
    finally:
        await store.close()
        await engine.dispose()


class Relay:
    """Starts and signals loops. Delivers at least once; the loops drop what they had."""

    def __init__(self, client: Client, clock: str) -> None:
        self._client = client
        self._clock = clock

    async def run(self, store: EventStore) -> None:
        """Relay without end."""
        wanted = Filter(categories=tuple(CATEGORIES))
        await Subscription(store, "relay", wanted).run(self._handle)

    async def _handle(self, _: Any, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            await self.deliver(event)

    async def deliver(self, recorded: RecordedEvent) -> None:
        """Deliver one event, however long Temporal is away."""
        event = _event(recorded)
        to = route(event, self._clock)
        if to is None:
            return
        attempt = 0
        while True:
            try:
                with _trace_of(recorded):
                    event.traceparent = current_traceparent()
                    await self._send(to, event)
                return
            except RPCError as error:
                if error.status in PERMANENT:
                    raise
                delay = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                log.warning(
                    "event %d not delivered, again in %ss: %s", event.position, delay, error
                )
                attempt += 1
                await asyncio.sleep(delay)

    async def _send(self, to: Route, event: Event) -> None:
        if to.workflow is None:
            await self._signal(to, event)
            return
        try:
            await self._client.start_workflow(
                to.workflow,
                to.argument,
                id=to.workflow_id,
                task_queue=TASK_QUEUE,
                id_reuse_policy=to.reuse,
                static_summary=to.summary[:200],
                start_signal=to.signal,
                start_signal_args=[event] if to.signal else [],
            )
        except WorkflowAlreadyStartedError:
            log.info("event %d was delivered before: %s", event.position, to.workflow_id)

    async def _signal(self, to: Route, event: Event) -> None:
        try:
            await self._client.get_workflow_handle(to.workflow_id).signal(to.signal or "", event)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            log.info("event %d comes after the end of %s", event.position, to.workflow_id)


def _event(recorded: RecordedEvent) -> Event:
    event = Event(
        position=recorded.position or 0,
        id=str(recorded.id),
        stream=recorded.stream,
        version=recorded.version,
        payload=AnyMessage(type_url=f"type.googleapis.com/{recorded.type}", value=recorded.data),
    )
    event.record_time.FromDatetime(recorded.recorded_at)
    return event


@contextmanager
def _trace_of(recorded: RecordedEvent) -> Iterator[None]:
    """Within the block, spans belong to the trace of the command that recorded the event."""
    parent = context_from(recorded.metadata.traceparent)
    with tracer.start_as_current_span(
        f"relay {recorded.type.rpartition('.')[2]}",
        context=parent,
        attributes={"messaging.message.id": str(recorded.id)},
    ):
        yield

"""Carries events from the log to the loops, in order, resuming from its checkpoint."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from opentelemetry import trace
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from bihuan.feed.v1.feed_service_pb2 import Event
from eventstore import EventStore, Filter, RecordedEvent, Subscription, open_store
from rpc.telemetry import context_from, current_traceparent
from services.events import UnknownEvent
from workflows.routes import CATEGORIES, Route, parked, routes
from workflows.temporal_client import TASK_QUEUE, connect

log = logging.getLogger(__name__)
tracer = trace.get_tracer("bihuan.relay")
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
REFUSALS = frozenset({RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.PERMISSION_DENIED})
TOO_LARGE = "larger than max"  # what gRPC says of a message; else it means too many, for now


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
    async with open_store(options.database_url, "bihuan_reader") as store:
        relaying = asyncio.create_task(Relay(client, options.clock).run(store))
        stopping = asyncio.create_task(stop.wait())
        ready()
        await asyncio.wait({relaying, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if relaying.done():
            relaying.result()
        relaying.cancel()
        await asyncio.gather(relaying, stopping, return_exceptions=True)


class Relay:
    """Starts and signals loops. Delivers at least once; the loops drop what they had."""

    def __init__(self, client: Client, clock: str) -> None:
        self._client = client
        self._clock = clock

    async def run(self, store: EventStore) -> None:
        """Relay without end."""
        wanted = Filter(categories=tuple(CATEGORIES))
        await Subscription(store, "relay", wanted).run_outside(self._handle)

    async def _handle(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            await self.deliver(event)

    async def deliver(self, recorded: RecordedEvent) -> None:
        """Deliver one event to each of its loops, however long Temporal is away; what it refuses for good is
        parked.

        An event of a type that this build does not know waits for another build: order is kept.
        """
        event, attempt, delivered = _event(recorded), 0, set[str]()
        while True:
            try:
                with _trace_of(recorded):
                    event.traceparent = current_traceparent()
                    await self._deliver(event, delivered)
                return
            except (RPCError, UnknownEvent) as error:
                delay = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                log.warning(
                    "event %d not delivered, again in %ss: %s", event.position, delay, error
                )
                attempt += 1
                await asyncio.sleep(delay)

    async def _deliver(self, event: Event, delivered: set[str]) -> None:
        """`delivered` grows by the ids of the workflows that have it: no attempt sends it again."""
        try:
            wanted = routes(event, self._clock)
        except DecodeError as error:
            await self._park(event, f"its payload cannot be read: {error}")
            return
        for to in wanted:
            if to.workflow_id not in delivered:
                await self._deliver_or_park(to, event)
                delivered.add(to.workflow_id)

    async def _deliver_or_park(self, to: Route, event: Event) -> None:
        try:
            await self._send(to, event)
        except RPCError as error:
            if not _refused(error):
                raise
            await self._park(event, error.message)
            if to.signal:
                await self._mention(to, event)

    async def _park(self, event: Event, reason: str) -> None:
        """Leave the event to an operator. RPCError if even that cannot be."""
        to = parked(event, reason)
        log.error("event %d is parked as %s: %s", event.position, to.workflow_id, reason)
        await self._send(to, event)

    async def _mention(self, to: Route, event: Event) -> None:
        """Tell the loop that there was an event: it reads from the service what that did."""
        try:
            await self._send(to, _bare(event))
        except RPCError as error:
            if not _refused(error):
                raise
            log.error("%s cannot be told of event %d: %s", to.workflow_id, event.position, error)

    async def _send(self, to: Route, event: Event) -> None:
        try:
            await self._client.start_workflow(
                to.workflow,
                to.argument,
                id=to.workflow_id,
                task_queue=TASK_QUEUE,
                id_reuse_policy=to.reuse,
                static_summary=to.summary[:200],
                start_signal=to.signal,
                start_signal_args=[_bare(event) if to.bare else event] if to.signal else [],
            )
        except WorkflowAlreadyStartedError:
            log.info("event %d was delivered before: %s", event.position, to.workflow_id)


def _refused(error: RPCError) -> bool:
    """Whether Temporal would refuse it however often it is asked."""
    too_large = error.status == RPCStatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in error.message
    return error.status in REFUSALS or too_large


def _bare(event: Event) -> Event:
    """That there was an event, without what it says."""
    bare = Event()
    bare.CopyFrom(event)
    bare.ClearField("payload")
    return bare


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

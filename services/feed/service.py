"""FeedService: the log as pages, and as a stream without end."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from google.protobuf.any_pb2 import Any as AnyMessage

from bihuan.feed.v1 import feed_service_pb2 as pb
from bihuan.feed.v1 import feed_service_pb2_grpc
from eventstore import EventStore, Filter, PositionBeyondHead, RecordedEvent
from rpc.errors import StatusError, invalid_argument
from rpc.identity import require_unscoped
from services.feed.sight import told

Context: TypeAlias = Any
DEFAULT_PAGE = 100


class FeedService(feed_service_pb2_grpc.FeedServiceServicer):
    """Gives every event to whoever may read the feed, whatever its domain; so to no enterprise."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def ReadEvents(
        self, request: pb.ReadEventsRequest, context: Context
    ) -> pb.ReadEventsResponse:
        require_unscoped()
        try:
            page = await self._store.read(
                request.after_position, request.page_size or DEFAULT_PAGE, _filter(request.filter)
            )
        except PositionBeyondHead as error:
            raise _beyond(error) from error
        return pb.ReadEventsResponse(
            events=[_event(event) for event in page.events],
            next_position=page.next,
            head_position=page.head,
        )

    async def FollowEvents(
        self, request: pb.FollowEventsRequest, context: Context
    ) -> AsyncIterator[pb.FollowEventsResponse]:
        require_unscoped()
        try:
            async for event in self._store.follow(request.after_position, _filter(request.filter)):
                yield pb.FollowEventsResponse(event=_event(event))
        except PositionBeyondHead as error:
            raise _beyond(error) from error


def _filter(wanted: pb.EventFilter) -> Filter:
    return Filter(
        streams=tuple(wanted.streams),
        categories=tuple(wanted.categories),
        types=tuple(wanted.types),
    )


def _event(event: RecordedEvent) -> pb.Event:
    meta = event.metadata
    answer = pb.Event(
        position=event.position or 0,
        id=str(event.id),
        stream=event.stream,
        version=event.version,
        payload=AnyMessage(
            type_url=f"type.googleapis.com/{event.type}", value=told(event.type, event.data)
        ),
        actor=meta.actor,
        correlation_id=str(meta.correlation_id),
        causation_id=str(meta.causation_id or ""),
        traceparent=meta.traceparent,
    )
    answer.record_time.FromDatetime(event.recorded_at)
    return answer


def _beyond(error: PositionBeyondHead) -> StatusError:
    return invalid_argument(
        "POSITION_BEYOND_HEAD",
        str(error),
        [("after_position", f"must be at most {error.head}, the head of the log")],
    )

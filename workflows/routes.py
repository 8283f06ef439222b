"""Which event starts or signals which loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from temporalio.common import WorkflowIDReusePolicy

from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
from bihuan.calendar.v1.calendar_service_pb2 import CalendarPublished
from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.feed.v1.undelivered_event_pb2 import UndeliveredEvent as Undelivered
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from services.events import read


@dataclass(frozen=True)
class Route:
    """Where an event goes: to a running workflow as `signal`, if it takes any; else it starts one.

    reuse: when a workflow that has ended gives way to a new one.
    """

    workflow_id: str
    workflow: str
    argument: Any
    summary: str
    signal: str | None = None
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE


def route(event: Event, clock: str) -> Route | None:
    """The route of `event`, or None if no loop wants it. `clock` is rules.Clock as text.

    Raises UnknownEvent, and DecodeError if the payload is not what its type says.
    """
    to = CATEGORIES.get(event.stream.partition("-")[0])
    return to(event, _messages(event), clock) if to else None


def parked(event: Event, reason: str) -> Route:
    """Where an event goes that cannot go where it should."""
    name = event.payload.TypeName()
    return Route(
        f"undelivered/{event.id}",
        "UndeliveredEvent",
        Undelivered(
            position=event.position, id=event.id, stream=event.stream, type=name, reason=reason
        ),
        f"未送达：{name.rpartition('.')[2]}",
    )


def _problem(event: Event, messages: Sequence[Message], clock: str) -> Route:
    problem = event.stream.removeprefix("rectification.problem-")
    loop = Loop(problem=f"problems/{problem}", clock=clock)
    # A loop that was ended from outside is taken up again; one that came to its end is not, until the
    # problem is reopened.
    summary, reuse = f"续办 {loop.problem}", WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    for message in messages:
        match message:
            case ev.ProblemReported():
                summary = f"{message.enterprise.display_name}：{message.title}"
            case ev.ProblemReopened():
                summary, reuse = "重新整改", WorkflowIDReusePolicy.ALLOW_DUPLICATE
    return Route(f"problem-loop/{problem}", "ProblemLoop", loop, summary, "event", reuse)


def _calendar(event: Event, messages: Sequence[Message], _: str) -> Route | None:
    published = [message for message in messages if isinstance(message, CalendarPublished)]
    if not published:
        return None
    year = published[0].year
    return Route(
        f"calendar-recount/{event.id}",
        "CalendarRecount",
        Recount(year=year, event_id=event.id),
        f"{year}年节假日安排公布，重算期限",
    )


def _messages(event: Event) -> tuple[Message, ...]:
    carried = event.payload
    return read(carried.TypeName(), carried.value, event.stream, event.version, event.position)


CATEGORIES: Mapping[str, Callable[[Event, Sequence[Message], str], Route | None]] = {
    "rectification.problem": _problem,
    "calendar.year": _calendar,
}

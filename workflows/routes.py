"""Which event starts or signals which loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from temporalio.common import WorkflowIDReusePolicy

from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
from bihuan.calendar.v1.calendar_service_pb2 import CalendarPublished
from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop


@dataclass(frozen=True)
class Route:
    """Where an event goes: it starts `workflow` with `argument` if given, and signals it if `signal`."""

    workflow_id: str
    signal: str | None = None
    workflow: str | None = None
    argument: Any = None
    summary: str = ""
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE


def route(event: Event, clock: str) -> Route | None:
    """The route of `event`, or None if no loop wants it. `clock` is rules.Clock as text."""
    category = event.stream.partition("-")[0]
    to = CATEGORIES.get(category)
    return to(event, clock) if to else None


def _problem(event: Event, clock: str) -> Route:
    problem = event.stream.removeprefix("rectification.problem-")
    workflow_id = f"problem-loop/{problem}"
    loop = Loop(problem=f"problems/{problem}", clock=clock)
    match event.payload.TypeName():
        case ev.ProblemReported.DESCRIPTOR.full_name:
            reported = ev.ProblemReported.FromString(event.payload.value)
            summary = f"{reported.enterprise.display_name}：{reported.title}"
            return Route(workflow_id, "event", "ProblemLoop", loop, summary)
        case ev.ProblemReopened.DESCRIPTOR.full_name:
            # After closure the old loop has ended, and a new one takes up the case.
            return Route(
                workflow_id,
                "event",
                "ProblemLoop",
                loop,
                "重新整改",
                WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            )
        case _:
            return Route(workflow_id, "event")


def _calendar(event: Event, _: str) -> Route:
    published = CalendarPublished.FromString(event.payload.value)
    return Route(
        f"calendar-recount/{event.id}",
        workflow="CalendarRecount",
        argument=Recount(year=published.year, event_id=event.id),
        summary=f"{published.year}年节假日安排公布，重算暂定期限",
    )


CATEGORIES: Mapping[str, Callable[[Event, str], Route]] = {
    "rectification.problem": _problem,
    "calendar.year": _calendar,
}

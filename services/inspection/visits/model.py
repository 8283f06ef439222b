"""What may happen to a visit that is no inspection, and what it becomes. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import target_pb2
from bihuan.inspection.v1 import visit_events_pb2 as ev
from bihuan.inspection.v1 import visit_pb2 as pb
from bihuan.inspection.v1 import visit_service_pb2 as rpc_pb
from rpc.errors import StatusError, failed_precondition, invalid_argument
from rules import as_date, legal_date
from services.inspection.days import whole_date

Event: TypeAlias = ev.VisitRegistered | ev.VisitMade | ev.VisitCancelled
State: TypeAlias = pb.VisitState.ValueType
REGISTERED = pb.VISIT_STATE_REGISTERED


@dataclass(frozen=True)
class Visiting:
    """A visit at the moment of a command.

    actor: subject of the identity that acts; now: legal time, UTC; target: the enterprise as the register
    has it, where the visit is about to be registered; inspected: the department inspects it that day.
    """

    visit: pb.Visit
    actor: str
    now: datetime
    target: target_pb2.Target | None = None
    inspected: bool = False

    @property
    def today(self) -> date:
        """The legal date, Asia/Shanghai."""
        return legal_date(self.now)

    @property
    def time(self) -> Timestamp:
        """The legal instant."""
        instant = Timestamp()
        instant.FromDatetime(self.now)
        return instant

    def refuse(self, reason: str, text: str) -> StatusError:
        """FAILED_PRECONDITION with a stable reason, the visit and its state."""
        state = pb.VisitState.Name(self.visit.state)
        return failed_precondition(reason, text, resource=self.visit.name, state=state)


def decide(visiting: Visiting, command: Any) -> list[Event]:
    """What follows from `command`.

    Raises StatusError: FAILED_PRECONDITION for a move that the state or the day forbids; INVALID_ARGUMENT
    naming the field for a bad day.
    """
    allowed, reason = ALLOWED[type(command)]
    if visiting.visit.state != allowed:
        found = pb.VisitState.Name(visiting.visit.state)
        wanted = pb.VisitState.Name(allowed)
        text = f"{visiting.visit.name} is in {found}; this needs {wanted}"
        raise visiting.refuse(reason, text)
    return DECISIONS[type(command)](visiting, command)


def evolve(visit: pb.Visit, event: Event) -> pb.Visit:
    """The visit after `event`. Never fails; `visit` itself is left as it was."""
    after = pb.Visit()
    after.CopyFrom(visit)
    after.update_time.CopyFrom(event.occur_time)
    match event:
        case ev.VisitRegistered():
            _register(after, event)
        case ev.VisitMade():
            after.state = pb.VISIT_STATE_MADE
            after.summary, after.danger_seen = event.summary, event.danger_seen
            after.visit_of_year = event.visit_of_year
            after.make_time.CopyFrom(event.occur_time)
        case ev.VisitCancelled():
            after.state, after.cancel_reason = pb.VISIT_STATE_CANCELLED, event.reason
    return after


def _register(after: pb.Visit, event: ev.VisitRegistered) -> None:
    after.state = REGISTERED
    after.name, after.department, after.target = event.name, event.department, event.target
    after.target_display_name, after.district = event.target_display_name, event.district
    after.purpose, after.subject = event.purpose, event.subject
    after.date.CopyFrom(event.date)
    after.visitors, after.requested = event.visitors, event.requested
    after.registrar = event.actor
    after.register_time.CopyFrom(event.occur_time)


def _registered(visiting: Visiting, command: rpc_pb.RegisterVisitRequest) -> list[Event]:
    """Beforehand, and not on a day of an inspection, whose part it would be (国办发〔2024〕54号: visits other
    than inspections are on record, so that none is inspected in disguise).
    """
    day, target = whole_date(command.date, "date"), visiting.target
    if day < visiting.today:
        raise invalid_argument(
            "VISIT_IN_THE_PAST",
            f"a visit is registered before it is made; {day} is over",
            [("date", "must be today or later")],
        )
    if target is None or target.HasField("remove_time"):
        raise visiting.refuse("NOT_ON_REGISTER", f"{command.target} is not on the register")
    if visiting.inspected:
        raise visiting.refuse(
            "VISIT_ON_INSPECTION_DAY",
            f"on {day} {command.department} inspects {command.target}: what is done there that day is "
            "part of the inspection",
        )
    event = ev.VisitRegistered(
        name=visiting.visit.name,
        department=command.department,
        target=command.target,
        target_display_name=target.display_name,
        district=target.district,
        purpose=command.purpose,
        subject=command.subject,
        date=command.date,
        visitors=command.visitors,
        requested=command.requested,
        actor=visiting.actor,
        occur_time=visiting.time,
    )
    return [event]


def _made(visiting: Visiting, command: rpc_pb.MakeVisitRequest) -> list[Event]:
    visit = visiting.visit
    if visiting.today < as_date(visit.date):
        raise visiting.refuse("VISIT_STILL_TO_COME", f"{visit.name} is on {as_date(visit.date)}")
    event = ev.VisitMade(
        summary=command.summary,
        danger_seen=command.danger_seen,
        year=visit.date.year,
        actor=visiting.actor,
        occur_time=visiting.time,
    )
    return [event]


def _cancelled(visiting: Visiting, command: rpc_pb.CancelVisitRequest) -> list[Event]:
    return [
        ev.VisitCancelled(reason=command.reason, actor=visiting.actor, occur_time=visiting.time)
    ]


# The state in which a command may come, and the reason given in any other.
ALLOWED: dict[type[Any], tuple[State, str]] = {
    rpc_pb.RegisterVisitRequest: (pb.VISIT_STATE_UNSPECIFIED, "ALREADY_REGISTERED"),
    rpc_pb.MakeVisitRequest: (REGISTERED, "NOT_REGISTERED"),
    rpc_pb.CancelVisitRequest: (REGISTERED, "NOT_REGISTERED"),
}
DECISIONS: dict[type[Any], Callable[[Visiting, Any], list[Event]]] = {
    rpc_pb.RegisterVisitRequest: _registered,
    rpc_pb.MakeVisitRequest: _made,
    rpc_pb.CancelVisitRequest: _cancelled,
}

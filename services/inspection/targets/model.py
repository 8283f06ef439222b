"""What may happen to an inspection target: each command by the state and the law of its place. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import target_events_pb2 as ev
from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from rpc.errors import StatusError, failed_precondition, invalid_argument
from rules import Rules, UnknownRule, legal_date
from services.inspection.days import whole_date
from services.inspection.targets import grading
from services.inspection.targets.evolve import Event, evolve, profile_of

UNREGISTERED, LISTED, REMOVED = "UNREGISTERED", "LISTED", "REMOVED"
# The states in which a command may come, and the reason given in any other. A review comes whenever its
# loop sends it.
ALLOWED: dict[type[Any], tuple[tuple[str, ...], str]] = {
    rpc_pb.RegisterTargetRequest: ((UNREGISTERED, REMOVED), "ALREADY_REGISTERED"),
    rpc_pb.UpdateTargetRequest: ((LISTED,), "TARGET_REMOVED"),
    rpc_pb.RemoveTargetRequest: ((LISTED,), "TARGET_REMOVED"),
    rpc_pb.RecordFactRequest: ((LISTED,), "TARGET_REMOVED"),
    rpc_pb.ReviewGradeRequest: ((LISTED, REMOVED), "NOT_REGISTERED"),
}


@dataclass(frozen=True)
class Scene:
    """What a decision depends on besides the target.

    actor: subject of the identity that acts; rules: the law, of any place; now: legal time, UTC.
    """

    actor: str
    rules: Rules
    now: datetime

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


def state_of(target: pb.Target) -> str:
    """UNREGISTERED before its first event, LISTED while it is on the register, REMOVED after."""
    if not target.HasField("register_time"):
        return UNREGISTERED
    return REMOVED if target.HasField("remove_time") else LISTED


def decide(target: pb.Target, command: Any, scene: Scene) -> list[Event]:
    """What follows from `command`, no event if it changes nothing; the grade with it, if that changes.

    Raises StatusError: FAILED_PRECONDITION for what the state forbids, or where the place has no rules to
    grade by (NO_RULE_IN_FORCE); INVALID_ARGUMENT naming the field for a bad one.
    """
    found, (states, reason) = state_of(target), ALLOWED[type(command)]
    if found not in states:
        wanted = " or ".join(states)
        raise _refuse(target, reason, f"{target.name} is {found}; this needs {wanted}")
    try:
        events = DECISIONS[type(command)](target, command, scene)
        for event in events:
            target = evolve(target, event)
        return [*events, *_graded(target, scene)]
    except UnknownRule as error:
        raise _refuse(target, "NO_RULE_IN_FORCE", str(error)) from error


def _register(
    target: pb.Target, command: rpc_pb.RegisterTargetRequest, scene: Scene
) -> list[Event]:
    return [
        ev.TargetRegistered(
            name=target.name,
            profile=command.profile,
            actor=scene.actor,
            register_time=scene.time,
        )
    ]


def _update(target: pb.Target, command: rpc_pb.UpdateTargetRequest, scene: Scene) -> list[Event]:
    if command.profile == profile_of(target):
        return []
    return [ev.TargetUpdated(profile=command.profile, actor=scene.actor, update_time=scene.time)]


def _remove(target: pb.Target, command: rpc_pb.RemoveTargetRequest, scene: Scene) -> list[Event]:
    return [
        ev.TargetRemoved(
            name=target.name, reason=command.reason, actor=scene.actor, remove_time=scene.time
        )
    ]


def _record(target: pb.Target, command: rpc_pb.RecordFactRequest, scene: Scene) -> list[Event]:
    fact, rules, today = command.fact, scene.rules.at(target.district), scene.today
    if whole_date(fact.date, "fact.date") > today:
        raise invalid_argument(
            "FUTURE_DATE",
            f"fact.date is {whole_date(fact.date, 'fact.date')}, and today is {today}",
            [("fact.date", "must not lie in the future")],
        )
    for known in target.facts:
        if known.id == fact.id and known == fact:
            return []
        if known.id == fact.id:
            text = f"another fact of {target.name} has the id {fact.id}"
            raise _refuse(target, "FACT_DIFFERS", text)
    if not grading.known_level(fact, rules, today):
        levels = ", ".join(grading.levels_of(fact.kind, rules, today))
        text = f"the table of points has no level {fact.level} of {grading.factor_of(fact.kind)}"
        raise invalid_argument("UNKNOWN_LEVEL", text, [("fact.level", f"must be one of {levels}")])
    if not grading.weighs(fact, rules, today) and not grading.answers(fact, rules, today):
        text = f"fact {fact.id} neither weighs nor answers anything any more"
        raise _refuse(target, "FACT_LAPSED", text)
    return [
        ev.FactRecorded(
            fact=fact,
            lapsed_facts=grading.lapsed(target, rules, today),
            actor=scene.actor,
            record_time=scene.time,
        )
    ]


def _review(target: pb.Target, command: rpc_pb.ReviewGradeRequest, scene: Scene) -> list[Event]:
    return []


DECISIONS: dict[type[Any], Callable[[pb.Target, Any, Scene], list[Event]]] = {
    rpc_pb.RegisterTargetRequest: _register,
    rpc_pb.UpdateTargetRequest: _update,
    rpc_pb.RemoveTargetRequest: _remove,
    rpc_pb.RecordFactRequest: _record,
    rpc_pb.ReviewGradeRequest: _review,
}


def _graded(target: pb.Target, scene: Scene) -> list[Event]:
    """The grade as of today, if it is on the register and that says anything new."""
    if state_of(target) != LISTED:
        return []
    rules, before = scene.rules.at(target.district), target.grading
    found = grading.grade(target, rules, scene.today)
    found.grade_time.CopyFrom(before.grade_time)
    if found == before:
        return []
    found.grade_time.CopyFrom(scene.time)
    return [
        ev.TargetGraded(
            name=target.name,
            display_name=target.display_name,
            district=target.district,
            old_grade=before.grade,
            old_score=before.score,
            grading=found,
            lapsed_facts=grading.lapsed(target, rules, scene.today),
            actor=scene.actor,
        )
    ]


def _refuse(target: pb.Target, reason: str, text: str) -> StatusError:
    return failed_precondition(reason, text, resource=target.name, state=state_of(target))

"""What a target becomes by what happens to it. Pure, never fails."""

from collections.abc import Collection
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import target_events_pb2 as ev
from bihuan.inspection.v1 import target_pb2 as pb

Event: TypeAlias = (
    ev.TargetRegistered | ev.TargetUpdated | ev.TargetRemoved | ev.FactRecorded | ev.TargetGraded
)


def evolve(target: pb.Target, event: Event) -> pb.Target:
    """The target after `event`; `target` itself is left as it was. One that is registered again keeps the
    facts that it had.
    """
    after = pb.Target()
    after.CopyFrom(target)
    match event:
        case ev.TargetRegistered():
            after.name = event.name
            after.ClearField("remove_time")
            after.register_time.CopyFrom(event.register_time)
            _describe(after, event.profile, event.register_time)
        case ev.TargetUpdated():
            _describe(after, event.profile, event.update_time)
        case ev.TargetRemoved():
            after.remove_time.CopyFrom(event.remove_time)
            after.update_time.CopyFrom(event.remove_time)
        case ev.FactRecorded():
            _keep(after, [*after.facts, event.fact], event.lapsed_facts)
            after.update_time.CopyFrom(event.record_time)
        case ev.TargetGraded():
            _keep(after, list(after.facts), event.lapsed_facts)
            after.grading.CopyFrom(event.grading)
            after.update_time.CopyFrom(event.grading.grade_time)
    return after


def profile_of(target: pb.Target) -> pb.TargetProfile:
    """What is on record of it."""
    fields = pb.TargetProfile.DESCRIPTOR.fields_by_name
    return pb.TargetProfile(**{field: getattr(target, field) for field in fields})


def _describe(after: pb.Target, profile: pb.TargetProfile, time: Timestamp) -> None:
    for field in pb.TargetProfile.DESCRIPTOR.fields_by_name:
        setattr(after, field, getattr(profile, field))
    after.update_time.CopyFrom(time)


def _keep(after: pb.Target, facts: list[pb.Fact], lapsed: Collection[str]) -> None:
    """Of `facts` those that have not lapsed, oldest first."""
    kept = [fact for fact in facts if fact.id not in lapsed]
    kept.sort(key=lambda fact: (fact.date.year, fact.date.month, fact.date.day, fact.id))
    del after.facts[:]
    after.facts.extend(kept)

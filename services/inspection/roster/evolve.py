"""What a department and an inspector become by what happens to them. Pure, never fails."""

from collections.abc import Iterable, MutableSequence
from typing import TypeAlias, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import roster_events_pb2 as ev
from bihuan.inspection.v1 import roster_pb2 as pb

DepartmentEvent: TypeAlias = ev.DepartmentRegistered | ev.DepartmentUpdated | ev.DepartmentDissolved
InspectorEvent: TypeAlias = (
    ev.InspectorRegistered
    | ev.InspectorUpdated
    | ev.CertificateRecorded
    | ev.AbsenceRecorded
    | ev.AbsenceCancelled
    | ev.RecusalRecorded
    | ev.RecusalLifted
    | ev.InspectorRemoved
)
Part = TypeVar("Part")


def evolve_department(department: pb.Department, event: DepartmentEvent) -> pb.Department:
    """The department after `event`; `department` itself is left as it was."""
    after = pb.Department()
    after.CopyFrom(department)
    match event:
        case ev.DepartmentRegistered():
            after.name = event.name
            after.ClearField("dissolve_time")
            after.register_time.CopyFrom(event.register_time)
            _describe(after, event.profile, event.register_time)
        case ev.DepartmentUpdated():
            _describe(after, event.profile, event.update_time)
        case ev.DepartmentDissolved():
            after.dissolve_time.CopyFrom(event.dissolve_time)
            after.update_time.CopyFrom(event.dissolve_time)
    return after


def profile_of(department: pb.Department) -> pb.DepartmentProfile:
    """What is on record of it."""
    fields = pb.DepartmentProfile.DESCRIPTOR.fields_by_name
    return pb.DepartmentProfile(**{field: getattr(department, field) for field in fields})


def evolve_inspector(inspector: pb.Inspector, event: InspectorEvent) -> pb.Inspector:
    """The inspector after `event`; `inspector` itself is left as it was."""
    after = pb.Inspector()
    after.CopyFrom(inspector)
    match event:
        case ev.InspectorRegistered():
            after.name, after.subject = event.name, event.subject
            after.display_name, after.department = event.display_name, event.department
            after.certificates.extend(event.certificates)
            after.register_time.CopyFrom(event.register_time)
            after.update_time.CopyFrom(event.register_time)
        case ev.InspectorUpdated():
            after.display_name = event.display_name
            after.update_time.CopyFrom(event.update_time)
        case ev.InspectorRemoved():
            after.leave_time.CopyFrom(event.leave_time)
            after.update_time.CopyFrom(event.leave_time)
        case _:
            _restrict(after, event)
    return after


def _restrict(after: pb.Inspector, event: InspectorEvent) -> None:
    """What says when and whom the inspector may inspect."""
    match event:
        case ev.CertificateRecorded():
            one = event.certificate
            others = [each for each in after.certificates if not same(each, one)]
            _replace(after.certificates, [*others, one])
            after.update_time.CopyFrom(event.record_time)
        case ev.AbsenceRecorded():
            after.absences.append(event.absence)
            after.update_time.CopyFrom(event.record_time)
        case ev.AbsenceCancelled():
            days = (event.from_date, event.to_date)
            kept = [each for each in after.absences if (each.from_date, each.to_date) != days]
            _replace(after.absences, kept)
            after.update_time.CopyFrom(event.cancel_time)
        case ev.RecusalRecorded():
            after.recusals.append(event.recusal)
            after.update_time.CopyFrom(event.record_time)
        case ev.RecusalLifted():
            kept_away = [each for each in after.recusals if each.enterprise != event.enterprise]
            _replace(after.recusals, kept_away)
            after.update_time.CopyFrom(event.lift_time)


def same(one: pb.Certificate, other: pb.Certificate) -> bool:
    """Whether it is one certificate, however long it is valid."""
    return (one.issuer, one.number) == (other.issuer, other.number)


def _describe(after: pb.Department, profile: pb.DepartmentProfile, time: Timestamp) -> None:
    for field in pb.DepartmentProfile.DESCRIPTOR.fields_by_name:
        setattr(after, field, getattr(profile, field))
    after.update_time.CopyFrom(time)


def _replace(whole: MutableSequence[Part], parts: Iterable[Part]) -> None:
    parts = list(parts)
    del whole[:]
    whole.extend(parts)

"""What may happen to departments and inspectors: each command by the state. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import roster_events_pb2 as ev
from bihuan.inspection.v1 import roster_pb2 as pb
from bihuan.inspection.v1 import roster_service_pb2 as rpc_pb
from rpc.errors import StatusError, failed_precondition, invalid_argument
from services.inspection.days import span
from services.inspection.roster.authority import require_own
from services.inspection.roster.evolve import (
    DepartmentEvent,
    InspectorEvent,
    profile_of,
    same,
)

UNREGISTERED, ACTIVE, ENDED = "UNREGISTERED", "ACTIVE", "ENDED"
# The states in which a command may come, and the reason given in any other.
ALLOWED: dict[type[Any], tuple[tuple[str, ...], str]] = {
    rpc_pb.RegisterDepartmentRequest: ((UNREGISTERED, ENDED), "ALREADY_REGISTERED"),
    rpc_pb.UpdateDepartmentRequest: ((ACTIVE,), "DISSOLVED"),
    rpc_pb.DissolveDepartmentRequest: ((ACTIVE,), "DISSOLVED"),
    rpc_pb.RegisterInspectorRequest: ((UNREGISTERED,), "ALREADY_REGISTERED"),
    rpc_pb.UpdateInspectorRequest: ((ACTIVE,), "LEFT"),
    rpc_pb.RecordCertificateRequest: ((ACTIVE,), "LEFT"),
    rpc_pb.RecordAbsenceRequest: ((ACTIVE,), "LEFT"),
    rpc_pb.CancelAbsenceRequest: ((ACTIVE,), "LEFT"),
    rpc_pb.RecordRecusalRequest: ((ACTIVE,), "LEFT"),
    rpc_pb.LiftRecusalRequest: ((ACTIVE,), "LEFT"),
    rpc_pb.RemoveInspectorRequest: ((ACTIVE,), "LEFT"),
}


@dataclass(frozen=True)
class Scene:
    """What a decision on the roster depends on besides the state.

    actor: subject of the identity that acts; agency: its USCC, empty for none; now: legal time, UTC; other:
    the department that the command names, None if there is none; inspectors and entrusted: how many active
    inspectors the department has, and how many departments inspect in its name.
    """

    actor: str
    agency: str
    now: datetime
    other: pb.Department | None = None
    inspectors: int = 0
    entrusted: int = 0

    @property
    def time(self) -> Timestamp:
        """The legal instant."""
        instant = Timestamp()
        instant.FromDatetime(self.now)
        return instant


def state_of(resource: pb.Department | pb.Inspector) -> str:
    """UNREGISTERED before its first event, ACTIVE, or ENDED: dissolved, or left."""
    if not resource.HasField("register_time"):
        return UNREGISTERED
    if isinstance(resource, pb.Department):
        return ENDED if resource.HasField("dissolve_time") else ACTIVE
    return ENDED if resource.HasField("leave_time") else ACTIVE


def decide_department(
    department: pb.Department, command: Any, scene: Scene
) -> list[DepartmentEvent]:
    """What follows from `command`, no event if it changes nothing. Raises StatusError: PERMISSION_DENIED for
    another's department, FAILED_PRECONDITION for what state or roster forbid, INVALID_ARGUMENT.
    """
    require_own(department.name, scene.agency)
    _require_state(department, command)
    return DEPARTMENT_DECISIONS[type(command)](department, command, scene)


def decide_inspector(inspector: pb.Inspector, command: Any, scene: Scene) -> list[InspectorEvent]:
    """As `decide_department`, for a command on an inspector."""
    registering = isinstance(command, rpc_pb.RegisterInspectorRequest)
    require_own(command.department if registering else inspector.department, scene.agency)
    _require_state(inspector, command)
    return INSPECTOR_DECISIONS[type(command)](inspector, command, scene)


def _register_department(
    department: pb.Department, command: rpc_pb.RegisterDepartmentRequest, scene: Scene
) -> list[DepartmentEvent]:
    _require_power(department, command.profile, scene)
    return [
        ev.DepartmentRegistered(
            name=department.name,
            profile=command.profile,
            actor=scene.actor,
            register_time=scene.time,
        )
    ]


def _update_department(
    department: pb.Department, command: rpc_pb.UpdateDepartmentRequest, scene: Scene
) -> list[DepartmentEvent]:
    if command.profile == profile_of(department):
        return []
    _require_power(department, command.profile, scene)
    return [
        ev.DepartmentUpdated(profile=command.profile, actor=scene.actor, update_time=scene.time)
    ]


def _dissolve_department(
    department: pb.Department, command: rpc_pb.DissolveDepartmentRequest, scene: Scene
) -> list[DepartmentEvent]:
    if scene.inspectors:
        text = f"{scene.inspectors} inspectors are of {department.name}: remove them first"
        raise _refuse(department, "HAS_INSPECTORS", text)
    if scene.entrusted:
        text = f"{scene.entrusted} departments inspect in the name of {department.name}"
        raise _refuse(department, "ENTRUSTS_OTHERS", text)
    return [
        ev.DepartmentDissolved(reason=command.reason, actor=scene.actor, dissolve_time=scene.time)
    ]


def _require_power(department: pb.Department, profile: pb.DepartmentProfile, scene: Scene) -> None:
    """An entrusted one inspects in the name of one that has the power itself (国办发〔2024〕54号)."""
    entrusted = profile.power == pb.POWER_ENTRUSTED
    if entrusted != bool(profile.principal):
        raise invalid_argument(
            "PRINCIPAL_WRONG",
            "an entrusted department has a principal, any other has none",
            [("profile.principal", "goes with POWER_ENTRUSTED")],
        )
    if not entrusted:
        return
    if scene.entrusted:
        text = f"{department.name} entrusts others, so it cannot be entrusted itself"
        raise _refuse(department, "ENTRUSTS_OTHERS", text)
    if scene.other is None or state_of(scene.other) != ACTIVE:
        text = f"{profile.principal} is not on the roster"
        raise _refuse(department, "PRINCIPAL_NOT_REGISTERED", text)
    if scene.other.power == pb.POWER_ENTRUSTED or scene.other.name == department.name:
        text = f"{profile.principal} has no power of its own to entrust"
        raise _refuse(department, "PRINCIPAL_ENTRUSTED", text)


def _register_inspector(
    inspector: pb.Inspector, command: rpc_pb.RegisterInspectorRequest, scene: Scene
) -> list[InspectorEvent]:
    if scene.other is None or state_of(scene.other) != ACTIVE:
        text = f"{command.department} is not on the roster"
        raise _refuse(inspector, "DEPARTMENT_NOT_REGISTERED", text)
    for number, certificate in enumerate(command.certificates):
        field = f"certificates[{number}]"
        span(certificate.from_date, certificate.to_date, field)
        if any(same(each, certificate) for each in command.certificates[:number]):
            text = f"{field} is given twice"
            raise invalid_argument("CERTIFICATE_TWICE", text, [(field, "must be given once")])
    return [
        ev.InspectorRegistered(
            name=inspector.name,
            subject=command.subject,
            display_name=command.display_name,
            department=command.department,
            certificates=command.certificates,
            actor=scene.actor,
            register_time=scene.time,
        )
    ]


def _update_inspector(
    inspector: pb.Inspector, command: rpc_pb.UpdateInspectorRequest, scene: Scene
) -> list[InspectorEvent]:
    if command.display_name == inspector.display_name:
        return []
    return [
        ev.InspectorUpdated(
            display_name=command.display_name, actor=scene.actor, update_time=scene.time
        )
    ]


def _record_certificate(
    inspector: pb.Inspector, command: rpc_pb.RecordCertificateRequest, scene: Scene
) -> list[InspectorEvent]:
    one = command.certificate
    span(one.from_date, one.to_date, "certificate")
    if one in inspector.certificates:
        return []
    return [ev.CertificateRecorded(certificate=one, actor=scene.actor, record_time=scene.time)]


def _record_absence(
    inspector: pb.Inspector, command: rpc_pb.RecordAbsenceRequest, scene: Scene
) -> list[InspectorEvent]:
    absence = command.absence
    span(absence.from_date, absence.to_date, "absence")
    days = [(each.from_date, each.to_date) for each in inspector.absences]
    if (absence.from_date, absence.to_date) in days:
        return []
    return [ev.AbsenceRecorded(absence=absence, actor=scene.actor, record_time=scene.time)]


def _cancel_absence(
    inspector: pb.Inspector, command: rpc_pb.CancelAbsenceRequest, scene: Scene
) -> list[InspectorEvent]:
    first, last = span(command.from_date, command.to_date)
    days = [(each.from_date, each.to_date) for each in inspector.absences]
    if (command.from_date, command.to_date) not in days:
        text = f"no absence from {first} to {last} is on record"
        raise _refuse(inspector, "NO_SUCH_ABSENCE", text)
    return [
        ev.AbsenceCancelled(
            from_date=command.from_date,
            to_date=command.to_date,
            actor=scene.actor,
            cancel_time=scene.time,
        )
    ]


def _record_recusal(
    inspector: pb.Inspector, command: rpc_pb.RecordRecusalRequest, scene: Scene
) -> list[InspectorEvent]:
    if any(each.enterprise == command.recusal.enterprise for each in inspector.recusals):
        return []
    return [ev.RecusalRecorded(recusal=command.recusal, actor=scene.actor, record_time=scene.time)]


def _lift_recusal(
    inspector: pb.Inspector, command: rpc_pb.LiftRecusalRequest, scene: Scene
) -> list[InspectorEvent]:
    if not any(each.enterprise == command.enterprise for each in inspector.recusals):
        text = f"{inspector.name} need not keep away from {command.enterprise}"
        raise _refuse(inspector, "NO_SUCH_RECUSAL", text)
    return [
        ev.RecusalLifted(
            enterprise=command.enterprise,
            reason=command.reason,
            actor=scene.actor,
            lift_time=scene.time,
        )
    ]


def _remove_inspector(
    inspector: pb.Inspector, command: rpc_pb.RemoveInspectorRequest, scene: Scene
) -> list[InspectorEvent]:
    return [ev.InspectorRemoved(reason=command.reason, actor=scene.actor, leave_time=scene.time)]


DEPARTMENT_DECISIONS: dict[
    type[Any], Callable[[pb.Department, Any, Scene], list[DepartmentEvent]]
] = {
    rpc_pb.RegisterDepartmentRequest: _register_department,
    rpc_pb.UpdateDepartmentRequest: _update_department,
    rpc_pb.DissolveDepartmentRequest: _dissolve_department,
}
INSPECTOR_DECISIONS: dict[type[Any], Callable[[pb.Inspector, Any, Scene], list[InspectorEvent]]] = {
    rpc_pb.RegisterInspectorRequest: _register_inspector,
    rpc_pb.UpdateInspectorRequest: _update_inspector,
    rpc_pb.RecordCertificateRequest: _record_certificate,
    rpc_pb.RecordAbsenceRequest: _record_absence,
    rpc_pb.CancelAbsenceRequest: _cancel_absence,
    rpc_pb.RecordRecusalRequest: _record_recusal,
    rpc_pb.LiftRecusalRequest: _lift_recusal,
    rpc_pb.RemoveInspectorRequest: _remove_inspector,
}


def _require_state(resource: pb.Department | pb.Inspector, command: Any) -> None:
    found, (states, reason) = state_of(resource), ALLOWED[type(command)]
    if found not in states:
        wanted = " or ".join(states)
        raise _refuse(resource, reason, f"{resource.name} is {found}; this needs {wanted}")


def _refuse(resource: pb.Department | pb.Inspector, reason: str, text: str) -> StatusError:
    return failed_precondition(reason, text, resource=resource.name, state=state_of(resource))

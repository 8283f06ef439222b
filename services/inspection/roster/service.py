"""RosterService: translates RPCs to commands and queries on departments and inspectors."""

from typing import Any, TypeAlias, get_args

from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from bihuan.inspection.v1 import roster_pb2 as pb
from bihuan.inspection.v1 import roster_service_pb2 as rpc_pb
from bihuan.inspection.v1 import roster_service_pb2_grpc
from eventstore import EventStore
from rpc.errors import StatusError, failed_precondition, not_found
from rpc.identity import current_identity, require_unscoped
from rules import Clock
from services import paging
from services.aggregate import Aggregate, Commands
from services.inspection.roster import views
from services.inspection.roster.evolve import (
    DepartmentEvent,
    InspectorEvent,
    evolve_department,
    evolve_inspector,
)
from services.inspection.roster.model import Scene, decide_department, decide_inspector
from services.masks import masked

Context: TypeAlias = Any

DEPARTMENT = Aggregate(
    category="inspection.department",
    blank=lambda name: pb.Department(name=name),
    evolve=evolve_department,
    events=get_args(DepartmentEvent),
    project=views.project_department,
    key=views.department_key,
)
INSPECTOR = Aggregate(
    category="inspection.inspector",
    blank=lambda name: pb.Inspector(name=name),
    evolve=evolve_inspector,
    events=get_args(InspectorEvent),
    project=views.project_inspector,
)


class RosterService(roster_service_pb2_grpc.RosterServiceServicer):
    """A caller of an agency acts for that department alone; enterprises are told nothing."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._engine = store.engine
        self._departments = Commands(store, DEPARTMENT)
        self._inspectors = Commands(store, INSPECTOR)
        self._clock = clock

    async def RegisterDepartment(
        self, request: rpc_pb.RegisterDepartmentRequest, context: Context
    ) -> pb.Department:
        name = f"departments/{request.uscc}"
        scene = await self._scene(request.profile.principal, name)
        return await self._departments.create(
            name, request, lambda department: decide_department(department, request, scene)
        )

    async def UpdateDepartment(
        self, request: rpc_pb.UpdateDepartmentRequest, context: Context
    ) -> pb.Department:
        return await self._on_department(request, request.profile.principal)

    async def DissolveDepartment(
        self, request: rpc_pb.DissolveDepartmentRequest, context: Context
    ) -> pb.Department:
        return await self._on_department(request)

    async def GetDepartment(
        self, request: rpc_pb.GetDepartmentRequest, context: Context
    ) -> pb.Department:
        require_unscoped()
        async with self._engine.connect() as conn:
            found = await views.department(conn, request.name)
        if found is None:
            raise not_found("bihuan.dev/Department", request.name)
        (department,) = masked(pb.Department, [found], request.read_mask)
        return department

    async def ListDepartments(
        self, request: rpc_pb.ListDepartmentsRequest, context: Context
    ) -> rpc_pb.ListDepartmentsResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            found, more = await views.departments_page(conn, request.filter, paging.span(request))
        return rpc_pb.ListDepartmentsResponse(
            departments=masked(pb.Department, found, request.read_mask),
            next_page_token=paging.token(request, views.key(found[-1])) if more else "",
        )

    async def RegisterInspector(
        self, request: rpc_pb.RegisterInspectorRequest, context: Context
    ) -> pb.Inspector:
        scene = await self._scene(request.department)
        try:
            return await self._inspectors.create(
                f"inspectors/{uuid7()}",
                request,
                lambda inspector: decide_inspector(inspector, request, scene),
            )
        except IntegrityError as error:
            # The transaction saw no other; the index sees those that are recorded at this moment, too.
            if "inspector_of_subject" not in str(error.orig):
                raise
            raise _taken(request.subject) from error

    async def _command(self, request: Any, context: Context) -> pb.Inspector:
        scene = await self._scene()
        return await self._inspectors.execute(
            request.name, request, lambda inspector: decide_inspector(inspector, request, scene)
        )

    UpdateInspector = RecordCertificate = RecordAbsence = CancelAbsence = _command
    RecordRecusal = LiftRecusal = RemoveInspector = _command

    async def GetInspector(
        self, request: rpc_pb.GetInspectorRequest, context: Context
    ) -> pb.Inspector:
        require_unscoped()
        async with self._engine.connect() as conn:
            found = await views.inspector(conn, request.name)
        if found is None:
            raise not_found("bihuan.dev/Inspector", request.name)
        (inspector,) = masked(pb.Inspector, [found], request.read_mask)
        return inspector

    async def ListInspectors(
        self, request: rpc_pb.ListInspectorsRequest, context: Context
    ) -> rpc_pb.ListInspectorsResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            found, more = await views.inspectors_page(conn, request.filter, paging.span(request))
        return rpc_pb.ListInspectorsResponse(
            inspectors=masked(pb.Inspector, found, request.read_mask),
            next_page_token=paging.token(request, views.key(found[-1])) if more else "",
        )

    async def _on_department(self, request: Any, other: str = "") -> pb.Department:
        scene = await self._scene(other, request.name)
        return await self._departments.execute(
            request.name, request, lambda department: decide_department(department, request, scene)
        )

    async def _scene(self, other: str = "", own: str = "") -> Scene:
        """Who acts and when; of the department `other` its state, of `own` what depends on it."""
        require_unscoped()
        caller = current_identity()
        department, dependants = None, (0, 0)
        async with self._engine.connect() as conn:
            if other:
                department = await views.department(conn, other)
            if own:
                dependants = await views.dependants(conn, own)
        now = self._clock.now()
        return Scene(caller.subject, caller.agency, now, department, *dependants)


def _taken(subject: str) -> StatusError:
    text = f"{subject} is an active inspector already, of this department or another"
    return failed_precondition("SUBJECT_TAKEN", text, subject=subject)

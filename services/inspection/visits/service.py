"""VisitService: translates RPCs to commands and queries on visits that are no inspections."""

from typing import Any, TypeAlias, get_args

from uuid_utils.compat import uuid7

from bihuan.inspection.v1 import target_pb2, visit_service_pb2_grpc
from bihuan.inspection.v1 import visit_pb2 as pb
from bihuan.inspection.v1 import visit_service_pb2 as rpc_pb
from eventstore import EventStore
from rpc.errors import failed_precondition, not_found
from rpc.identity import current_identity, require_unscoped
from rules import Clock
from services import paging
from services.aggregate import Aggregate, Commands
from services.inspection.days import whole_date
from services.inspection.roster import views as roster
from services.inspection.roster.authority import require_own
from services.inspection.statistics import tally
from services.inspection.targets import views as targets
from services.inspection.visits import numbers, views
from services.inspection.visits.model import Event, Visiting, decide, evolve
from services.masks import masked

Context: TypeAlias = Any

VISIT = Aggregate(
    category="inspection.visit",
    blank=lambda name: pb.Visit(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=views.project,
    stamp=numbers.stamp,
)


class VisitService(visit_service_pb2_grpc.VisitServiceServicer):
    """A department registers and makes its own visits; whoever reads sees everybody's, but no enterprise."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._engine = store.engine
        self._commands = Commands(store, VISIT)
        self._clock = clock

    async def RegisterVisit(
        self, request: rpc_pb.RegisterVisitRequest, context: Context
    ) -> pb.Visit:
        require_unscoped()
        require_own(request.department, current_identity().agency)
        day = whole_date(request.date, "date")
        async with self._engine.connect() as conn:
            department = await roster.department(conn, request.department)
            if department is None or department.HasField("dissolve_time"):
                raise failed_precondition(
                    "NOT_A_DEPARTMENT",
                    f"{request.department} is no department that inspects",
                    resource=request.department,
                )
            target = await targets.target(conn, request.target)
            inspected = await tally.inspects(conn, request.department, request.target, day)
        return await self._commands.create(
            f"visits/{uuid7()}",
            request,
            lambda visit: decide(self._visiting(visit, target, inspected=inspected), request),
        )

    async def _command(self, request: Any, context: Context) -> pb.Visit:
        found = await self._found(request.name)
        require_own(found.department, current_identity().agency)
        return await self._commands.execute(
            request.name, request, lambda visit: decide(self._visiting(visit), request)
        )

    MakeVisit = CancelVisit = _command

    async def GetVisit(self, request: rpc_pb.GetVisitRequest, context: Context) -> pb.Visit:
        (visit,) = masked(pb.Visit, [await self._found(request.name)], request.read_mask)
        return visit

    async def ListVisits(
        self, request: rpc_pb.ListVisitsRequest, context: Context
    ) -> rpc_pb.ListVisitsResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            found, more = await views.page(conn, request.filter, paging.span(request))
        token = paging.token(request, views.key(found[-1])) if more else ""
        visits = masked(pb.Visit, found, request.read_mask)
        return rpc_pb.ListVisitsResponse(visits=visits, next_page_token=token)

    async def _found(self, name: str) -> pb.Visit:
        require_unscoped()
        async with self._engine.connect() as conn:
            visit = await views.get(conn, name)
        if visit is None:
            raise not_found("bihuan.dev/Visit", name)
        return visit

    def _visiting(
        self,
        visit: pb.Visit,
        target: target_pb2.Target | None = None,
        *,
        inspected: bool = False,
    ) -> Visiting:
        actor, now = current_identity().subject, self._clock.now()
        return Visiting(visit, actor, now, target, inspected)

"""DrawService: translates RPCs to commands and queries on draws."""

from typing import Any, TypeAlias, get_args

from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from bihuan.inspection.v1 import draw_pb2 as pb
from bihuan.inspection.v1 import draw_service_pb2 as rpc_pb
from bihuan.inspection.v1 import draw_service_pb2_grpc, roster_pb2, target_pb2
from bihuan.inspection.v1.target_service_pb2 import TargetFilter
from eventstore import EventStore
from rpc.errors import failed_precondition, not_found
from rpc.identity import current_identity, require_unscoped
from rules import Clock
from services import paging
from services.aggregate import Aggregate, Commands
from services.calendar.shelf import CalendarShelf
from services.inspection.draws import views
from services.inspection.draws.evolve import Event, evolve
from services.inspection.draws.key import DrawKey
from services.inspection.draws.model import MOST_CANDIDATES, Drawing, Known, decide
from services.inspection.roster import views as roster
from services.inspection.roster.authority import require_own
from services.inspection.targets import views as targets
from services.masks import masked

Context: TypeAlias = Any

DRAW = Aggregate(
    category="inspection.draw",
    blank=lambda name: pb.Draw(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=views.project,
)
PAGE = 1000


class DrawService(draw_service_pb2_grpc.DrawServiceServicer):
    """A caller of an agency acts for that department alone, witnesses aside; enterprises are told nothing."""

    def __init__(self, store: EventStore, shelf: CalendarShelf, clock: Clock, key: DrawKey) -> None:
        self._engine = store.engine
        self._commands = Commands(store, DRAW)
        self._shelf = shelf
        self._clock = clock
        self._key = key

    async def CommitDraw(self, request: rpc_pb.CommitDrawRequest, context: Context) -> pb.Draw:
        require_unscoped()
        require_own(request.department, current_identity().agency)
        async with self._engine.connect() as conn:
            department = await _department(conn, request.department)
            known = Known(
                department,
                await _candidates(conn, request, department),
                await roster.inspectors_of(conn, department.name),
            )
        name = f"draws/{uuid7()}"
        secrets = self._key.secrets(name)
        return await self._commands.create(
            name, request, lambda draw: decide(self._drawing(draw, secrets, known), request)
        )

    async def Contribute(self, request: rpc_pb.ContributeRequest, context: Context) -> pb.Draw:
        require_unscoped()
        return await self._execute(request)

    async def MakeDraw(self, request: rpc_pb.MakeDrawRequest, context: Context) -> pb.Draw:
        await self._require_own(request.name)
        return await self._execute(request, self._key.secrets(request.name))

    async def VoidDraw(self, request: rpc_pb.VoidDrawRequest, context: Context) -> pb.Draw:
        await self._require_own(request.name)
        return await self._execute(request)

    async def GetDraw(self, request: rpc_pb.GetDrawRequest, context: Context) -> pb.Draw:
        require_unscoped()
        found, version = await self._commands.get(request.name)
        if not version:
            raise not_found("bihuan.dev/Draw", request.name)
        (draw,) = masked(pb.Draw, [found], request.read_mask)
        return draw

    async def ListDraws(
        self, request: rpc_pb.ListDrawsRequest, context: Context
    ) -> rpc_pb.ListDrawsResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            found, more = await views.page(conn, request.filter, paging.span(request))
        token = paging.token(request, views.key(found[-1])) if more else ""
        draws = masked(pb.Draw, found, request.read_mask)
        return rpc_pb.ListDrawsResponse(draws=draws, next_page_token=token)

    async def _execute(self, request: Any, secrets: list[bytes] | None = None) -> pb.Draw:
        return await self._commands.execute(
            request.name, request, lambda draw: decide(self._drawing(draw, secrets or []), request)
        )

    def _drawing(self, draw: pb.Draw, secrets: list[bytes], known: Known | None = None) -> Drawing:
        rules = self._shelf.rules.at(known.department.district) if known else self._shelf.rules
        actor, now = current_identity().subject, self._clock.now()
        return Drawing(draw, actor, rules, now, secrets, known)

    async def _require_own(self, name: str) -> None:
        require_unscoped()
        async with self._engine.connect() as conn:
            draw = await views.get(conn, name)
        if draw is None:
            raise not_found("bihuan.dev/Draw", name)
        require_own(draw.department, current_identity().agency)


async def _candidates(
    conn: AsyncConnection,
    request: rpc_pb.CommitDrawRequest,
    department: roster_pb2.Department,
) -> dict[str, target_pb2.Target]:
    """What the register has of those named, or everybody whom the filter finds, or one too many."""
    if request.candidates:
        return await targets.targets(conn, [each.enterprise for each in request.candidates])
    wanted = TargetFilter(
        district=request.filter.district or department.district,
        grades=request.filter.grades,
        industry=request.filter.industry,
        key_unit=request.filter.key_unit,
    )
    found: dict[str, target_pb2.Target] = {}
    part = paging.Span(PAGE, None)
    more = request.HasField("filter")
    while more and len(found) <= MOST_CANDIDATES:
        page, more = await targets.page(conn, wanted, part)
        found |= {each.name.removeprefix("targets/"): each for each in page}
        part = paging.Span(PAGE, targets.key(page[-1])) if page else part
    return found


async def _department(conn: AsyncConnection, name: str) -> roster_pb2.Department:
    department = await roster.department(conn, name)
    if department is None:
        raise not_found("bihuan.dev/Department", name)
    if department.HasField("dissolve_time"):
        text = f"{name} inspects no more"
        raise failed_precondition("DEPARTMENT_DISSOLVED", text, resource=name)
    return department

"""TargetService: translates RPCs to commands and queries on inspection targets."""

import asyncio
from typing import Any, TypeAlias, get_args
from uuid import UUID, uuid5

from google.rpc import code_pb2

from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from bihuan.inspection.v1 import target_service_pb2_grpc
from eventstore import EventStore
from rpc.errors import StatusError, not_found
from rpc.identity import current_identity, require_unscoped
from rules import Clock
from services import paging
from services.aggregate import Aggregate, Commands
from services.calendar.shelf import CalendarShelf
from services.inspection.targets import views
from services.inspection.targets.evolve import Event, evolve
from services.inspection.targets.model import Scene, decide
from services.masks import masked

Context: TypeAlias = Any

TARGET = Aggregate(
    category="inspection.target",
    blank=lambda name: pb.Target(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=views.project,
    key=views.key_of,
)
# So many entries of a batch are registered at a time: each has a connection of its own.
AT_ONCE = 4
# What a batch says of an entry, and goes on; whatever else ends it.
OF_ENTRY = frozenset({code_pb2.FAILED_PRECONDITION, code_pb2.ALREADY_EXISTS})


class TargetService(target_service_pb2_grpc.TargetServiceServicer):
    """The register is the city's: any department's planner keeps it. Enterprises are told nothing."""

    def __init__(self, store: EventStore, shelf: CalendarShelf, clock: Clock) -> None:
        self._engine = store.engine
        self._commands = Commands(store, TARGET)
        self._shelf = shelf
        self._clock = clock

    async def RegisterTarget(
        self, request: rpc_pb.RegisterTargetRequest, context: Context
    ) -> pb.Target:
        scene = self._scene()
        return await self._commands.create(
            f"targets/{request.uscc}", request, lambda target: decide(target, request, scene)
        )

    async def BatchRegisterTargets(
        self, request: rpc_pb.BatchRegisterTargetsRequest, context: Context
    ) -> rpc_pb.BatchRegisterTargetsResponse:
        batch, few = UUID(request.request_id), asyncio.Semaphore(AT_ONCE)

        async def register(
            entry: rpc_pb.BatchRegisterTargetsRequest.Entry,
        ) -> rpc_pb.BatchRegisterTargetsResponse.Result:
            one = rpc_pb.RegisterTargetRequest(
                request_id=str(uuid5(batch, entry.uscc)), uscc=entry.uscc, profile=entry.profile
            )
            result = rpc_pb.BatchRegisterTargetsResponse.Result(target=f"targets/{entry.uscc}")
            async with few:
                try:
                    result.grade = (await self.RegisterTarget(one, context)).grading.grade
                except StatusError as error:
                    if error.code not in OF_ENTRY:
                        raise
                    result.refusal = error.reason
            return result

        results = await asyncio.gather(*(register(entry) for entry in request.entries))
        return rpc_pb.BatchRegisterTargetsResponse(results=results)

    async def _command(self, request: Any, context: Context) -> pb.Target:
        scene = self._scene()
        return await self._commands.execute(
            request.name, request, lambda target: decide(target, request, scene)
        )

    UpdateTarget = RemoveTarget = RecordFact = ReviewGrade = _command

    async def GetTarget(self, request: rpc_pb.GetTargetRequest, context: Context) -> pb.Target:
        require_unscoped()
        async with self._engine.connect() as conn:
            found = await views.target(conn, request.name)
        if found is None:
            raise not_found("bihuan.dev/Target", request.name)
        (target,) = masked(pb.Target, [found], request.read_mask)
        return target

    async def ListTargets(
        self, request: rpc_pb.ListTargetsRequest, context: Context
    ) -> rpc_pb.ListTargetsResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            found, more = await views.page(conn, request.filter, paging.span(request))
        return rpc_pb.ListTargetsResponse(
            targets=masked(pb.Target, found, request.read_mask),
            next_page_token=paging.token(request, views.key(found[-1])) if more else "",
        )

    async def CountTargets(
        self, request: rpc_pb.CountTargetsRequest, context: Context
    ) -> rpc_pb.CountTargetsResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            return await views.counts(conn, request.filter)

    def _scene(self) -> Scene:
        require_unscoped()
        return Scene(current_identity().subject, self._shelf.rules, self._clock.now())

"""PlanService: translates RPCs to commands and queries on plans."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, get_args
from uuid import NAMESPACE_URL, uuid5

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from bihuan.inspection.v1 import draw_pb2, plan_service_pb2_grpc, roster_pb2
from bihuan.inspection.v1 import plan_events_pb2 as ev
from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from eventstore import EventStore
from rpc.errors import failed_precondition, not_found
from rpc.identity import current_identity, require_unscoped
from rules import ITEMS, Clock, UnknownRule, legal_date
from services import paging
from services.aggregate import Aggregate, Commands
from services.calendar.shelf import CalendarShelf
from services.inspection.draws.service import DRAW
from services.inspection.plans import views
from services.inspection.plans.caps import counted_kinds
from services.inspection.plans.checks import Known, Targets
from services.inspection.plans.evolve import Event, evolve
from services.inspection.plans.model import Planning, beyond_caps, decide, refuse_faults
from services.inspection.roster.authority import require_own
from services.inspection.roster.views import authority_of, in_name_of
from services.inspection.roster.views import department as department_of
from services.inspection.targets.views import targets as targets_of
from services.masks import masked

Context: TypeAlias = Any

PLAN = Aggregate(
    category="inspection.plan",
    blank=lambda name: pb.Plan(name=name),
    evolve=evolve,
    events=get_args(Event),
    project=views.project,
    answer=views.without_tasks,
)
MOST_NAMED = 5  # tasks that hold up a withdrawal


class PlanService(plan_service_pb2_grpc.PlanServiceServicer):
    """A caller of an agency acts for that department alone; enterprises are told nothing."""

    def __init__(self, store: EventStore, shelf: CalendarShelf, clock: Clock) -> None:
        self._engine = store.engine
        self._commands = Commands(store, replace(PLAN, stamp=self._stamp))
        self._draws = Commands(store, DRAW)
        self._shelf = shelf
        self._clock = clock

    async def CreatePlan(self, request: rpc_pb.CreatePlanRequest, context: Context) -> pb.Plan:
        require_unscoped()
        require_own(request.department, current_identity().agency)
        name = f"plans/{uuid7()}"
        async with self._engine.connect() as conn:
            department = await _department(conn, request.department)
            if request.kind == pb.PLAN_KIND_YEARLY:
                # Of one department and year there is one, under one name: whoever is second finds the first.
                before = await views.withdrawn(conn, request.department, request.year)
                whose = f"bihuan:{request.department}/plans/{request.year}/{before}"
                name = f"plans/{uuid5(NAMESPACE_URL, whose)}"
        if department.HasField("dissolve_time"):
            raise failed_precondition(
                "DEPARTMENT_DISSOLVED",
                f"{department.name} inspects no more",
                resource=department.name,
            )
        known = Known(department)
        return await self._commands.create(
            name, request, lambda plan: decide(self._planning(plan, known), request)
        )

    async def _command(self, request: Any, context: Context) -> pb.Plan:
        known = await self._known(request)
        return await self._commands.execute(
            request.name, request, lambda plan: decide(self._planning(plan, known), request)
        )

    AddTasks = RemoveTasks = SubmitPlan = ReturnPlan = ApprovePlan = _command
    PublishPlan = WithdrawPlan = ExpirePlanDeadline = _command

    async def RecountPlanDeadline(
        self, request: rpc_pb.RecountPlanDeadlineRequest, context: Context
    ) -> pb.Plan:
        if request.calendar_year:
            await self._shelf.require(request.calendar_year)
        return await self._command(request, context)

    async def GetPlan(self, request: rpc_pb.GetPlanRequest, context: Context) -> pb.Plan:
        require_unscoped()
        async with self._engine.connect() as conn:
            found = await _plan(conn, request.name)
        (plan,) = masked(pb.Plan, [found], request.read_mask)
        return plan

    async def ListPlans(
        self, request: rpc_pb.ListPlansRequest, context: Context
    ) -> rpc_pb.ListPlansResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            found, more = await views.page(conn, request.filter, paging.span(request))
        token = paging.token(request, views.key(found[-1])) if more else ""
        plans = masked(pb.Plan, found, request.read_mask)
        return rpc_pb.ListPlansResponse(plans=plans, next_page_token=token)

    async def ListTasks(
        self, request: rpc_pb.ListTasksRequest, context: Context
    ) -> rpc_pb.ListTasksResponse:
        require_unscoped()
        async with self._engine.connect() as conn:
            found, more = await views.task_page(conn, request.filter, paging.span(request))
        token = paging.token(request, views.task_key(found[-1])) if more else ""
        tasks = masked(pb.PlannedTask, found, request.read_mask)
        return rpc_pb.ListTasksResponse(tasks=tasks, next_page_token=token)

    async def ListItems(
        self, request: rpc_pb.ListItemsRequest, context: Context
    ) -> rpc_pb.ListItemsResponse:
        rules, today = self._shelf.rules.at(request.district), legal_date(self._clock.now())
        try:
            listed, rule = rules.items(today), rules.reference(ITEMS, today)
        except UnknownRule as error:
            raise failed_precondition("NO_RULE_IN_FORCE", str(error)) from error
        items = [
            rpc_pb.PublishedItem(
                id=each.id,
                display_name=each.name,
                field=each.field,
                industries=each.industries,
                answered_by=each.answered_by,
                answer_days=each.answer_days,
                standard=each.standard,
                basis=each.basis,
            )
            for each in listed.values()
            if request.field in ("", each.field)
        ]
        return rpc_pb.ListItemsResponse(items=items, rule=rule)

    def _planning(self, plan: pb.Plan, known: Known) -> Planning:
        """The plan at this moment, under the law of the department's place."""
        rules = self._shelf.rules.at(plan.district or known.department.district)
        return Planning(plan, current_identity().subject, rules, self._clock.now(), known)

    async def _known(self, command: Any) -> Known:
        """What the command is decided by. PERMISSION_DENIED if the caller is of another department, or held
        to an enterprise.
        """
        require_unscoped()
        async with self._engine.connect() as conn:
            plan = await _plan(conn, command.name)
            require_own(plan.department, current_identity().agency)
            department = await _department(conn, plan.department)
            match command:
                case rpc_pb.AddTasksRequest():
                    tasks: Sequence[pb.Task] = command.tasks
                    elsewhere: Mapping[str, int] = {}
                case rpc_pb.SubmitPlanRequest():
                    tasks = await views.tasks_of(conn, plan.name)
                    elsewhere = await self._elsewhere(conn, plan, department)
                case _:
                    return Known(department)
            register = await _targets(conn, tasks)
            return Known(department, register, elsewhere, await self._drawn(conn, plan, tasks))

    async def _elsewhere(
        self, conn: AsyncConnection, plan: pb.Plan, department: roster_pb2.Department
    ) -> Mapping[str, int]:
        """What counts towards the caps of other plans of the department, of its principal, and of all who are
        entrusted by either: they inspect in one name.
        """
        today = legal_date(self._clock.now())
        try:
            counted = counted_kinds(self._shelf.rules.at(plan.district), today)
        except UnknownRule:
            return {}  # the decision finds that, too, and refuses
        together = await in_name_of(conn, authority_of(department))
        return await views.elsewhere(conn, plan, counted, together)

    async def _drawn(
        self, conn: AsyncConnection, plan: pb.Plan, tasks: Iterable[pb.Task]
    ) -> dict[str, set[str]]:
        """Of those draws that the department has made which enterprises they chose."""
        found = {}
        for name in {task.draw for task in tasks} - {""}:
            draw, _ = await self._draws.load(conn, name)
            if draw.department == plan.department and draw.state == draw_pb2.DRAW_STATE_DRAWN:
                found[name] = {lot.enterprise for lot in draw.lots}
        return found

    async def _stamp(
        self, conn: AsyncConnection, plan: pb.Plan, events: Sequence[Message]
    ) -> Sequence[Message]:
        """Refuses, in the transaction of the events, what others did meanwhile makes impossible."""
        for event in events:
            if isinstance(event, ev.PlanSubmitted):
                await self._require_caps(conn, event)
            elif isinstance(event, ev.PlanWithdrawn):
                await _require_untaken(conn, event)
        return events

    async def _require_caps(self, conn: AsyncConnection, event: ev.PlanSubmitted) -> None:
        """Two plans submitted at once must not break a cap together: the second one sees the first."""
        department = await _department(conn, event.department)
        await views.lock(conn, authority_of(department), event.year)
        plan = await _plan(conn, event.name)
        plan.tasks.extend(await views.tasks_of(conn, event.name))
        known = Known(
            department,
            await _targets(conn, plan.tasks),
            await self._elsewhere(conn, plan, department),
        )
        refuse_faults(plan, beyond_caps(self._planning(plan, known)))


async def _require_untaken(conn: AsyncConnection, event: ev.PlanWithdrawn) -> None:
    taken = await views.claimed(conn, event.name, MOST_NAMED)
    if taken:
        raise failed_precondition(
            "TASKS_TAKEN",
            f"tasks of {event.name} are in inspections, among them {', '.join(taken)}",
            resource=event.name,
        )


async def _plan(conn: AsyncConnection, name: str) -> pb.Plan:
    plan = await views.get(conn, name)
    if plan is None:
        raise not_found("bihuan.dev/Plan", name)
    return plan


async def _department(conn: AsyncConnection, name: str) -> roster_pb2.Department:
    department = await department_of(conn, name)
    if department is None:
        raise not_found("bihuan.dev/Department", name)
    return department


async def _targets(conn: AsyncConnection, tasks: Iterable[pb.Task]) -> Targets:
    usccs = {task.enterprise for task in tasks}
    found = await targets_of(conn, sorted(usccs))
    return {uscc: found.get(uscc) for uscc in usccs}

"""Makes inspections of the open tasks of all departments: merged, and many to a transaction.

A city's year is ten thousand inspections and more, too many for one command after another. Each is decided
by itself, as OpenInspection decides; what is recorded is the same, save that one transaction holds many. A
name follows from the request and the tasks, and what was opened has taken its tasks: the same call again,
after an interruption, goes on with what is left.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeAlias
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2
from rpc.errors import StatusError, failed_precondition
from rpc.identity import current_identity, require_unscoped
from rules import UnknownRule, legal_date
from rules.deadline import as_message
from services.inspection.days import span
from services.inspection.inspections import merging, views
from services.inspection.inspections.decide import decide
from services.inspection.inspections.desk import InspectionDesk
from services.inspection.inspections.evolve import Event
from services.inspection.inspections.merging import PlannedVisit, Visit
from services.inspection.inspections.opening import kind_of
from services.inspection.inspections.proceeding import Known, Task
from services.inspection.plans import views as plans
from services.inspection.roster import views as roster
from services.inspection.targets.views import targets

AT_ONCE = 250  # inspections to a transaction
TURN = 10  # inspections decided before other calls get their turn
PAUSE_SECONDS = 0.1  # between two answers, at least


Decided: TypeAlias = dict[str, list[Event]]
"""What opens an inspection, by the inspection's name."""


class Planned(NamedTuple):
    """Open tasks as merging looks at them, and as decisions do, by name."""

    visits: list[PlannedVisit]
    tasks: dict[str, Task]


@dataclass
class Tally:
    """How far a distribution has come."""

    tasks: int = 0
    visits: int = 0
    joint: int = 0
    opened: int = 0
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)

    def refuse(self, reason: str, text: str) -> None:
        """One visit more that cannot be opened."""
        count, example = self.refused.get(reason, (0, text))
        self.refused[reason] = count + 1, example

    def answer(self) -> rpc_pb.DistributeTasksResponse:
        """As it is told."""
        return rpc_pb.DistributeTasksResponse(
            task_count=self.tasks,
            visit_count=self.visits,
            joint_count=self.joint,
            opened_count=self.opened,
            saved_count=self.tasks - self.visits,
            refused=[
                rpc_pb.DistributeTasksResponse.Refused(
                    reason=reason, visit_count=count, example=example
                )
                for reason, (count, example) in sorted(self.refused.items())
            ],
        )


async def distribute(
    desk: InspectionDesk, request: rpc_pb.DistributeTasksRequest
) -> AsyncIterator[rpc_pb.DistributeTasksResponse]:
    """Open what the open tasks come to; answers how far it has come, the last one in all. PERMISSION_DENIED
    for whoever is held to an enterprise.
    """
    require_unscoped()
    days = span(request.from_date, request.to_date)
    visits, planned = await _merged(desk, request, days)
    tally = Tally(
        tasks=len(planned.tasks),
        visits=len(visits),
        joint=sum(len(visit.departments) > 1 for visit in visits),
    )
    if not request.validate_only:
        departments = await _departments(desk, planned)
        told = time.monotonic()
        recording: asyncio.Task[None] | None = None
        try:
            for first in range(0, len(visits), AT_ONCE):
                part = visits[first : first + AT_ONCE]
                decided = await _decided(desk, request, part, planned.tasks, departments, tally)
                # The next ones are decided while the database records these.
                if recording:
                    await recording
                recording = asyncio.create_task(_record(desk, request, decided, tally))
                if time.monotonic() - told >= PAUSE_SECONDS:
                    yield tally.answer()
                    told = time.monotonic()
        finally:
            if recording:
                await recording
    yield tally.answer()


async def _merged(
    desk: InspectionDesk, request: rpc_pb.DistributeTasksRequest, days: tuple[date, date]
) -> tuple[list[Visit], Planned]:
    today = legal_date(desk.clock.now())
    try:
        merge_days = desk.shelf.rules.at(request.district).number("inspection.merge_days", today)
    except UnknownRule as error:
        raise failed_precondition("NO_RULE_IN_FORCE", str(error)) from error
    async with desk.store.engine.connect() as conn:
        found = await plans.open_tasks(conn, *days, request.district)
    # In a thread, as sorting a city's year takes a second that other calls have a use for.
    planned = await asyncio.to_thread(_planned, found, days)
    visits = await asyncio.to_thread(merging.merge, planned.visits, merge_days, today)
    return visits, planned


def _planned(found: Iterable[plans.OpenTask], days: tuple[date, date]) -> Planned:
    begin = [each for each in found if days[0] <= each.first <= days[1]]
    visits = [
        PlannedVisit(
            each.name,
            each.department,
            each.enterprise,
            each.first,
            each.last,
            tuple(each.items),
            each.statutory,
            each.alone,
        )
        for each in begin
    ]
    return Planned(visits, {each.name: _task(each) for each in begin})


def _task(found: plans.OpenTask) -> Task:
    task = plan_pb2.Task(
        id=found.name.rpartition("/")[2],
        enterprise=found.enterprise,
        items=found.items,
        from_date=as_message(found.first),
        to_date=as_message(found.last),
        statutory=found.statutory,
        alone=found.alone,
    )
    return Task(found.name, found.department, plan_pb2.Kind.ValueType(found.kind), task)


async def _departments(
    desk: InspectionDesk, planned: Planned
) -> Mapping[str, roster_pb2.Department]:
    async with desk.store.engine.connect() as conn:
        names = {each.department for each in planned.visits}
        found = [await roster.department(conn, name) for name in sorted(names)]
    return {each.name: each for each in found if each is not None}


async def _decided(
    desk: InspectionDesk,
    request: rpc_pb.DistributeTasksRequest,
    visits: Sequence[Visit],
    tasks: Mapping[str, Task],
    departments: Mapping[str, roster_pb2.Department],
    tally: Tally,
) -> Decided:
    """What opens these visits, by name; those that are refused are in the tally."""
    async with desk.store.engine.connect() as conn:
        register = await targets(conn, {visit.enterprise for visit in visits})
    decided: Decided = {}
    for number, visit in enumerate(visits):
        if number % TURN == 0:
            await asyncio.sleep(0)
        target = register.get(visit.enterprise)
        known = Known(
            target=target,
            departments=departments,
            tasks={each.name: tasks[each.name] for each in visit.tasks},
        )
        name = _name(request, visit)
        district = target.district if target else ""
        p = desk.proceeding(pb.Inspection(name=name), known, district)
        try:
            decided[name] = decide(p, _command(visit, known.tasks))
        except StatusError as error:
            tally.refuse(error.reason, error.message)
    return decided


def _command(visit: Visit, tasks: Mapping[str, Task]) -> rpc_pb.OpenInspectionRequest:
    """What a planner would ask for, the lead first."""
    by_department: defaultdict[str, list[str]] = defaultdict(list)
    for each in visit.tasks:
        by_department[each.department].append(each.name)
    lead = merging.lead(visit.tasks)
    order = sorted(by_department, key=lambda department: (department != lead, department))
    return rpc_pb.OpenInspectionRequest(
        kind=kind_of(each.kind for each in tasks.values()),
        enterprise=visit.enterprise,
        from_date=as_message(visit.window.first),
        to_date=as_message(visit.window.last),
        participants=[
            rpc_pb.OpenInspectionRequest.Draft(
                department=department, tasks=by_department[department]
            )
            for department in order
        ],
    )


async def _record(
    desk: InspectionDesk,
    request: rpc_pb.DistributeTasksRequest,
    decided: Decided,
    tally: Tally,
) -> None:
    if not decided:
        return
    async with desk.store.engine.begin() as conn:
        await _take(conn, decided, tally)
        made = await desk.commands.create_many(conn, request, decided)
        await views.write(conn, made)
        # Opened by this very call before, and called off since: no second one has its name.
        for name in decided.keys() - {each.name for each in made}:
            await plans.release(conn, _tasks(decided[name]), name)
            tally.refuse("ALREADY_OPENED", f"{name} was opened by this request")
    tally.opened += len(made)
    desk.store.announce()


async def _take(conn: AsyncConnection, decided: Decided, tally: Tally) -> None:
    """Take the tasks; those whose tasks others took meanwhile are left out of `decided`."""
    claims = {task: name for name, events in decided.items() for task in _tasks(events)}
    gone = await plans.take_each(conn, claims)
    for name in {claims[task] for task in gone}:
        await plans.release(conn, _tasks(decided.pop(name)), name)
        tally.refuse("TASK_NOT_OPEN", f"a task of {name} was taken meanwhile")


def _tasks(events: Iterable[Event]) -> list[str]:
    return [
        task
        for event in events
        if isinstance(event, ev.InspectionOpened)
        for each in event.participants
        for task in each.tasks
    ]


def _name(request: rpc_pb.DistributeTasksRequest, visit: Visit) -> str:
    """The same for the same tasks of the same caller's request."""
    tasks = " ".join(sorted(task.name for task in visit.tasks))
    whose = f"{current_identity().subject}/{request.request_id}"
    return f"inspections/{uuid5(NAMESPACE_URL, f'bihuan:distribution/{whose}/{tasks}')}"

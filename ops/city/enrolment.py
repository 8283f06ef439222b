"""Puts a synthetic city on a running stack, through gRPC alone: departments, inspectors, targets, plans."""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from datetime import date
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

import grpc.aio
from google.type.date_pb2 import Date

from bihuan.inspection.v1 import (
    inspection_service_pb2,
    inspection_service_pb2_grpc,
    plan_pb2,
    plan_service_pb2,
    plan_service_pb2_grpc,
    roster_pb2,
    roster_service_pb2,
    roster_service_pb2_grpc,
    target_pb2,
    target_service_pb2,
    target_service_pb2_grpc,
)
from ops.city import assumptions as given
from ops.city.generator import City, Department
from ops.persist import persist
from rpc.identity import Identity
from services.inspection.inspections.merging import PlannedVisit

INSPECTORS_EACH = 4  # as many as a play needs; the city's registers have hundreds
TARGETS_AT_ONCE = TASKS_AT_ONCE = 500
CERTIFIED = (date(given.YEAR - 1, 1, 1), date(given.YEAR + 3, 12, 31))
Channel = Callable[[Identity], grpc.aio.Channel]
Item = TypeVar("Item")


def planner_of(department: Department) -> Identity:
    """Who plans for the department."""
    return _of(department, "planner", "计划", "planner")


async def enrol_department(channel: Channel, department: Department) -> None:
    """Register a department with INSPECTORS_EACH certified inspectors."""
    roster = roster_service_pb2_grpc.RosterServiceStub(channel(planner_of(department)))
    profile = roster_pb2.DepartmentProfile(
        display_name=department.display_name,
        field=department.field,
        district=given.CITY,
        power=roster_pb2.POWER_STATUTORY,
    )
    request = roster_service_pb2.RegisterDepartmentRequest(
        request_id=request_id(department.name),
        uscc=department.name.removeprefix("departments/"),
        profile=profile,
    )
    await persist(partial(roster.RegisterDepartment, request))
    for number, name in enumerate(department.inspectors[:INSPECTORS_EACH], 1):
        officer = _of(department, "officer", name, f"officer-{number}")
        await _enrol_inspector(roster, department, officer)


async def enrol_targets(channel: Channel, city: City) -> AsyncIterator[int]:
    """Register every enterprise of the city; tells how many are, as it goes."""
    planner = planner_of(next(iter(city.departments.values())))
    stub = target_service_pb2_grpc.TargetServiceStub(channel(planner))
    registered = 0
    for batch in _batches(city.enterprises.values(), TARGETS_AT_ONCE):
        request = target_service_pb2.BatchRegisterTargetsRequest(
            request_id=request_id(f"targets/{registered}"),
            entries=[
                target_service_pb2.BatchRegisterTargetsRequest.Entry(
                    uscc=each.uscc,
                    profile=target_pb2.TargetProfile(
                        display_name=each.display_name,
                        district=each.district,
                        industry=each.industry,
                        key_unit=each.key,
                    ),
                )
                for each in batch
            ],
        )
        await persist(partial(stub.BatchRegisterTargets, request))
        registered += len(batch)
        yield registered


async def publish_plans(
    channel: Channel, departments: Iterable[Department], tasks: Iterable[PlannedVisit]
) -> AsyncIterator[int]:
    """Every department's yearly plan, from draft to publication; tells how many tasks are published."""
    of_department: dict[str, list[PlannedVisit]] = {}
    for task in tasks:
        of_department.setdefault(task.department, []).append(task)
    plans = [
        asyncio.ensure_future(_publish(channel, each, of_department.get(each.name, [])))
        for each in departments
    ]
    published = 0
    for plan in asyncio.as_completed(plans):
        published += await plan
        yield published


async def distribute(
    channel: Channel, planner: Identity, district: str, first: date, last: date, *, only_say: bool
) -> AsyncIterator[inspection_service_pb2.DistributeTasksResponse]:
    """How far the distribution of the tasks of a district has come; the last answer is what came of it."""
    stub = inspection_service_pb2_grpc.InspectionServiceStub(channel(planner))
    request = inspection_service_pb2.DistributeTasksRequest(
        request_id=request_id(f"distribute/{district}/{first}/{last}/{only_say}"),
        district=district,
        from_date=_day(first),
        to_date=_day(last),
        validate_only=only_say,
    )
    async for answer in stub.DistributeTasks(request):
        yield answer


def request_id(what: str) -> str:
    """The same for the same: a call that is repeated is carried out once."""
    return str(uuid5(NAMESPACE_URL, f"bihuan:yangzhou/{what}"))


async def _publish(channel: Channel, department: Department, tasks: Sequence[PlannedVisit]) -> int:
    planner = plan_service_pb2_grpc.PlanServiceStub(channel(planner_of(department)))
    decider = _of(department, "decider", "局长", "head")
    head = plan_service_pb2_grpc.PlanServiceStub(channel(decider))

    async def send(
        method: Callable[[Any], Awaitable[plan_pb2.Plan]], request: Any
    ) -> plan_pb2.Plan:
        step = f"{department.name}/{request.DESCRIPTOR.name}/{len(getattr(request, 'tasks', ()))}"
        first = request.tasks[0].id if getattr(request, "tasks", ()) else ""
        request.request_id = request_id(f"{step}/{first}")
        return await persist(lambda: method(request))

    plan = await send(
        planner.CreatePlan,
        plan_service_pb2.CreatePlanRequest(
            department=department.name,
            kind=plan_pb2.PLAN_KIND_YEARLY,
            year=given.YEAR,
            title=f"{department.display_name}{given.YEAR}年度行政检查计划",
        ),
    )
    for batch in _batches(tasks, TASKS_AT_ONCE):
        rows = [_task(each) for each in batch]
        await send(planner.AddTasks, plan_service_pb2.AddTasksRequest(name=plan.name, tasks=rows))
    await send(planner.SubmitPlan, plan_service_pb2.SubmitPlanRequest(name=plan.name))
    approval = plan_service_pb2.ApprovePlanRequest(name=plan.name, opinion="同意")
    await send(head.ApprovePlan, approval)
    gazette = plan_service_pb2.PublishPlanRequest(name=plan.name, publication="市政府门户网站")
    await send(planner.PublishPlan, gazette)
    return len(tasks)


async def _enrol_inspector(
    roster: roster_service_pb2_grpc.RosterServiceStub, department: Department, officer: Identity
) -> None:
    first, last = CERTIFIED
    number = f"{given.CITY}{officer.subject[-1]}{department.name[-6:]}"
    certificate = roster_pb2.Certificate(
        issuer="江苏省人民政府", number=number, from_date=_day(first), to_date=_day(last)
    )
    request = roster_service_pb2.RegisterInspectorRequest(
        request_id=request_id(officer.subject),
        subject=officer.subject,
        display_name=officer.name,
        department=department.name,
        certificates=[certificate],
    )
    await persist(partial(roster.RegisterInspector, request))


def _of(department: Department, role: str, name: str, subject: str) -> Identity:
    code = department.name.removeprefix("departments/")
    return Identity(f"{department.field}-{subject}", name, frozenset({role}), agency=code)


def _task(planned: PlannedVisit) -> plan_pb2.Task:
    return plan_pb2.Task(
        id=planned.name.rpartition("/")[2],
        enterprise=planned.enterprise,
        items=planned.items,
        from_date=_day(planned.first),
        to_date=_day(planned.last),
        statutory=planned.statutory,
        alone=planned.alone,
    )


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def _day(value: date) -> Date:
    return Date(year=value.year, month=value.month, day=value.day)

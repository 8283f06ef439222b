"""The plan service over real gRPC and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2

from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from bihuan.inspection.v1 import target_service_pb2 as target_rpc
from eventstore import EventStore
from rpc.client import connect
from rpc.identity import Identity
from rules import Clock
from services.inspection.plans import views
from services.inspection.targets import views as target_views
from services.rebuild import rebuild
from tests.bureau import Bureau, Client, bureau
from tests.services import plans as req
from tests.services import rosters, targets
from tests.services.calls import recorded, refused, rid
from tests.services.penalties import of
from tests.services.rosters import uscc
from workflows.activities import Activities

MONDAY = datetime(2026, 1, 5, 1, tzinfo=UTC)  # 09:00 in Shanghai
FIRM = uscc(1)
OTHER_AGENCY = uscc(8)
MARCH = date(2026, 3, 1), date(2026, 3, 31)
INSPECTION = "inspections/0198c6d2-0000-7000-8000-000000000001"


@dataclass
class City:
    """A bureau, its planner and its head."""

    open: Bureau
    store: EventStore

    def __post_init__(self) -> None:
        self.planner = self.open.client("planner", subject="wang", agency=rosters.ECOLOGY)
        self.head = self.open.client("decider", subject="zhao", agency=rosters.ECOLOGY)

    async def registered(self, count: int, first: int = 100) -> list[str]:
        """So many enterprises on the register, all of grade B."""
        usccs = [uscc(number) for number in range(first, first + count)]
        entries = [
            target_rpc.BatchRegisterTargetsRequest.Entry(uscc=each, profile=targets.profile())
            for each in usccs
        ]
        request = target_rpc.BatchRegisterTargetsRequest(request_id=rid(), entries=entries)
        await self.planner.targets.BatchRegisterTargets(request)
        return usccs

    async def listed_in_bulk(self, usccs: Sequence[str]) -> None:
        """As though they had been registered: what the register's view would have."""
        rows = [target_views._row(req.target(each)) for each in usccs]
        async with self.store.engine.begin() as conn:
            await conn.execute(sa.insert(target_views.TARGET), rows)

    async def created(self, **fields: Any) -> pb.Plan:
        return cast(pb.Plan, await self.planner.plans.CreatePlan(req.plan(**fields)))

    async def drafted(self, tasks: Sequence[pb.Task], **fields: Any) -> pb.Plan:
        plan = await self.created(**fields)
        return cast(pb.Plan, await self.planner.plans.AddTasks(req.add(tasks, plan.name)))

    async def submit(self, plan: pb.Plan) -> pb.Plan:
        request = rpc_pb.SubmitPlanRequest(request_id=rid(), name=plan.name)
        return cast(pb.Plan, await self.planner.plans.SubmitPlan(request))

    async def published(self, tasks: Sequence[pb.Task], **fields: Any) -> pb.Plan:
        plan = await self.submit(await self.drafted(tasks, **fields))
        await self.head.plans.ApprovePlan(of(req.APPROVE, plan.name))
        return cast(pb.Plan, await self.planner.plans.PublishPlan(of(req.PUBLISH, plan.name)))

    async def listed(self, **wanted: Any) -> list[pb.PlannedTask]:
        """Every task that a filter finds, page by page."""
        found: list[pb.PlannedTask] = []
        request = rpc_pb.ListTasksRequest(filter=rpc_pb.TaskFilter(**wanted), page_size=1000)
        while True:
            answer = await self.planner.plans.ListTasks(request)
            found += answer.tasks
            if not answer.next_page_token:
                return found
            request.page_token = answer.next_page_token


@pytest.fixture
async def city(database_url: str, tmp_path: Path, store: EventStore) -> AsyncIterator[City]:
    clock = str(Clock(MONDAY, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as open_:
        city = City(open_, store)
        await open_.client("planner").roster.RegisterDepartment(rosters.department())
        await city.planner.targets.RegisterTarget(targets.register(FIRM))
        yield city


async def test_a_plan_goes_from_draft_to_publication(city: City) -> None:
    plan = await city.published(req.tasks([FIRM, *await city.registered(2)]))
    assert plan.state == pb.PLAN_STATE_PUBLISHED
    assert (plan.task_count, len(plan.tasks)) == (3, 0)
    assert (plan.submitter, plan.approver) == ("wang", "zhao")
    assert plan.district == req.DISTRICT
    listed = await city.listed(plan=plan.name)
    assert {each.name for each in listed} == {f"{plan.name}/tasks/{n}" for n in (1, 2, 3)}
    assert {(each.state, each.kind) for each in listed} == {(pb.TASK_STATE_OPEN, pb.KIND_DAILY)}
    assert {each.task.district for each in listed} == {req.DISTRICT}
    events = ["PlanCreated", "TasksAdded", "PlanSubmitted", "PlanApproved", "PlanPublished"]
    assert (await recorded(city.open))[-5:] == events


async def test_a_department_has_one_yearly_plan_a_year_until_that_is_withdrawn(city: City) -> None:
    first = await city.created()
    error = await refused(city.created())
    assert (error.code, error.reason) == (code_pb2.ALREADY_EXISTS, "YEARLY_PLAN_EXISTS")
    assert error.metadata["resource"] == first.name
    assert (await city.created(year=2027)).name != first.name
    assert (await city.created(kind=pb.PLAN_KIND_SUPPLEMENTARY)).name != first.name
    await city.planner.plans.WithdrawPlan(of(req.WITHDRAW, first.name))
    second = await city.created()
    assert second.name != first.name
    assert (await refused(city.created())).metadata["resource"] == second.name
    results = await asyncio.gather(
        *(city.created(year=2028) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(each, pb.Plan) for each in results) == 1


async def test_a_department_plans_for_itself_and_an_enterprise_sees_no_plan(city: City) -> None:
    plan = await city.drafted([req.task(1, FIRM)])
    stranger = city.open.client("planner", subject="lin", agency=OTHER_AGENCY)
    for call in (
        stranger.plans.CreatePlan(req.plan(year=2027)),
        stranger.plans.AddTasks(req.add([req.task(2, FIRM)], plan.name)),
        stranger.plans.SubmitPlan(rpc_pb.SubmitPlanRequest(request_id=rid(), name=plan.name)),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (code_pb2.PERMISSION_DENIED, "OTHER_DEPARTMENT")
    assert (await stranger.plans.GetPlan(rpc_pb.GetPlanRequest(name=plan.name))).name == plan.name
    firm: Client = city.open.client("officer", subject="boss", enterprise=FIRM)
    for call in (
        firm.plans.GetPlan(rpc_pb.GetPlanRequest(name=plan.name)),
        firm.plans.ListPlans(rpc_pb.ListPlansRequest()),
        firm.plans.ListTasks(rpc_pb.ListTasksRequest()),
    ):
        assert (await refused(call)).code == code_pb2.PERMISSION_DENIED


async def test_everybody_sees_what_may_be_inspected_in_a_place(city: City) -> None:
    firm = city.open.client("enterprise", enterprise=FIRM)
    wanted = rpc_pb.ListItemsRequest(district=req.DISTRICT, field="ecology")
    answer = await firm.plans.ListItems(wanted)
    assert {each.field for each in answer.items} == {"ecology"}
    assert "ecology.permit" in {each.id for each in answer.items}
    assert answer.rule.id == "inspection.items"
    every = await city.planner.plans.ListItems(rpc_pb.ListItemsRequest(district=req.DISTRICT))
    assert {each.field for each in every.items} > {"ecology", "fire"}
    assert all(each.basis and each.standard for each in every.items)


async def test_what_does_not_exist_is_not_found(city: City) -> None:
    nowhere = "plans/0198c6d2-0000-7000-8000-000000000001"
    error = await refused(city.planner.plans.GetPlan(rpc_pb.GetPlanRequest(name=nowhere)))
    assert (error.code, error.reason) == (code_pb2.NOT_FOUND, "PLAN_NOT_FOUND")
    anybody = city.open.client("planner")
    unknown = req.plan(department=f"departments/{OTHER_AGENCY}")
    error = await refused(anybody.plans.CreatePlan(unknown))
    assert error.reason == "DEPARTMENT_NOT_FOUND"


async def test_the_caps_hold_across_the_plans_of_a_year(city: City) -> None:
    await city.published(req.tasks([FIRM, FIRM]))
    more = await city.drafted([req.task(1, FIRM)], kind=pb.PLAN_KIND_SUPPLEMENTARY)
    error = await refused(city.submit(more))
    assert (error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "CAP_EXCEEDED")
    ((path, text),) = error.violations
    assert (path, text) == ('tasks["1"]', f"CAP_EXCEEDED: {FIRM}, grade B: cap 2, found 3")
    by_law = [req.task(1, FIRM, statutory=True)]
    await city.submit(await city.drafted(by_law, kind=pb.PLAN_KIND_SPECIAL))
    next_year = req.task(
        1,
        FIRM,
        from_date=rosters.day(date(2027, 5, 1)),
        to_date=rosters.day(date(2027, 5, 9)),
    )
    await city.submit(await city.drafted([next_year], year=2027))


async def test_a_plan_that_is_returned_gives_its_places_back(city: City) -> None:
    first = await city.submit(await city.drafted(req.tasks([FIRM, FIRM])))
    second = await city.drafted([req.task(1, FIRM)], kind=pb.PLAN_KIND_SUPPLEMENTARY)
    assert (await refused(city.submit(second))).reason == "CAP_EXCEEDED"
    await city.head.plans.ReturnPlan(of(req.RETURN, first.name))
    await city.submit(second)
    assert (await refused(city.submit(first))).reason == "CAP_EXCEEDED"


async def test_two_plans_submitted_at_once_do_not_break_a_cap_together(city: City) -> None:
    firms = await city.registered(30)
    kinds = [pb.PLAN_KIND_YEARLY, pb.PLAN_KIND_SUPPLEMENTARY, pb.PLAN_KIND_SPECIAL] * 2
    plans = [
        await city.drafted(req.tasks(firms), kind=kind, year=2026, title=f"计划{n}")
        for n, kind in enumerate(kinds)
        if kind != pb.PLAN_KIND_YEARLY or n == 0
    ]
    answers = await asyncio.gather(*(city.submit(plan) for plan in plans), return_exceptions=True)
    assert len(plans) == 5
    assert sum(isinstance(each, pb.Plan) for each in answers) == 2  # a cap of two visits each
    for plan, answer in zip(plans, answers, strict=True):
        found = await city.planner.plans.GetPlan(rpc_pb.GetPlanRequest(name=plan.name))
        accepted = isinstance(answer, pb.Plan)
        assert found.state == (pb.PLAN_STATE_SUBMITTED if accepted else pb.PLAN_STATE_DRAFT)


async def test_a_command_that_is_repeated_is_answered_the_same_without_tasks(city: City) -> None:
    plan = await city.created()
    request = req.add([req.task(1, FIRM)], plan.name)
    first = await city.planner.plans.AddTasks(request)
    assert await city.planner.plans.AddTasks(request) == first
    assert (first.task_count, len(first.tasks)) == (1, 0)
    stale = rpc_pb.SubmitPlanRequest(request_id=rid(), name=plan.name, etag=plan.etag)
    error = await refused(city.planner.plans.SubmitPlan(stale))
    assert (error.reason, error.metadata["etag"]) == ("ETAG_MISMATCH", first.etag)


async def test_plans_and_tasks_are_found_by_what_they_are(city: City) -> None:
    other, third = await city.registered(2)
    april = {
        "from_date": rosters.day(date(2026, 4, 1)),
        "to_date": rosters.day(date(2026, 4, 30)),
    }
    plan = await city.published([req.task(1, FIRM), req.task(2, other, **april)])
    draft = await city.drafted([req.task(1, third)], kind=pb.PLAN_KIND_SPECIAL)
    assert [each.task.id for each in await city.listed(plan=plan.name)] == ["2", "1"]
    assert len(await city.listed(enterprise=FIRM)) == 1
    assert len(await city.listed(department=req.ECOLOGY)) == 3
    assert len(await city.listed(district="321000")) == 3
    assert not await city.listed(district="320500")
    (found,) = await city.listed(from_date=rosters.day(date(2026, 4, 30)))
    assert found.task.enterprise == other
    found = await city.listed(plan=plan.name, to_date=rosters.day(date(2026, 3, 1)))
    assert [each.task.enterprise for each in found] == [FIRM]
    (planned,) = await city.listed(state=pb.TASK_STATE_PLANNED)
    assert (planned.kind, planned.task.enterprise) == (pb.KIND_SPECIAL, third)
    error = await refused(
        city.planner.plans.ListTasks(
            rpc_pb.ListTasksRequest(filter=rpc_pb.TaskFilter(from_date={"year": 2026}))
        )
    )
    assert error.violations[0][0] == "filter.from_date"

    async def plans(**wanted: Any) -> list[str]:
        request = rpc_pb.ListPlansRequest(
            filter=rpc_pb.PlanFilter(**wanted), read_mask=FieldMask(paths=["name"])
        )
        answer = await city.planner.plans.ListPlans(request)
        assert not any(each.title for each in answer.plans)
        return [each.name for each in answer.plans]

    assert await plans() == [draft.name, plan.name]
    assert await plans(year=2026, states=[pb.PLAN_STATE_PUBLISHED]) == [plan.name]
    assert await plans(kinds=[pb.PLAN_KIND_SPECIAL], department=req.ECOLOGY) == [draft.name]
    assert await plans(counted_year=2026) == []
    await city.submit(draft)
    assert await plans(counted_year=2026) == [draft.name]
    assert await plans(overdue=True) == await plans(district="110000") == []


async def test_an_inspection_takes_open_tasks_all_or_none_and_gives_them_back(
    city: City, store: EventStore
) -> None:
    plan = await city.published(req.tasks(await city.registered(3)))
    draft = await city.drafted([req.task(1, FIRM)], kind=pb.PLAN_KIND_SPECIAL)
    one, two, three = sorted(each.name for each in await city.listed(plan=plan.name))
    planned = f"{draft.name}/tasks/1"
    other = INSPECTION.replace("001", "002")
    async with store.engine.begin() as conn:
        assert await views.take(conn, [one, planned, "plans/x/tasks/y"], INSPECTION) == sorted(
            [planned, "plans/x/tasks/y"]
        )
        assert not await views.take(conn, [one, two], INSPECTION)
        assert await views.take(conn, [two, three], other) == [two]
        names = [each.name for each in await views.open_tasks(conn, *MARCH, "321000")]
        assert names == [three]
    assert [each.name for each in await city.listed(state=pb.TASK_STATE_OPEN)] == [three]
    taken = await city.listed(state=pb.TASK_STATE_TAKEN)
    assert {(each.name, each.inspection) for each in taken} == {
        (one, INSPECTION),
        (two, INSPECTION),
    }
    error = await refused(city.planner.plans.WithdrawPlan(of(req.WITHDRAW, plan.name)))
    assert (error.code, error.reason) == (code_pb2.FAILED_PRECONDITION, "TASKS_TAKEN")
    assert one in error.message
    async with store.engine.begin() as conn:
        await views.release(conn, [one, two, three], other)
        assert (await views.tasks(conn, [one]))[one].inspection == INSPECTION
        await views.release(conn, [one, two], INSPECTION)
        assert (await views.tasks(conn, [one, "none"]))[one].state == pb.TASK_STATE_OPEN
    done = await city.planner.plans.WithdrawPlan(of(req.WITHDRAW, plan.name))
    assert done.state == pb.PLAN_STATE_WITHDRAWN
    async with store.engine.begin() as conn:
        assert await views.take(conn, [one], INSPECTION) == [one]
        assert not await views.open_tasks(conn, *MARCH)


async def test_a_plan_is_withdrawn_or_its_task_taken_never_both(
    city: City, store: EventStore
) -> None:
    plan = await city.published(req.tasks(await city.registered(1)))
    (task,) = [each.name for each in await city.listed(plan=plan.name)]
    async with store.engine.begin() as conn:
        assert not await views.take(conn, [task], INSPECTION)
        withdrawal = asyncio.ensure_future(
            city.planner.plans.WithdrawPlan(of(req.WITHDRAW, plan.name))
        )
        await asyncio.sleep(0.3)
        assert not withdrawal.done()
    assert (await refused(withdrawal)).reason == "TASKS_TAKEN"


async def test_two_inspections_at_once_share_no_task(city: City, store: EventStore) -> None:
    plan = await city.published(req.tasks(await city.registered(4)))
    names = [each.name for each in await city.listed(plan=plan.name)]

    async def take(number: int) -> list[str]:
        async with store.engine.begin() as conn:
            wanted = names if number % 2 else names[::-1]
            missing = await views.take(conn, wanted, f"inspections/{number}")
            await asyncio.sleep(0.02)
            return missing

    missing = await asyncio.gather(*(take(number) for number in range(6)))
    assert sorted(map(len, missing)) == [0, 4, 4, 4, 4, 4]


async def test_claims_are_what_the_projection_of_an_inspection_says(store: EventStore) -> None:
    async with store.engine.begin() as conn:
        await views.hold(conn, ["a", "b"], "inspections/1")
        await views.hold(conn, ["b", "c"], "inspections/2")
        await views.hold(conn, ["a"], "inspections/1")
        await views.hold(conn, ["c"], "inspections/2")
        rows = (await conn.execute(views.TASK_CLAIM.select())).all()
    assert sorted(tuple(row) for row in rows) == [("a", "inspections/1"), ("c", "inspections/2")]


@pytest.mark.parametrize("damage", ["DELETE FROM inspection.task WHERE number = 2", ""])
async def test_a_rebuild_finds_what_the_service_wrote(
    city: City, store: EventStore, damage: str
) -> None:
    plan = await city.published(req.tasks([FIRM, *await city.registered(3)]))
    draft = await city.drafted(req.tasks([FIRM, FIRM]), kind=pb.PLAN_KIND_SPECIAL)
    request = rpc_pb.RemoveTasksRequest(request_id=rid(), name=draft.name, task_ids=["1"])
    await city.planner.plans.RemoveTasks(request)
    await city.planner.plans.AddTasks(req.add([req.task(1, FIRM)], draft.name))
    await city.planner.plans.WithdrawPlan(of(req.WITHDRAW, draft.name))
    if damage:
        async with store.engine.begin() as conn:
            await conn.exec_driver_sql(damage)
    found = await rebuild(store, "inspection", only_check=False)
    by_table = {each.table: each for each in found.tables}
    assert by_table["inspection.plan"].rows == 2
    assert by_table["inspection.task"].rows == 6
    assert found.differs == bool(damage)
    assert by_table["inspection.task"].missing == (2 if damage else 0)
    assert len(await city.listed(plan=plan.name)) == 4


async def test_what_the_loop_does_is_small_and_within_its_role(city: City) -> None:
    plan = await city.submit(await city.drafted(req.tasks(await city.registered(300))))
    token = city.open.issuer.issue(Identity(subject="loop", roles=frozenset({"loop"})))
    async with connect(city.open.target, token) as channel:
        does = Activities(channel)
        known = await does.get_inspection_plan(rpc_pb.GetPlanRequest(name=plan.name))
        assert (known.version, known.title, known.district) == (3, plan.title, "321000")
        assert known.standing.deadline.rule.id == "inspection.plan_approval"
        assert known.ByteSize() < 1024
        step = {"request_id": rid(), "name": plan.name}
        early = rpc_pb.ExpirePlanDeadlineRequest(deadline_id=plan.deadline.id, **step)
        assert await does.expire_plan_deadline(early, "") == known
        counted = rpc_pb.ListPlansRequest(filter=rpc_pb.PlanFilter(counted_year=2026))
        assert list((await does.list_counted_plans(counted)).plans) == [plan.name]
        step["request_id"] = rid()
        recount = rpc_pb.RecountPlanDeadlineRequest(calendar_year=2026, **step)
        assert await does.recount_plan(recount, "") == known


async def test_a_plan_of_five_thousand_tasks_goes_the_whole_way(
    city: City, store: EventStore
) -> None:
    firms = [uscc(number) for number in range(10_000, 15_000)]
    await city.listed_in_bulk(firms)
    plan = await city.created()
    for n in range(0, 5000, 500):
        batch = req.tasks(firms[n : n + 500], n + 1)
        await city.planner.plans.AddTasks(req.add(batch, plan.name))
    plan = await city.submit(plan)
    assert plan.task_count == 5000
    await city.head.plans.ApprovePlan(of(req.APPROVE, plan.name))
    await city.planner.plans.PublishPlan(of(req.PUBLISH, plan.name))
    assert len(await city.listed(plan=plan.name)) == 5000
    async with store.engine.connect() as conn:
        assert len(await views.open_tasks(conn, *MARCH, "320000")) == 5000

"""Inspections over real gRPC and a real PostgreSQL, from published tasks to a code."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import grpc.aio
import pytest
import sqlalchemy as sa
from google.protobuf.message import Message
from google.rpc import code_pb2
from sqlalchemy.exc import IntegrityError

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2
from bihuan.inspection.v1 import plan_service_pb2 as plan_rpc
from bihuan.inspection.v1 import target_service_pb2 as target_rpc
from eventstore import EventStore, engine_for
from rpc.client import status_of
from rpc.errors import StatusError
from rpc.identity import Identity, acting_as
from rules import Clock
from services.inspection.inspections import signing, views
from services.inspection.inspections.sight import shown
from services.inspection.plans.views import TASK_CLAIM
from services.rebuild import rebuild
from tests.bureau import Bureau, Client, bureau
from tests.services import inspections as req
from tests.services import plans, rosters, targets
from tests.services.calls import recorded, refused, rid
from tests.services.inspections import ECOLOGY, FIRE, FIRM, MARKET, MONDAY
from tests.services.penalties import of
from tests.services.rosters import day, uscc

MORNING = datetime(2026, 9, 7, 1, tzinfo=UTC)  # 09:00 in Shanghai
OTHER = uscc(77)
WATCHED = uscc(78)
LAST = MONDAY + 20 * req.DAY
HONOURED = "A"  # by the rules of the place: once a year


class Town:
    """A bureau with three departments, their inspectors and published plans."""

    def __init__(self, open_: Bureau) -> None:
        self.open = open_
        self.planner = open_.client("planner")
        self.supervisor = open_.client("supervisor", subject="head")
        self.tasks: dict[str, list[str]] = {}
        self.teams: dict[str, list[str]] = {}

    async def prepare(self) -> None:
        """Departments with two inspectors each, and enterprises on the register."""
        for name in (ECOLOGY, FIRE, MARKET):
            field = req.FIELDS[name]
            code = name.removeprefix("departments/")
            await self.planner.roster.RegisterDepartment(rosters.department(code, field=field))
            self.teams[name] = [
                (
                    await self.planner.roster.RegisterInspector(
                        rosters.inspector(f"{field}-{number}", department=name)
                    )
                ).name
                for number in range(2)
            ]
        for code, fields in ((FIRM, {}), (OTHER, {}), (WATCHED, {"sensorless": True})):
            profile: dict[str, Any] = {"district": req.YANGZHOU, **fields}
            await self.planner.targets.RegisterTarget(targets.register(code, **profile))

    async def publish(self, department: str, tasks: list[plan_pb2.Task], **fields: Any) -> None:
        """A plan with these tasks; their names are at hand then."""
        kind = plan_pb2.PLAN_KIND_SUPPLEMENTARY
        draft = plans.plan(kind, department=department, **fields)
        plan = await self.planner.plans.CreatePlan(draft)
        await self.planner.plans.AddTasks(plans.add(tasks, plan.name))
        submit = plan_rpc.SubmitPlanRequest(request_id=rid(), name=plan.name)
        await self.planner.plans.SubmitPlan(submit)
        await self.supervisor.plans.ApprovePlan(of(plans.APPROVE, plan.name))
        await self.supervisor.plans.PublishPlan(of(plans.PUBLISH, plan.name))
        names = [f"{plan.name}/tasks/{task.id}" for task in tasks]
        self.tasks.setdefault(department, []).extend(names)

    def opening(self, *numbers: tuple[str, int], **fields: Any) -> rpc_pb.OpenInspectionRequest:
        """An inspection for the task of that number of each department."""
        drafts = [
            rpc_pb.OpenInspectionRequest.Draft(
                department=department, tasks=[self.tasks[department][number]]
            )
            for department, number in numbers
        ]
        request = req.opening(*drafts, **fields)
        request.request_id = rid()
        return request

    async def call(self, request: Any, name: str = "", client: Client | None = None) -> Any:
        """Send a request on an inspection, as the supervisor unless as another."""
        request = of(request, name) if name else request
        method = request.DESCRIPTOR.name.removesuffix("Request")
        return await getattr((client or self.supervisor).inspections, method)(request)

    async def lead(self, inspection: pb.Inspection, *requests: Message) -> pb.Inspection:
        """Send requests, one after the other; the inspection after them."""
        for request in requests:
            inspection = await self.call(request, inspection.name)
        return inspection

    async def approved(self, *numbers: tuple[str, int]) -> pb.Inspection:
        """An inspection whose others take part, with inspectors, and which the head approved."""
        inspection = await self.call(self.opening(*numbers))
        others = [req.accept(each, *self.teams[each]) for each, _ in numbers[1:]]
        lead = numbers[0][0]
        assign = req.assign(lead, self.teams[lead])
        return await self.lead(inspection, *others, assign, req.APPROVE)


def planned(count: int, department: str, enterprise: str = FIRM, **fields: Any) -> Any:
    """So many tasks of September, demanded by law: no cap holds these plans up."""
    values: dict[str, Any] = {
        "items": [req.ITEMS[department]],
        "from_date": day(MONDAY),
        "to_date": day(LAST),
        "statutory": True,
        **fields,
    }
    return [plans.task(number, enterprise, **values) for number in range(count)]


@pytest.fixture
async def town(database_url: str, tmp_path: Path) -> AsyncIterator[Town]:
    async with bureau(database_url, tmp_path, str(Clock(MORNING, datetime.now(UTC)))) as open_:
        town = Town(open_)
        await town.prepare()
        yield town


async def claims(store: EventStore) -> dict[str, str]:
    """Which inspection has taken a task."""
    async with store.engine.connect() as conn:
        rows = await conn.execute(sa.select(TASK_CLAIM))
        return {row.task: row.inspection for row in rows}


async def differs(database_url: str) -> list[str]:
    """What a rebuild finds otherwise in the views than the log says."""
    role = EventStore(engine_for(database_url, "bihuan_inspection"))
    try:
        found = await rebuild(role, "inspection", only_check=True)
    finally:
        await role.close()
        await role.engine.dispose()
    return [str(table) for table in found.tables if table]


async def test_a_joint_inspection_gets_its_code(town: Town, store: EventStore) -> None:
    for department in (ECOLOGY, FIRE, MARKET):
        await town.publish(department, planned(1, department))
    inspection = await town.call(town.opening((ECOLOGY, 0), (FIRE, 0), (MARKET, 0)))
    assert inspection.standing.state == pb.STATE_INVITING
    assert set((await claims(store)).values()) == {inspection.name}
    await town.lead(
        inspection,
        req.accept(FIRE, *town.teams[FIRE]),
        req.decline(MARKET),
        req.assign(ECOLOGY, town.teams[ECOLOGY]),
        req.APPROVE,
    )
    assert town.tasks[MARKET][0] not in await claims(store)
    issue = of(req.code(), inspection.name)
    inspection = await town.call(issue)
    assert await town.call(issue) == inspection
    assert inspection.standing.state == pb.STATE_READY
    [code] = inspection.codes
    ordinals = [(each.department, each.visit_of_year) for each in inspection.participants]
    assert ordinals == [(ECOLOGY, 1), (FIRE, 1), (MARKET, 0)]
    assert len(code.id) == signing.LENGTH
    assert [each for each in await recorded(town.open) if each.startswith(("Insp", "Inv", "Code"))] == [
        *["InspectorRegistered"] * 6,
        "InspectionOpened",
        "InvitationAnswered",
        "InspectorsAssigned",
        "InvitationAnswered",
        "InspectorsAssigned",
        "InspectionApproved",
        "CodeIssued",
    ]  # fmt: skip
    again = await town.call(town.opening((MARKET, 0)))
    assert again.standing.state == pb.STATE_ARRANGED


async def listed(town: Town, client: Client | None = None, **wanted: Any) -> list[str]:
    request = rpc_pb.ListInspectionsRequest(filter=rpc_pb.InspectionFilter(**wanted))
    answer = await (client or town.supervisor).inspections.ListInspections(request)
    return [each.name for each in answer.inspections]


async def test_lists_find_what_they_are_asked_for(town: Town, database_url: str) -> None:
    await town.publish(ECOLOGY, [*planned(2, ECOLOGY), *_other(ECOLOGY, 2)])
    await town.publish(FIRE, planned(1, FIRE))
    joint = (await town.approved((ECOLOGY, 0), (FIRE, 0))).name
    single = (await town.call(town.opening((ECOLOGY, 1)))).name
    other = (await town.call(town.opening((ECOLOGY, 2), enterprise=OTHER))).name
    await town.lead(pb.Inspection(name=other), req.CANCEL)
    assert await listed(town) == [other, single, joint]
    assert await listed(town, enterprise=FIRM) == [single, joint]
    assert await listed(town, department=FIRE) == [joint]
    assert await listed(town, states=[pb.STATE_CANCELLED]) == [other]
    assert await listed(town, joint=True) == [joint]
    assert await listed(town, district="321000") == [other, single, joint]
    assert await listed(town, district="320500") == []
    due = datetime(2026, 12, 31, tzinfo=UTC)
    assert await listed(town, due_before=due) == [single, joint]
    assert await listed(town, counted_into_year=2026) == [single, joint]
    assert await listed(town, overdue=True) == []
    first = rpc_pb.ListInspectionsRequest(page_size=2)
    page = await town.supervisor.inspections.ListInspections(first)
    first.page_token = page.next_page_token
    rest = await town.supervisor.inspections.ListInspections(first)
    assert [each.name for each in (*page.inspections, *rest.inspections)] == [other, single, joint]
    assert await differs(database_url) == []


def _other(department: str, first: int) -> list[plan_pb2.Task]:
    [task] = planned(1, department, OTHER)
    task.id = str(first)
    return [task]


async def test_a_task_that_many_want_at_once_goes_to_one(town: Town, store: EventStore) -> None:
    await town.publish(ECOLOGY, planned(1, ECOLOGY))
    calls = [town.call(town.opening((ECOLOGY, 0))) for _ in range(6)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    [winner] = [each for each in results if isinstance(each, pb.Inspection)]
    reasons = {status_of(cast(Any, each)).reason for each in results if each is not winner}
    assert reasons == {"TASK_NOT_OPEN"}
    assert await claims(store) == {town.tasks[ECOLOGY][0]: winner.name}
    await town.lead(winner, req.CANCEL)
    assert await claims(store) == {}


async def test_the_last_place_under_the_cap_goes_to_one(town: Town, database_url: str) -> None:
    """Of an enterprise of grade A, at most one visit a year by a department counts. It was of B when two were
    planned.
    """
    await town.publish(ECOLOGY, planned(2, ECOLOGY, statutory=False))
    honours = [targets.fact("HONOUR", date(2026, 8, number)) for number in (1, 2)]
    for fact in honours:
        await town.planner.targets.RecordFact(targets.record(fact, f"targets/{FIRM}"))
    target = await town.planner.targets.GetTarget(
        target_rpc.GetTargetRequest(name=f"targets/{FIRM}")
    )
    assert target.grading.grade == HONOURED
    approved = [await town.approved((ECOLOGY, number)) for number in range(2)]
    calls = [town.call(req.code(), each.name) for each in approved]
    results = await asyncio.gather(*calls, return_exceptions=True)
    [winner] = [each for each in results if isinstance(each, pb.Inspection)]
    errors = [status_of(cast(Any, each)) for each in results if each is not winner]
    assert {(each.code, each.reason) for each in errors} == {
        (code_pb2.FAILED_PRECONDITION, "CAP_EXHAUSTED")
    }
    loser = next(each for each in approved if each.name != winner.name)
    # Revoked, it keeps its place; called off, it did not take place.
    await town.lead(winner, req.REVOKE)
    assert (await refused(town.call(req.code(), loser.name))).reason == "CAP_EXHAUSTED"
    await town.lead(winner, req.code(), req.CANCEL)
    loser = await town.call(req.code(), loser.name)
    assert loser.participants[0].capped_visit_of_year == 1
    # A clue is followed all the same.
    clue = of(req.on_clue(), "")
    assign = req.assign(ECOLOGY, town.teams[ECOLOGY])
    urgent = await town.lead(await town.call(clue), assign)
    code = req.code(on_the_spot_reason="险情不等人")
    urgent = await town.lead(urgent, code)
    assert (urgent.participants[0].visit_of_year, urgent.participants[0].capped_visit_of_year) == (
        2,
        0,
    )
    assert await differs(database_url) == []


async def test_a_principal_and_whom_it_entrusts_share_a_cap(town: Town, database_url: str) -> None:
    """They inspect in one name, each by plans of its own."""
    team = f"departments/{uscc(60)}"
    entrusted = rosters.department(
        uscc(60), power=roster_pb2.POWER_ENTRUSTED, principal=ECOLOGY, display_name="执法大队"
    )
    await town.planner.roster.RegisterDepartment(entrusted)
    town.teams[team] = [
        (await town.planner.roster.RegisterInspector(rosters.inspector(each, department=team))).name
        for each in ("team-0", "team-1")
    ]
    items = [req.ITEMS[ECOLOGY]]
    for department in (ECOLOGY, team):
        tasks = planned(1, ECOLOGY, statutory=False, items=items)
        await town.publish(department, tasks)
    for department in (ECOLOGY, team):
        error = await refused(town.publish(department, planned(1, ECOLOGY, statutory=False)))
        assert error.reason == "CAP_EXCEEDED"
    for number in (1, 2):
        fact = targets.fact("HONOUR", date(2026, 8, number))
        await town.planner.targets.RecordFact(targets.record(fact, f"targets/{FIRM}"))
    approved = [await town.approved((each, 0)) for each in (ECOLOGY, team)]
    calls = [town.call(req.code(), each.name) for each in approved]
    results = await asyncio.gather(*calls, return_exceptions=True)
    [error] = [status_of(each) for each in results if isinstance(each, grpc.aio.AioRpcError)]
    assert error.reason == "CAP_EXHAUSTED"
    assert await differs(database_url) == []


async def test_a_department_acts_for_itself_alone(town: Town) -> None:
    await town.publish(ECOLOGY, planned(1, ECOLOGY))
    await town.publish(FIRE, planned(1, FIRE))
    ours, theirs = (
        town.open.client("officer", "planner", "decider", subject=each, agency=each[12:])
        for each in (ECOLOGY, FIRE)
    )
    opening = town.opening((ECOLOGY, 0), (FIRE, 0))
    denied = (code_pb2.PERMISSION_DENIED, "OTHER_DEPARTMENT")
    error = await refused(town.call(opening, client=theirs))
    assert (error.code, error.reason) == denied
    inspection = await town.call(opening, client=ours)
    for request, client in (
        (req.accept(FIRE), ours),
        (req.assign(ECOLOGY, town.teams[ECOLOGY]), theirs),
        (req.APPROVE, theirs),
        (req.code(), theirs),
        (req.CANCEL, theirs),
    ):
        error = await refused(town.call(request, inspection.name, client))
        assert (error.code, error.reason) == denied
    answer = req.accept(FIRE, *town.teams[FIRE])
    await town.call(answer, inspection.name, theirs)
    await town.call(req.assign(ECOLOGY, town.teams[ECOLOGY]), inspection.name, ours)
    assert (await town.call(req.APPROVE, inspection.name, ours)).standing.state == pb.STATE_APPROVED


async def test_an_enterprise_knows_of_no_inspection_before_it_begins(town: Town) -> None:
    await town.publish(ECOLOGY, planned(1, ECOLOGY))
    inspection = await town.lead(await town.approved((ECOLOGY, 0)), req.code())
    firm = town.open.enterprise(FIRM)
    get = rpc_pb.GetInspectionRequest(name=inspection.name)
    error = await refused(firm.inspections.GetInspection(get))
    assert (error.code, error.reason) == (code_pb2.NOT_FOUND, "INSPECTION_NOT_FOUND")
    assert await listed(town, firm) == []
    error = await refused(listed(town, firm, enterprise=OTHER))
    assert error.reason == "OTHER_ENTERPRISE"


def test_what_who_sees_of_a_visit_that_began() -> None:
    case = req.Case()
    case.do(*req.SPOT)
    seen = pb.Inspection()
    seen.CopyFrom(case.inspection)
    seen.start.code = seen.codes[0].id
    seen.rating.score = 2
    with acting_as(Identity("ent", enterprise=FIRM)):
        told = shown(seen)
    assert (told.clue.source, told.clue.reference, told.clue.summary) == (
        pb.Clue.SOURCE_EMERGENCY,
        "",
        "",
    )
    assert told.rating.score == 2
    assert not told.opener
    other = acting_as(Identity("ent", enterprise=OTHER))
    with other, pytest.raises(StatusError, match="INSPECTION_NOT_FOUND"):
        shown(seen)
    with acting_as(Identity("officer", agency=ECOLOGY[12:])):
        assert not shown(seen).HasField("rating")
        assert shown(seen).clue == seen.clue
    with acting_as(Identity("supervisor")):
        assert shown(seen) == seen


async def test_without_a_key_no_code_is_issued_and_all_else_works(
    database_url: str, tmp_path: Path
) -> None:
    clock = str(Clock(MORNING, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock, code_key=None) as open_:
        town = Town(open_)
        await town.prepare()
        await town.publish(ECOLOGY, planned(1, ECOLOGY))
        approved = await town.approved((ECOLOGY, 0))
        error = await refused(town.call(req.code(), approved.name))
        assert (error.code, error.reason) == (code_pb2.UNAVAILABLE, "CODE_KEY_UNAVAILABLE")


async def test_the_same_code_is_not_entered_twice(store: EventStore) -> None:
    codes = [{"id": signing.code_id(), "inspection": uuid4()} for _ in range(3000)]
    async with store.engine.begin() as conn:
        await conn.execute(sa.insert(views.CODE), codes)
        assert await conn.scalar(sa.select(sa.func.count()).select_from(views.CODE)) == 3000
    with pytest.raises(IntegrityError):
        async with store.engine.begin() as conn:
            await conn.execute(sa.insert(views.CODE), codes[:1])


async def test_no_task_is_in_two_inspections_or_lost(
    town: Town, store: EventStore, database_url: str
) -> None:
    """Whatever departments do with their invitations, and whoever calls what off."""
    rng = random.Random(7)
    for department in (ECOLOGY, FIRE, MARKET):
        await town.publish(department, planned(4, department))
    inspections: list[str] = []
    for _ in range(60):
        lead, *others = rng.sample([ECOLOGY, FIRE, MARKET], rng.choice([1, 2, 3]))
        numbers = [(each, rng.randrange(4)) for each in (lead, *others)]
        act = rng.choice(["open", "accept", "decline", "cancel"])
        with suppress(grpc.aio.AioRpcError):
            if act == "open":
                inspections.append((await town.call(town.opening(*numbers))).name)
                continue
            request = {"accept": req.accept, "decline": req.decline}.get(act)
            name = rng.choice(inspections) if inspections else ""
            await town.call(request(lead) if request else req.CANCEL, name)
    await _require_each_once(store, inspections)
    assert len(inspections) > 5
    assert await differs(database_url) == []


async def _require_each_once(store: EventStore, names: Iterable[str]) -> dict[str, str]:
    """That each inspection has the tasks that it says, and no task is in two."""
    async with store.engine.connect() as conn:
        found = [await views.get(conn, name) for name in names]
    held = Counter(task for each in found if each for task in views.held(each))
    assert set(held.values()) <= {1}
    taken = await claims(store)
    assert set(taken) == set(held)
    return taken


# Distribution.


async def distributed(
    town: Town, request_id: str = "", validate_only: bool = False, until: int = 0
) -> rpc_pb.DistributeTasksResponse:
    """The last answer of a distribution, or the one after which we hang up."""
    call = town.planner.inspections.DistributeTasks(
        rpc_pb.DistributeTasksRequest(
            request_id=request_id or rid(),
            district="321000",
            from_date=day(date(2026, 9, 1)),
            to_date=day(date(2026, 12, 31)),
            validate_only=validate_only,
        )
    )
    answers: list[rpc_pb.DistributeTasksResponse] = []
    async for answer in call:
        answers.append(answer)
        if len(answers) == until:
            call.cancel()
            break
    return answers[-1]


@pytest.fixture
async def full_town(town: Town) -> Town:
    """Three departments' plans of an autumn, on three enterprises, one of them monitored without visits."""
    for department in (ECOLOGY, FIRE, MARKET):
        tasks = []
        for enterprise in (FIRM, OTHER):
            for month in (9, 10, 11, 12):
                first = date(2026, month, 8)
                [task] = planned(
                    1,
                    department,
                    enterprise,
                    from_date=day(first),
                    to_date=day(first + 10 * req.DAY),
                )
                task.id = f"{enterprise}-{month}"
                tasks.append(task)
        await town.publish(department, tasks)
    return town


async def test_a_city_s_tasks_become_the_fewest_inspections(
    full_town: Town, store: EventStore, database_url: str
) -> None:
    told = await distributed(full_town, validate_only=True)
    assert (told.task_count, told.visit_count, told.joint_count) == (24, 8, 8)
    assert (told.saved_count, told.opened_count) == (16, 0)
    assert await listed(full_town) == []
    request_id = rid()
    done = await distributed(full_town, request_id)
    assert (done.opened_count, list(done.refused)) == (8, [])
    names = await listed(full_town)
    taken = await _require_each_once(store, names)
    assert set(taken) == {task for each in full_town.tasks.values() for task in each}
    inspection = await full_town.supervisor.inspections.GetInspection(
        rpc_pb.GetInspectionRequest(name=names[0])
    )
    assert inspection.standing.state == pb.STATE_INVITING
    assert [each.lead for each in inspection.participants] == [True, False, False]
    assert inspection.opener == "planner"
    again = await distributed(full_town, request_id)
    assert (again.task_count, again.opened_count) == (0, 0)
    assert await differs(database_url) == []


async def test_a_distribution_that_was_interrupted_goes_on(
    full_town: Town, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.inspection.inspections.distribution.AT_ONCE", 1)
    monkeypatch.setattr("services.inspection.inspections.distribution.PAUSE_SECONDS", 0)
    request_id = rid()
    await distributed(full_town, request_id, until=3)
    await asyncio.sleep(0.2)
    before = await listed(full_town)
    assert 0 < len(before) < 8
    done = await distributed(full_town, request_id)
    assert done.opened_count == done.visit_count == 8 - len(before)
    names = await listed(full_town)
    assert len(names) == 8
    assert len(await _require_each_once(store, names)) == 24


async def test_two_distributions_at_once_open_each_visit_once(
    full_town: Town, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.inspection.inspections.distribution.AT_ONCE", 2)
    results = await asyncio.gather(*(distributed(full_town) for _ in range(3)))
    assert sum(each.opened_count for each in results) == 8
    assert {one.reason for each in results for one in each.refused} <= {"TASK_NOT_OPEN"}
    names = await listed(full_town)
    assert len(await _require_each_once(store, names)) == 24


async def test_what_was_called_off_is_distributed_by_another_request(full_town: Town) -> None:
    request_id = rid()
    await distributed(full_town, request_id)
    for name in await listed(full_town):
        await full_town.call(req.CANCEL, name)
    same = await distributed(full_town, request_id)
    assert [(each.reason, each.visit_count) for each in same.refused] == [("ALREADY_OPENED", 8)]
    assert same.opened_count == 0
    assert (await distributed(full_town)).opened_count == 8


async def test_a_visit_that_cannot_be_opened_is_named_and_leaves_its_tasks_open(town: Town) -> None:
    await town.publish(ECOLOGY, planned(2, ECOLOGY))
    remove = target_rpc.RemoveTargetRequest(request_id=rid(), name=f"targets/{FIRM}", reason="注销")
    await town.planner.targets.RemoveTarget(remove)
    done = await distributed(town)
    assert (done.visit_count, done.opened_count) == (1, 0)
    [why] = done.refused
    assert (why.reason, why.visit_count) == ("NOT_ON_REGISTER", 1)
    assert FIRM in why.example
    assert (await distributed(town, validate_only=True)).task_count == 2

"""Histories at random over real gRPC: several callers at once, and what must hold whatever they do."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio
import pytest
import sqlalchemy as sa
from google.protobuf.message import Message

from bihuan.inspection.v1 import draw_service_pb2 as draw_pb
from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2, visit_pb2
from bihuan.inspection.v1 import plan_service_pb2 as plan_rpc
from bihuan.inspection.v1 import roster_service_pb2 as roster_rpc
from bihuan.inspection.v1 import visit_service_pb2 as visit_rpc
from eventstore import EventStore
from rpc.client import status_of
from rules import Clock
from services.inspection.inspections import counting, views
from services.inspection.plans import views as plan_views
from tests.bureau import Bureau, bureau
from tests.services import inspections as req
from tests.services import plans, rosters, targets
from tests.services.calls import rid
from tests.services.inspections import ECOLOGY, FIRE, MARKET, MONDAY
from tests.services.penalties import of
from tests.services.rosters import day, uscc
from tests.services.test_inspections import MORNING, differs

DEPARTMENTS = (ECOLOGY, FIRE, MARKET)
FIRMS = (req.FIRM, uscc(77), uscc(78))
# In what nobody can answer for: everything else has a reason that says what was wrong.
FAULTS = frozenset(
    {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED}
)
HISTORIES = int(os.environ.get("HISTORIES", "2"))  # more by hand: HISTORIES=500 STEPS=300 pytest …
STEPS, AT_ONCE = int(os.environ.get("STEPS", "60")), 4
ISSUED = sa.text("SELECT stream, data FROM eventstore.event WHERE type = :type")
LEAST = 2  # inspectors, by law
MOST = 2  # visits a year by a department, by the rules of Yangzhou, but for grade D
Act = Callable[["Life"], Awaitable[Any]]


class Life:
    """A bureau and what came to be in it."""

    def __init__(self, open_: Bureau, seed: int) -> None:
        self.random = random.Random(seed)
        self.open = open_
        self.boss = open_.client("supervisor", subject="head")
        self.officers = {
            f"{req.FIELDS[name]}-{n}": open_.client(
                "supervisor", subject=f"{req.FIELDS[name]}-{n}", agency=name[12:]
            )
            for name in DEPARTMENTS
            for n in range(3)
        }
        self.teams: dict[str, list[str]] = {}
        self.plans: list[str] = []
        self.tasks: dict[str, plan_pb2.PlannedTask] = {}
        self.inspections: list[str] = []
        self.visits: list[str] = []
        self.draws: list[str] = []
        self.refusals: Counter[str] = Counter()

    async def prepare(self) -> None:
        for name in DEPARTMENTS:
            field = req.FIELDS[name]
            await self.boss.roster.RegisterDepartment(rosters.department(name[12:], field=field))
            self.teams[name] = [
                (
                    await self.boss.roster.RegisterInspector(
                        rosters.inspector(f"{field}-{n}", department=name)
                    )
                ).name
                for n in range(3)
            ]
        for firm in FIRMS:
            await self.boss.targets.RegisterTarget(targets.register(firm, district=req.YANGZHOU))

    def one(self, values: Any) -> Any:
        values = list(values)
        if not values:
            raise Nothing
        return self.random.choice(values)

    def call(self, request: Message, client: Any = None) -> Any:
        """Send a request on an inspection."""
        method = request.DESCRIPTOR.name.removesuffix("Request")
        return getattr((client or self.boss).inspections, method)(request)

    async def inspection(self) -> pb.Inspection:
        """One of those that there are, the newer the likelier."""
        name = self.one(self.inspections[-6:] if self.random.random() < 0.8 else self.inspections)
        get = rpc_pb.GetInspectionRequest(name=name)
        return await self.boss.inspections.GetInspection(get)


class Nothing(Exception):
    """There is nothing yet to act on."""


async def plan(life: Life) -> None:
    """A plan with some tasks, mostly taken as far as its publication."""
    department = life.one(DEPARTMENTS)
    kind = life.one((plan_pb2.PLAN_KIND_SUPPLEMENTARY, plan_pb2.PLAN_KIND_SPECIAL))
    tasks = [
        plans.task(
            number,
            life.one(FIRMS),
            items=[req.ITEMS[department]],
            from_date=day(MONDAY),
            to_date=day(MONDAY + 20 * req.DAY),
            statutory=life.random.random() < 0.3,
            alone=life.random.random() < 0.1,
        )
        for number in range(life.random.randint(1, 4))
    ]
    made = await life.boss.plans.CreatePlan(plans.plan(kind, department=department))
    life.plans.append(made.name)
    await life.boss.plans.AddTasks(plans.add(tasks, made.name))
    submit = plan_rpc.SubmitPlanRequest(request_id=rid(), name=made.name)
    await life.officers[f"{req.FIELDS[department]}-0"].plans.SubmitPlan(submit)
    await life.boss.plans.ApprovePlan(of(plans.APPROVE, made.name))
    if life.random.random() < 0.85:
        await life.boss.plans.PublishPlan(of(plans.PUBLISH, made.name))


async def withdraw(life: Life) -> None:
    await life.boss.plans.WithdrawPlan(of(plans.WITHDRAW, life.one(life.plans)))


async def publish(life: Life) -> None:
    name = life.one(life.plans)
    submit = plan_rpc.SubmitPlanRequest(request_id=rid(), name=name)
    for call in (
        life.boss.plans.SubmitPlan(submit),
        life.boss.plans.ApprovePlan(of(plans.APPROVE, name)),
        life.boss.plans.PublishPlan(of(plans.PUBLISH, name)),
        life.boss.plans.ReturnPlan(of(plans.RETURN, name)),
    ):
        await attempt(life, call)


async def open_planned(life: Life) -> None:
    listed = await life.boss.plans.ListTasks(plan_rpc.ListTasksRequest(page_size=1000))
    first = life.one(listed.tasks)
    same = [each for each in listed.tasks if each.task.enterprise == first.task.enterprise]
    by_department: dict[str, plan_pb2.PlannedTask] = {first.department: first}
    for each in life.random.sample(same, min(len(same), life.random.randint(0, 3))):
        by_department.setdefault(each.department, each)
    drafts = [
        rpc_pb.OpenInspectionRequest.Draft(department=name, tasks=[each.name])
        for name, each in by_department.items()
    ]
    special = all(each.kind == plan_pb2.KIND_SPECIAL for each in by_department.values())
    kind = plan_pb2.KIND_SPECIAL if special else plan_pb2.KIND_DAILY
    request = req.opening(*drafts, enterprise=first.task.enterprise, kind=kind)
    life.inspections.append((await life.call(of(request, ""))).name)


async def open_on_clue(life: Life) -> None:
    clue = pb.Clue(source=life.one((1, 3, 6, 7)), reference="12345", summary="异味")
    opening = req.on_clue(life.one(DEPARTMENTS), clue=clue, enterprise=life.one(FIRMS))
    life.inspections.append((await life.call(of(opening, ""))).name)


async def distribute(life: Life) -> None:
    call = life.boss.inspections.DistributeTasks(
        rpc_pb.DistributeTasksRequest(
            request_id=rid(),
            district="321000",
            from_date=day(date(2026, 9, 1)),
            to_date=day(date(2026, 12, 31)),
        )
    )
    async for _ in call:
        pass
    listed = await life.boss.inspections.ListInspections(
        rpc_pb.ListInspectionsRequest(page_size=1000)
    )
    life.inspections = sorted({*life.inspections, *(each.name for each in listed.inspections)})


async def forward(life: Life) -> None:
    """Whatever an inspection waits for, mostly."""
    found = await life.inspection()
    lead = found.participants[0].department
    team = life.random.sample(life.teams[lead], life.one((2, 2, 3)))
    match found.standing.state:
        case pb.STATE_INVITING:
            asked = life.one(
                each.department for each in found.participants if each.answer == pb.ANSWER_PENDING
            )
            theirs = life.random.sample(life.teams[asked], 2)
            answer = (
                req.accept(asked, *theirs) if life.random.random() < 0.7 else req.decline(asked)
            )
            await life.call(of(answer, found.name))
        case pb.STATE_ARRANGED:
            await attempt(life, life.call(of(req.assign(lead, team), found.name)))
            if found.kind == plan_pb2.KIND_CASE and life.random.random() < 0.5:
                spot = req.code(on_the_spot_reason="险情")
                await life.call(of(spot, found.name))
            else:
                await life.call(of(req.APPROVE, found.name))
        case pb.STATE_APPROVED:
            await attempt(life, life.call(of(req.assign(lead, team), found.name)))
            await life.call(of(req.code(days=life.one((1, 3))), found.name))
        case pb.STATE_READY if life.random.random() < 0.3:
            await life.call(note(life, found, lead))
        case pb.STATE_READY:
            begin = rpc_pb.StartInspectionRequest(
                code=found.codes[-1].id, enterprise=found.enterprise.uscc, device=life.one("ab")
            )
            begin.device_time.FromDatetime(MORNING)
            client = life.one(life.officers.values())
            await life.call(of(begin, found.name), client)
        case _:
            await on_site(life, found)


def note(life: Life, found: pb.Inspection, department: str) -> Message:
    """An entry that failed, or passed."""
    item = life.one(
        item.id
        for each in found.participants
        if each.department == department
        for item in each.items
    )
    entry = pb.Entry(id=str(uuid4()), item=item, check=pb.CHECK_PASSED)
    if life.random.random() < 0.5:
        entry.MergeFrom(
            pb.Entry(check=pb.CHECK_FAILED, note="x", gravity=1, outcome=pb.OUTCOME_RECTIFY)
        )
    entry.device_time.FromDatetime(MORNING)
    request = rpc_pb.RecordEntriesRequest(department=department, entries=[entry])
    return of(request, found.name)


async def on_site(life: Life, found: pb.Inspection) -> None:
    department = life.one(each.department for each in found.participants)
    result = rpc_pb.RecordResultRequest(department=department, conclusion="x")
    became = f"problems/{uuid4()}"
    for request in (
        note(life, found, department),
        of(result, found.name),
        of(rpc_pb.ReportInspectionRequest(), found.name),
        of(rpc_pb.HandOverFindingRequest(finding="1", handed_over_to=became), found.name),
        of(req.APPROVE, found.name),
    ):
        await attempt(life, life.call(request))


async def meddle(life: Life) -> None:
    """What does not belong to the way of an inspection, at any time."""
    found = await life.inspection()
    lead = found.participants[0].department
    request = life.one(
        (
            req.CANCEL,
            req.REVOKE,
            req.code(),
            req.APPROVE,
            req.DISAPPROVE,
            rpc_pb.PrecheckInspectionRequest(),
            req.assign(lead, life.random.sample(life.teams[lead], 2)),
            req.RECOUNT,
        )
    )
    await life.call(of(request, found.name))


async def fact(life: Life) -> None:
    kind = life.one(("HONOUR", "PENALTY", "ALERT", "PERMIT_REPORT", "REPAIR"))
    told = targets.fact(
        kind,
        date(2026, 8, life.random.randint(1, 28)),
        name=rid(),
        answers=["permit_report"] if kind == "PERMIT_REPORT" else [],
    )
    await life.boss.targets.RecordFact(targets.record(told, f"targets/{life.one(FIRMS)}"))


async def roster(life: Life) -> None:
    inspector = life.one(life.teams[life.one(DEPARTMENTS)])
    firm = life.one(FIRMS)
    request: Any = life.one(
        (
            roster_rpc.RecordRecusalRequest(
                recusal=roster_pb2.Recusal(enterprise=firm, reason="亲属")
            ),
            roster_rpc.LiftRecusalRequest(enterprise=firm, reason="查无此事"),
            roster_rpc.RecordAbsenceRequest(absence=rosters.absence(MONDAY, MONDAY)),
            roster_rpc.CancelAbsenceRequest(from_date=day(MONDAY), to_date=day(MONDAY)),
        )
    )
    method = request.DESCRIPTOR.name.removesuffix("Request")
    await getattr(life.boss.roster, method)(of(request, inspector))


async def visit(life: Life) -> None:
    if life.visits and life.random.random() < 0.6:
        request: Any = life.one(
            (
                visit_rpc.MakeVisitRequest(summary="x", danger_seen=life.one((True, False))),
                visit_rpc.CancelVisitRequest(reason="x"),
            )
        )
        method = request.DESCRIPTOR.name.removesuffix("Request")
        await getattr(life.boss.visits, method)(of(request, life.one(life.visits)))
        return
    request = visit_rpc.RegisterVisitRequest(
        request_id=rid(),
        department=life.one(DEPARTMENTS),
        target=f"targets/{life.one(FIRMS)}",
        purpose=visit_pb2.PURPOSE_TRAINING,
        subject="培训",
        date=day(MONDAY),
        visitors=2,
    )
    life.visits.append((await life.boss.visits.RegisterVisit(request)).name)


async def draw(life: Life) -> None:
    if life.draws and life.random.random() < 0.7:
        request: Any = life.one(
            (
                draw_pb.MakeDrawRequest(),
                draw_pb.VoidDrawRequest(reason="x"),
                draw_pb.ContributeRequest(text="x"),
            )
        )
        method = request.DESCRIPTOR.name.removesuffix("Request")
        await getattr(life.boss.draws, method)(of(request, life.one(life.draws)))
        return
    department = life.one(DEPARTMENTS)
    request = draw_pb.CommitDrawRequest(
        request_id=rid(),
        department=department,
        title="双随机",
        from_date=day(MONDAY),
        to_date=day(MONDAY),
        filter=draw_pb.CommitDrawRequest.CandidateFilter(),
    )
    client = life.officers[f"{req.FIELDS[department]}-1"]
    life.draws.append((await client.draws.CommitDraw(request)).name)


ACTS: dict[Act, int] = {
    plan: 4,
    withdraw: 1,
    publish: 1,
    open_planned: 5,
    open_on_clue: 2,
    distribute: 1,
    forward: 22,
    meddle: 4,
    fact: 2,
    roster: 2,
    visit: 2,
    draw: 1,
}


async def attempt(life: Life, call: Awaitable[Any]) -> None:
    """Carry out what may be refused; nothing is refused without a reason."""
    try:
        await call
    except Nothing:
        pass
    except grpc.aio.AioRpcError as error:
        if error.code() in FAULTS:
            raise
        life.refusals[status_of(error).reason] += 1


@pytest.fixture
async def open_(database_url: str, tmp_path: Path) -> AsyncIterator[Bureau]:
    clock = str(Clock(MORNING, datetime.now(UTC)))
    async with bureau(database_url, tmp_path, clock) as found:
        yield found


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_whatever_many_do_at_once_what_must_hold_holds(
    open_: Bureau, store: EventStore, database_url: str, seed: int
) -> None:
    seed += int(os.environ.get("FIRST", "0"))
    life = Life(open_, seed)
    await life.prepare()
    acts = [act for act, often in ACTS.items() for _ in range(often)]
    for _ in range(STEPS // AT_ONCE):
        chosen = [life.random.choice(acts) for _ in range(AT_ONCE)]
        await asyncio.gather(*(attempt(life, act(life)) for act in chosen))
    await require_invariants(store)
    assert await differs(database_url) == []
    if os.environ.get("TELL"):
        await tell(life, store)


async def tell(life: Life, store: EventStore) -> None:
    async with store.engine.connect() as conn:
        states = Counter(
            pb.State.Name(each) for each in await conn.scalars(sa.select(views.INSPECTION.c.state))
        )
    print(dict(states), dict(life.refusals))


async def require_invariants(store: EventStore) -> None:
    async with store.engine.connect() as conn:
        resources = await conn.scalars(sa.select(views.INSPECTION.c.resource))
        found = [pb.Inspection.FromString(each) for each in resources]
        tasks = {
            row.name: row
            for row in await conn.execute(
                sa.select(plan_views.TASK, plan_views.TASK_CLAIM.c.inspection).outerjoin(
                    plan_views.TASK_CLAIM, plan_views.TASK_CLAIM.c.task == plan_views.TASK.c.name
                )
            )
        }
        rows = await conn.execute(ISSUED, {"type": ev.CodeIssued.DESCRIPTOR.full_name})
        issued = [(_name(row.stream), ev.CodeIssued.FromString(row.data)) for row in rows]
    _each_task_is_in_one_inspection_or_open(found, tasks)
    _no_cap_is_broken(found, issued)
    for inspection in found:
        _nobody_comes_without_a_code(inspection)


def _name(stream: str) -> str:
    return stream.replace("inspection.inspection-", "inspections/")


def _each_task_is_in_one_inspection_or_open(found: list[pb.Inspection], tasks: Any) -> None:
    held = {task: each.name for each in found for task in views.held(each)}
    assert sum(len(views.held(each)) for each in found) == len(held)
    assert {name: row.inspection for name, row in tasks.items() if row.inspection} == held
    # What is being inspected was published and is so still.
    assert all(tasks[name].published for name in held)


def _no_cap_is_broken(found: list[pb.Inspection], issued: list[tuple[str, ev.CodeIssued]]) -> None:
    """No code took a place beyond the cap of its day, but of what is never refused."""
    by_name = {each.name: each for each in found}
    for name, event in issued:
        for each in event.ordinals:
            assert each.visit_of_year > 0
            if each.cap and counting.refusable(by_name[name], each.department):
                assert each.capped_visit_of_year <= each.cap
    capped = Counter(
        (department, each.enterprise.uscc)
        for each in found
        for department, counts in counting.counted(each).items()
        if counts and counting.refusable(each, department)
    )
    uncapped = any(each.grade == "D" for each in (one.enterprise for one in found))
    assert uncapped or max(capped.values(), default=0) <= MOST


def _nobody_comes_without_a_code(inspection: pb.Inspection) -> None:
    used = [each for each in inspection.codes if each.state == pb.Code.STATE_USED]
    assert len(used) == inspection.HasField("start")
    assert len([each for each in inspection.codes if each.state == pb.Code.STATE_ISSUED]) <= 1
    if not inspection.codes:
        return
    urgent = inspection.kind == plan_pb2.KIND_CASE and inspection.codes[-1].on_the_spot_reason
    assert inspection.HasField("approval") or urgent
    going = [each for each in inspection.participants if each.answer == pb.ANSWER_ACCEPTED]
    assert all(len(each.inspectors) >= LEAST for each in going if each.visit_of_year)
    ended = inspection.standing.state in (pb.STATE_CANCELLED, pb.STATE_OFF_SITE)
    assert not (ended and inspection.findings)

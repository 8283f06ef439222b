"""The draw service over real gRPC and a real PostgreSQL, and its draws made again from what it answers."""

import asyncio
import copy
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2
from sqlalchemy import text

from bihuan.inspection.v1 import draw_pb2 as pb
from bihuan.inspection.v1 import draw_service_pb2 as rpc_pb
from bihuan.inspection.v1 import inspection_service_pb2 as inspection_rpc
from bihuan.inspection.v1 import plan_pb2, roster_pb2
from bihuan.inspection.v1 import plan_service_pb2 as rpc_plans
from bihuan.inspection.v1 import roster_service_pb2 as roster_rpc
from bihuan.inspection.v1 import target_service_pb2 as target_rpc
from eventstore import EventStore
from rules import Clock
from services.inspection.targets import views as target_views
from services.rebuild import rebuild
from tests.bureau import Bureau, Client, bureau
from tests.services import plans, rosters, targets
from tests.services.calls import recorded, refused, rid
from tests.services.penalties import of
from tests.services.rosters import uscc

MONDAY = datetime(2026, 1, 5, 1, tzinfo=UTC)  # 09:00 in Shanghai
FIRMS = [uscc(number) for number in range(12)]
MAKE, VOID = rpc_pb.MakeDrawRequest(), rpc_pb.VoidDrawRequest(reason="名单有误")
CONTRIBUTE = rpc_pb.ContributeRequest(text="福彩3D 2026005期 4 1 7")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "draw.md").read_text("utf-8")
(SCRIPT,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.S)
CLOCK = str(Clock(MONDAY, datetime.now(UTC)))


def independent() -> Callable[[dict[str, Any]], list[str]]:
    """What docs/draw.md gives to anybody who wants to make a draw again."""
    assert "bihuan.inspection" not in SCRIPT
    scope: dict[str, Any] = {"__name__": "verify"}
    exec(SCRIPT, scope)
    return cast(Callable[[dict[str, Any]], list[str]], scope["faults"])


FAULTS = independent()


@dataclass
class Office:
    """A department with five inspectors, one of whom keeps away from an enterprise."""

    open: Bureau

    def __post_init__(self) -> None:
        self.planner = self.open.client("planner", subject="wang", agency=rosters.ECOLOGY)
        self.witness = self.open.client("officer", subject="notary", agency=uscc(900))

    async def staffed(self) -> None:
        await self.open.client("planner").roster.RegisterDepartment(rosters.department())
        for number in range(5):
            person = await self.planner.roster.RegisterInspector(rosters.inspector(f"i{number}"))
        recusal = roster_pb2.Recusal(enterprise=FIRMS[0], reason="近亲属任职")
        await self.planner.roster.RecordRecusal(
            roster_rpc.RecordRecusalRequest(request_id=rid(), name=person.name, recusal=recusal)
        )
        entries = [
            target_rpc.BatchRegisterTargetsRequest.Entry(uscc=each, profile=targets.profile())
            for each in FIRMS
        ]
        await self.planner.targets.BatchRegisterTargets(
            target_rpc.BatchRegisterTargetsRequest(request_id=rid(), entries=entries)
        )

    async def committed(self, **fields: Any) -> pb.Draw:
        values: dict[str, Any] = {
            "request_id": rid(),
            "department": plans.ECOLOGY,
            "title": "2026年第一季度“双随机”抽查",
            "from_date": rosters.day(date(2026, 2, 1)),
            "to_date": rosters.day(date(2026, 3, 31)),
            "filter": rpc_pb.CommitDrawRequest.CandidateFilter(),
        }
        request = rpc_pb.CommitDrawRequest(**{**values, **fields})
        return cast(pb.Draw, await self.planner.draws.CommitDraw(request))

    async def get(self, name: str) -> pb.Draw:
        return cast(pb.Draw, await self.planner.draws.GetDraw(rpc_pb.GetDrawRequest(name=name)))

    async def made(self, **fields: Any) -> pb.Draw:
        draw = await self.committed(**fields)
        await self.witness.draws.Contribute(of(CONTRIBUTE, draw.name))
        await self.planner.draws.MakeDraw(of(MAKE, draw.name))
        return await self.get(draw.name)


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with bureau(database_url, tmp_path, CLOCK) as open_:
        office = Office(open_)
        await office.staffed()
        yield office


async def test_anybody_can_make_a_draw_again_from_what_is_answered(office: Office) -> None:
    draw = await office.made()
    assert [each.count for each in draw.quotas] == [4]  # of twelve of grade B, 0.3 rounded up
    assert len(draw.lots) == 4
    published = MessageToDict(draw)
    assert FAULTS(published) == []
    verify = [sys.executable, "-c", SCRIPT]
    done = await asyncio.to_thread(
        subprocess.run, verify, input=json.dumps(published), capture_output=True, text=True
    )
    assert done.stdout.strip() == "genuine", done.stderr


async def test_whom_a_draw_chose_inspects_or_it_is_said_why_not(office: Office) -> None:
    draw = await office.made()
    lot = draw.lots[0]
    head = office.open.client("decider", subject="head", agency=rosters.ECOLOGY)
    plan = await office.planner.plans.CreatePlan(plans.plan(request_id=rid()))
    task = plans.task(1, lot.enterprise, draw=draw.name)
    await office.planner.plans.AddTasks(of(plans.add([task]), plan.name))
    await office.planner.plans.SubmitPlan(of(rpc_plans.SubmitPlanRequest(), plan.name))
    await head.plans.ApprovePlan(of(plans.APPROVE, plan.name))
    await office.planner.plans.PublishPlan(of(plans.PUBLISH, plan.name))
    opening = inspection_rpc.OpenInspectionRequest(
        request_id=rid(),
        kind=plan_pb2.KIND_DAILY,
        enterprise=lot.enterprise,
        from_date=task.from_date,
        to_date=task.to_date,
    )
    opening.participants.add(department=plans.ECOLOGY, tasks=[f"{plan.name}/tasks/{task.id}"])
    opened = await office.planner.inspections.OpenInspection(opening)
    everybody = await office.planner.roster.ListInspectors(roster_rpc.ListInspectorsRequest())
    others = [each.name for each in everybody.inspectors if each.name not in lot.inspectors][:2]
    assign = inspection_rpc.AssignInspectorsRequest(
        name=opened.name, department=plans.ECOLOGY, inspectors=others
    )
    refusal = await refused(office.planner.inspections.AssignInspectors(of(assign, opened.name)))
    assert refusal.reason == "DRAWN_LEFT_OUT"
    del assign.inspectors[:]
    assign.inspectors.extend(lot.inspectors)
    named = await office.planner.inspections.AssignInspectors(of(assign, opened.name))
    chosen = [each.inspector for each in named.participants[0].inspectors]
    assert chosen == list(lot.inspectors)


Change = Callable[[dict[str, Any]], None]


def setting(*path: Any, to: Any) -> Change:
    def change(draw: dict[str, Any]) -> None:
        place: Any = draw
        for step in path[:-1]:
            place = place[step]
        assert place.get(path[-1]) != to if isinstance(place, dict) else True
        place[path[-1]] = to

    return change


CHANGES: dict[str, Change] = {
    "secret": setting("secret", to="00" * 32),
    "name": setting("name", to="draws/0198c6d2-0000-7000-8000-000000000001"),
    "title": setting("title", to="另一次抽查"),
    "first day": setting("fromDate", "day", to=2),
    "inspectors each": setting("inspectorsEach", to=3),
    "quota": setting("quotas", 0, "count", to=5),
    "a candidate's pool": setting("candidates", 3, "stratum", to="A"),
    "a candidate less": lambda draw: draw["candidates"].pop(),
    "a candidate more": lambda draw: draw["candidates"].append(
        {"enterprise": uscc(99), "stratum": "B"}
    ),
    "an inspector less": lambda draw: draw["inspectors"].pop(0),
    "a recusal": setting("inspectors", 0, "recused", to=[FIRMS[5]]),
    "a capacity": setting("inspectors", 0, "capacity", to=7),
    "a contribution": setting("contributions", 0, "text", to="0 0 0"),
    "a witness": setting("contributions", 0, "witness", to="somebody"),
    "no contribution": setting("contributions", to=[]),
    "a lot": lambda draw: draw["lots"].reverse(),
    "an inspector of a lot": lambda draw: draw["lots"][0]["inspectors"].reverse(),
}


async def test_whatever_is_changed_is_noticed(office: Office) -> None:
    published = MessageToDict(await office.made())
    for what, change in CHANGES.items():
        changed = copy.deepcopy(published)
        change(changed)
        assert FAULTS(changed), what


async def test_nothing_of_the_outcome_is_on_record_before_the_draw_and_it_survives_a_restart(
    office: Office, database_url: str, tmp_path: Path, store: EventStore
) -> None:
    draw = await office.committed()
    assert (draw.secret, draw.seed, list(draw.lots)) == ("", "", [])
    await office.witness.draws.Contribute(of(CONTRIBUTE, draw.name))
    async with bureau(database_url, tmp_path, CLOCK) as again:
        other = Office(again)
        made = await other.planner.draws.MakeDraw(of(MAKE, draw.name))
    assert (made.commitment, made.state) == (draw.commitment, pb.DRAW_STATE_DRAWN)
    assert FAULTS(MessageToDict(made)) == []
    names = await recorded(office.open)
    before = names.index("DrawMade")
    async with store.engine.connect() as conn:
        rows = await conn.execute(text("SELECT data FROM eventstore.event ORDER BY id"))
        data = [row.data for row in rows]
    for secret in (made.secret.encode(), bytes.fromhex(made.secret)):
        assert not any(secret in each for each in data[:before])
    assert any(made.secret.encode() in each for each in data)


async def test_without_its_key_nothing_is_drawn(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    draw = await office.committed()
    async with bureau(database_url, tmp_path, CLOCK, draw_key=None) as keyless:
        planner = Office(keyless).planner
        error = await refused(planner.draws.MakeDraw(of(MAKE, draw.name)))
        assert (error.code, error.reason) == (code_pb2.UNAVAILABLE, "DRAW_KEY_UNAVAILABLE")
        assert (await planner.draws.VoidDraw(of(VOID, draw.name))).void_reason == VOID.reason


async def test_a_void_draw_stays_on_record(office: Office) -> None:
    first = await office.committed()
    await office.planner.draws.VoidDraw(of(VOID, first.name))
    second = await office.made()
    error = await refused(office.planner.draws.VoidDraw(of(VOID, second.name)))
    assert (error.reason, error.metadata["state"]) == ("NOT_COMMITTED", "DRAW_STATE_DRAWN")

    async def listed(**wanted: Any) -> list[pb.Draw]:
        request = rpc_pb.ListDrawsRequest(filter=rpc_pb.DrawFilter(**wanted))
        return list((await office.planner.draws.ListDraws(request)).draws)

    both = await listed(department=plans.ECOLOGY)
    assert [each.name for each in both] == [second.name, first.name]
    assert not any(each.candidates or each.lots for each in both)
    assert {each.candidate_count for each in both} == {len(FIRMS)}
    (void,) = await listed(states=[pb.DRAW_STATE_VOID])
    assert void.void_reason == VOID.reason


async def test_a_department_draws_for_itself_and_enterprises_see_nothing(office: Office) -> None:
    draw = await office.committed()
    stranger = office.open.client("planner", subject="lin", agency=uscc(901))
    for call in (
        stranger.draws.MakeDraw(of(MAKE, draw.name)),
        stranger.draws.VoidDraw(of(VOID, draw.name)),
        Office.committed(cast(Any, _as(office, stranger))),
    ):
        error = await refused(call)
        assert (error.code, error.reason) == (code_pb2.PERMISSION_DENIED, "OTHER_DEPARTMENT")
    await stranger.draws.Contribute(of(CONTRIBUTE, draw.name))
    firm = office.open.client("planner", subject="boss", enterprise=FIRMS[0])
    for call in (
        firm.draws.GetDraw(rpc_pb.GetDrawRequest(name=draw.name)),
        firm.draws.ListDraws(rpc_pb.ListDrawsRequest()),
        firm.draws.Contribute(of(CONTRIBUTE, draw.name)),
        office.open.enterprise(FIRMS[0]).draws.GetDraw(rpc_pb.GetDrawRequest(name=draw.name)),
    ):
        assert (await refused(call)).code == code_pb2.PERMISSION_DENIED


def _as(office: Office, client: Client) -> Any:
    class Acting:
        planner = client

    return Acting()


async def test_a_draw_is_made_once_however_often_it_is_asked_for(office: Office) -> None:
    draw = await office.committed()
    answers = await asyncio.gather(
        *(office.planner.draws.MakeDraw(of(MAKE, draw.name)) for _ in range(4)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, pb.Draw) for each in answers) == 1
    assert (await recorded(office.open)).count("DrawMade") == 1


async def test_a_plan_holds_to_what_was_drawn(office: Office) -> None:
    draw = await office.made()
    (plan,) = [await office.planner.plans.CreatePlan(plans.plan())]
    chosen = {lot.enterprise for lot in draw.lots}
    others = sorted(set(FIRMS) - chosen)
    good = plans.tasks(sorted(chosen), draw=draw.name)
    bad = plans.task(50, others[0], draw=draw.name)
    error = await refused(office.planner.plans.AddTasks(plans.add([*good, bad], plan.name)))
    ((path, why),) = error.violations
    assert (path, why.partition(":")[0]) == (f"tasks[{len(good)}]", "NOT_DRAWN")
    added = await office.planner.plans.AddTasks(plans.add(good, plan.name))
    assert added.task_count == len(chosen)


async def test_five_thousand_candidates_are_drawn_within_the_limits_of_messages(
    office: Office, store: EventStore
) -> None:
    firms = [uscc(number) for number in range(10_000, 14_988)]
    rows = [target_views._row(plans.target(each, "D")) for each in firms]
    async with store.engine.begin() as conn:
        await conn.execute(sa.insert(target_views.TARGET), rows)
    draw = await office.made(inspectors_each=4)
    assert draw.candidate_count == 5000
    assert len(draw.lots) == 4988 + 4
    assert FAULTS(MessageToDict(draw)) == []


async def test_a_rebuild_finds_what_the_service_wrote(office: Office, store: EventStore) -> None:
    await office.made()
    await office.planner.draws.VoidDraw(of(VOID, (await office.committed()).name))
    await office.committed()
    found = await rebuild(store, "inspection", only_check=True)
    assert not found.differs
    (table,) = [each for each in found.tables if each.table == "inspection.draw"]
    assert table.rows == 3

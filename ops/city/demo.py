"""`bihuan demo yangzhou`: a year of a synthetic city by four regimes, and its plans on a stack of its own."""

import asyncio
import json
import time as stopwatch
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import grpc.aio
from rich.console import Console
from rich.progress import Progress

from bihuan.inspection.v1 import statistics_service_pb2, statistics_service_pb2_grpc
from bihuan.inspection.v1.inspection_service_pb2 import DistributeTasksResponse
from examples.joint import DEPARTMENTS, JointInspection, fire_service, play
from ops.city import assumptions as given
from ops.city.comparison import OneCity, compare
from ops.city.enrolment import (
    distribute,
    enrol_department,
    enrol_targets,
    planner_of,
    publish_plans,
)
from ops.city.generator import City, generate
from ops.city.history import known
from ops.city.plans import past_plan
from ops.city.report import as_json as in_json
from ops.city.report import tables
from ops.home import passing
from ops.settings import Settings
from ops.supervisor import Stack
from rpc.client import connect
from rpc.identity import Identity
from rules import SHANGHAI, Clock, RuleBook, Rules, WorkingCalendar, legal_date
from services.inspection.inspections.merging import PlannedVisit

Say = Callable[[str], None]
STARTS = date(given.YEAR, 1, 4)
# Departments have five working days to answer, and ask people of theirs meanwhile.
DAY_SECONDS = 2.5
LEAD_SECONDS = 10.0
# Whose inspections of the first month are opened: each is a loop, and a whole city's are for a cluster.
OPENED = "321023"
JOINT_DAYS = timedelta(days=50)


async def run(
    settings: Settings,
    *,
    as_json: bool = False,
    keep: bool = False,
    seed: int = 1,
    seeds: int = 1,
    enterprises: int = given.ENTERPRISES,
    day_seconds: float | None = None,
) -> None:
    """Compare the regimes in `seeds` cities from `seed` on, then put the first of them on a stack.

    keep: leave the stack up afterwards, until cancelled; day_seconds: how long a legal day lasts. Raises
    DemoFailed.
    """
    console = Console(stderr=as_json, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    cities = await asyncio.to_thread(_compared, console, seed, seeds, enterprises)
    console.print(tables(cities))
    city, tasks = await asyncio.to_thread(_first, seed, enterprises)
    with passing(settings.home, say) as home:
        clock = _clock(day_seconds or DAY_SECONDS)
        settings = settings.model_copy(update={"home": home, "clock": str(clock)})
        async with Stack(settings, say=say) as stack, fire_service(stack.temporal_address):
            figures = await OnStack(stack, city, clock, say).play(tasks)
            if as_json:
                told = in_json(cities) | figures
                print(json.dumps(told, ensure_ascii=False, indent=2), flush=True)
            if keep:
                for line in stack.links:
                    say(line)
                say("the stack stays up; Ctrl-C stops it")
                await asyncio.Event().wait()
    say("nothing is left running; `bihuan demo yangzhou --keep` stays up for a look at the loops")


class OnStack:
    """Puts one city on a running stack, through gRPC alone."""

    def __init__(self, stack: Stack, city: City, clock: Clock, say: Say) -> None:
        self._stack = stack
        self._city = city
        self._clock = clock
        self._say = say
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def play(self, tasks: list[PlannedVisit]) -> dict[str, Any]:
        """Registers, plans, distribution, a joint inspection, the year's figures; for programs."""
        joint = JointInspection(self._stack, self._clock, self._say)
        try:
            await joint.register()
            await self._enrol()
            departments = self._city.departments.values()
            published = await self._counted(
                f"tasks in the published plans of {len(departments)} departments",
                publish_plans(self._channel, departments, tasks),
            )
            figures = {"published_tasks": published, **await self._distribute()}
            return figures | await self._visit(joint)
        finally:
            await joint.close()
            for channel in self._channels.values():
                await channel.close()

    async def _enrol(self) -> None:
        """Departments but those of the joint inspection, which are there; and enterprises."""
        there = {each.field for each in DEPARTMENTS}
        await asyncio.gather(
            *(
                enrol_department(self._channel, department)
                for field, department in self._city.departments.items()
                if field not in there
            )
        )
        await self._counted(
            "enterprises on the register of targets", enrol_targets(self._channel, self._city)
        )

    async def _distribute(self) -> dict[str, Any]:
        planner = planner_of(self._city.departments["ecology"])
        year = date(given.YEAR, 1, 1), date(given.YEAR, 12, 31)
        january = date(given.YEAR, 1, 1), date(given.YEAR, 1, 31)
        district = given.DISTRICTS[OPENED][0]
        merged = await self._merged(
            "the year's tasks of the city, merged",
            distribute(self._channel, planner, given.CITY, *year, only_say=True),
        )
        opened = await self._merged(
            f"January's tasks of {district}, merged and opened as inspections",
            distribute(self._channel, planner, OPENED, *january, only_say=False),
        )
        return {"merged": merged, "opened": opened}

    async def _visit(self, joint: JointInspection) -> dict[str, Any]:
        today = legal_date(self._clock.now())
        joint.days = (today, today + JOINT_DAYS)
        ended = await play(joint)
        self._say(ended.report)
        code = f"{self._stack.page_url}/c/{ended.codes[-1].id}?s={ended.codes[-1].signature}"
        self._say(f"what the enterprise saw when it scanned the code: {code}")
        figures = await self._figures()
        visits, came = figures.inspection_count, figures.saving.alone_count
        self._say(f"visits that took place: {visits}, for {came} visits of departments")
        return {"joint": {"inspection": ended.name, "code": code, "report": ended.report}}

    async def _figures(self) -> statistics_service_pb2.Figures:
        who = Identity("demo-operator", roles=frozenset({"operator"}))
        stub = statistics_service_pb2_grpc.StatisticsServiceStub(self._channel(who))
        request = statistics_service_pb2.GetStatisticsRequest(year=given.YEAR, district=given.CITY)
        return (await stub.GetStatistics(request)).figures

    async def _counted(self, what: str, told: AsyncIterator[int]) -> int:
        began = stopwatch.monotonic()
        number = [each async for each in told][-1]
        self._say(f"{number:,} {what}, in {stopwatch.monotonic() - began:.1f} s")
        return number

    async def _merged(
        self, what: str, answers: AsyncIterator[DistributeTasksResponse]
    ) -> dict[str, int]:
        began = stopwatch.monotonic()
        last = [each async for each in answers][-1]
        spared = last.saved_count / max(last.task_count, 1)
        self._say(
            f"{what}, in {stopwatch.monotonic() - began:.1f} s: {last.task_count:,} tasks, "
            f"{last.visit_count:,} visits ({spared:.1%} fewer), {last.joint_count:,} joint, "
            f"{last.opened_count:,} opened"
        )
        return {
            "tasks": last.task_count,
            "visits": last.visit_count,
            "joint": last.joint_count,
            "opened": last.opened_count,
        }

    def _channel(self, identity: Identity) -> grpc.aio.Channel:
        if identity.subject not in self._channels:
            token = self._stack.token(identity)
            self._channels[identity.subject] = connect(self._stack.grpc_address, token)
        return self._channels[identity.subject]


def _compared(console: Console, seed: int, seeds: int, enterprises: int) -> list[OneCity]:
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("a year by four regimes", total=seeds)
        return compare(seed, seeds, enterprises, lambda _: progress.advance(bar))


def _first(seed: int, enterprises: int) -> tuple[City, list[PlannedVisit]]:
    """The city of the seed with its plans; four of its departments are those of the joint inspection."""
    rules = Rules(RuleBook.load(), WorkingCalendar.load(), given.CITY)
    city = generate(seed, rules, enterprises)
    playing = {
        each.field: city.departments[each.field]._replace(name=each.name) for each in DEPARTMENTS
    }
    facts = known(city._replace(departments={**city.departments, **playing}))
    return facts.city, past_plan(facts.city, given.YEAR, facts.punished)


def _clock(day_seconds: float) -> Clock:
    """A clock that reaches the first working morning of the year once a stack is up."""
    morning = datetime.combine(STARTS, time(8), SHANGHAI).astimezone(UTC)
    return Clock(morning, datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS), day_seconds)

"""`bihuan demo yangzhou`: a year of a synthetic city by four regimes, and its plans on a stack of its own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import grpc.aio
from rich.console import Console
from rich.progress import Progress

from bihuan.inspection.v1.inspection_service_pb2 import DistributeTasksResponse
from ops.city import assumptions as given
from ops.city.comparison import OneCity, compare
from ops.city.enrolment import (
    Office,
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
from rules import SHANGHAI, Clock, RuleBook, Rules, WorkingCalendar

Say = Callable[[str], None]
Answer = TypeVar("Answer")
STARTS = date(given.YEAR, 1, 4)
DAY_SECONDS = 2.0
LEAD_SECONDS = 10.0
# Whose inspections of the first month are opened: each is a loop, and a whole city's are for a cluster.
OPENED = "321023"


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
    """Compare the regimes, then put the city of `seed` on a stack. Raises DemoFailed.

    keep: leave the stack up afterwards, until cancelled.
    """
    console = Console(stderr=as_json, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    cities = await asyncio.to_thread(_compared, console, seed, seeds, enterprises)
    console.print(tables(cities))
    seconds = day_seconds or DAY_SECONDS
    start = datetime.combine(STARTS, datetime.min.time(), SHANGHAI).replace(hour=8)
    clock = Clock(
        start.astimezone(UTC), datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS), seconds
    )
    with passing(settings.home, say) as home:
        settings = settings.model_copy(update={"home": home, "clock": str(clock)})
        async with Stack(settings, say=say) as stack:
            figures = await OnStack(stack, seed, enterprises, say).play()
            if as_json:
                print(
                    json.dumps(in_json(cities) | figures, ensure_ascii=False, indent=2), flush=True
                )
            if keep:
                for line in stack.links:
                    say(line)
                say("the stack stays up; Ctrl-C stops it")
                await asyncio.Event().wait()


class OnStack:
    """Puts one city on a running stack."""

    def __init__(self, stack: Stack, seed: int, enterprises: int, say: Say) -> None:
        self._stack = stack
        self._seed = seed
        self._enterprises = enterprises
        self._say = say
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def play(self) -> dict[str, Any]:
        """Everything, from the register of departments on; figures for programs."""
        try:
            city, tasks = await asyncio.to_thread(_city, self._seed, self._enterprises)
            offices = await self._enrol(city)
            published = await self._timed(
                "tasks in the published plans of 12 departments",
                publish_plans(self._channel, offices, tasks),
            )
            return {"published_tasks": published, **await self._distribute(city)}
        finally:
            for channel in self._channels.values():
                await channel.close()

    async def _enrol(self, city: City) -> dict[str, Office]:
        found = await asyncio.gather(
            *(enrol_department(self._channel, each) for each in city.departments.values())
        )
        self._say(f"{len(found)} departments and their certified inspectors are registered")
        await self._timed(
            "enterprises on the register of targets", enrol_targets(self._channel, city)
        )
        return {office.department.name: office for office in found}

    async def _distribute(self, city: City) -> dict[str, Any]:
        planner = planner_of(city.departments["ecology"])
        year = date(given.YEAR, 1, 1), date(given.YEAR, 12, 31)
        month = date(given.YEAR, 1, 1), date(given.YEAR, 1, 31)
        whole = await self._last(
            "the year's tasks of the city, merged",
            distribute(self._channel, planner, given.CITY, *year, only_say=True),
        )
        opened = await self._last(
            f"January's tasks of {given.DISTRICTS[OPENED][0]}, merged and opened as inspections",
            distribute(self._channel, planner, OPENED, *month, only_say=False),
        )
        return {"merged": _figures(whole), "opened": _figures(opened)}

    async def _timed(self, what: str, told: AsyncIterator[int]) -> int:
        began = time.monotonic()
        number = [each async for each in told][-1]
        self._say(f"{number:,} {what}, in {time.monotonic() - began:.1f} s")
        return number

    async def _last(
        self, what: str, answers: AsyncIterator[DistributeTasksResponse]
    ) -> DistributeTasksResponse:
        began = time.monotonic()
        last = [each async for each in answers][-1]
        spared = last.saved_count / max(last.task_count, 1)
        self._say(
            f"{what}, in {time.monotonic() - began:.1f} s: {last.task_count:,} tasks, "
            f"{last.visit_count:,} visits ({spared:.1%} fewer), {last.joint_count:,} joint, "
            f"{last.opened_count:,} opened"
        )
        return last

    def _channel(self, identity: Identity) -> grpc.aio.Channel:
        if identity.subject not in self._channels:
            token = self._stack.token(identity)
            self._channels[identity.subject] = connect(self._stack.grpc_address, token)
        return self._channels[identity.subject]


def _compared(console: Console, seed: int, seeds: int, enterprises: int) -> list[OneCity]:
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("a year by four regimes", total=seeds)
        return compare(seed, seeds, enterprises, lambda _: progress.advance(bar))


def _city(seed: int, enterprises: int) -> tuple[City, list[Any]]:
    rules = Rules(RuleBook.load(), WorkingCalendar.load(), given.CITY)
    facts = known(generate(seed, rules, enterprises))
    return facts.city, past_plan(facts.city, given.YEAR, facts.punished)


def _figures(answer: DistributeTasksResponse) -> dict[str, int]:
    return {field.name: value for field, value in answer.ListFields() if isinstance(value, int)}

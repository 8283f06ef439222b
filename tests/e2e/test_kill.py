"""Whatever part is killed in the middle, every loop ends as it should and each fact is there once."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from temporalio.client import Client

from bihuan.feed.v1 import feed_service_pb2_grpc
from bihuan.feed.v1.feed_service_pb2 import Event, ReadEventsRequest
from ops.demo import OPERATOR, Demo, demo_clock, in_time
from ops.outcome import Report
from ops.scenario import Scenario, load
from ops.settings import Settings
from ops.supervisor import ALL, Stack
from rpc.client import connect
from rules import SHANGHAI, Clock
from tests.e2e.conftest import own_ports
from tests.e2e.facts import check_fines, check_log, final_state

SCENARIO = Path(__file__).with_name("short.yaml")
FINES = Path(__file__).with_name("short_fines.yaml")
DAY_SECONDS = 0.4


async def log_of(stack: Stack) -> list[Event]:
    """The whole log, page by page, through the feed."""
    events: list[Event] = []
    position = 0
    async with connect(stack.grpc_address, stack.token(OPERATOR)) as channel:
        stub = feed_service_pb2_grpc.FeedServiceStub(channel)
        while True:
            page = await stub.ReadEvents(ReadEventsRequest(after_position=position, page_size=50))
            events += page.events
            position = page.next_position
            if position >= page.head_position:
                return events


async def runs_of_loops(stack: Stack) -> Counter[str]:
    client = await Client.connect(stack.temporal_address)
    # What carries facts to the register of targets is done in a moment, and no loop.
    executions = client.list_workflows("WorkflowType != 'TargetFact'")
    return Counter([execution.id async for execution in executions])


def middle(scenario: Scenario, clock: Clock, name: str, seed: int) -> datetime:
    """A random moment in the middle third of the play (UTC), another for each part."""
    start, end = (
        clock.real(datetime.combine(day, time(10), SHANGHAI).astimezone(UTC))
        for day in (scenario.starts, scenario.ends)
    )
    moment = start + (end - start) * random.Random(f"{seed}/{name}").uniform(1 / 3, 2 / 3)
    print(f"{name} is killed {clock.legal(moment).astimezone(SHANGHAI):%F %H:%M} legal time")
    return moment


async def kill_at(moment: datetime, stack: Stack, name: str) -> None:
    await asyncio.sleep((moment - datetime.now(UTC)).total_seconds())
    print(f"killing {name}")
    await stack.kill(name)
    await stack.wait_ready(name)


@contextmanager
def logs_on_failure(stack: Stack) -> Iterator[None]:
    """The home goes away with the test, and with it what its parts said."""
    try:
        yield
    except BaseException:
        for name, part in stack.parts.items():
            print(f"--- {name}", *part.log.read_text().splitlines()[-60:], sep="\n")
        raise


# Two to a play, each at a moment of its own: as many plays as parts would take minutes.
PAIRS = (("postgres", "page"), ("temporal", "sealer"), ("service", "worker"), ("relay",))


def test_every_part_is_killed() -> None:
    assert sorted(name for pair in PAIRS for name in pair) == sorted(ALL)


@pytest.mark.parametrize("names", PAIRS)
async def test_parts_killed_in_the_middle_change_nothing(names: Sequence[str], home: Path) -> None:
    scenario = load(SCENARIO)
    report, events = await play_killing(names, scenario, DAY_SECONDS, home)
    assert {outcome.key: outcome.final_state for outcome in report.cases} == {
        case.key: final_state(case) for case in scenario.cases
    }
    assert report.workflows == len(scenario.cases)
    check_log(events, scenario.cases)


@pytest.mark.parametrize("names", [("temporal", "service"), ("worker", "relay")])
async def test_parts_killed_while_fines_are_paid_change_nothing(
    names: Sequence[str], home: Path
) -> None:
    scenario = load(FINES)
    report, events = await play_killing(names, scenario, scenario.day_seconds, home)
    assert {outcome.final_state for outcome in report.cases} == {"STATE_CLOSED"}
    check_fines(events, scenario.cases)


async def play_killing(
    names: Sequence[str], scenario: Scenario, day_seconds: float, home: Path
) -> tuple[Report, list[Event]]:
    """Play the scenario and kill those parts in the middle; what became of it, and the whole log. Seed in
    KILL_SEED to repeat the moments.
    """
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1_000_000))
    print(f"KILL_SEED={seed}")
    clock = demo_clock(scenario, day_seconds)
    settings = Settings(BIHUAN_CLOCK=str(clock), **own_ports())
    async with Stack(settings, home=home, say=print) as stack:
        with logs_on_failure(stack):
            clock = await in_time(scenario, stack, clock, print)
            killing = [
                asyncio.create_task(kill_at(middle(scenario, clock, name, seed), stack, name))
                for name in names
            ]
            report = await Demo(scenario, stack, clock, print).play()
            await asyncio.gather(*killing)
            events, runs = await log_of(stack), await runs_of_loops(stack)
            restarts = {part: stack.part(part).restarts for part in ALL}
    assert restarts == dict.fromkeys(ALL, 0) | dict.fromkeys(names, 1)
    assert report.events == Counter(event.payload.TypeName() for event in events)
    assert len(runs) == report.workflows
    assert set(runs.values()) == {1}
    return report, events

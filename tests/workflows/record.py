"""Records the histories that test_replay.py replays: `python -m tests.workflows.record`.

It records the scenarios that have none yet; what was recorded before stands for loops that run. Where
they need not go on, delete their histories first.
"""

import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

HERE = Path(__file__).parent
HISTORIES = HERE / "histories"
# Modules under workflows/ whose scenarios are in a test module named after them.
LOOPS = (
    "problem_loop",
    "penalty_loop",
    "instalment_loop",
    "target_loop",
    "target_fact",
    "inspection_plan_loop",
    "inspection_loop",
    "department_invitation",
)
# Fixtures that scenarios run in, each with its `loops`.
TOWNS = ("place", "court", "register", "planning", "joint", "with_fire")
# What would tell the machine, the process or the very build that ran it.
WHO = frozenset({"identity", "workerId", "binaryChecksum", "buildId", "stackTrace"})
PLACES = (f"@{socket.gethostname()}", sys.prefix, str(HERE.parents[1]), "/home/", "/root/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves the scenarios that have no history yet, and has them recorded while their town still stands."""
    items[:] = [item for item in items if not recorded(item)]
    for item in items:
        item.fixturenames.append("recording")  # type: ignore[attr-defined]


def recorded(scenario: pytest.Item) -> list[Path]:
    """The histories of a scenario, one a loop."""
    return sorted(folder(scenario).glob(f"{stem(scenario)}*.json"))


def folder(scenario: pytest.Item) -> Path:
    return HISTORIES / scenario.path.stem.removeprefix("test_")


def stem(scenario: pytest.Item) -> str:
    return scenario.name.removeprefix("test_")


@pytest.fixture
async def recording(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Writes down the histories of the test's loops when the test is done, unless one has failed."""
    yield
    if request.session.testsfailed:
        return
    (town,) = [request.getfixturevalue(name) for name in TOWNS if name in request.fixturenames]
    for suffix, handle in town.loops(folder(request.node).name).items():
        path = folder(request.node) / f"{stem(request.node)}{suffix}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(await text_of(handle), "utf-8")


async def text_of(handle: WorkflowHandle[Any, Any]) -> str:
    """The history of a loop, an event a line."""
    history = (await handle.fetch_history()).to_json_dict()
    lines = [json.dumps(scrubbed(event), separators=(",", ":")) for event in history["events"]]
    text = '{"events":[\n' + ",\n".join(lines) + "\n]}\n"
    assert not any(place in text for place in PLACES)
    return text


def scrubbed(value: Any) -> Any:
    """`value` without the names of machines, processes and builds."""
    match value:
        case {"kind": "TASK_QUEUE_KIND_STICKY"}:
            return value | {"name": "worker"}
        case dict():
            return {key: "worker" if key in WHO else scrubbed(value[key]) for key in value}
        case list():
            return [scrubbed(each) for each in value]
        case _:
            return value


if __name__ == "__main__":
    scenarios = [str(HERE / f"test_{loop}.py") for loop in LOOPS]
    sys.exit(pytest.main([*scenarios, "-p", "tests.workflows.record", "-n0"]))

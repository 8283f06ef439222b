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

from tests.workflows.town import Town

HERE = Path(__file__).parent
HISTORIES = HERE / "histories"
# What would tell the machine, the process or the very build that ran it.
WHO = frozenset({"identity", "workerId", "binaryChecksum", "buildId", "stackTrace"})
PLACES = (socket.gethostname(), sys.prefix, str(HERE.parents[1]), "/home/", "/root/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves the scenarios that have no history yet."""
    items[:] = [item for item in items if not path(item).exists()]


def path(scenario: pytest.Item) -> Path:
    return HISTORIES / f"{scenario.name.removeprefix('test_')}.json"


@pytest.fixture(autouse=True)
async def recording(request: pytest.FixtureRequest, place: Town) -> AsyncIterator[None]:
    """Writes down the history of the test's loop when the test is done, unless one has failed."""
    yield
    if request.session.testsfailed:
        return
    assert place.handle
    history = (await place.handle.fetch_history()).to_json_dict()
    lines = [json.dumps(scrubbed(event), separators=(",", ":")) for event in history["events"]]
    text = '{"events":[\n' + ",\n".join(lines) + "\n]}\n"
    assert not any(place in text for place in PLACES)
    path(request.node).write_text(text, "utf-8")


def scrubbed(value: Any) -> Any:
    """`value` without the names of machines, processes and builds."""
    match value:
        case dict():
            return {key: "worker" if key in WHO else scrubbed(value[key]) for key in value}
        case list():
            return [scrubbed(each) for each in value]
        case _:
            return value


if __name__ == "__main__":
    sys.exit(pytest.main([str(HERE / "test_problem_loop.py"), "-p", "tests.workflows.record"]))

"""Records the histories that test_replay.py replays: `python -m tests.workflows.record`.

Run it when a scenario is added, or when a loop changes on purpose and no loop recorded before runs
any more; a change that running loops must survive goes behind `workflow.patched` instead.
"""

import json
import re
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
WHO = frozenset({"identity", "workerId", "binaryChecksum", "buildId"})


@pytest.fixture(autouse=True)
async def recording(request: pytest.FixtureRequest, place: Town) -> AsyncIterator[None]:
    """Writes down the history of the test's loop when the test is done."""
    yield
    assert place.handle
    history = (await place.handle.fetch_history()).to_json_dict()
    lines = [json.dumps(scrubbed(event), separators=(",", ":")) for event in history["events"]]
    text = '{"events":[\n' + ",\n".join(lines) + "\n]}\n"
    assert not re.search(rf"{re.escape(socket.gethostname())}|/home/|/root/", text)
    name = request.node.name.removeprefix("test_")
    (HISTORIES / f"{name}.json").write_text(text, "utf-8")


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
    for old in HISTORIES.glob("*.json"):
        old.unlink()
    sys.exit(pytest.main([str(HERE / "test_problem_loop.py"), "-p", "tests.workflows.record"]))

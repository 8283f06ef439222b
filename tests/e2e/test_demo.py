"""The demo as a newcomer runs it: one command plays the pilot, tells all of it and leaves nothing."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from ops.scenario import Case, load
from tests.e2e.facts import TIME, final_state, implied

ROOT = Path(__file__).parents[2]
CASES = load(ROOT / "examples" / "kundulun.yaml").cases
PASSED, RETURNED, OVERDUE, REOPENED, UNFOUNDED = (case.key for case in CASES)
RECTIFICATION = "bihuan.rectification.v1."
NOTIFICATION = "bihuan.notification.v1."
# So many notices go out for each event that is not its next mover's task alone.
NOTICES = {
    "RectificationAccepted": 2,
    "DeadlineMissed": 2,
    "ProblemEscalated": 2,
    "ProblemClosed": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo makes its home."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def played(folder: Path) -> dict[str, Any]:
    """What `bihuan demo --json` prints."""
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("bihuan")), "demo", "--json", "--day-seconds", "0.4"],
        env=os.environ | {"BIHUAN_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    print(ended.stderr)
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


@pytest.fixture(params=CASES, ids=[f"problem {number}" for number in range(1, len(CASES) + 1)])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def outcome(case: Case, played: dict[str, Any]) -> dict[str, Any]:
    (found,) = [each for each in played["problems"] if each["key"] == case.key]
    return dict(found)


def kinds(outcome: dict[str, Any]) -> list[str]:
    return [stage["event"] for stage in outcome["stages"]]


def test_a_problem_goes_the_way_that_its_steps_imply(case: Case, outcome: dict[str, Any]) -> None:
    assert outcome["problem"].startswith("problems/")
    assert [kind for kind in kinds(outcome) if kind not in TIME] == implied(case)
    assert outcome["final_state"] == final_state(case)
    times = [datetime.fromisoformat(stage["time"]) for stage in outcome["stages"]]
    assert times == sorted(times)
    by_people = [step.date for step in case.steps if step.call != "AcknowledgeNotices"]
    acted = [
        datetime.fromisoformat(stage["time"]).date()
        for stage in outcome["stages"]
        if stage["event"] not in TIME
    ]
    assert all(done >= due for done, due in zip(acted, by_people, strict=True))


def test_every_branch_is_played(played: dict[str, Any]) -> None:
    outcomes = {outcome["key"]: outcome for outcome in played["problems"]}
    assert Counter(outcome["final_state"] for outcome in outcomes.values()) == {
        "STATE_CLOSED": 4,
        "STATE_UNFOUNDED": 1,
    }
    assert TIME.isdisjoint(kinds(outcomes[PASSED]))
    assert "RectificationReturned" in kinds(outcomes[RETURNED])
    assert "ProblemReopened" in kinds(outcomes[REOPENED])
    assert kinds(outcomes[UNFOUNDED]) == ["ProblemReported", "ProblemVerified"]
    overdue = outcomes[OVERDUE]
    branches = ["DeadlineMissed", "ProblemEscalated", "RectificationExtended"]
    first = [kinds(overdue).index(kind) for kind in branches]
    assert first == sorted(first), "missed, then escalated, then extended"
    assert len(overdue["reminders"]) >= 2
    assert "提醒" in overdue["reminders"][0]
    assert overdue["escalations"][0].endswith("逾期通知")
    levels = [line.rpartition(" ")[2] for line in overdue["escalations"]]
    assert len(set(levels)) == len(levels), "a rung climbed twice"


def test_each_fact_is_counted_once(played: dict[str, Any]) -> None:
    stages = Counter(kind for outcome in played["problems"] for kind in kinds(outcome))
    steps = Counter(kind for case in CASES for kind in implied(case))
    counts = played["events"]
    for kind, count in steps.items():
        assert counts.pop(RECTIFICATION + kind) == count, kind
    for kind in TIME:
        assert counts.pop(RECTIFICATION + kind) == stages[kind] >= 1, kind
    reminders = sum(len(outcome["reminders"]) for outcome in played["problems"])
    sent = sum(NOTICES.get(kind, 1) * count for kind, count in stages.items())
    assert counts.pop(NOTIFICATION + "NoticeSent") == sent + reminders
    acknowledgements = [step for case in CASES for step in case.steps if "Ack" in step.call]
    read = counts.pop(NOTIFICATION + "NoticeRead")
    assert counts.pop(NOTIFICATION + "NoticeAcknowledged") == read >= len(acknowledgements)
    assert counts == {}
    assert played["workflows"] == len(CASES)


@pytest.mark.usefixtures("played")
def test_nothing_is_left_of_it(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert [each for each in processes() if str(folder) in each] == []


def processes() -> Iterator[str]:
    """The command and environment of every process."""
    for process in psutil.process_iter():
        try:
            yield f"{process.cmdline()} {process.environ()}"
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue

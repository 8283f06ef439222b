"""The demo as a newcomer runs it: one command plays the pilot, tells all of it and leaves nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from io import StringIO
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any
from urllib.request import urlopen

import psutil
import pytest
from rich.console import Console

from ops.demo import summary
from ops.outcome import Escalation, Outcome, Reminder, Report
from ops.problem_play import LedgerRow, ProblemPlay
from ops.scenario import Case, load
from ops.ui import QUERIES
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
    assert "demo --keep" in ended.stderr.splitlines()[-1]
    return dict(json.loads(ended.stdout))


@pytest.fixture(params=CASES, ids=[f"problem {number}" for number in range(1, len(CASES) + 1)])
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def outcome(case: Case, played: dict[str, Any]) -> dict[str, Any]:
    (found,) = [each for each in played["cases"] if each["key"] == case.key]
    return dict(found)


def kinds(outcome: dict[str, Any]) -> list[str]:
    return [stage["event"] for stage in outcome["stages"]]


def test_a_problem_goes_the_way_that_its_steps_imply(case: Case, outcome: dict[str, Any]) -> None:
    assert outcome["name"].startswith("problems/")
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
    outcomes = {outcome["key"]: outcome for outcome in played["cases"]}
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
    assert "提醒" in overdue["reminders"][0]["text"]
    measures = [escalation["measure"] for escalation in overdue["escalations"]]
    assert measures[0] == "逾期通知"
    assert len(set(measures)) == len(measures), "a rung climbed twice"
    told = [*overdue["stages"], *overdue["reminders"], *overdue["escalations"]]
    assert {datetime.fromisoformat(each["time"]).utcoffset() for each in told} == {
        timedelta(hours=8)
    }


def test_the_ledger_is_told_to_programs_too(played: dict[str, Any]) -> None:
    outcomes = {outcome["name"]: outcome for outcome in played["cases"]}
    rows = played["ledger"]
    ordered = Counter((case.key, *item) for case in CASES for item in last_order(case))
    assert ordered == Counter(
        (outcomes[row["problem"]]["key"], row["finding"], row["measure"], row["responsible_unit"])
        for row in rows
    )
    for row in rows:
        outcome = outcomes[row["problem"]]
        assert row["enterprise"] == outcome["enterprise"]
        assert (row["title"], row["item"]) > ("", "")
        assert date.fromisoformat(row["due_date"]).year == 2026
        assert row["late"] == (outcome["key"] == OVERDUE)
        assert row["round"] == (2 if outcome["key"] == REOPENED else 1)
        assert row["state"] == outcome["final_state"] == "STATE_CLOSED"


def last_order(case: Case) -> list[tuple[str, str, str]]:
    """What the enterprise was ordered in the last round, item by item."""
    orders = [step for step in case.steps if "items" in step.arguments]
    items = orders[-1].arguments["items"] if orders else []
    return [(item["finding"], item["measure"], item["responsible_unit"]) for item in items]


def test_people_read_one_label_for_each_state_and_a_sum_that_adds_up(
    played: dict[str, Any],
) -> None:
    report = Report(
        **played
        | {
            "cases": [
                Outcome(
                    **problem
                    | {
                        "reminders": [Reminder(**each) for each in problem["reminders"]],
                        "escalations": [Escalation(**each) for each in problem["escalations"]],
                    }
                )
                for problem in played["cases"]
            ],
            "ledger": [LedgerRow(**row) for row in played["ledger"]],
        }
    )
    console = Console(width=200, file=StringIO())
    with console.capture() as shown:
        play = ProblemPlay()
        console.print(play.table(report), summary(report, play.label))
    assert "已销号" in shown.get()
    assert "不属实" in shown.get()
    assert "CLOSED" not in shown.get()
    assert "UNFOUNDED" not in shown.get()
    total, *parts = map(int, re.findall(r"(\d+) (?:events|of cases|reminders|other)", shown.get()))
    assert total == sum(parts) == sum(played["events"].values())


QUICK = """
name: 一件不属实
starts: 2026-09-07
ends: 2026-09-10
people:
  baoli: {name: 包莉, roles: [reporter], subject: baoli}
  wangqiang: {name: 王强, roles: [verifier], subject: wangqiang}
enterprises:
  huagang: {uscc: 91150203MA0KDL0112, display_name: 包头市华钢特种钢有限公司}
problems:
  - key: 异味
    enterprise: huagang
    steps:
      - date: 2026-09-07
        as: baoli
        call: ReportProblem
        with:
          title: 夜间异味
          source: SOURCE_COMPLAINT
          category: CATEGORY_OTHER
          severity: SEVERITY_MINOR
          location: {district: "150203", address: 钢铁大街1号}
      - date: 2026-09-08
        as: wangqiang
        call: VerifyProblem
        with: {result: RESULT_UNFOUNDED, reasons: 未见异常}
"""


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo in a home under `folder`, whose output can be read as it comes."""
    command = [str(Path(sys.executable).with_name("bihuan")), "demo", *options]
    environment = os.environ | {"BIHUAN_HOME": str(folder)}
    with subprocess.Popen(
        command, env=environment, stdout=PIPE, stderr=STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_to(process: subprocess.Popen[str], mark: str) -> list[str]:
    """The lines up to the first one with `mark` in it."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if mark in line:
            return lines
    pytest.fail("\n".join(lines))


def test_a_demo_that_is_kept_stays_up_with_its_lists_until_told(home: Path) -> None:
    scenario = home.with_suffix(".yaml")
    scenario.write_text(QUICK, "utf-8")
    with demo(home, "--keep", "--scenario", str(scenario), "--day-seconds", "0.4") as process:
        lines = read_to(process, "stays up")
        lists = dict(line.split(": ") for line in lines if "/workflows" in line)
        found = {name: len(executions(address)) for name, address in lists.items()}
        assert found == {name: int(name == "all loops") for name in QUERIES}
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert list(home.iterdir()) == []
    assert [each for each in processes() if str(home) in each] == []


def executions(address: str) -> list[Any]:
    """What the Web UI at `address` asks for, and gets, to fill its list."""
    ui, _, rest = address.partition("/namespaces/")
    with urlopen(f"{ui}/api/v1/namespaces/{rest}", timeout=10) as answer:
        return list(json.load(answer).get("executions", []))


@pytest.mark.parametrize("moment", ["a legal day lasts", "postgres is ready", "all loops"])
def test_an_interrupted_demo_leaves_no_folder(home: Path, moment: str) -> None:
    with demo(home) as process:
        read_to(process, moment)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert not home.exists() or list(home.iterdir()) == [], output
    assert [each for each in processes() if str(home) in each] == []


def test_each_fact_is_counted_once(played: dict[str, Any]) -> None:
    stages = Counter(kind for outcome in played["cases"] for kind in kinds(outcome))
    steps = Counter(kind for case in CASES for kind in implied(case))
    counts = played["events"]
    for kind, count in steps.items():
        assert counts.pop(RECTIFICATION + kind) == count, kind
    for kind in TIME:
        assert counts.pop(RECTIFICATION + kind) == stages[kind] >= 1, kind
    reminders = sum(len(outcome["reminders"]) for outcome in played["cases"])
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

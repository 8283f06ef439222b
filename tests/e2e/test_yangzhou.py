"""A small city played as a user would: fewer visits and no less found, plans merged, one joint inspection."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import own_ports

ENTERPRISES = 400
LEAST_SPARED = 0.45  # what is asked for: Yangzhou's own figure


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `bihuan demo yangzhou --json` prints."""
    home = tmp_path_factory.mktemp("home")
    command = (Path(sys.executable).with_name("bihuan"), "demo", "yangzhou", "--json")
    played = subprocess.run(
        [*command, "--enterprises", str(ENTERPRISES)],
        env={**os.environ, **own_ports(), "BIHUAN_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert played.returncode == 0, played.stderr[-3000:]
    answer: dict[str, Any] = json.loads(played.stdout)
    return answer


def test_visits_fall_by_what_is_asked_and_no_less_is_found(told: dict[str, Any]) -> None:
    spread = told["spread"]["all mechanisms"]
    assert spread["visits spared"]["mean"] >= LEAST_SPARED
    assert spread["detection against alone"]["mean"] >= 1


def test_the_services_merge_the_plans_as_the_comparison_does(told: dict[str, Any]) -> None:
    (city,) = told["cities"]
    assert told["published_tasks"] == told["merged"]["tasks"] == city["tasks"]
    # As every department alone goes once for each task, and nobody has begun yet to merge.
    assert city["regimes"]["alone as in the past"]["visits"] == city["tasks"]
    merged = city["regimes"]["merging only"]["visits"]
    # Days that have passed when the services merge leave a visit or two less to move.
    assert abs(told["merged"]["visits"] - merged) <= merged * 0.02


def test_what_is_opened_is_what_was_merged(told: dict[str, Any]) -> None:
    opened = told["opened"]
    assert opened["opened"] == opened["visits"] > 0


def test_four_departments_inspect_at_once_and_the_report_names_them_all(
    told: dict[str, Any],
) -> None:
    report = told["joint"]["report"]
    for office in ("生态环境局", "消防救援支队", "应急管理局", "市场监督管理局"):
        assert office in report
    assert "不参加，理由：" in report
    assert "逾期未答复" in report

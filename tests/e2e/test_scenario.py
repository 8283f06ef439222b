"""A malformed scenario is refused by file and line, with the reason, before anything starts."""

import subprocess
import sys
from pathlib import Path

import pytest

from ops import cli
from ops.failures import ScenarioError
from ops.scenario import load

SCENARIO = Path(__file__).parents[2] / "examples" / "kundulun.yaml"

# What is replaced in the example (its first occurrence), by what, and the reason that is given. The
# line is the one where the mistake is: that of what was replaced, but where a number says otherwise.
MISTAKES = {
    "bad YAML": ("people:", "people: }", "not YAML", 0),
    "unknown key": ("    enterprise: huagang", "    firm: huagang", "problems.0.enterprise: ", -1),
    "unknown person": ("as: wangqiang", "as: nobody", "nobody is neither among the people", 0),
    "unknown enterprise": ("    enterprise: huagang", "    enterprise: x", "x is not listed", 0),
    "bad credit code": ("91150203MA0KDL0112", "91150203MA0KDL0113", "enterprise huagang: ", 0),
    "unknown method": ("call: VerifyProblem", "call: Verify", "has no method Verify", 0),
    "unknown field": ("          title:", "          titel:", "titel", -1),
    "unknown enum name": ("SOURCE_INSPECTION", "SOURCE_RUMOUR", "SOURCE_RUMOUR", -3),
    "missing field": ("          severity: SEVERITY_GENERAL\n", "", "severity: ", -5),
    "field too long": ("title: 自行监测方案不完整", "title: " + "长" * 201, "title: ", 0),
    "date before": ("date: 2026-09-08", "date: 2026-09-06", "2026-09-06 lies before 2026-09-07", 0),
    "no date": ("date: 2026-09-08", "date: soon", "problems.0.steps.1.date: ", 0),
    "deep in a list": ("limit: {days: 12}", "limit: {days: -1}", "items[0].limit.days: ", 0),
    "after the end": ("date: 2026-10-10", "date: 2026-10-30", "lies after the scenario ends", 0),
    "empty attachment": ("text: 自行监测方案（2026年修订）", 'text: ""', "attach.0.text: ", 0),
    "a day that never was": ("starts: 2026-09-07", "starts: 2026-02-30", "2026-02-30: day is", 0),
    "a step on such a day": ("{date: 2026-09-08", "{date: 2026-13-08", "2026-13-08: month ", 0),
    "a NUL": ("name: 昆", "name: \0昆", "not YAML: special characters are not allowed", 0),
    "key given twice": ("ends:", "starts: 2026-09-07\nends:", "starts is given twice", 0),
    "step's key given twice": ("        as: baoli", "        as: x\n        as: y", "as is gi", 1),
    "unknown role": ("roles: [verifier]", "roles: [wizard]", "role wizard is none of agency, ", 0),
    "unscoped role": ("roles: [verifier]", "roles: [enterprise]", "wangqiang: role enterprise", 0),
    "subject too long": ("subject: wangqiang", "subject: " + "x" * 501, "is over 500", 0),
    "no role": ("roles: [verifier]", "roles: []", "people.wangqiang.roles: ", 0),
}


@pytest.fixture
def mistaken(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int, str]:
    """The example with a mistake made in it, the mistake's line, and the reason to expect."""
    right, wrong, reason, lines = MISTAKES[request.param]
    text = SCENARIO.read_text("utf-8")
    file = tmp_path / "case.yaml"
    file.write_text(text.replace(right, wrong, 1), "utf-8")
    return file, text[: text.index(right)].count("\n") + 1 + lines, reason


@pytest.mark.parametrize("mistaken", MISTAKES, indirect=True)
def test_a_mistake_is_one_line_that_names_file_and_line(
    mistaken: tuple[Path, int, str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file, line, reason = mistaken
    monkeypatch.setenv("BIHUAN_HOME", str(home))
    monkeypatch.setattr(sys, "argv", ["bihuan", "demo", "--scenario", str(file)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert said.out == ""
    assert said.err.startswith(f"bihuan: {file}:{line}: "), said.err
    assert reason in said.err
    assert said.err.count("\n") == 1
    assert not home.exists(), "something was started"


def test_the_command_ends_with_that_line_and_1(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("name: [", "utf-8")
    command = [sys.executable, "-m", "ops", "demo", "--scenario", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"bihuan: {file}:")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"- a\n", b"name: \xff\n", None])
def test_what_is_no_scenario_at_all_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ScenarioError, match=r"case\.yaml"):
        load(file)

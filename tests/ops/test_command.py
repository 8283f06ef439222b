"""Whatever is set wrongly, or does not answer, the command says so in one line and ends with a code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops import home as homes
from ops.cli import main
from ops.settings import SettingsError
from rpc.identity import MOST_CHARACTERS

NOBODY = "127.0.0.1:1"  # nothing listens there
DATABASE = f"postgresql://u@{NOBODY}/x?api-key=hunter2&password=hunter3"


def run(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """The exit code of the command, and the one line that it says."""
    monkeypatch.setattr("sys.argv", ["bihuan", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert said.out == ""
    [line] = said.err.splitlines()
    return ended.value.code, line


TOKEN = ["token", "--role", "officer"]


@pytest.mark.parametrize("arguments", [TOKEN, ["up"], ["serve"], ["work"], ["relay"]])
def test_a_home_that_is_no_folder_is_named(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("BIHUAN_HOME", str(file))
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("TEMPORAL_ADDRESS", NOBODY)
    assert run(arguments, monkeypatch, capsys) == (
        2,
        f"bihuan: BIHUAN_HOME: cannot use {file}: not a folder",
    )


def test_no_token_is_made_where_no_stack_would_trust_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path))
    code, line = run(TOKEN, monkeypatch, capsys)
    assert code == 2
    assert line.startswith(f"bihuan: BIHUAN_HOME: no stack was ever up in {tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_not_ours_to_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path.name != "run")  # root may everything
    with pytest.raises(SettingsError, match=r"BIHUAN_HOME: cannot use .*/run: Permission denied"):
        homes.make(tmp_path / "home", "run", "logs")


@pytest.mark.parametrize("arguments", [TOKEN, ["config"], ["up"], ["serve"]])
@pytest.mark.parametrize(
    ("variable", "file", "content", "complaint"),
    [
        ("BIHUAN_ROLES", "none.yaml", None, "cannot read"),
        ("BIHUAN_ROLES", "roles.yaml", "- officer", "expected a mapping"),
        ("BIHUAN_ROLES", "roles.yaml", "a: b: c\n  d", "not YAML"),
        ("BIHUAN_ROLES", "roles.yaml", "\x00", "not YAML"),
        ("BIHUAN_RULES", "none", None, "no folder of rules"),
        ("BIHUAN_RULES", "", "- {id: Bad, name: x, versions: []}", "rule Bad: id: "),
        ("BIHUAN_RULES", "", "- [\n- [", "not YAML"),
    ],
)
def test_roles_and_rules_that_cannot_be_used_are_named(
    arguments: list[str],
    variable: str,
    file: str,
    content: str | None,
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (tmp_path / (file or "rules.yaml")).write_text(content)
    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(variable, str(tmp_path / file))
    code, line = run(arguments, monkeypatch, capsys)
    assert code == 2
    assert line.startswith(f"bihuan: {variable}: ")
    assert complaint in line


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--hours", "1e300"], "--hours: expected from 0.01 to 8784; it is 1e+300"),
        (["--hours", "nan"], "--hours: "),
        (["--hours", "0"], "--hours: "),
        (["--role", "enterprise"], "--enterprise: role enterprise needs the credit code"),
        (["--role", "wizard"], "--role: 'wizard' is none of agency, assessor"),
        (["--subject", "a\nb"], "control characters"),
        (["--name", "长" * (MOST_CHARACTERS + 1)], "over 500 characters"),
    ],
)
def test_a_token_that_nobody_would_take_is_not_made(
    arguments: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path / "home"))
    code, line = run([*TOKEN, *arguments], monkeypatch, capsys)
    assert code == 2
    assert complaint in line


def test_an_issuers_key_that_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "issuer").mkdir()
    (tmp_path / "issuer" / "issuer.pem").write_text("no key")
    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path))
    code, line = run(TOKEN, monkeypatch, capsys)
    assert code == 2
    assert line.startswith("bihuan: BIHUAN_HOME: cannot use the issuer's key: ")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("serve", "bihuan: DATABASE_URL: cannot use PostgreSQL at postgresql://u@127.0.0.1:1/x"),
        ("work", f"bihuan: TEMPORAL_ADDRESS: cannot use Temporal at {NOBODY}: "),
        ("relay", f"bihuan: TEMPORAL_ADDRESS: cannot use Temporal at {NOBODY}: "),
    ],
)
def test_a_part_whose_server_does_not_answer_ends_with_a_line_and_1(
    part: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DATABASE_URL", DATABASE)
    monkeypatch.setenv("TEMPORAL_ADDRESS", NOBODY)
    # By itself: what it does to signals and traces is the process's.
    command = [sys.executable, "-m", "ops", part]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith(said)
    assert "Connection refused" in line or "Connect call failed" in line
    assert "hunter" not in line

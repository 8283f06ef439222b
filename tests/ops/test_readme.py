"""What README tells a newcomer to type exists."""

import re
from pathlib import Path

import pytest
import typer

from ops.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
TARGETS = set(re.findall(r"\bmake ([a-z]+)\b(?=\s*`|\s*#)", README))
COMMANDS = set(re.findall(r"\bbihuan ([a-z][a-z-]*)((?: --[a-z-]+(?: [^-\s`]+)?)*)", README))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_it_names_is_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:.* ## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("name", "options"), sorted(COMMANDS))
def test_a_command_it_names_takes_the_options_it_names(name: str, options: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", options)) <= known


def test_enough_of_it_is_looked_at() -> None:
    assert {"demo", "test", "tools"} <= TARGETS
    assert {"demo", "up", "token", "verify", "check-proof"} <= {name for name, _ in COMMANDS}

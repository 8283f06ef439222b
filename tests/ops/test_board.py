"""The table of a stack shows each part as it is, also while lines are printed above it."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console
from rich.live import Live

from ops import board
from ops.part import State
from ops.supervisor import Stack

UI = "http://127.0.0.1:8233"


def stack(state: State) -> Any:
    part = SimpleNamespace(
        state=state,
        part=SimpleNamespace(address="[::1]:7233"),
        restarts=0,
        log=Path("/home/logs/temporal.log"),
    )
    return SimpleNamespace(
        external={}, parts={"temporal": part}, part=lambda _: part, home=Path("/home"), ui_url=UI
    )


def test_a_line_above_the_table_shows_no_markup_and_no_stale_state() -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    shown = stack(State.STARTING)
    table = board.table(cast(Stack, shown))
    with Live(console=console, get_renderable=lambda: table, auto_refresh=False):
        shown.parts["temporal"].state = State.READY
        screen.truncate(0)
        console.print("all is up", markup=False, highlight=False, soft_wrap=True)
        drawn = screen.getvalue()
    assert "all is up" in drawn
    assert "ready" in drawn
    assert "starting" not in drawn
    assert "[green]" not in drawn
    assert "[link" not in drawn
    assert "[::1]:7233" in drawn


def test_a_stopped_stack_offers_no_web_ui() -> None:
    console = Console(width=120)
    with console.capture() as shown:
        console.print(board.table(cast(Stack, stack(State.STOPPED))))
    [line] = [line for line in shown.get().splitlines() if "Web UI" in line]
    assert "stopped" in line

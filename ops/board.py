"""Shows a stack on the terminal: a line for each part, with its state and address."""

from rich.table import Table

from ops.part import State
from ops.settings import masked
from ops.supervisor import Stack

_COLOURS = {
    State.READY: "green",
    State.STARTING: "yellow",
    State.DOWN: "red",
    State.STOPPED: "dim",
}


def table(stack: Stack) -> Table:
    """The parts of the stack as they are now."""
    board = Table("part", "state", box=None, pad_edge=False)
    board.add_column("address", overflow="fold")
    board.add_column("restarts")
    board.add_column("log")
    for name, address in stack.external.items():
        board.add_row(name, "not ours", masked(address), "", "")
    for name, running in stack.parts.items():
        state = f"[{_COLOURS[running.state]}]{running.state}[/]"
        log = str(running.log.relative_to(stack.home.parent))
        board.add_row(name, state, masked(running.part.address), str(running.restarts), log)
    if stack.ui_url is not None:
        board.add_row("Web UI", "", f"[link={stack.ui_url}]{stack.ui_url}[/]", "", "")
    return board

"""Shows a stack on the terminal: a line for each part, with its state and address."""

from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from ops.part import State
from ops.settings import masked
from ops.supervisor import Stack

_COLOURS = {
    State.READY: "green",
    State.STARTING: "yellow",
    State.DOWN: "red",
    State.STOPPED: "dim",
}


@dataclass(frozen=True, slots=True)
class Board:
    """The parts of the stack as they are whenever it is drawn, be it by a line printed above it."""

    stack: Stack

    def __rich__(self) -> Table:
        board = Table("part", "state", box=None, pad_edge=False)
        board.add_column("address", overflow="fold")
        board.add_column("restarts")
        board.add_column("log")
        for cells in self._rows():
            # As text: in a string, [brackets] are markup at one time and shown at another.
            board.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
        return board

    def _rows(self) -> list[tuple[str | Text, ...]]:
        stack = self.stack
        rows: list[tuple[str | Text, ...]] = [
            (name, "not ours", masked(address)) for name, address in stack.external.items()
        ]
        for name, running in stack.parts.items():
            log = str(running.log.relative_to(stack.home.parent))
            address = masked(running.part.address)
            rows.append((name, _state(running.state), address, str(running.restarts), log))
        if stack.ui_url is not None:
            url = Text(stack.ui_url, style=f"link {stack.ui_url}")
            rows.append(("Web UI", _state(stack.part("temporal").state), url))
        return rows


def table(stack: Stack) -> Board:
    """The parts of the stack, for a terminal."""
    return Board(stack)


def _state(state: State) -> Text:
    return Text(state, style=_COLOURS[state])

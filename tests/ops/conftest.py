"""What the tests of the stack share: an environment without settings, and a home that goes away."""

import asyncio
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from ops.cli import main
from ops.settings import variables

LeftRunning = Callable[[], set[psutil.Process]]
Ran = tuple[int, str, str]
"""The exit code of a command, what it printed, and what it complained of."""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have configured a stack of their own."""
    for _, variable in variables():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def left_running() -> LeftRunning:
    """What this process started since the test began and what runs still; other tests' servers may run."""
    before = set(psutil.Process().children(recursive=True))
    return lambda: set(psutil.Process().children(recursive=True)) - before


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a stack may live: in a folder closed to other users, as /root is.

    Not in pytest's own, which another run of pytest closes again meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="bihuan-test-") as folder:
        yield Path(folder) / "home"


def bihuan(home: Path, *arguments: str) -> Ran:
    """Run the command in this home, within this process: starting one takes longer than most work."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict("os.environ", BIHUAN_HOME=str(home)),
        patch("sys.argv", ["bihuan", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


async def run(home: Path, *arguments: str) -> Ran:
    """As `bihuan`, beside this event loop."""
    return await asyncio.to_thread(bihuan, home, *arguments)

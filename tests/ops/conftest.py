"""What the tests of the stack share: an environment without settings, and a home that goes away."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.settings import variables


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have configured a stack of their own."""
    for _, variable in variables():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a stack may live: in a folder closed to other users, as /root is.

    Not in pytest's own, which another run of pytest closes again meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="bihuan-test-") as folder:
        yield Path(folder) / "home"

"""The key of inspection codes: made once for a home, named when it is none, and changed."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import codes
from ops import settings as configuration
from ops.cli import app
from ops.home import make
from ops.settings import SettingsError
from services.inspection.inspections.signing import CodeKeys


def test_a_stack_makes_its_own_key_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIHUAN_HOME", str(home))
    ours = configuration.load()
    assert codes.code_key(ours) is None, "services by themselves make none"
    with pytest.raises(SettingsError, match="BIHUAN_CODE_KEY: "):
        codes.rotate_code_key(ours)
    make(home)
    codes.ensure_code_key(ours)
    path = codes.code_key(ours)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    codes.ensure_code_key(ours)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [None, "no key"])
def test_a_configured_key_that_is_none_is_named_and_not_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "code.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv("BIHUAN_HOME", str(home))
    monkeypatch.setenv("BIHUAN_CODE_KEY", str(path))
    ours = configuration.load()
    codes.ensure_code_key(ours)
    with pytest.raises(SettingsError, match=r"BIHUAN_CODE_KEY: .*code\.pem"):
        codes.code_key(ours)
    assert path.exists() == bool(content)


def test_the_key_is_changed_by_a_command_and_the_old_one_stays_trusted(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIHUAN_HOME", str(home))
    make(home)
    codes.ensure_code_key(configuration.load())
    keys = CodeKeys(codes.code_key(configuration.load()))
    [before] = keys.trusted()
    done = CliRunner().invoke(app, ["rotate-code-key"])
    assert done.exit_code == 0
    assert "code.pem" in done.stdout
    after, old = keys.trusted()
    assert (old, after != before) == (before, True)

"""The configuration is typed, says where it comes from, and keeps its secrets."""

import json
from pathlib import Path

import pytest

from ops import settings as configuration
from ops.cli import main
from ops.settings import SettingsError, entries, load, masked


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("BIHUAN_UI_PORT", "abc", "valid integer"),
        ("BIHUAN_TEMPORAL_PORT", "70000", "less than or equal to 65535"),
        ("BIHUAN_GRPC_ADDRESS", "50051", "expected host:port"),
        ("BIHUAN_GRPC_ADDRESS", "localhost:http", "expected host:port"),
        ("TEMPORAL_ADDRESS", "temporal", "expected host:port"),
        ("DATABASE_URL", "mysql://u:hunter2@h/db", "expected postgresql://"),
        ("DATABASE_URL", "postgresql://u:hunter2@h:port/db", "with one port"),
        ("DATABASE_URL", "postgresql://u:hunter2@h:99999/db", "with one port"),
        ("DATABASE_URL", "postgresql://u:hunter2@h1:1,h2:2/db", "with one port"),
        ("DATABASE_URL", "postgresql://u@/db?port=x&password=hunter2", "with one port"),
        ("BIHUAN_HOME", "~nobody-we-know/x", "home directory"),
        ("BIHUAN_EVIDENCE_MIB", "0", "greater than or equal to 1"),
        ("BIHUAN_PAGE_PROXIES", "10.0.0.0/8,proxy", "does not appear to be an IPv4 or IPv6"),
        ("BIHUAN_PAGE_URL", "check.example.cn", "expected https://host"),
        ("BIHUAN_PAGE_LOOKUPS", "0", "greater than or equal to 1"),
        ("BIHUAN_CLOCK", "fast", "clock 'fast' is not"),
    ],
)
def test_a_bad_value_is_one_line_that_names_the_variable(
    variable: str,
    value: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("sys.argv", ["bihuan", "config"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert line.startswith(f"bihuan: {variable}: ")
    assert complaint in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://u:p/w@d@h/db", "postgresql://u:***@h/db"),
        (
            "postgresql://u@/db?host=/run/x&password=p",
            "postgresql://u@/db?host=/run/x&password=***",
        ),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("https://i/keys?v=1&api-key=p&x=2", "https://i/keys?v=1&api-key=***&x=2"),
        ("https://i/keys?X-Amz-Signature=p", "https://i/keys?X-Amz-Signature=***"),
        ("https://i/keys#access_token=p", "https://i/keys#access_token=***"),
        ("postgresql:///db?sslpassword=p;pwd=q", "postgresql:///db?sslpassword=***"),
        ("https://p@collector/v1", "https://***@collector/v1"),
        ("https://issuer:8443/keys", "https://issuer:8443/keys"),
        ("/a/folder", "/a/folder"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_config_says_where_each_value_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/db")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "")
    monkeypatch.setattr("sys.argv", ["bihuan", "config", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert shown["DATABASE_URL"]["value"] == "postgresql://u:***@h/db"
    assert shown["DATABASE_URL"]["source"] == "environment"
    assert shown["TEMPORAL_ADDRESS"]["value"] is None
    assert shown["BIHUAN_UI_PORT"]["source"] == "default"
    assert all(entry["meaning"] for entry in shown.values())


def test_another_process_reads_the_same_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path))
    monkeypatch.setenv("BIHUAN_CLOCK", "2026-09-01T00:00:00+08:00@2026-11-24T00:00:00+08:00/1.5")
    first = load()
    for variable, value in first.environment().items():
        monkeypatch.setenv(variable, value)
    assert [e.value for e in entries(load())] == [e.value for e in entries(first)]


def test_a_token_of_ours_is_not_made_where_another_issuer_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ops.tokens import worker_token

    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path))
    monkeypatch.setenv("BIHUAN_JWKS", "https://issuer/keys")
    with pytest.raises(SettingsError, match="BIHUAN_JWKS"):
        worker_token(configuration.load())


def test_a_worker_takes_its_token_of_another_issuer_from_a_file_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ops.tokens import worker_token

    file = tmp_path / "token"
    monkeypatch.setenv("BIHUAN_JWKS", "https://issuer/keys")
    monkeypatch.setenv("BIHUAN_TOKEN_FILE", str(file))
    with pytest.raises(SettingsError, match="BIHUAN_TOKEN_FILE"):
        worker_token(configuration.load())
    file.write_text("first\n")
    token = worker_token(configuration.load())
    assert token() == "first"
    file.write_text("second\n")
    assert token() == "second"


def test_a_worker_renews_its_token_before_it_expires(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import jwt

    from ops import tokens

    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path))
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    token = tokens.worker_token(configuration.load())
    first = token()
    expires = jwt.decode(first, options={"verify_signature": False})["exp"]
    now = expires - tokens.RENEW_SECONDS - 1
    assert token() == first
    now = expires - tokens.RENEW_SECONDS
    assert token() != first


def test_the_page_calls_as_nobody_but_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import jwt

    from ops.tokens import page_token

    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path))
    claims = jwt.decode(page_token(load())(), options={"verify_signature": False})
    assert (claims["sub"], claims["roles"]) == ("page", ["scan_page"])
    monkeypatch.setenv("BIHUAN_JWKS", "https://issuer/keys")
    monkeypatch.setenv("BIHUAN_PAGE_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(SettingsError, match="BIHUAN_PAGE_TOKEN_FILE"):
        page_token(load())
    (tmp_path / "token").write_text("given\n")
    assert page_token(load())() == "given"


def test_variables_that_are_not_ours_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "ISSUER", "CLOCK", "RULES", "ROLES", "UI_PORT"):
        monkeypatch.setenv(name, "/elsewhere")
    assert load().home == Path(".bihuan").absolute()

"""`bihuan rebuild`: what it prints, and with which code it ends."""

import asyncio
import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from bihuan.notification.v1.notice_pb2 import NoticeSent
from eventstore import EventStore, Metadata, NewEvent

NAME = f"notices/{uuid4()}"


@pytest.fixture
async def sent(store: EventStore) -> None:
    """A notice in the log that no view shows."""
    event = NoticeSent(name=NAME, recipient="desks/officer", title="催办")
    new = NewEvent(event.DESCRIPTOR.full_name, event.SerializeToString())
    stream = NAME.replace("notices/", "notification.notice-")
    await store.record(stream, 0, [new], Metadata("loop", uuid4()))


@pytest.fixture
def command(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BIHUAN_HOME", str(tmp_path))

    async def run(*arguments: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops", "rebuild", *arguments, stdout=-1, stderr=-1
        )
        said, complained = await process.communicate()
        return process.returncode, said.decode(), complained.decode()

    return run


async def test_check_says_what_differs_and_ends_with_1_and_rebuild_mends_it(
    command, sent: None, store: EventStore
) -> None:
    code, said, complained = await command("notification", "--check")
    assert code == 1
    assert "notification.notice: 1 missing, 0 extra, 0 different of 1 rows" in said
    assert f"{NAME.removeprefix('notices/')} (missing)" in said
    assert "bihuan: the views of notification are not what the log says" in complained
    code, said, complained = await command("notification")
    assert (code, "the views are mended" in said) == (0, True)
    assert "1/1" in complained  # the bar
    code, said, _ = await command("notification", "--check")
    assert (code, "the views are what the log says" in said) == (0, True)
    async with store.engine.connect() as conn:
        assert await conn.scalar(text("SELECT recipient FROM notification.notice"))


async def test_json_is_for_programs(command, sent: None) -> None:
    code, said, _ = await command("notification", "--check", "--json")
    assert code == 1
    assert json.loads(said) == {
        "service": "notification",
        "streams": 1,
        "events": 1,
        "tables": [
            {
                "table": "notification.notice",
                "rows": 1,
                "missing": 1,
                "extra": 0,
                "different": 0,
                "examples": [[NAME.removeprefix("notices/"), "missing"]],
            }
        ],
        "mended": False,
    }


async def test_a_service_without_views_is_named_with_those_that_have(command) -> None:
    code, said, complained = await command("calendar")
    assert (code, said) == (2, "")
    named = "inspection, notification, penalty, rectification"
    assert f"'calendar' has no views; these have: {named}" in complained


async def test_an_event_that_was_tampered_with_ends_it_in_one_line(
    command, store: EventStore
) -> None:
    changed = NewEvent("bihuan.notification.v1.NoticeSent", b"\xff\xff")
    await store.record("notification.notice-1", 0, [changed], Metadata("intruder", uuid4()))
    code, _, complained = await command("notification")
    assert code == 1
    assert complained.splitlines()[-1] == (
        "bihuan: not rebuilt: version 1 of notification.notice-1 is no"
        " bihuan.notification.v1.NoticeSent: see `bihuan verify`"
    )


async def test_an_event_of_a_newer_build_ends_it_in_one_line(command, store: EventStore) -> None:
    newer = NewEvent("bihuan.notification.v9.NoticeForwarded", b"")
    await store.record("notification.notice-1", 0, [newer], Metadata("newer", uuid4()))
    code, _, complained = await command("notification")
    assert code == 1
    assert complained.splitlines()[-1] == (
        "bihuan: not rebuilt: this build does not know bihuan.notification.v9.NoticeForwarded,"
        " version 1 of notification.notice-1: upgrade it"
    )

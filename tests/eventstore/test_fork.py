"""A log that goes on from an older copy says so, and whoever holds the newer checkpoint still sees it."""

import asyncio
import os
from pathlib import Path

import pytest

from eventstore import EventStore
from eventstore.audit import Auditor, LogTampered
from eventstore.fork import NotForked, forks, give_up
from eventstore.note import NoteInvalid, SigningKey
from eventstore.publication import Publication
from eventstore.sealer import LogForked
from tests.eventstore.test_seal import KEY, cut, fill, published, sealing, tamper

BACK = (
    *cut(101),
    "DELETE FROM eventstore.stream WHERE stream NOT IN (SELECT stream FROM eventstore.event)",
    "UPDATE eventstore.tile SET content = substr(content, 1, 3200) WHERE level = 0",
    "UPDATE eventstore.checkpoint SET position = 100",
)


@pytest.fixture
async def older(store: EventStore, database_url: str, tmp_path: Path) -> str:
    """A log of 100 events, as after a restore; the checkpoint of 200 that was published."""
    for _ in range(2):
        async with sealing(database_url, tmp_path):
            await fill(store, 100)
    await tamper(store, *BACK)
    return published(tmp_path)


async def test_an_older_copy_is_noticed_before_anything_new_happens(
    older: str, database_url: str, tmp_path: Path
) -> None:
    with pytest.raises(LogForked, match="published at size 200, and the log has 100 events"):
        async with sealing(database_url, tmp_path):
            await asyncio.sleep(1)


@pytest.mark.parametrize("new", [0, 40, 160])
async def test_once_given_up_it_is_sealed_on_and_the_fork_stays_to_be_seen(
    older: str, store: EventStore, database_url: str, tmp_path: Path, new: int
) -> None:
    """However far the log went on before anybody noticed."""
    await fill(store, new)
    if new:
        with pytest.raises(LogForked):
            async with sealing(database_url, tmp_path):
                pass
    publication = Publication(str(tmp_path))
    fork = await give_up(store, KEY, publication, older)
    assert (fork.kept.size, fork.given_up.size) == (100, 200)
    auditor = Auditor(store, KEY.verifier)
    await auditor.whole(published=published(tmp_path))
    async with sealing(database_url, tmp_path):
        await fill(store, 160)
    assert (await auditor.whole(published=published(tmp_path))).events == 260 + new
    with pytest.raises(LogTampered, match=r"between positions \d+ and 200"):
        await auditor.whole(published=older)
    assert await forks(publication, KEY.verifier) == [fork]


async def test_a_log_that_goes_on_gives_nothing_up(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    publication = Publication(str(tmp_path))
    async with sealing(database_url, tmp_path):
        await fill(store, 100)
    first = published(tmp_path)
    with pytest.raises(NotForked, match="has all 100 events"):
        await give_up(store, KEY, publication, first)
    async with sealing(database_url, tmp_path):
        await fill(store, 100)
    with pytest.raises(NotForked, match="another checkpoint"):
        await give_up(store, KEY, publication, first)
    assert await publication.forks() == []


async def test_what_is_left_must_be_intact_itself(
    older: str, store: EventStore, tmp_path: Path
) -> None:
    await tamper(store, "UPDATE eventstore.event SET data = 'x' WHERE stream = (SELECT min(stream)"
                 " FROM eventstore.stream)")  # fmt: skip
    with pytest.raises(LogTampered):
        await give_up(store, KEY, Publication(str(tmp_path)), older)


async def test_only_the_logs_own_key_can_say_what_is_given_up(
    older: str, store: EventStore, tmp_path: Path
) -> None:
    publication = Publication(str(tmp_path))
    with pytest.raises(NoteInvalid):
        await give_up(store, SigningKey.generate(KEY.name), publication, older)
    await give_up(store, KEY, publication, older)
    (file,) = (tmp_path / name for name in os.listdir(tmp_path) if name.startswith("fork-"))
    file.write_text(file.read_text().replace("\n200\n", "\n300\n"))
    with pytest.raises(NoteInvalid):
        await forks(publication, KEY.verifier)
    file.write_text(older)  # signed, but it says something else
    with pytest.raises(NoteInvalid, match="does not say what"):
        await forks(publication, KEY.verifier)

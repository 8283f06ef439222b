"""Sealing and verifying: whatever is changed behind the database's back is found, and where."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url, text

from eventstore import EventStore, open_store
from eventstore.audit import Auditor, LogTampered
from eventstore.note import NoteInvalid, SigningKey
from eventstore.proof import check
from eventstore.publication import Publication
from eventstore.sealer import LogForked, Sealer
from tests.conftest import Postgres
from tests.eventstore.conftest import METADATA, SERVICES, append, events, stream
from tests.eventstore.test_subscription import until

KEY = SigningKey.generate("bureau.example/log")
EVENTS = 600  # over two tiles


@asynccontextmanager
async def sealing(url: str, folder: Path) -> AsyncIterator[None]:
    """A sealer that seals all that there is before the block ends."""
    async with open_store(url, "bihuan_sealer") as store:
        sealer = Sealer(store, KEY, Publication(str(folder)), seconds=0.01)
        running = asyncio.create_task(sealer.run())
        try:
            yield

            async def done() -> bool:
                return running.done() or await sealed(store) >= await store.head()

            await until(done)
            if running.done():
                running.result()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def sealed(store: EventStore) -> int:
    async with store.engine.connect() as conn:
        size = await conn.scalar(text("SELECT max(size) FROM eventstore.signed_checkpoint"))
    return int(size or 0)


async def fill(store: EventStore, count: int) -> None:
    for start in range(0, count, 20):
        await append(store, stream(), 0, *(f"event {start + n}" for n in range(20)))
        if start % 200 == 0:
            await store.head()


def published(folder: Path) -> str:
    return (folder / "checkpoint").read_text("utf-8")


async def tamper(store: EventStore, *statements: str) -> None:
    """What a superuser who means harm can do."""
    async with store.engine.begin() as conn:
        tables = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'append_only'"
        for table in (await conn.execute(text(tables))).scalars().all():
            await conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        for statement in statements:
            await conn.execute(text(statement))


async def test_a_log_is_sealed_as_it_grows_and_verifies(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    auditor = Auditor(store, KEY.verifier)
    assert (await auditor.whole()).events == 0
    notes = []
    for _ in range(3):
        async with sealing(database_url, tmp_path):
            await fill(store, 300)
        notes.append(published(tmp_path))
        audit = await auditor.whole(published=notes[-1], since=notes[0])
        assert audit.unsealed == 0
    assert audit.checkpoint.size == 900
    assert audit.events == 600, "those after the first checkpoint"
    assert (await auditor.whole()).events == 900
    await append(store, stream(), 0, "new")
    await store.head()
    assert (await auditor.whole()).unsealed == 1


async def test_progress_is_told(store: EventStore, database_url: str, tmp_path: Path) -> None:
    async with sealing(database_url, tmp_path):
        await fill(store, EVENTS)
    seen: list[tuple[int, int]] = []
    await Auditor(store, KEY.verifier).whole(progress=lambda *done: seen.append(done))
    assert seen[-1] == (EVENTS, EVENTS)


async def test_two_sealers_seal_once(store: EventStore, database_url: str, tmp_path: Path) -> None:
    async with sealing(database_url, tmp_path), sealing(database_url, tmp_path):
        await fill(store, EVENTS)
    assert (await Auditor(store, KEY.verifier).whole(published=published(tmp_path))).unsealed == 0


async def test_a_proof_holds_without_the_database(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    name = stream()
    async with sealing(database_url, tmp_path):
        await fill(store, 300)
        await append(store, name, 0, "the one")
        await fill(store, 300)
    async with store.engine.connect() as conn:
        (event,) = await store.load(conn, name)
    proof = await Auditor(store, KEY.verifier).prove(event.id)
    shown = check(proof, KEY.verifier)
    assert (shown.stream, shown.data, shown.position) == (name, b"the one", 301)
    assert shown._replace(position=None) == event


async def test_only_what_exists_and_is_sealed_can_be_proven(store: EventStore) -> None:
    auditor, name = Auditor(store, KEY.verifier), stream()
    await append(store, name, 0, "a")
    await store.head()
    async with store.engine.connect() as conn:
        (event,) = await store.load(conn, name)
    with pytest.raises(LookupError, match="not sealed yet"):
        await auditor.prove(event.id)
    with pytest.raises(LookupError, match="no event"):
        await auditor.prove(event.correlation_id)


async def test_one_stream_is_verified_by_itself(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    name = stream()
    async with sealing(database_url, tmp_path):
        await append(store, name, 0, "a", "b")
        await fill(store, 40)
    await append(store, name, 2, "c")
    auditor = Auditor(store, KEY.verifier)
    audit = await auditor.stream(name)
    assert (audit.events, audit.unsealed) == (2, 1)
    event = f"eventstore.event WHERE stream = '{name}' AND version ="
    await tamper(store, f"UPDATE {event} 1".replace("WHERE", "SET data = 'x' WHERE"))
    with pytest.raises(LogTampered, match="position 1 is not the one") as found:
        await auditor.stream(name)
    assert found.value.position == 1
    await tamper(store, f"DELETE FROM {event} 1")
    with pytest.raises(LogTampered, match=r"version 1 .* is missing"):
        await auditor.stream(name)


COLUMNS = {
    "data": "data || 'x'",
    "type": "type || 'x'",
    "actor": "actor || 'x'",
    "traceparent": "traceparent || 'x'",
    "recorded_at": "recorded_at + interval '1 microsecond'",
    "correlation_id": "gen_random_uuid()",
    "causation_id": "NULL",
    "request_id": "gen_random_uuid()",
    "event_id": "gen_random_uuid()",
    "stream": "stream || 'x'",
    "version": "version + 1000",
}
AT = "(SELECT id FROM eventstore.position WHERE position = {})"


def changed(column: str, position: int) -> tuple[str, ...]:
    event = f"WHERE id = {AT.format(position)}"
    return (f"UPDATE eventstore.event SET {column} = {COLUMNS[column]} {event}",)


def swapped(one: int, other: int) -> tuple[str, ...]:
    first, second = (f"WHERE position = {position}" for position in (one, other))
    return (
        f"CREATE TEMP TABLE was ON COMMIT DROP AS SELECT * FROM eventstore.position"
        f" WHERE position IN ({one}, {other})",
        f"UPDATE eventstore.position SET id = -1 {first}",
        f"UPDATE eventstore.position SET id = (SELECT id FROM was {first}) {second}",
        f"UPDATE eventstore.position SET id = (SELECT id FROM was {second}) {first}",
    )


def without_event(position: int) -> tuple[str, ...]:
    return (f"DELETE FROM eventstore.event WHERE id = {AT.format(position)}",)


def without_position(position: int) -> tuple[str, ...]:
    return (f"DELETE FROM eventstore.position WHERE position = {position}",)


def cut(position: int) -> tuple[str, ...]:
    tail = f"SELECT id FROM eventstore.position WHERE position >= {position}"
    return (
        f"DELETE FROM eventstore.event WHERE id IN ({tail})",
        f"DELETE FROM eventstore.position WHERE position >= {position}",
        f"DELETE FROM eventstore.signed_checkpoint WHERE size >= {position}",
    )


POSITIONS = st.integers(1, EVENTS)
# What to do, and the position that must be named.
TAMPERINGS = st.one_of(
    st.tuples(st.sampled_from(sorted(COLUMNS)), POSITIONS).map(lambda at: (changed(*at), at[1])),
    POSITIONS.map(lambda position: (without_event(position), position)),
    POSITIONS.map(lambda position: (without_position(position), position)),
    POSITIONS.map(lambda position: (cut(position), position)),
    st.lists(POSITIONS, min_size=2, max_size=2, unique=True).map(
        lambda at: (swapped(*at), min(at))
    ),
)


@pytest.fixture(scope="module")
async def sealed_log(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, str]]:
    """The name of a database with a sealed log, to copy; and its published checkpoint."""
    folder = tmp_path_factory.mktemp("published")
    url = await postgres.database(*SERVICES)
    async with open_store(url) as store, sealing(url, folder):
        await fill(store, EVENTS)
    yield str(make_url(url).database), published(folder)
    await postgres.drop(url)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tampering=TAMPERINGS)
async def test_whatever_is_changed_behind_the_database_is_found_at_its_position(
    postgres: Postgres, sealed_log: tuple[str, str], tampering: tuple[tuple[str, ...], int]
) -> None:
    original, note = sealed_log
    statements, position = tampering
    url = postgres.url(await postgres.empty_database(original))
    try:
        async with open_store(url) as store:
            await tamper(store, *statements)
            with pytest.raises(LogTampered) as found:
                await Auditor(store, KEY.verifier).whole(published=note)
    finally:
        await postgres.drop(url)
    assert found.value.position == position, found.value


@asynccontextmanager
async def tampered(
    postgres: Postgres, original: str, *statements: str
) -> AsyncIterator[EventStore]:
    """A copy of the sealed log, changed."""
    url = postgres.url(await postgres.empty_database(original))
    async with open_store(url) as store:
        await tamper(store, *statements)
        yield store
    await postgres.drop(url)


@pytest.mark.parametrize(
    "value", ["version = -1", "recorded_at = 'infinity'", "recorded_at = '4000-01-01 BC'"]
)
async def test_what_no_event_can_hold_is_found_at_its_position(
    postgres: Postgres, sealed_log: tuple[str, str], value: str
) -> None:
    change = f"UPDATE eventstore.event SET {value} WHERE id = {AT.format(200)}"
    async with tampered(postgres, sealed_log[0], change) as store:
        with pytest.raises(LogTampered) as found:
            await Auditor(store, KEY.verifier).whole(published=sealed_log[1])
    assert found.value.position == 200


FALSE = "UPDATE eventstore.tile SET content = overlay(content placing '\\x00' from 3) WHERE"


@pytest.mark.parametrize(
    ("damage", "tile"),
    [
        (f"{FALSE} level = 0 AND index = 1", "0/1"),
        (f"{FALSE} level = 1", "1/0"),
        ("DELETE FROM eventstore.tile WHERE level = 0 AND index = 1", "0/1"),
        ("DELETE FROM eventstore.tile WHERE level = 1", "1/0"),
    ],
)
async def test_a_damaged_tree_is_found_and_no_event_is_blamed_for_it(
    postgres: Postgres, sealed_log: tuple[str, str], damage: str, tile: str
) -> None:
    async with tampered(postgres, sealed_log[0], damage) as store:
        auditor = Auditor(store, KEY.verifier)
        says = f"every event is what was sealed, but .* tile {tile} is damaged"
        with pytest.raises(LogTampered, match=says) as found:
            await auditor.whole(published=sealed_log[1])
        assert found.value.position is None
        async with store.engine.connect() as conn:
            event = await conn.scalar(
                text(f"SELECT event_id FROM eventstore.event WHERE id = {AT.format(350)}")
            )
        with pytest.raises(LogTampered, match="the tree"):
            await auditor.prove(event)


FIRST = "(SELECT stream FROM eventstore.event ORDER BY id LIMIT 1)"


@pytest.mark.parametrize(
    "hidden", ["first_id = first_id + 3", "last_id = last_id - 3", "version = version - 1"]
)
async def test_a_head_that_hides_events_from_who_loads_them_is_found(
    postgres: Postgres, sealed_log: tuple[str, str], hidden: str
) -> None:
    change = f"UPDATE eventstore.stream SET {hidden} WHERE stream = {FIRST}"
    async with tampered(postgres, sealed_log[0], change) as store:
        with pytest.raises(LogTampered, match="other events than its head says"):
            await Auditor(store, KEY.verifier).whole(published=sealed_log[1])


async def test_an_event_put_into_a_stream_and_not_into_the_log_is_found(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    name = stream()
    async with sealing(database_url, tmp_path):
        await append(store, name, 0, "a")
        async with store.engine.begin() as conn:  # an id that came to nothing
            planted = await conn.scalar(text("SELECT nextval('eventstore.event_id')"))
        await fill(store, 20)
    await tamper(
        store,
        "INSERT INTO eventstore.event (id, event_id, correlation_id, version, stream, type, actor,"
        f" traceparent, data) SELECT {planted}, gen_random_uuid(), correlation_id, 2, stream, type,"
        f" actor, traceparent, 'planted' FROM eventstore.event WHERE stream = '{name}'",
        f"UPDATE eventstore.stream SET version = 2, last_id = {planted} WHERE stream = '{name}'",
        # Until then it may still be dealt.
        "UPDATE eventstore.position SET open_ids = NULL, open_before = NULL",
    )
    async with store.engine.connect() as conn:
        assert [event.data for event in await store.load(conn, name)] == [b"a", b"planted"]
    auditor = Auditor(store, KEY.verifier)
    for verify in (auditor.whole(published=published(tmp_path)), auditor.stream(name)):
        with pytest.raises(LogTampered, match=f"version 2 of {name} has no position in the log"):
            await verify


async def test_an_event_that_waits_for_its_position_is_no_tampering(store: EventStore) -> None:
    """One of a transaction that was open when later events got theirs."""
    name = stream()
    async with store.engine.connect() as late:
        await store.append(late, name, 0, events("late"), METADATA)
        await append(store, stream(), 0, "early")
        await store.head()
        await late.commit()
        auditor = Auditor(store, KEY.verifier)
        assert (await auditor.whole()).unsealed == 1
        assert (await auditor.stream(name)).unsealed == 1


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM eventstore.event {}",
        "DELETE FROM eventstore.position WHERE position = 2",
        "UPDATE eventstore.position SET position = -2 WHERE position = 2",
    ],
)
async def test_a_stream_by_itself_does_not_lose_its_last_event(
    store: EventStore, database_url: str, tmp_path: Path, change: str
) -> None:
    name = stream()
    async with sealing(database_url, tmp_path):
        await append(store, name, 0, "a", "b")
        await fill(store, 20)
    await tamper(store, change.format(f"WHERE stream = '{name}' AND version = 2"))
    with pytest.raises(LogTampered, match=r"version 2 of .* (is missing|has no position)"):
        await Auditor(store, KEY.verifier).stream(name)


async def test_a_false_checkpoint_among_those_kept_accuses_no_event(
    postgres: Postgres, sealed_log: tuple[str, str]
) -> None:
    false = (
        "INSERT INTO eventstore.signed_checkpoint (size, note) SELECT 333, replace(note, '600',"
        " '333') FROM eventstore.signed_checkpoint WHERE size = 600"
    )
    async with tampered(postgres, sealed_log[0], false) as store:
        with pytest.raises(LogTampered, match="not signed by the log's key"):
            await Auditor(store, KEY.verifier).whole(published=sealed_log[1])


async def test_a_change_that_is_hidden_in_the_tiles_too_is_found_between_two_checkpoints(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    async with sealing(database_url, tmp_path):
        await fill(store, 100)
    async with sealing(database_url, tmp_path):
        await fill(store, 100)
    await tamper(
        store,
        *changed("data", 150),
        "DELETE FROM eventstore.tile",
        "DELETE FROM eventstore.checkpoint",
        "DELETE FROM eventstore.signed_checkpoint WHERE size > 100",
    )
    with pytest.raises(LogForked, match="first 200 events are not those"):
        async with sealing(database_url, tmp_path):
            pass
    (tmp_path / "checkpoint").rename(tmp_path / "taken")
    async with sealing(database_url, tmp_path):
        pass
    note = (tmp_path / "taken").read_text("utf-8")
    with pytest.raises(LogTampered, match="between positions 101 and 200"):
        await Auditor(store, KEY.verifier).whole(published=note)


@pytest.mark.parametrize("bad", [None, 150])
async def test_what_was_published_counts_though_the_database_forgot_its_seal(
    store: EventStore, database_url: str, tmp_path: Path, bad: int | None
) -> None:
    """As a sealer leaves it that was killed between publishing and committing, or an intruder."""
    async with sealing(database_url, tmp_path):
        await fill(store, 100)
    async with sealing(database_url, tmp_path):
        await fill(store, 100)
    forget = (
        "DELETE FROM eventstore.signed_checkpoint WHERE size > 100",
        "UPDATE eventstore.tile SET content = substr(content, 1, 3200) WHERE level = 0",
    )
    await tamper(store, *forget, *(changed("data", bad) if bad else ()))
    auditor, note = Auditor(store, KEY.verifier), published(tmp_path)
    if bad:
        with pytest.raises(LogTampered, match="between positions 101 and 200"):
            await auditor.whole(published=note)
        return
    audit = await auditor.whole(published=note)
    assert (audit.events, audit.unsealed, audit.checkpoint.size) == (200, 0, 200)


async def test_a_sealer_does_not_go_on_after_an_older_copy_was_restored(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    async with sealing(database_url, tmp_path):
        await fill(store, 100)
    await tamper(store, *cut(81), "UPDATE eventstore.checkpoint SET position = 0",
                 "DELETE FROM eventstore.signed_checkpoint")  # fmt: skip
    with pytest.raises(LogForked, match="published at size 100, and the log has 80 events"):
        async with sealing(database_url, tmp_path):
            pass
    with pytest.raises(LogTampered, match="positions 81 to 100 are missing"):
        await Auditor(store, KEY.verifier).whole(published=published(tmp_path))


@pytest.mark.parametrize(
    "content", [b"nothing\n", b"\xff", b"a/log\n1\n\n\xe2\x80\x94 a/log AAAAAAA=\n"]
)
async def test_a_sealer_stops_where_something_else_is_published(
    store: EventStore, database_url: str, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "checkpoint").write_bytes(content)
    await append(store, stream(), 0, "a")
    with pytest.raises(LogForked, match="is not this log's"):
        async with sealing(database_url, tmp_path):
            pass
    assert (tmp_path / "checkpoint").read_bytes() == content


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("DELETE FROM eventstore.tile", "tile 0/0 has 0 hashes where 20 are needed"),
        ("UPDATE eventstore.signed_checkpoint SET note = 'nothing'", "a note is a text"),
    ],
)
async def test_a_sealer_does_not_build_on_a_damaged_tree(
    store: EventStore, database_url: str, tmp_path: Path, damage: str, says: str
) -> None:
    async with sealing(database_url, tmp_path):
        await fill(store, 20)
    await tamper(store, damage)
    await append(store, stream(), 0, "new")
    with pytest.raises(LogForked, match=f"the tree is not what was sealed at size 20: {says}"):
        async with sealing(database_url, tmp_path):
            pass


async def test_a_tree_whose_tiles_are_gone_is_told_from_a_changed_event(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    name = stream()
    async with sealing(database_url, tmp_path):
        await append(store, name, 0, "a")
        await fill(store, 40)
    await tamper(store, "DELETE FROM eventstore.tile")
    auditor = Auditor(store, KEY.verifier)
    with pytest.raises(LogTampered, match="the tree is not whole"):
        await auditor.stream(name)
    with pytest.raises(LogTampered, match="the tree is not whole"):
        await auditor.whole(since=published(tmp_path))


async def test_a_checkpoint_of_another_key_proves_nothing(
    store: EventStore, database_url: str, tmp_path: Path
) -> None:
    async with sealing(database_url, tmp_path):
        await fill(store, 20)
    other = SigningKey.generate(KEY.name)
    with pytest.raises(NoteInvalid):
        await Auditor(store, other.verifier).whole(published=published(tmp_path))

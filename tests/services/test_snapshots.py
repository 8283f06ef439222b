"""Long streams are folded from a snapshot, which never changes what comes of it."""

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from eventstore import EventStore, engine_for
from rpc import personal
from rpc.identity import Identity, identify
from services import upcasts
from services.aggregate import SNAPSHOT_EVERY, Aggregate, Commands
from services.fingerprint import fingerprint
from services.notification.service import NOTICE
from services.rectification.service import PROBLEM
from tests.services.histories import messages

COUNT = "SELECT count(*), max(version) FROM eventstore.snapshot WHERE stream = $1"


async def nowhere(*_: object) -> None:
    """No view is written."""


class Counted:
    """An aggregate without views that counts the events it folds."""

    def __init__(self, aggregate: Aggregate[Any]) -> None:
        self.folded = 0
        self._evolve = aggregate.evolve
        self.aggregate = replace(aggregate, project=nowhere, evolve=self.evolve)

    def evolve(self, state: Any, event: Any) -> Any:
        self.folded += 1
        return self._evolve(state, event)


async def carry_out(commands: Commands[Any], name: str, events: Sequence[Message]) -> None:
    """One command that `events` follow from."""
    identify(Identity("officer", roles=frozenset({"officer"})))
    command = rpc_pb.CloseProblemRequest(request_id=str(uuid4()), name=name)
    await commands.create(name, command, lambda _: events)


@pytest.fixture
async def notification(database_url: str) -> AsyncIterator[EventStore]:
    """The store as the service of notices has it: with the rights of its own role."""
    store = EventStore(engine_for(database_url, "bihuan_notification"))
    yield store
    await store.close()
    await store.engine.dispose()


def histories(aggregate: Aggregate[Any]) -> st.SearchStrategy[list[list[Message]]]:
    """Commands, each with its events; repeated, so that streams get long from few examples."""
    event = st.sampled_from(aggregate.events).flatmap(messages)
    event = event.filter(lambda message: not personal.holds(message))  # which takes a vault
    command = st.lists(event, min_size=1, max_size=4)
    return st.lists(command, min_size=1, max_size=4).flatmap(
        lambda few: st.sampled_from((1, 3, 40)).map(lambda times: few * times)
    )


@pytest.mark.parametrize("aggregate", [NOTICE, PROBLEM], ids=["notice", "problem"])
async def test_with_and_without_snapshots_the_state_is_the_same(
    store: EventStore, aggregate: Aggregate[Any]
) -> None:
    counted = Counted(aggregate)
    commands = Commands(store, counted.aggregate)
    seen: list[int] = []

    async def holds(history: list[list[Message]]) -> None:
        name = f"things/{uuid4()}"
        stream = counted.aggregate.stream(name)
        for events in history:
            await carry_out(commands, name, events)
        length = sum(map(len, history))
        async with store.engine.connect() as conn:
            counted.folded = 0
            state, version = await commands.load(conn, name)
            whole = aggregate.fold(aggregate.blank(name), await store.load(conn, stream))
        assert version == length
        assert state == whole
        assert state.SerializeToString(deterministic=True) == whole.SerializeToString(
            deterministic=True
        )
        assert counted.folded < SNAPSHOT_EVERY
        seen.append(length)

    await examples(holds, histories(aggregate))
    assert max(seen) > 2 * SNAPSHOT_EVERY


async def examples(check: Callable[[Any], Any], strategy: st.SearchStrategy[Any]) -> None:
    """Hypothesis picks in a thread of its own; what it picks is checked on this loop."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=25, deadline=None, database=None)
    @given(strategy)
    def each(example: Any) -> None:
        asyncio.run_coroutine_threadsafe(check(example), loop).result()

    await asyncio.to_thread(each)


async def test_a_service_keeps_one_every_so_many_events_and_then_reads_the_tail_alone(
    notification: EventStore,
) -> None:
    counted = Counted(NOTICE)
    commands = Commands(notification, counted.aggregate)
    name = f"notices/{uuid4()}"
    loaded = []
    for _ in range(SNAPSHOT_EVERY + 2):
        counted.folded = -1  # the new one is folded too
        await carry_out(commands, name, [nb.NoticeRead(reader="许")])
        loaded.append(counted.folded)
    assert loaded == [*range(SNAPSHOT_EVERY), 0, 1]
    async with notification.engine.connect() as conn:
        kept = await conn.exec_driver_sql(COUNT, (NOTICE.stream(name),))
        assert kept.one() == (1, SNAPSHOT_EVERY)


def module(folder: Path, name: str, source: str) -> Any:
    """A module of the package `folding` in `folder`, imported anew."""
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(f"folding.{name}", path)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


FOLDING = """
from bihuan.notification.v1 import notice_pb2 as pb
{imports}
def evolve(notice, event):
    after = pb.Notice()
    after.CopyFrom(notice)
    after.reader += {added}
    return after
"""


async def test_a_snapshot_folded_by_code_that_has_changed_is_ignored(
    store: EventStore, tmp_path: Path
) -> None:
    name = f"notices/{uuid4()}"

    def commands(added: str) -> Commands[Any]:
        folding = module(tmp_path, "evolve", FOLDING.format(imports="", added=added))
        return Commands(store, replace(NOTICE, project=nowhere, evolve=folding.evolve))

    before = commands('"a"')
    for _ in range(SNAPSHOT_EVERY):
        await carry_out(before, name, [nb.NoticeRead()])
    changed = commands('"b"')
    async with store.engine.connect() as conn:
        assert (await before.load(conn, name))[0].reader == "a" * SNAPSHOT_EVERY
        assert (await changed.load(conn, name))[0].reader == "b" * SNAPSHOT_EVERY
    # The next command has the stream folded as a whole, and keeps what it folded.
    await carry_out(changed, name, [nb.NoticeRead()])
    async with store.engine.connect() as conn:
        assert (await changed.load(conn, name))[0].reader == "b" * (SNAPSHOT_EVERY + 1)
        assert (await before.load(conn, name))[0].reader == "a" * (SNAPSHOT_EVERY + 1)


def test_the_fingerprint_is_that_of_all_that_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(helper: str, kind: type[Message] = nb.Notice) -> bytes:
        module(tmp_path, "helper", f"def letter():\n    return {helper!r}\n")
        imports = "from folding.helper import letter"
        monkeypatch.setitem(sys.modules, "folding", type(sys)("folding"))
        folding = module(tmp_path, "evolve", FOLDING.format(imports=imports, added="letter()"))
        return fingerprint(folding.evolve, [kind])

    assert of("a") == of("a")
    assert of("a") != of("b")
    assert of("a") != of("a", rpc_pb.Ledger)
    plain = of("a")
    monkeypatch.setitem(upcasts.UPCASTS, "v1.NoticeRead", lambda old: [old])
    assert of("a") != plain

"""Carries out one command on one aggregate: claim, load, decide, append, project, answer.

All of it is one transaction, so a fact, what queries see of it and the answer to its request stand or
fall together. A command that does not say which version it was decided on, and loses a race, is carried
out again from the start.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from eventstore import (
    EventStore,
    Metadata,
    NewEvent,
    NewStream,
    RecordedEvent,
    RequestReused,
    Snapshot,
    StreamEvent,
    WrongExpectedVersion,
)
from rpc import personal
from rpc.causation import current_causation
from rpc.errors import StatusError, aborted, already_exists, invalid_argument, not_found
from rpc.identity import current_identity
from rpc.telemetry import current_traceparent
from services.events import read
from services.fingerprint import fingerprint
from services.vault import Vault

# An event goes to its loop as JSON, several times its size, in a message of at most 2 MB.
MOST_EVENT_BYTES = 256 << 10
SNAPSHOT_EVERY = 64  # events that are folded again and again, before their state is kept
ATTEMPTS = 10
LONGEST_PAUSE_SECONDS = 0.02  # before the second attempt, and so much more before each further one


class Resource(Protocol):
    """What every aggregate's state is: a protobuf resource with a name and an etag."""

    name: str
    etag: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802
    def ParseFromString(self, serialized: bytes) -> int: ...  # noqa: N802


State = TypeVar("State", bound=Resource)


def _whole(state: Any) -> Any:
    return state


async def _as_decided(
    _: AsyncConnection, state: Any, events: Sequence[Message]
) -> Sequence[Message]:
    return events


@dataclass(frozen=True)
class Aggregate(Generic[State]):
    """One kind of aggregate.

    category: stream category, for example "rectification.problem"; blank: the state before the first
    event, its name set; evolve: pure; events: all that it folds, newest versions only; project: writes
    what queries need of the state, and of nothing else, in the append's transaction; stamp: completes
    events on the state with what only that transaction can give, for example serial numbers without gaps,
    or refuses; answer: of the state what callers are answered with, now and when they repeat a request.
    """

    category: str
    blank: Callable[[str], State]
    evolve: Callable[[State, Any], State]
    events: tuple[type[Message], ...]
    project: Callable[[AsyncConnection, State], Awaitable[None]]
    # The UUID of a resource name; that of a calendar, say, is not in the name itself.
    key: Callable[[str], UUID] = lambda name: UUID(name.rpartition("/")[2])
    stamp: Callable[[AsyncConnection, State, Sequence[Message]], Awaitable[Sequence[Message]]] = (
        _as_decided
    )
    answer: Callable[[State], State] = _whole

    def stream(self, name: str) -> str:
        """The stream of the resource `name`."""
        return f"{self.category}-{self.key(name)}"

    def fold(self, state: State, recorded: Iterable[RecordedEvent | StreamEvent]) -> State:
        """The state after `recorded`, events that follow on `state`. Raises UnknownEvent."""
        version = 0
        for event in recorded:
            version = event.version
            for message in read(event.type, event.data, event.stream, version, known=self.events):
                state = self.evolve(state, message)
        if version:
            state.etag = str(version)
        return state


class Commands(Generic[State]):
    """Carries out commands on aggregates of one kind."""

    def __init__(
        self, store: EventStore, aggregate: Aggregate[State], vault: Vault | None = None
    ) -> None:
        """`vault` seals personal data; without one, commands and events must not hold any."""
        self._store = store
        self._aggregate = aggregate
        state: Any = type(aggregate.blank(""))
        self._fingerprint = fingerprint(aggregate.evolve, (state, *aggregate.events))
        self._vault = vault

    async def create(
        self, name: str, command: Message, decide: Callable[[State], Sequence[Message]]
    ) -> State:
        """As `execute`, for a command that makes the aggregate."""
        return await self._run(name, command, decide, must_exist=False)

    async def execute(
        self, name: str, command: Message, decide: Callable[[State], Sequence[Message]]
    ) -> State:
        """The state after `command`, or the first answer if its request_id was seen before.

        Raises StatusError: NOT_FOUND, ABORTED with the current etag, ALREADY_EXISTS for a request_id
        used for something else, INVALID_ARGUMENT for an event over MOST_EVENT_BYTES, and what
        `decide` raises. Nothing is recorded then. `decide` is asked again, up to ATTEMPTS times in
        all, when a command without an etag loses a race.
        """
        return await self._run(name, command, decide, must_exist=True)

    async def create_many(
        self, conn: AsyncConnection, command: Message, decided: Mapping[str, Sequence[Message]]
    ) -> list[State]:
        """Record what makes many aggregates by one command, by name, in the caller's transaction.

        Returns the states of those made: one that exists already is left out. Whoever calls stamps and
        projects, many at once, and announces. There is no personal data in them, RuntimeError else.
        """
        if any(self._vault_for(events) for events in decided.values()):
            raise RuntimeError("what has personal data in it is made one by one")
        made = await self._store.append_new(
            conn,
            [
                NewStream(
                    self._aggregate.stream(name),
                    [_new(event) for event in events],
                    _metadata(self._aggregate.key(name), command),
                )
                for name, events in decided.items()
            ],
        )
        states = []
        for (name, events), new in zip(decided.items(), made, strict=True):
            if not new:
                continue
            state = self._aggregate.blank(name)
            for event in events:
                state = self._aggregate.evolve(state, event)
            state.etag = str(len(events))
            states.append(state)
        return states

    async def _run(
        self,
        name: str,
        command: Message,
        decide: Callable[[State], Sequence[Message]],
        must_exist: bool,
    ) -> State:
        attempt = 1
        while True:
            try:
                return await self._answer(name, command, decide, must_exist)
            except WrongExpectedVersion as error:
                if _etag(command) or attempt == ATTEMPTS:
                    raise _conflict(name, str(error.actual)) from error
            await asyncio.sleep(random.uniform(0, attempt * LONGEST_PAUSE_SECONDS))
            attempt += 1

    async def _answer(
        self,
        name: str,
        command: Message,
        decide: Callable[[State], Sequence[Message]],
        must_exist: bool,
    ) -> State:
        caller = current_identity().subject
        request_id = UUID(command.request_id)  # type: ignore[attr-defined]  # validated before
        async with self._store.engine.begin() as conn:
            known = await self._claim(conn, caller, request_id, command)
            if known is not None:
                answer = self._aggregate.blank(name)
                answer.ParseFromString(known)
                return answer
            state = await self._do(conn, name, command, decide, must_exist)
            answer = self._aggregate.answer(state)
            await self._store.answer(
                conn, caller, request_id, answer.SerializeToString(deterministic=True)
            )
        self._store.announce()
        return answer

    async def _claim(
        self, conn: AsyncConnection, caller: str, request_id: UUID, command: Message
    ) -> bytes | None:
        method = command.DESCRIPTOR.full_name
        # A digest outlives a forgotten key: of personal data it holds marks by that key only.
        if vault := self._vault_for([command]):
            command = await vault.marked(conn, command)
        try:
            return await self._store.claim(conn, caller, request_id, method, _digest(command))
        except RequestReused as error:
            raise already_exists(
                "REQUEST_ID_REUSED",
                "this request_id was used for another request",
                request_id=str(request_id),
            ) from error

    async def _do(
        self,
        conn: AsyncConnection,
        name: str,
        command: Message,
        decide: Callable[[State], Sequence[Message]],
        must_exist: bool,
    ) -> State:
        state, version, kept = await self._load(conn, name)
        if must_exist and not version:
            raise not_found("bihuan.dev/" + type(state).__name__, name)
        if _etag(command) not in ("", state.etag):
            raise _conflict(name, state.etag)
        decided = decide(state)
        if not decided:
            return state
        sealed = await self._sealed(conn, decided, state)
        events = await self._aggregate.stamp(conn, state, sealed)
        stream = self._aggregate.stream(name)
        version = await self._store.append(
            conn,
            stream,
            version,
            [_new(event) for event in events],
            _metadata(self._aggregate.key(name), command),
        )
        for event in events:
            state = self._aggregate.evolve(state, event)
        state.etag = str(version)
        await self._aggregate.project(conn, state)
        if version - kept >= SNAPSHOT_EVERY:
            snapshot = Snapshot(version, state.SerializeToString(deterministic=True))
            await self._store.keep_snapshot(conn, stream, snapshot, self._fingerprint)
        return state

    async def _sealed(
        self, conn: AsyncConnection, events: Sequence[Message], state: State
    ) -> Sequence[Message]:
        """The events as they are recorded, evolved and answered with: no personal value in clear."""
        vault = self._vault_for(events)
        return await vault.sealed(conn, events, state) if vault else events

    def _vault_for(self, messages: Sequence[Message]) -> Vault | None:
        """The vault, if any of the messages holds personal data."""
        if not any(personal.holds(message) for message in messages):
            return None
        if self._vault is None:
            raise RuntimeError("personal data, and no vault to seal it")
        return self._vault

    async def load(self, conn: AsyncConnection, name: str) -> tuple[State, int]:
        """The state of `name` and its version; the blank state and 0 if there is none."""
        return (await self._load(conn, name))[:2]

    async def get(self, name: str) -> tuple[State, int]:
        """As `load`, for who only reads."""
        async with self._store.reading() as conn:
            return await self.load(conn, name)

    async def _load(self, conn: AsyncConnection, name: str) -> "_Loaded[State]":
        state, kept = self._aggregate.blank(name), 0
        snapshot, recorded = await self._store.load_from_snapshot(
            conn, self._aggregate.stream(name), self._fingerprint
        )
        if snapshot is not None:
            kept = snapshot.version
            state.ParseFromString(snapshot.state)
        state = self._aggregate.fold(state, recorded)
        return _Loaded(state, recorded[-1].version if recorded else kept, kept)


class _Loaded(NamedTuple, Generic[State]):
    """A state, its version, and the version of the snapshot that it was folded on, 0 without one."""

    state: State
    version: int
    kept: int


def _new(event: Message) -> NewEvent:
    data = event.SerializeToString(deterministic=True)
    if len(data) > MOST_EVENT_BYTES:
        kind = event.DESCRIPTOR.name
        raise invalid_argument(
            "EVENT_TOO_LARGE",
            f"this would record a {kind} of {len(data)} bytes, over {MOST_EVENT_BYTES}: put fewer "
            "items or less text into one command and the rest into another, long texts in evidence",
            event=kind,
            bytes=str(len(data)),
            most_bytes=str(MOST_EVENT_BYTES),
        )
    return NewEvent(event.DESCRIPTOR.full_name, data)


def _etag(command: Message) -> str:
    """The version that the command was decided on, empty for any."""
    return str(getattr(command, "etag", ""))


def _conflict(name: str, etag: str) -> StatusError:
    return aborted(
        "ETAG_MISMATCH",
        f"{name} has changed; its etag is {etag} now: read it, decide again, send it again",
        resource=name,
        etag=etag,
    )


def _digest(command: Message) -> bytes:
    body = type(command)()
    body.CopyFrom(command)
    body.ClearField("request_id")
    return hashlib.sha256(body.SerializeToString(deterministic=True)).digest()


def _metadata(case: UUID, command: Message) -> Metadata:
    return Metadata(
        actor=current_identity().subject,
        correlation_id=case,
        causation_id=current_causation(),
        request_id=UUID(command.request_id),  # type: ignore[attr-defined]
        traceparent=current_traceparent(),
    )

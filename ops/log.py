"""What the commands about the log do: show it, tell how it is, verify it, prove an event of it."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from rich.console import Console

from eventstore import EventStore, Filter, RecordedEvent, checkpoint, fork, health, open_store
from eventstore.audit import Audit, Auditor
from eventstore.events import MAX_DATA_BYTES
from eventstore.fork import Fork
from eventstore.proof import check
from ops import sealing
from ops.failures import LogRefused
from ops.home import addresses
from ops.progress import shown
from ops.settings import Settings, SettingsError
from rules import SHANGHAI

MOST_PROOF_BYTES = 2 * MAX_DATA_BYTES  # an event in base64, some hashes and signatures


@dataclass(frozen=True)
class Wanted:
    """Which events to show: of a case, of an enterprise, of types; each empty for all."""

    case: str = ""
    enterprise: str = ""
    types: tuple[str, ...] = ()


@asynccontextmanager
async def opened(settings: Settings, role: str = "bihuan_reader") -> AsyncIterator[EventStore]:
    """The log of DATABASE_URL, or of the stack that is up in this home, as `role`. SettingsError."""
    up = addresses(settings.home)
    url = settings.database_url or (up.database_url if up else "")
    if not url:
        raise SettingsError(
            f"no stack is up in {settings.home}: start one with `bihuan up`, or set DATABASE_URL"
        )
    async with open_store(url, role) as store:
        yield store


async def events(
    settings: Settings, wanted: Wanted, limit: int, follow: bool
) -> AsyncGenerator[RecordedEvent]:
    """The last `limit` events that are wanted, in order; then those to come, if to follow."""
    async with opened(settings) as store:
        by = await _filter(store, wanted)
        if by is None:
            raise LogRefused("no event of the log mentions that case or enterprise")
        last = 0
        for event in await store.tail(limit, by):
            last = event.position or 0
            yield event
        if follow:
            async with aclosing(store.follow(last or await store.head(), by)) as coming:
                async for event in coming:
                    yield event


async def _filter(store: EventStore, wanted: Wanted) -> Filter | None:
    streams: set[str] | None = None
    for text in (_id(wanted.case), wanted.enterprise):
        if text:
            found = set(await store.streams_of(text))
            streams = found if streams is None else streams & found
    if streams is not None and not streams:
        return None
    return Filter(streams=tuple(sorted(streams or ())), types=wanted.types)


def _id(case: str) -> str:
    """The id of a case, by which events mention it; "" for none. SettingsError for a name without."""
    found = case.rpartition("/")[2]
    if case and not found:
        raise SettingsError(f"--case: expected problems/<id> or its id; it is {case!r}")
    return found


def as_json(event: RecordedEvent) -> str:
    """An event as a line of JSON, its payload readable where its type is known here."""
    return json.dumps(
        {
            "position": event.position,
            "id": str(event.id),
            "stream": event.stream,
            "version": event.version,
            "type": event.type,
            "recordTime": event.recorded_at.isoformat(),
            "actor": event.actor,
            "correlationId": str(event.correlation_id),
            "causationId": str(event.causation_id or ""),
            "requestId": str(event.request_id or ""),
            "traceparent": event.traceparent,
            "payload": payload(event),
        },
        ensure_ascii=False,
    )


def as_line(event: RecordedEvent) -> str:
    """An event as people read a log: position, time, what, of which stream, by whom."""
    time = event.recorded_at.astimezone(SHANGHAI)
    name = event.type.rpartition(".")[2]
    return f"{event.position:>8}  {time:%F %T}  {name:<24} {event.stream} v{event.version}  {event.actor}"


def payload(event: RecordedEvent) -> Any:
    """The payload as plain data; its bytes in hexadecimal if this build cannot read it."""
    from services import app
    from services.events import UnknownEvent, parse

    assert app  # its imports define every event
    try:
        return json_format.MessageToDict(parse(event.type, event.data))
    except UnknownEvent:
        return {"unknownType": event.type, "hex": event.data.hex()}
    except DecodeError:  # tampered with
        return {"unreadableType": event.type, "hex": event.data.hex()}


async def status(settings: Settings) -> dict[str, Any]:
    """The log's health, and what was published of it, as plain data."""
    async with opened(settings) as store, store.engine.connect() as conn:
        found = asdict(await health.look(conn))
    publication = sealing.publication(settings)
    note = await publication.read()
    found["published"] = checkpoint.parse(note).size if note else 0
    found["published_at"] = publication.url
    return found


async def verify(
    settings: Settings, *, since: str | None, key: Path | None, case: str, console: Console
) -> Audit:
    """Verify the whole log, or what came since a signed checkpoint, or the streams of one case."""
    verifier = sealing.read_verifier(key) if key else sealing.verifier_key(settings)
    async with opened(settings) as store:
        auditor = Auditor(store, verifier)
        if case:
            return await _verify_case(store, auditor, case)
        publication = sealing.publication(settings)
        if (note := await publication.read()) is None:
            console.print(
                f"nothing is published at {publication.url}: what was cut off together with the"
                " database's own checkpoints does not show",
                soft_wrap=True,
            )
        with shown(console, "rehashing") as progress:
            return await auditor.whole(since=since, published=note, progress=progress)


async def forks(settings: Settings, key: Path | None) -> list[Fork]:
    """What was given up of the log as it was published, after restores. NoteInvalid."""
    publication = sealing.publication(settings)
    if not await publication.forks():
        return []
    verifier = sealing.read_verifier(key) if key else sealing.verifier_key(settings)
    return await fork.forks(publication, verifier)


async def _verify_case(store: EventStore, auditor: Auditor, case: str) -> Audit:
    audits = [await auditor.stream(stream) for stream in await store.streams_of(_id(case))]
    if not audits:
        raise LogRefused(f"no event of the log mentions {case}")
    return Audit(
        sum(audit.events for audit in audits),
        sum(audit.unsealed for audit in audits),
        audits[-1].checkpoint,
    )


async def prove(settings: Settings, event_id: UUID) -> str:
    """The proof of an event, as text."""
    async with opened(settings) as store:
        return await Auditor(store, sealing.verifier_key(settings)).prove(event_id)


def check_proof(proof: Path, key: Path) -> RecordedEvent:
    """The event that a proof shows, with nothing but the log's public key.

    Raises ProofInvalid, and OSError or ValueError for a file that cannot be one.
    """
    with proof.open("rb") as file:
        content = file.read(MOST_PROOF_BYTES + 1)
    if len(content) > MOST_PROOF_BYTES:
        raise ValueError(f"{proof} is larger than any proof")
    return check(content.decode(), sealing.read_verifier(key))

"""The commands about the log: seal, log, status, verify, prove and check-proof."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from ops import settings as configuration
from ops.failures import LogRefused

if TYPE_CHECKING:
    from eventstore.fork import Fork

# No markup: who acted, and what a session calls itself, are theirs to choose.
out = Console(markup=False)
err = Console(stderr=True, highlight=False, markup=False)
MOST_EVENTS = 1_000_000
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (seal, log, status, verify, prove):
        app.command()(command)
    app.command("check-proof")(check_proof)


def seal(
    after_restore: Annotated[
        Path | None,
        typer.Option(help="Give up this published checkpoint: an older copy was restored."),
    ] = None,
) -> None:
    """Run only the sealer: grows the Merkle tree over the log and publishes signed checkpoints.

    Against `DATABASE_URL`, with the key `BIHUAN_SEAL_KEY`; the latest checkpoint is published at
    `BIHUAN_CHECKPOINTS_URL`. One of several seals at a time. It stops rather than seal a log that
    is not the one it sealed before.

    After an older copy was restored, `--after-restore` with the published checkpoint says so where
    it was published, signed and for ever, and ends; sealing then goes on from what is left. Whoever
    holds a checkpoint that was given up still finds that it is none of this log.

    Example: `DATABASE_URL=postgresql://… BIHUAN_CHECKPOINTS_URL=s3://public/log bihuan seal`

    Next: `bihuan verify`, and give the published checkpoints to somebody who does not trust you.
    """
    from ops import parts

    if after_restore is None:
        parts.seal(configuration.load())
        return
    settings = configuration.load()
    try:
        fork = asyncio.run(_give_up(settings, after_restore.read_bytes().decode()))
    except (OSError, UnicodeDecodeError) as error:
        raise LogRefused(f"nothing was given up: {error}") from error
    out.print(f"said where it was published: {_given_up(fork)}", soft_wrap=True, highlight=False)


async def _give_up(settings: configuration.Settings, note: str) -> "Fork":
    from eventstore.audit import LogTampered
    from eventstore.fork import NotForked, give_up
    from eventstore.note import NoteInvalid
    from ops import log as work
    from ops import sealing

    key, publication = sealing.signing_key(settings), sealing.publication(settings)
    try:
        async with work.opened(settings) as store:
            return await give_up(store, key, publication, note)
    except (NotForked, NoteInvalid, LogTampered) as error:
        raise LogRefused(f"nothing was given up: {error}") from error


def _given_up(fork: "Fork") -> str:
    return (
        f"positions {fork.kept.size + 1:,} to {fork.given_up.size:,} as they were published were"
        f" given up at {fork.at:%F %T} UTC, after an older copy was restored"
    )


def log(
    case: Annotated[
        str,
        typer.Option(help="Only of this case: `problems/<id>`, `inspections/<id>` … or its id."),
    ] = "",
    enterprise: Annotated[str, typer.Option(help="Only about this credit code.")] = "",
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only these types: full proto names.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=MOST_EVENTS, help="How many at most.")
    ] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new events.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the last events of the log.

    Example: `bihuan log --case problems/0197… --json | jq .payload`

    Next: `bihuan prove <event id>`, with an id that `--json` shows.
    """
    from ops import log as work

    wanted = work.Wanted(case, enterprise, tuple(type_ or ()))

    async def show() -> None:
        # Closed, should whoever reads what is printed close the pipe.
        async with aclosing(work.events(configuration.load(), wanted, limit, follow)) as events:
            async for event in events:
                print(work.as_json(event) if as_json else work.as_line(event), flush=True)

    asyncio.run(show())


def status(as_json: AsJson = False) -> None:
    """Tell how the log is: its head, who lags behind, what waits, what is sealed and published.

    Example: `bihuan status --json`

    Next: a lag that grows names the part to look at; `bihuan up` shows its log file.
    """
    from ops import log as work

    try:
        found = asyncio.run(work.status(configuration.load()))
    except ValueError as error:  # NoteInvalid, or no text at all
        raise LogRefused(f"a checkpoint cannot be read, see `bihuan verify`: {error}") from error
    if as_json:
        print(json.dumps(found, default=str, indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in found.items():
        if name != "readers":
            table.add_row(
                name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value)
            )
    for reader in found["readers"]:
        at = f"at {reader['position']:,}, {reader['lag']:,} behind, moved {reader['updated_at']:%F %T} UTC"
        table.add_row(f"reader {reader['name']}", at)
    out.print(table)


def verify(
    since: Annotated[
        Path | None, typer.Option(help="Only what came after this signed checkpoint.")
    ] = None,
    case: Annotated[
        str,
        typer.Option(
            help="Only this case: `problems/<id>` or its id. Whether more was removed with all its"
            " traces the whole log alone shows."
        ),
    ] = "",
    key: Annotated[
        Path | None, typer.Option(help="The log's public key; default: the configured one's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify that the log is what was sealed: nothing changed, removed, swapped or cut off.

    Rehashes the events and compares them with the signed checkpoints, in the database and where
    they are published. Exit code 1 names the first position that is not as it was.

    Example: `bihuan verify --since checkpoint-of-last-year`

    Next: `bihuan prove <event id>` for a proof that holds without the database.
    """
    from eventstore.audit import LogTampered
    from ops import log as work

    settings = configuration.load()
    try:
        forks = asyncio.run(work.forks(settings, key))
        old = since.read_bytes().decode() if since else None
        audit = asyncio.run(work.verify(settings, since=old, key=key, case=case, console=err))
    except LogTampered as error:
        _tell(forks)
        if as_json:
            found = {"intact": False, "position": error.position, "found": str(error)}
            print(json.dumps(found | {"forks": [_plain(fork) for fork in forks]}))
        raise LogRefused(f"the log is NOT what was sealed: {error}") from error
    except (OSError, ValueError) as error:  # NoteInvalid is one, too
        raise LogRefused(f"cannot verify: {error}") from error
    _tell(forks)
    if as_json:
        found = {"intact": True, "events": audit.events, "unsealed": audit.unsealed}
        found |= {"size": audit.checkpoint.size, "root": audit.checkpoint.root.hex()}
        print(json.dumps(found | {"forks": [_plain(fork) for fork in forks]}))
        return
    out.print(
        f"intact: {audit.events:,} events are what was sealed at size {audit.checkpoint.size:,};"
        f" {audit.unsealed:,} are not sealed yet"
    )


def _tell(forks: "Sequence[Fork]") -> None:
    for fork in forks:
        err.print(_given_up(fork), soft_wrap=True)


def _plain(fork: "Fork") -> dict[str, object]:
    sizes = {"kept": fork.kept.size, "givenUp": fork.given_up.size}
    return sizes | {"givenUpRoot": fork.given_up.root.hex(), "time": fork.at.isoformat()}


def prove(
    event_id: Annotated[UUID, typer.Argument(help="An event's id, as `bihuan log --json` shows.")],
    to: Annotated[
        Path | None, typer.Option(help="Where to; default: <event id>.tlog-proof")
    ] = None,
) -> None:
    """Write a proof that an event is in the log, for somebody who has only the log's public key.

    Example: `bihuan prove 0197c6d2-… && bihuan check-proof 0197c6d2-….tlog-proof --key log.pem.pub`

    Next: send the file, and the public key over another way.
    """
    from eventstore.audit import LogTampered
    from eventstore.proof import SUFFIX
    from ops import log as work

    try:
        proof = asyncio.run(work.prove(configuration.load(), event_id))
    except (LookupError, LogTampered) as error:
        raise LogRefused(str(error)) from error
    path = to or Path(f"{event_id}{SUFFIX}")
    try:
        path.write_bytes(proof.encode())
    except OSError as error:
        raise LogRefused(f"cannot write the proof: {error}") from error
    out.print(f"{path} proves event {event_id}", highlight=False, soft_wrap=True)


def check_proof(
    proof: Annotated[Path, typer.Argument(help="A file that `bihuan prove` wrote.")],
    key: Annotated[Path, typer.Option(help="The log's public key.")],
    as_json: AsJson = False,
) -> None:
    """Check a proof offline: from the file and the log's public key alone.

    Example: `bihuan check-proof 0197c6d2-….tlog-proof --key log.pem.pub`

    Next: compare the checkpoint in the file with one that somebody else holds.
    """
    from eventstore.proof import ProofInvalid
    from ops import log as work

    try:
        event = work.check_proof(proof, key)
    except ProofInvalid as error:
        raise LogRefused(f"the proof does not hold: {error}") from error
    except (OSError, ValueError) as error:
        raise LogRefused(f"cannot check the proof: {error}") from error
    if as_json:
        print(work.as_json(event))
        return
    out.print("the proof holds: this event is in the log", highlight=False)
    out.print(work.as_line(event), highlight=False, soft_wrap=True)

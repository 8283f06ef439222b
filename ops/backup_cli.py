"""The commands backup and restore."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops import settings as configuration
from ops.failures import LogRefused

out = Console()


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (backup, restore):
        app.command()(command)


def backup(
    folder: Annotated[Path, typer.Argument(help="Where to: a folder on another disk or machine.")],
) -> None:
    """Back up our own PostgreSQL, while the stack is up, and the evidence files that are new.

    With `BIHUAN_ARCHIVE` set to the same folder when the stack starts, it can be restored to any
    moment after the backup, otherwise to the backup alone. Keys are not in it: keep those apart.

    Example: `BIHUAN_ARCHIVE=/backup bihuan up`, and once a day `bihuan backup /backup`

    Next: try a restore in another home: `BIHUAN_HOME=trial bihuan restore /backup`. Start it without
    `BIHUAN_ARCHIVE`: two that archive into one folder spoil it.
    """
    from ops import backup as work

    try:
        base = asyncio.run(work.backup(configuration.load(), folder.absolute()))
    except (work.BackupFailed, OSError) as error:
        raise LogRefused(str(error)) from error
    _say(f"{base} is a whole and checked copy; keep the home's seal, issuer and keys apart from it")


def restore(
    folder: Annotated[Path, typer.Argument(help="The folder of `bihuan backup`.")],
    until: Annotated[
        str, typer.Option(help="The moment, with its offset: 2026-09-01T08:00:00+08:00.")
    ] = "",
) -> None:
    """Put our own PostgreSQL back as it was, at a moment or as late as the folder knows.

    Nothing is deleted: the database and the Temporal history of before are moved aside. Loops are
    begun again from the log. If more was published than is left, the sealer refuses to go on until
    `bihuan seal --after-restore`.

    Example: `bihuan restore /backup --until 2026-09-01T08:00:00+08:00`

    Next: `bihuan up`, and `bihuan verify`, which says what is missing.
    """
    from ops import backup as work

    settings, moment = configuration.load(), _moment(until)
    try:
        head = asyncio.run(work.restore(settings, folder.absolute(), moment, _say))
    except (work.BackupFailed, OSError) as error:
        raise LogRefused(str(error)) from error
    _say(f"restored: the log has {head:,} events; next, `bihuan up` and `bihuan verify`")


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise configuration.SettingsError(
            f"--until: expected a moment with its offset, as 2026-09-01T08:00:00+08:00; it is {text!r}"
        )
    return moment


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)

"""The commands about personal data: forget and rewrap."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from ops import settings as configuration

out = Console(highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (forget, rewrap):
        app.command()(command)


def forget(
    subject: Annotated[str, typer.Argument(help="Whose: the id that a complaint names them by.")],
    reason: Annotated[
        str, typer.Option(help="On what grounds; recorded as it is, so nothing about the person.")
    ] = "",
) -> None:
    """Forget a person: destroy the key of their data, in every domain at once.

    Through the services of the stack that is up, as role `operator`; the log records that and when,
    by a hash of the id. What was sealed reads `[forgotten]` from then on, and `bihuan verify` holds
    as before.

    Example: `bihuan forget 6f1c1f1e-3b0f-4d55-9a53-0f2b7a4c9d10 --reason "demand 2026-17"`

    Next: `docs/personal-data.md` says what is left in backups, and how `bihuan rewrap` ends that.
    """
    from ops import personal

    forgotten = asyncio.run(personal.forget(configuration.load(), subject, reason))
    out.print(f"forgotten: {forgotten.name}, for the {forgotten.forget_count}. time")


def rewrap(
    retire: Annotated[
        bool, typer.Option("--retire", help="Drop the older master keys instead of adding one.")
    ] = False,
) -> None:
    """Change the master key: a new one goes into its file, and every person's key is wrapped by it.

    Services take the new one up by themselves. The old one stays in the file for what is under way;
    `--retire`, some minutes later, drops it, and so makes worthless what backups hold of forgotten
    keys. Wherever services run with a copy of the file, renew the copy before and after.

    Example: `bihuan rewrap` and, when all services have the new file, `bihuan rewrap --retire`

    Next: back up the file of the master key; without it all personal data is lost. After `--retire`
    `bihuan backup`, too: in a backup from before nobody's data opens any more.
    """
    from ops import personal

    count = asyncio.run(personal.rewrap(configuration.load(), retire))
    dropped = "; the older master keys are gone" if retire else ""
    out.print(f"{count:,} keys are wrapped by the current master key{dropped}")

"""The command that builds views again from the log."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ops import settings as configuration
from ops.failures import LogRefused
from ops.settings import Settings, SettingsError

if TYPE_CHECKING:
    from services.rebuild import Rebuilt

out = Console()
err = Console(stderr=True, highlight=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(rebuild)


def rebuild(
    service: Annotated[
        str, typer.Argument(help="Whose views: `rectification`, `penalty`, `notification`.")
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Only compare; exit code 1 if something differs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a service's views again from the log beside the live ones, compare, and mend these.

    Services go on meanwhile. Their writes wait only where something differs, for the moment it takes
    to take that over. Stopped half-way it has changed nothing.

    Example: `bihuan rebuild rectification --check`

    Next: a difference that comes again is a fault in `services/<service>/views.py`, or somebody
    writes to the table behind the service's back.
    """
    done = asyncio.run(_rebuilt(configuration.load(), service, check))
    if as_json:
        print(json.dumps(asdict(done), indent=2))
    else:
        _say(done)
    if check and done.differs:
        raise LogRefused(f"the views of {service} are not what the log says")


async def _rebuilt(settings: Settings, service: str, check: bool) -> "Rebuilt":
    from ops.log import opened
    from ops.progress import shown
    from services.events import EventUnreadable, UnknownEvent
    from services.projections import PROJECTIONS
    from services.rebuild import WritersBusy
    from services.rebuild import rebuild as work

    if service not in PROJECTIONS:
        raise SettingsError(f"{service!r} has no views; these have: {', '.join(PROJECTIONS)}")
    async with opened(settings, f"bihuan_{service}") as store:
        with shown(err, "folding") as progress:
            try:
                return await work(store, service, only_check=check, progress=progress)
            except (UnknownEvent, EventUnreadable, WritersBusy) as error:
                raise LogRefused(f"not rebuilt: {error}") from error


def _say(done: "Rebuilt") -> None:
    if not done.differs:
        end = "the views are what the log says"
    elif done.mended:
        end = "the views are mended"
    else:
        end = "the views differ"
    for table in done.tables:
        out.print(str(table), highlight=False, markup=False, soft_wrap=True)
    out.print(f"{done.events:,} events of {done.streams:,} streams: {end}", highlight=False)

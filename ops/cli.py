"""The `bihuan` command: each subcommand reads the settings and hands over to the module that does it."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ops import backup_cli, codes_cli, log_cli, personal_cli, rebuild_cli
from ops import settings as configuration
from ops.calendars import Refused
from ops.failures import DemoFailed, LogRefused, NotForgotten, ScenarioError, Unreachable
from ops.home import AlreadyUp
from ops.part import PartFailed
from ops.ports import PortTaken
from ops.settings import Settings, SettingsError

if TYPE_CHECKING:
    from rpc.identity import Identity

FAILED, MISUSED = 1, 2
FAILURES = (
    AlreadyUp,
    PartFailed,
    Refused,
    DemoFailed,
    LogRefused,
    NotForgotten,
    ScenarioError,
    Unreachable,
)
MOST_HOURS = 8784


class DemoName(StrEnum):
    """Scenarios that come with Bihuan."""

    KUNDULUN = "kundulun"
    DONGGUAN = "dongguan"
    YANGZHOU = "yangzhou"


app = typer.Typer(
    name="bihuan",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Closed loops of environmental regulation: a problem is reported, verified, rectified,
assessed and closed, and no deadline is forgotten on the way.

Three commands to begin with:

1. `bihuan demo` — watch four enterprises go through the loop, on a real PostgreSQL and Temporal;
`bihuan demo dongguan` — six fines paid at once, deferred, in instalments, or not; `bihuan demo yangzhou` — a
city's inspections, planned, merged and made.

2. `bihuan up` — keep such a stack up, with its data in `.bihuan`, until Ctrl-C.

3. `bihuan token --role officer --subject lijing` — a token to call the services with, in another terminal.

`bihuan config` shows what can be set, and every command explains itself with `--help`.""",
)
calendar = typer.Typer(no_args_is_help=True, help="Working-day calendars, one for each year.")
app.add_typer(calendar, name="calendar")
log_cli.register(app)
backup_cli.register(app)
personal_cli.register(app)
codes_cli.register(app)
rebuild_cli.register(app)

out = Console()
err = Console(stderr=True, highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]


def main() -> None:
    """The entry point of the command."""
    with _one_clear_line():
        app()


@app.command()
def up() -> None:
    """Start the whole stack and keep it up until Ctrl-C.

    PostgreSQL, Temporal with its Web UI, services, worker, relay, sealer and web page. A part that dies is
    started again; data stays in `BIHUAN_HOME` between runs. A port that is taken is replaced by a
    free one, unless you chose it.

    Example: `BIHUAN_GRPC_ADDRESS=0.0.0.0:50051 bihuan up`

    With servers of your own: `DATABASE_URL=postgresql://… TEMPORAL_ADDRESS=host:7233 bihuan up`

    Next: open the Web UI it prints, and get a `bihuan token` in another terminal.
    """
    _run_until_told(_up(configuration.load()))


@app.command()
def demo(
    name: Annotated[
        DemoName,
        typer.Argument(
            help="Which: problems (kundulun), fines (dongguan) or inspections (yangzhou)."
        ),
    ] = DemoName.KUNDULUN,
    as_json: AsJson = False,
    scenario: Annotated[
        Path | None, typer.Option(help="Another scenario, like `examples/kundulun.yaml`.")
    ] = None,
    day_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.02, help="Real seconds that a legal day lasts; else as the scenario says."
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack up after the ledger, until Ctrl-C.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of yangzhou: which city; the first of them.")] = 1,
    seeds: Annotated[
        int, typer.Option(min=1, max=1000, help="Of yangzhou: how many cities are compared.")
    ] = 1,
    enterprises: Annotated[
        int, typer.Option(min=100, max=30_000, help="Of yangzhou: how many a city has.")
    ] = 3392,
) -> None:
    """Play a scenario on a stack of its own.

    `kundulun`: four enterprises and five problems from report to closure, a legal day in a second.

    `dongguan`: six fines from the clue to the last instalment two years later, a month in a few seconds.

    `yangzhou`: a year of inspections in a synthetic city, by every department alone, merged, graded, and all
    of it; then its plans reported, approved, published and merged by the services, and a joint inspection
    of four departments from invitation to report. docs/yangzhou.md says what is assumed.

    Services, loops and law are those of production. Ends with a ledger and, without `--keep`, nothing
    left running.

    Example: `bihuan demo dongguan --json > accounts.json`

    Next: `bihuan demo --keep`, to look at the loops in the Web UI; `bihuan up`, and act on problems
    of your own.
    """
    if name is DemoName.YANGZHOU:
        from ops.city.demo import run as run_city

        if scenario is not None:
            raise SettingsError("--scenario: yangzhou is made from --seed, not from a scenario")
        city = run_city(
            configuration.load(),
            as_json=as_json,
            keep=keep,
            seed=seed,
            seeds=seeds,
            enterprises=enterprises,
            day_seconds=day_seconds,
        )
        _run_until_told(city)
        return
    from ops.demo import built_in, run

    _run_until_told(
        run(
            configuration.load(),
            as_json=as_json,
            keep=keep,
            scenario_file=scenario or built_in(name),
            day_seconds=day_seconds,
        )
    )


@app.command()
def serve() -> None:
    """Run only the gRPC services, against `DATABASE_URL`.

    Migrates the database first, and ends with a line and code 1 if none answers. Stops on SIGTERM
    after the calls under way.

    Example: `DATABASE_URL=postgresql://… BIHUAN_GRPC_ADDRESS=0.0.0.0:50051 bihuan serve`

    Next: `bihuan work` and `bihuan relay`, each as often as you like.
    """
    from ops import parts

    parts.serve(configuration.load())


@app.command()
def work() -> None:
    """Run only a worker: the loops and what they do, against `TEMPORAL_ADDRESS`.

    Calls the services at `BIHUAN_GRPC_ADDRESS` as role `loop`. Ends with a line and code 1 if no
    Temporal answers at the start.

    Example: `TEMPORAL_ADDRESS=temporal:7233 BIHUAN_GRPC_ADDRESS=services:50051 bihuan work`

    Next: `bihuan relay`, which tells the loops what happened.
    """
    from ops import parts

    parts.work(configuration.load())


@app.command()
def relay() -> None:
    """Run only the relay: starts and signals the loops for each event in the log.

    One of several is active at a time; it goes on where the last one stopped. Ends with a line and
    code 1 if no Temporal answers at the start; for the database it waits.

    Example: `DATABASE_URL=postgresql://… TEMPORAL_ADDRESS=temporal:7233 bihuan relay`

    Next: open the Temporal Web UI and see the loops.
    """
    from ops import parts

    parts.relay(configuration.load())


@app.command()
def page() -> None:
    """Run only the public web page, on which enterprises check inspection codes and rate visits.

    Calls the services at `BIHUAN_GRPC_ADDRESS` as role `scan_page`, and reads no database. Nobody logs
    in; put a proxy with TLS in front of it and say its public address in `BIHUAN_PAGE_URL`.

    Example: `BIHUAN_PAGE_URL=https://jcm.example.cn BIHUAN_PAGE_PROXIES=10.0.0.0/8 bihuan page`

    Next: `docs/page.md`; open the address that it prints.
    """
    from ops import parts

    parts.page(configuration.load())


@app.command()
def token(
    role: Annotated[list[str], typer.Option(help="A role of `rpc/roles.yaml`; may be repeated.")],
    name: Annotated[str, typer.Option(help="Who it is, as people read it.")] = "",
    subject: Annotated[
        str, typer.Option(help="Who it is, as machines do. Default: the role.")
    ] = "",
    enterprise: Annotated[str, typer.Option(help="Credit code of the caller's enterprise.")] = "",
    agency: Annotated[
        str,
        typer.Option(help="Credit code of the caller's agency: it acts for this department alone."),
    ] = "",
    hours: Annotated[
        float, typer.Option(help="How long it is valid: from 0.01 to 8784, a year.")
    ] = 8,
) -> None:
    """Print a token of the local issuer, to call the services with.

    Role `enterprise` needs `--enterprise`: its people see what is that enterprise's alone. In inspections
    whoever acts for a department says so with `--agency`.

    Example: `TOKEN=$(bihuan token --role officer --subject lijing --name 李静)`

    Next: `buf curl --protocol grpc --http2-prior-knowledge -H "authorization: Bearer $TOKEN" …`
    """
    from ops.tokens import issue, require_issuer

    settings = configuration.load()
    _known_roles(role, settings)
    if not 0.01 <= hours <= MOST_HOURS:
        raise SettingsError(f"--hours: expected from 0.01 to {MOST_HOURS}; it is {hours:g}")
    identity = _identity(subject or role[0], name, frozenset(role), agency, enterprise)
    require_issuer(settings)
    print(issue(settings, identity, hours))


@calendar.command()
def load(
    file: Annotated[Path, typer.Argument(help="Like the files in `rules/data/calendars`.")],
) -> None:
    """Publish a year's working days to the services of the stack that is up.

    Due dates beyond the years known so far are provisional; this moves them to where they belong,
    each by an event.

    Example: `bihuan calendar load 2027.yaml`

    Next: see the loops' new due dates in the Temporal Web UI.
    """
    from ops import calendars

    year = asyncio.run(calendars.publish(configuration.load(), file))
    _say(f"the calendar of {year} is published")


@app.command()
def config(as_json: AsJson = False) -> None:
    """Show every setting: its value, where it comes from, what it means.

    All settings are environment variables. Passwords are masked.

    Example: `DATABASE_URL=postgresql://… bihuan config`

    Next: `bihuan up`.
    """
    entries = configuration.entries(configuration.load())
    if as_json:
        print(json.dumps([asdict(entry) for entry in entries], ensure_ascii=False, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("name", "value", "from", "meaning"):
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    for entry in entries:
        table.add_row(entry.name, entry.value or "—", entry.source, entry.meaning)
    out.print(table)


async def _up(settings: Settings) -> None:
    from ops import board
    from ops.supervisor import Stack

    stack = Stack(settings, say=_say)
    live = Live(console=out, get_renderable=lambda: board.table(stack), refresh_per_second=2)
    with live if out.is_terminal else nullcontext():
        async with stack:
            if not out.is_terminal:
                out.print(board.table(stack))
            _say("all is up; Ctrl-C stops it")
            await asyncio.Event().wait()


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def _run_until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, or until Ctrl-C, SIGTERM or a closed terminal asks it to clean up."""

    async def main() -> None:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _once(told, task.cancel))
        try:
            await task
        except asyncio.CancelledError:
            if not told.is_set():
                raise

    asyncio.run(main())


def _once(told: asyncio.Event, cancel: Callable[[], object]) -> Callable[[], None]:
    """Told again while it cleans up, it goes on cleaning up."""

    def handler() -> None:
        if not told.is_set():
            told.set()
            err.print("stopping …")
            cancel()

    return handler


def _identity(*claims: Any) -> "Identity":
    from rpc.identity import Identity, Unscoped

    try:
        return Identity(*claims)
    except Unscoped as error:
        raise SettingsError(f"--enterprise: {error}") from error
    except ValueError as error:
        raise SettingsError(f"no token can say this: {error}") from error


def _known_roles(roles: list[str], settings: Settings) -> None:
    from rpc.permissions import ROLES_FILE, Permissions

    known = Permissions.load(settings.roles or ROLES_FILE).roles
    for role in roles:
        if role not in known:
            raise SettingsError(f"--role: {role!r} is none of {', '.join(sorted(known))}")


@contextmanager
def _one_clear_line() -> Iterator[None]:
    """Turn what a person can mend into a line on stderr and an exit code."""
    try:
        yield
    except (SettingsError, PortTaken) as error:
        err.print(f"bihuan: {configuration.masked(str(error))}", markup=False)
        sys.exit(MISUSED)
    except FAILURES as error:
        err.print(f"bihuan: {configuration.masked(str(error))}", markup=False)
        sys.exit(FAILED)

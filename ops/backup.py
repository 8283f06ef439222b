"""Backs up the embedded PostgreSQL, and restores it as it was at any moment since (docs/backup.md)."""

import asyncio
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from ops import postgres, reach
from ops.home import addresses, lock, stop_leftovers
from ops.part import PartFailed, Running, Say
from ops.settings import Settings, SettingsError

BASE, EVIDENCE, WAL = "base", "evidence", postgres.WAL
STAMP = "%Y%m%dT%H%M%SZ"
RECOVERY_SECONDS = 86_400.0
# Loops are begun again from the log: those of before may know events that it has no more.
FROM_THE_START = "UPDATE eventstore.checkpoint SET position = 0 WHERE name = 'relay'"
HEAD = "SELECT max(position) FROM eventstore.position"
ENDED_BEFORE = "recovery ended before configured recovery target"
KNOWN = "SELECT to_regclass('eventstore.position') IS NOT NULL"


class BackupFailed(Exception):
    """Nothing was backed up, or nothing restored; the message says why."""


async def backup(settings: Settings, folder: Path) -> Path:
    """Copy the database of the stack that is up, and new evidence files, into the folder.

    Returns the base backup, checked against its own manifest. Raises BackupFailed, SettingsError.
    """
    _only_ours(settings)
    up = addresses(settings.home)
    if up is None:
        raise SettingsError(f"no stack is up in {settings.home}: start one with `bihuan up`")
    (folder / BASE).mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / BASE / f"part-{os.getpid()}"
    try:
        options = ("-D", str(part), "-X", "stream", "-c", "fast", "-d", up.database_url)
        await _run("pg_basebackup", *options)
        await _run("pg_verifybackup", "--quiet", str(part))
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if settings.evidence_url is None:
        await asyncio.to_thread(_copy_new, settings.home / EVIDENCE, folder / EVIDENCE)
    # Named after its end: from there on it can be restored to any moment.
    return part.rename(part.with_name(f"{datetime.now(UTC):{STAMP}}"))


async def restore(settings: Settings, folder: Path, until: datetime | None, say: Say) -> int:
    """Put the database as it was at a moment, or as late as the folder knows, into the home.

    What is there is moved aside. Returns the head of the log. Raises BackupFailed, AlreadyUp.
    """
    _only_ours(settings)
    base = _base(folder, until)
    held = lock(settings.home)
    try:
        await asyncio.to_thread(stop_leftovers, settings.home / "run", say)
        with _aside(settings.home, say):
            user = reach.ensure_user() if os.geteuid() == 0 else None
            data = settings.home / "postgres"
            await asyncio.to_thread(_copy, base, data, user.pw_uid if user else None)
            head = await _recover(settings.home, folder / WAL, until, say)
        if settings.evidence_url is None:
            await asyncio.to_thread(_copy_new, folder / EVIDENCE, settings.home / EVIDENCE)
        return head
    finally:
        held.close()


def _only_ours(settings: Settings) -> None:
    if settings.database_url is not None:
        raise SettingsError(
            "DATABASE_URL: not our own server; docs/backup.md says how to back it up"
        )


def _base(folder: Path, until: datetime | None) -> Path:
    """The last base backup that ended before the moment."""
    found = sorted((folder / BASE).glob("[0-9]*Z"))
    if until is not None:
        last = f"{until.astimezone(UTC):{STAMP}}"
        found = [base for base in found if base.name <= last]
        if not (folder / WAL).is_dir():
            raise BackupFailed(
                f"{folder} has no WAL: it was not BIHUAN_ARCHIVE, so leave out --until"
            )
    if not found:
        old = " is as old as that" if until is not None else ""
        raise BackupFailed(f"no base backup in {folder}{old}: see `bihuan backup`")
    return found[-1]


@contextmanager
def _aside(home: Path, say: Say) -> Iterator[None]:
    """What the home holds of PostgreSQL and Temporal is moved aside, and back if this fails."""
    stamp = f"{datetime.now(UTC):{STAMP}}"
    moved = {path: path.with_name(f"before-{stamp}-{path.name}") for path in _held(home)}
    if taken := [to for to in moved.values() if to.exists()]:
        raise BackupFailed(f"{taken[0]} is there already: try again in a second")
    for path, to in moved.items():
        path.rename(to)
    try:
        yield
    except BaseException:
        shutil.rmtree(home / "postgres", ignore_errors=True)
        for path, to in moved.items():
            to.rename(path)
        raise
    for to in moved.values():
        say(f"moved aside: {to}")


def _held(home: Path) -> list[Path]:
    return [*home.glob("postgres"), *home.glob("temporal.db*")]


def _copy(base: Path, data: Path, owner: int | None) -> None:
    shutil.copytree(base, data, symlinks=True)
    data.chmod(0o700)
    if owner is not None:
        for path in (data, *data.rglob("*")):
            os.chown(path, owner, -1, follow_symlinks=False)


def _copy_new(source: Path, target: Path) -> None:
    """Files of evidence are named by their content and never change."""
    for path in source.rglob("*") if source.is_dir() else ():
        to = target / path.relative_to(source)
        if path.is_file() and not to.exists():
            to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(path, to.with_name(f"{to.name}.part"))
            to.with_name(f"{to.name}.part").rename(to)


async def _recover(home: Path, wal: Path, until: datetime | None, say: Say) -> int:
    """Start the server once, until it has replayed what it shall; the log's head then."""
    part = await postgres.prepare(home, say)
    part = replace(part, command=(*part.command, *_recovery(home / "postgres", wal, until)))
    running = Running(part, home, say)
    try:
        await running.start(RECOVERY_SECONDS)
        return await _begin_loops_again(part.address)
    except PartFailed as error:
        if ENDED_BEFORE in str(error):
            raise BackupFailed(
                f"nothing was archived after {until}: without --until all that was is replayed"
            ) from error
        raise
    finally:
        await running.stop()


def _recovery(data: Path, wal: Path, until: datetime | None) -> list[str]:
    """The options of a start that replays what was archived; none if nothing was."""
    if not wal.is_dir():
        return []
    owner = data.stat().st_uid
    if os.geteuid() == 0:
        reach.open_path(wal, owner)
        shutil.chown(wal, owner)
    (data / "recovery.signal").touch()
    shutil.chown(data / "recovery.signal", owner)
    file = shlex.quote(str(wal).replace("%", "%%")) + "/%f"
    options = [
        f"--restore_command=cp {file} %p",
        "--recovery_target_action=promote",
        "--hot_standby=off",  # ready only when all is replayed
    ]
    if until is not None:
        options.append(f"--recovery_target_time={until.astimezone(UTC).isoformat()}")
    return options


async def _begin_loops_again(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        if not await connection.fetchval(KNOWN):
            return 0
        await connection.execute(FROM_THE_START)
        return int(await connection.fetchval(HEAD) or 0)
    finally:
        await connection.close()


async def _run(program: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        postgres.program(program),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        said = " ".join(output.decode(errors="replace").split())
        raise BackupFailed(f"{program} failed: {said}")

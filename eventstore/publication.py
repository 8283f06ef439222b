"""Where the latest signed checkpoint is published: outside the database, whose history it binds."""

import asyncio
from uuid import uuid4

import fsspec

NAME = "checkpoint"
FORK = "fork-"


class Publication:
    """One file called `checkpoint` under an fsspec URL, as C2SP tlog-tiles names it; and for each
    checkpoint that was given up (see eventstore.fork) a file beside it that is never written again.
    """

    def __init__(self, url: str) -> None:
        self._fs, root = fsspec.url_to_fs(url)
        self._root = root.rstrip("/")
        self.url = f"{url.rstrip('/')}/{NAME}"

    async def read(self) -> str | None:
        """The note published last; None before the first."""
        return await asyncio.to_thread(self._read)

    async def write(self, note: str) -> None:
        """Publish a note in place of the last, whole or not at all."""
        await asyncio.to_thread(self._write, NAME, note)

    async def write_fork(self, name: str, note: str) -> None:
        """Publish what was given up, beside what was given up before."""
        await asyncio.to_thread(self._write, f"{FORK}{name}", note)

    async def forks(self) -> list[str]:
        """The notes about all that was given up."""
        return await asyncio.to_thread(self._forks)

    def _read(self) -> str | None:
        try:
            content: bytes = self._fs.cat_file(f"{self._root}/{NAME}")
        except FileNotFoundError:
            return None
        return _text(content)

    def _forks(self) -> list[str]:
        paths = sorted(self._fs.glob(f"{self._root}/{FORK}*"))
        return [_text(self._fs.cat_file(path)) for path in paths]

    def _write(self, name: str, note: str) -> None:
        self._fs.makedirs(self._root, exist_ok=True)
        part = f"{self._root}/.{name}.{uuid4().hex}.part"
        self._fs.pipe_file(part, note.encode())
        self._fs.mv(part, f"{self._root}/{name}")


def _text(content: bytes) -> str:
    # What is no text is no note either; that shows when it is verified.
    return content.decode(errors="replace")

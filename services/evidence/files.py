"""Evidence by content: a file's name is the SHA-256 of its bytes, so it can never be another file."""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any
from uuid import uuid4

import fsspec

from bihuan.types.v1.evidence_pb2 import Evidence
from rpc.errors import (
    StatusError,
    failed_precondition,
    invalid_argument,
    not_found,
    unavailable,
)

CHUNK_BYTES = 256 * 1024
MOST_BYTES = 100 << 20

log = logging.getLogger(__name__)


class EvidenceFiles:
    """Files under an fsspec URL: a local folder, or any store that fsspec knows.

    Every method says UNAVAILABLE when the store cannot be reached, or is full.
    """

    def __init__(self, url: str, most_bytes: int = MOST_BYTES) -> None:
        self._fs, self._root = fsspec.url_to_fs(url)
        self._most_bytes = most_bytes

    async def save(self, header: tuple[str, str], chunks: AsyncIterator[bytes]) -> Evidence:
        """Store the bytes of `chunks`; `header` is (media type, title). Twice is as good as once.

        Raises INVALID_ARGUMENT for an empty file or one over `most_bytes`.
        """
        digest, size = hashlib.sha256(), 0
        with _reachable(), tempfile.TemporaryFile() as scratch:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._most_bytes:
                    raise _bad_size(f"is over {self._most_bytes} bytes")
                digest.update(chunk)
                await asyncio.to_thread(scratch.write, chunk)
            if not size:
                raise _bad_size("has no bytes")
            scratch.seek(0)
            await asyncio.to_thread(self._put, digest.hexdigest(), scratch)
        media_type, title = header
        return Evidence(
            sha256=digest.hexdigest(), size_bytes=size, media_type=media_type, title=title
        )

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        """The bytes of a file in chunks; NOT_FOUND if there is none."""
        path = self._path(sha256)
        with _reachable():
            if not await asyncio.to_thread(self._fs.exists, path):
                raise not_found("bihuan.dev/Evidence", sha256)
            with await asyncio.to_thread(self._fs.open, path, "rb") as file:
                while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    yield chunk

    async def require(self, evidence: Iterable[Evidence]) -> None:
        """FAILED_PRECONDITION unless each file was uploaded and has the size stated."""
        for index, file in enumerate(evidence):
            with _reachable():
                size = await asyncio.to_thread(self._size, file.sha256)
            if size is None:
                raise failed_precondition(
                    "EVIDENCE_NOT_UPLOADED",
                    f"evidence[{index}] has not been uploaded: send its bytes to UploadEvidence first",
                    field=f"evidence[{index}].sha256",
                    sha256=file.sha256,
                )
            if size != file.size_bytes:
                field = f"evidence[{index}].size_bytes"
                text = f"the file uploaded has {size} bytes"
                raise invalid_argument("EVIDENCE_SIZE_WRONG", text, [(field, text)])

    def _size(self, sha256: str) -> int | None:
        path = self._path(sha256)
        return int(self._fs.size(path)) if self._fs.exists(path) else None

    def _put(self, sha256: str, source: IO[bytes]) -> None:
        path = self._path(sha256)
        if self._fs.exists(path):
            return
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        # A reader must never see half a file, nor two writers of the same file disturb each other.
        part = f"{path}.{uuid4().hex}.part"
        try:
            with self._fs.open(part, "wb") as target:
                _copy(source, target)
            self._fs.mv(part, path)
        except BaseException:
            with suppress(OSError):
                self._fs.rm(part)
            raise

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.warning("the evidence store fails: %s", error)
        text = "the evidence store cannot be used for now; try again"
        raise unavailable("EVIDENCE_STORE_UNAVAILABLE", text) from error


def _copy(source: IO[bytes], target: Any) -> None:
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)


def _bad_size(text: str) -> StatusError:
    return invalid_argument("EVIDENCE_SIZE_WRONG", f"the file {text}", [("chunk", text)])

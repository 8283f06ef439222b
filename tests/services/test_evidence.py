"""Files over real gRPC: stored by their content, whole or not at all."""

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import IO

import pytest
from google.rpc import code_pb2

from bihuan.evidence.v1 import evidence_service_pb2 as pb
from bihuan.types.v1.evidence_pb2 import Evidence
from services.evidence import files
from services.evidence.files import CHUNK_BYTES
from tests.bureau import Bureau, Client, bureau
from tests.services.calls import recorded, refused

PHOTO = bytes(range(256)) * (CHUNK_BYTES // 100)  # some chunks, and a piece of one
HEADER = pb.UploadEvidenceRequest(
    header=pb.UploadEvidenceRequest.Header(media_type="image/jpeg", title="整改照片")
)


def chunk(content: bytes) -> pb.UploadEvidenceRequest:
    return pb.UploadEvidenceRequest(chunk=content)


def pieces(content: bytes, size: int) -> Iterator[pb.UploadEvidenceRequest]:
    yield HEADER
    for start in range(0, len(content), size):
        yield chunk(content[start : start + size])


async def upload(client: Client, parts: Iterable[pb.UploadEvidenceRequest]) -> Evidence:
    evidence: Evidence = await client.evidence.UploadEvidence(iter(parts))
    return evidence


async def download(client: Client, sha256: str) -> bytes:
    answers = client.evidence.DownloadEvidence(pb.DownloadEvidenceRequest(sha256=sha256))
    return b"".join([answer.chunk async for answer in answers])


def stored(folder: Path) -> list[str]:
    return [path.name for path in (folder / "evidence").rglob("*") if path.is_file()]


async def test_what_was_uploaded_is_downloaded(open_bureau: Bureau) -> None:
    officer = open_bureau.client("officer")
    evidence = await upload(officer, pieces(PHOTO, 100_000))
    assert evidence == Evidence(
        sha256=hashlib.sha256(PHOTO).hexdigest(),
        size_bytes=len(PHOTO),
        media_type="image/jpeg",
        title="整改照片",
    )
    assert await download(officer, evidence.sha256) == PHOTO
    assert await recorded(open_bureau) == []


async def test_the_same_bytes_are_one_file_whoever_sends_them_and_however_cut(
    open_bureau: Bureau, tmp_path: Path
) -> None:
    first = await upload(open_bureau.client("officer"), pieces(PHOTO, 100_000))
    second = await upload(open_bureau.enterprise(), pieces(PHOTO, 7_777))
    assert first == second
    assert stored(tmp_path) == [first.sha256]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "HEADER_MISPLACED"),
        ([chunk(b"photo"), HEADER], "HEADER_MISPLACED"),
        ([HEADER, chunk(b"photo"), HEADER], "HEADER_MISPLACED"),
        ([HEADER, HEADER], "HEADER_MISPLACED"),
        ([HEADER], "EVIDENCE_SIZE_WRONG"),
        ([HEADER, chunk(b"")], "EVIDENCE_SIZE_WRONG"),
    ],
)
async def test_a_misplaced_header_and_an_empty_file_are_refused_and_leave_nothing(
    open_bureau: Bureau, tmp_path: Path, parts: list[pb.UploadEvidenceRequest], reason: str
) -> None:
    refusal = await refused(upload(open_bureau.client("officer"), parts))
    assert (refusal.code, refusal.reason) == (code_pb2.INVALID_ARGUMENT, reason)
    assert stored(tmp_path) == []


async def test_the_bad_field_of_a_part_is_named(open_bureau: Bureau, tmp_path: Path) -> None:
    header = pb.UploadEvidenceRequest.Header(media_type="a photo", title="整改照片")
    parts = [pb.UploadEvidenceRequest(header=header), chunk(b"photo")]
    refusal = await refused(upload(open_bureau.client("officer"), parts))
    assert refusal.code == code_pb2.INVALID_ARGUMENT
    assert [violation[0] for violation in refusal.violations] == ["header.media_type"]
    assert stored(tmp_path) == []


async def test_a_file_that_was_never_uploaded_is_not_found(open_bureau: Bureau) -> None:
    refusal = await refused(download(open_bureau.client("officer"), "0" * 64))
    assert (refusal.code, refusal.reason) == (code_pb2.NOT_FOUND, "EVIDENCE_NOT_FOUND")


@pytest.mark.parametrize("name", ["../../issuer/key.pem", "A" * 64, ""])
async def test_a_name_that_is_no_digest_is_refused(open_bureau: Bureau, name: str) -> None:
    refusal = await refused(download(open_bureau.client("officer"), name))
    assert refusal.code == code_pb2.INVALID_ARGUMENT
    assert [violation[0] for violation in refusal.violations] == ["sha256"]


async def test_a_file_over_the_limit_is_refused_and_leaves_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with bureau(database_url, tmp_path, evidence_most_bytes=1000) as open_:
        officer = open_.client("officer")
        await upload(officer, pieces(PHOTO[:1000], 300))
        refusal = await refused(upload(officer, pieces(PHOTO[:1001], 300)))
    assert (refusal.code, refusal.reason) == (code_pb2.INVALID_ARGUMENT, "EVIDENCE_SIZE_WRONG")
    assert "over 1000 bytes" in refusal.message
    assert len(stored(tmp_path)) == 1


async def test_an_upload_that_lasts_too_long_is_ended_and_leaves_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async def dripping() -> AsyncIterator[pb.UploadEvidenceRequest]:
        yield HEADER
        while True:
            yield chunk(b"x")
            await asyncio.sleep(0.05)

    async with bureau(database_url, tmp_path, upload_seconds=0.4) as open_:
        client = open_.client("officer")
        refusal = await asyncio.wait_for(refused(client.evidence.UploadEvidence(dripping())), 10)
    assert (refusal.code, refusal.reason) == (code_pb2.DEADLINE_EXCEEDED, "UPLOAD_TOO_SLOW")
    assert stored(tmp_path) == []


async def test_a_store_that_is_full_is_unavailable_and_keeps_no_piece_of_the_file(
    open_bureau: Bureau, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: IO[bytes], target: IO[bytes]) -> None:
        target.write(source.read(10))
        raise OSError(errno.ENOSPC, "No space left on device")

    officer = open_bureau.client("officer")
    with monkeypatch.context() as patch:
        patch.setattr(files, "_copy", full)
        refusal = await refused(upload(officer, pieces(PHOTO, 100_000)))
    assert (refusal.code, refusal.reason) == (code_pb2.UNAVAILABLE, "EVIDENCE_STORE_UNAVAILABLE")
    assert stored(tmp_path) == []
    assert (await upload(officer, pieces(PHOTO, 100_000))).size_bytes == len(PHOTO)

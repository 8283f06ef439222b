"""EvidenceService: takes files in and gives them out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from google.rpc.code_pb2 import Code

from bihuan.evidence.v1 import evidence_service_pb2 as pb
from bihuan.evidence.v1 import evidence_service_pb2_grpc
from bihuan.types.v1.evidence_pb2 import Evidence
from rpc.errors import StatusError, invalid_argument
from rpc.identity import require_unscoped
from services.evidence.files import EvidenceFiles

Context: TypeAlias = Any
MOST_SECONDS = 600.0


class EvidenceService(evidence_service_pb2_grpc.EvidenceServiceServicer):
    """A file that no event names yet is no fact, so uploading records nothing.

    An upload may last `most_seconds`, whatever deadline its caller set.
    """

    def __init__(self, files: EvidenceFiles, most_seconds: float = MOST_SECONDS) -> None:
        self._files = files
        self._most_seconds = most_seconds

    async def UploadEvidence(
        self, request_iterator: AsyncIterator[pb.UploadEvidenceRequest], context: Context
    ) -> Evidence:
        limit = asyncio.timeout(self._most_seconds)
        try:
            async with limit:
                return await self._upload(request_iterator)
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"an upload may last {self._most_seconds:g} s: send a smaller file, or over a faster line"
            raise StatusError(Code.DEADLINE_EXCEEDED, "UPLOAD_TOO_SLOW", text) from None

    async def _upload(self, requests: AsyncIterator[pb.UploadEvidenceRequest]) -> Evidence:
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("header"):
            raise _misplaced("the first message must be the header")
        header = first.header.media_type, first.header.title
        return await self._files.save(header, _chunks(requests))

    async def DownloadEvidence(
        self, request: pb.DownloadEvidenceRequest, context: Context
    ) -> AsyncIterator[pb.DownloadEvidenceResponse]:
        require_unscoped()  # files are kept by their content, not by whose they are
        async for chunk in self._files.read(request.sha256):
            yield pb.DownloadEvidenceResponse(chunk=chunk)


async def _chunks(requests: AsyncIterator[pb.UploadEvidenceRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.HasField("header"):
            raise _misplaced("the header comes once, first")
        yield request.chunk


def _misplaced(text: str) -> Exception:
    return invalid_argument("HEADER_MISPLACED", text, [("header", text)])

"""InspectionService: translates RPCs to commands and queries on inspections."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import inspection_service_pb2_grpc
from services.inspection.inspections.desk import InspectionDesk
from services.inspection.inspections.distribution import distribute
from services.masks import masked

Context: TypeAlias = Any


class InspectionService(inspection_service_pb2_grpc.InspectionServiceServicer):
    """A department acts for itself alone; an enterprise sees its own, from the visit on."""

    def __init__(self, desk: InspectionDesk) -> None:
        self._desk = desk

    async def OpenInspection(
        self, request: rpc_pb.OpenInspectionRequest, context: Context
    ) -> pb.Inspection:
        return await self._desk.open(request)

    async def _command(self, request: Any, context: Context) -> pb.Inspection:
        return await self._desk.execute(request)

    AnswerInvitation = PrecheckInspection = AssignInspectors = ApproveInspection = _command
    IssueCode = RevokeCode = StartInspection = RecordEntries = RecordResult = _command
    ReportInspection = HandOverFinding = CancelInspection = ExpireDeadline = _command

    async def RecountDeadlines(
        self, request: rpc_pb.RecountDeadlinesRequest, context: Context
    ) -> pb.Inspection:
        if request.calendar_year:
            await self._desk.shelf.require(request.calendar_year)
        return await self._desk.execute(request)

    async def DistributeTasks(
        self, request: rpc_pb.DistributeTasksRequest, context: Context
    ) -> AsyncIterator[rpc_pb.DistributeTasksResponse]:
        async for answer in distribute(self._desk, request):
            yield answer

    async def GetInspection(
        self, request: rpc_pb.GetInspectionRequest, context: Context
    ) -> pb.Inspection:
        found = [await self._desk.get(request.name)]
        (inspection,) = masked(pb.Inspection, found, request.read_mask)
        return inspection

    async def GetDocument(
        self, request: rpc_pb.GetDocumentRequest, context: Context
    ) -> rpc_pb.Document:
        return await self._desk.document(request)

    async def ListInspections(
        self, request: rpc_pb.ListInspectionsRequest, context: Context
    ) -> rpc_pb.ListInspectionsResponse:
        return await self._desk.page(request)

"""CodeService: what an enterprise learns of a code that it is shown, and its rating of the visit.

A code is looked up by its key in one read and checked by its signature: nothing is folded, so that a scan
answers at once.
"""

from typing import Any, TypeAlias

from bihuan.inspection.v1 import code_service_pb2 as pb
from bihuan.inspection.v1 import code_service_pb2_grpc
from rpc.errors import failed_precondition
from rules import UnknownRule
from services.inspection.inspections.desk import InspectionDesk
from services.inspection.inspections.verification import normalised, verdict, verification

Context: TypeAlias = Any


class CodeService(code_service_pb2_grpc.CodeServiceServicer):
    """For the page on which a code is scanned; whoever asks is not known."""

    def __init__(self, desk: InspectionDesk) -> None:
        self._desk = desk

    async def VerifyCode(
        self, request: pb.VerifyCodeRequest, context: Context
    ) -> pb.CodeVerification:
        # Before anything is looked up: without a key a code that was issued answers as one that was not.
        keys = self._desk.keys.trusted()
        inspection = await self._desk.of_code(normalised(request.code))
        rules, now = self._desk.shelf.rules, self._desk.clock.now()
        if inspection is not None:
            rules = rules.at(inspection.enterprise.district)
        try:
            return verification(inspection, request, keys, rules, now)
        except UnknownRule as error:
            raise failed_precondition("NO_RULE_IN_FORCE", str(error)) from error

    async def RateInspection(
        self, request: pb.RateInspectionRequest, context: Context
    ) -> pb.CodeVerification:
        keys, asked = self._desk.keys.trusted(), pb.VerifyCodeRequest(code=request.code)
        inspection = await self._desk.of_code(normalised(request.code))
        found = verdict(inspection, asked, keys, self._desk.clock.now())
        if inspection is None or found != pb.VERDICT_USED:
            # The same for every code that opened no visit, issued or not.
            raise failed_precondition("NOT_STARTED", "no visit began with this code")
        await self._desk.execute(request, inspection.name)
        return await self.VerifyCode(asked, context)

    async def GetSigningKeys(
        self, request: pb.GetSigningKeysRequest, context: Context
    ) -> pb.SigningKeys:
        keys = self._desk.keys.trusted()
        return pb.SigningKeys(
            keys=[pb.SigningKeys.Key(id=id_, public_key=key) for id_, key in keys.items()]
        )

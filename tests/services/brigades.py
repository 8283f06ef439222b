"""A department at work over gRPC: from a plan or a clue to whatever a test wants of its inspection."""

from datetime import date
from typing import Any

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2
from bihuan.inspection.v1 import plan_service_pb2 as plan_pb
from tests.bureau import Bureau
from tests.services import on_site as req
from tests.services import penalties, plans, rosters, targets
from tests.services.calls import rid

# A department has one yearly plan a year; what comes later supplements it.
PLAN_KINDS = (plan_pb2.PLAN_KIND_YEARLY, plan_pb2.PLAN_KIND_SUPPLEMENTARY)


class Brigade:
    """A department with two inspectors, an enterprise on the register, and the inspection they are at."""

    def __init__(self, open_: Bureau) -> None:
        self.open = open_
        self.planner = open_.client("planner")
        self.officers = [open_.client("officer", subject=f"officer-{n}") for n in (1, 2)]
        self.head = open_.client("decider")
        self.page = open_.client("scan_page")
        self.inspection = pb.Inspection()
        self._plans = 0

    async def prepare(self) -> None:
        await self.planner.roster.RegisterDepartment(rosters.department())
        await self.planner.targets.RegisterTarget(targets.register(req.ENTERPRISE))
        self.inspectors = [
            await self.planner.roster.RegisterInspector(rosters.inspector(f"officer-{n}"))
            for n in (1, 2)
        ]

    async def do(self, request: Any, client: Any = None) -> pb.Inspection:
        """Send a command on the inspection."""
        request.request_id = rid()
        if "name" in request.DESCRIPTOR.fields_by_name:
            request.name = self.inspection.name
        method = type(request).__name__.removesuffix("Request")
        call = getattr((client or self.officers[0]).inspections, method)
        self.inspection = await call(request)
        return self.inspection

    async def planned(self, *items: str) -> pb.Inspection:
        """An inspection by the yearly plan, of these items, with its inspectors."""
        made = await self.planner.plans.CreatePlan(plans.plan(kind=PLAN_KINDS[self._plans > 0]))
        self._plans += 1
        days = {
            "from_date": rosters.day(req.FIRST),
            "to_date": rosters.day(req.FIRST + 20 * req.DAY),
        }
        task = plans.task(1, req.ENTERPRISE, items=items, **days)
        await self.planner.plans.AddTasks(plans.add([task], made.name))
        await self.planner.plans.SubmitPlan(
            plan_pb.SubmitPlanRequest(request_id=rid(), name=made.name)
        )
        await self.head.plans.ApprovePlan(penalties.of(plans.APPROVE, made.name))
        await self.planner.plans.PublishPlan(penalties.of(plans.PUBLISH, made.name))
        draft = rpc_pb.OpenInspectionRequest.Draft(
            department=rosters.DEPARTMENT, tasks=[f"{made.name}/tasks/1"]
        )
        opening = rpc_pb.OpenInspectionRequest(
            kind=plan_pb2.KIND_DAILY, enterprise=req.ENTERPRISE, participants=[draft], **days
        )
        await self.do(opening)
        return await self.assigned()

    async def code(self, first: date = req.FIRST) -> pb.Code:
        """A code on the spot for a tip-off, from that day on for three."""
        draft = rpc_pb.OpenInspectionRequest.Draft(
            department=rosters.DEPARTMENT, items=["ecology.facilities"]
        )
        opening = rpc_pb.OpenInspectionRequest(
            kind=plan_pb2.KIND_CASE,
            enterprise=req.ENTERPRISE,
            from_date=rosters.day(req.FIRST),
            to_date=rosters.day(req.FIRST + 20 * req.DAY),
            clue=pb.Clue(source=pb.Clue.SOURCE_TIP_OFF, reference="12345", summary="异味"),
            participants=[draft],
        )
        await self.do(opening)
        await self.assigned()
        issued = await self.do(
            rpc_pb.IssueCodeRequest(
                from_date=rosters.day(first),
                to_date=rosters.day(first + 2 * req.DAY),
                on_the_spot_reason="夜间正在排放",
            )
        )
        return issued.codes[-1]

    async def assigned(self) -> pb.Inspection:
        """Both inspectors are sent."""
        names = [each.name for each in self.inspectors]
        return await self.do(
            rpc_pb.AssignInspectorsRequest(department=rosters.DEPARTMENT, inspectors=names)
        )

    async def note(self, *entries: pb.Entry) -> pb.Inspection:
        return await self.do(
            rpc_pb.RecordEntriesRequest(department=rosters.DEPARTMENT, entries=entries)
        )

    async def conclude(self) -> pb.Inspection:
        return await self.do(
            rpc_pb.RecordResultRequest(department=rosters.DEPARTMENT, conclusion="见检查记录")
        )

    async def verify(self, code: str, **fields: str) -> code_pb.CodeVerification:
        return await self.page.codes.VerifyCode(code_pb.VerifyCodeRequest(code=code, **fields))

    async def rate(self, code: str, score: int = 5) -> Any:
        return await self.page.codes.RateInspection(
            code_pb.RateInspectionRequest(request_id=rid(), code=code, score=score)
        )


def begun(code: pb.Code, device: str = "pad-1") -> rpc_pb.StartInspectionRequest:
    """The start of the visit that the code opens."""
    return req.begin(code=code.id, device=device)

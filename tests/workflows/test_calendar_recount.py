"""The loop that has deadlines counted again when a calendar is published, page by page."""

from itertools import chain
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
from bihuan.calendar.v1.calendar_recount_pb2 import RecountPage
from bihuan.inspection.v1 import inspection_service_pb2 as inspection_pb
from bihuan.inspection.v1 import plan_service_pb2 as plan_pb
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionStanding
from bihuan.inspection.v1.plan_loop_pb2 import PlanKnown
from bihuan.penalty.v1 import penalty_case_service_pb2 as penalty_pb
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyStanding
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemStanding
from workflows.calendar_recount import CalendarRecount

Page = list[str]
Request = (
    rpc_pb.RecountDeadlinesRequest
    | penalty_pb.RecountDeadlinesRequest
    | plan_pb.RecountPlanDeadlineRequest
    | inspection_pb.RecountDeadlinesRequest
)


class Office:
    """All that has deadlines counted into 2027, and what was asked about it."""

    def __init__(
        self,
        problems: list[Page],
        cases: list[Page] | None = None,
        late: int = 0,
        refused: str = "",
        plans: list[Page] | None = None,
        inspections: list[Page] | None = None,
    ) -> None:
        self.inspections = inspections or [[]]
        self.problems, self.cases, self.plans = problems, cases or [[]], plans or [[]]
        self.refused = refused
        self.late = late
        self.asked: list[Request] = []

    @activity.defn
    async def list_counted(self, request: rpc_pb.ListProblemsRequest) -> RecountPage:
        assert request.filter.counted_into_year == 2027
        names, more = self._page(self.problems, request.page_token)
        return RecountPage(problems=names, next_page_token=more)

    @activity.defn
    async def list_counted_penalty_cases(self, request: penalty_pb.ListCasesRequest) -> RecountPage:
        assert request.filter.counted_year == 2027
        names, more = self._page(self.cases, request.page_token)
        return RecountPage(penalty_cases=names, next_page_token=more)

    @activity.defn
    async def list_counted_plans(self, request: plan_pb.ListPlansRequest) -> RecountPage:
        assert request.filter.counted_year == 2027
        names, more = self._page(self.plans, request.page_token)
        return RecountPage(plans=names, next_page_token=more)

    @activity.defn
    async def recount_plan(
        self, request: plan_pb.RecountPlanDeadlineRequest, cause: str
    ) -> PlanKnown:
        self._recount(request)
        return PlanKnown(name=request.name)

    @activity.defn
    async def recount(self, request: rpc_pb.RecountDeadlinesRequest, cause: str) -> ProblemStanding:
        self._recount(request)
        return ProblemStanding(name=request.name)

    @activity.defn
    async def recount_penalty_case(
        self, request: penalty_pb.RecountDeadlinesRequest, cause: str
    ) -> PenaltyStanding:
        self._recount(request)
        return PenaltyStanding(name=request.name)

    @activity.defn
    async def list_counted_inspections(
        self, request: inspection_pb.ListInspectionsRequest
    ) -> RecountPage:
        assert request.filter.counted_into_year == 2027
        names, more = self._page(self.inspections, request.page_token)
        return RecountPage(inspections=names, next_page_token=more)

    @activity.defn
    async def recount_inspection(
        self, request: inspection_pb.RecountDeadlinesRequest, cause: str
    ) -> InspectionStanding:
        self._recount(request)
        return InspectionStanding()

    def _page(self, pages: list[Page], token: str) -> tuple[Page, str]:
        number = int(token or 0)
        return pages[number], str(number + 1) if number + 1 < len(pages) else ""

    def _recount(self, request: Request) -> None:
        if self.late:
            self.late -= 1
            raise ApplicationError("the calendar is not known here yet")
        if request.name == self.refused:
            raise ApplicationError("no", type="EVENT_TOO_LARGE", non_retryable=True)
        self.asked.append(request)

    @property
    def asked_of(self) -> dict[str, list[str]]:
        """Names by the domain whose service was asked."""
        kinds = {
            "problems": rpc_pb.RecountDeadlinesRequest,
            "cases": penalty_pb.RecountDeadlinesRequest,
            "plans": plan_pb.RecountPlanDeadlineRequest,
            "inspections": inspection_pb.RecountDeadlinesRequest,
        }
        return {
            of: sorted(each.name for each in self.asked if isinstance(each, kind))
            for of, kind in kinds.items()
        }


@pytest.mark.parametrize(
    ("problems", "cases", "plans", "inspections", "late"),
    [
        ([[]], [[]], [[]], [[]], 0),
        ([["a", "b"], ["c"]], [[]], [[]], [[]], 0),
        ([[]], [["d"], ["e", "f"]], [[]], [[]], 0),
        ([[]], [[]], [["g"], ["h"]], [[]], 0),
        ([[]], [[]], [[]], [["i"], ["j", "k"]], 0),
        ([["a"]], [["d"]], [["g"]], [["i"]], 3),
    ],
)
async def test_everything_that_the_year_touches_is_counted_again_once(
    skipping: WorkflowEnvironment,
    problems: list[Page],
    cases: list[Page],
    plans: list[Page],
    inspections: list[Page],
    late: int,
) -> None:
    office = Office(problems, cases, late, plans=plans, inspections=inspections)
    ended = await recounted(skipping, office)
    assert office.asked_of == {
        "problems": [*chain(*problems)],
        "cases": [*chain(*cases)],
        "plans": [*chain(*plans)],
        "inspections": [*chain(*inspections)],
    }
    assert ended.recounted_count == len(office.asked)
    assert {request.calendar_year for request in office.asked} <= {2027}
    assert len({request.request_id for request in office.asked}) == len(office.asked)


@pytest.mark.parametrize("refused", ["a", "d"])
async def test_one_that_is_refused_keeps_no_other_from_being_counted_again(
    skipping: WorkflowEnvironment, refused: str
) -> None:
    office = Office([["a", "b"], ["c"]], [["d", "e"]], refused=refused)
    ended = await recounted(skipping, office)
    assert {request.name for request in office.asked} == set("abcde") - {refused}
    assert (ended.recounted_count, list(ended.refused)) == (4, [refused])


async def recounted(skipping: WorkflowEnvironment, office: Office) -> Recount:
    """What the loop ends with."""
    queue, event_id = str(uuid4()), str(uuid4())
    async with Worker(
        skipping.client,
        task_queue=queue,
        workflows=[CalendarRecount],
        activities=[
            office.list_counted,
            office.list_counted_penalty_cases,
            office.list_counted_plans,
            office.list_counted_inspections,
            office.recount_inspection,
            office.recount,
            office.recount_plan,
            office.recount_penalty_case,
        ],
    ):
        return await skipping.client.execute_workflow(
            CalendarRecount.run,
            Recount(year=2027, event_id=event_id),
            id=f"calendar-recount/{event_id}",
            task_queue=queue,
        )

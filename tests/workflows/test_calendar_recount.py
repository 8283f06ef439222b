"""The loop that has deadlines counted again when a calendar is published, page by page."""

from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
from bihuan.calendar.v1.calendar_recount_pb2 import RecountPage
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1.problem_loop_pb2 import ProblemStanding
from workflows.calendar_recount import CalendarRecount


class Office:
    """Problems with deadlines counted into 2027, and what was asked about them."""

    def __init__(self, pages: list[list[str]], late: int = 0, refused: str = "") -> None:
        self.pages = pages
        self.refused = refused
        self.late = late
        self.asked: list[rpc_pb.RecountDeadlinesRequest] = []

    @activity.defn
    async def list_counted(self, request: rpc_pb.ListProblemsRequest) -> RecountPage:
        assert request.filter.counted_into_year == 2027
        number = int(request.page_token or 0)
        more = str(number + 1) if number + 1 < len(self.pages) else ""
        return RecountPage(problems=self.pages[number], next_page_token=more)

    @activity.defn
    async def recount(self, request: rpc_pb.RecountDeadlinesRequest, cause: str) -> ProblemStanding:
        if self.late:
            self.late -= 1
            raise ApplicationError("the calendar is not known here yet")
        if request.name == self.refused:
            raise ApplicationError("no", type="EVENT_TOO_LARGE", non_retryable=True)
        self.asked.append(request)
        return ProblemStanding(name=request.name)


@pytest.mark.parametrize(("pages", "late"), [([[]], 0), ([["a", "b"], ["c"]], 0), ([["a"]], 3)])
async def test_every_problem_that_the_year_touches_is_counted_again_once(
    skipping: WorkflowEnvironment, pages: list[list[str]], late: int
) -> None:
    office = Office(pages, late)
    ended = await recounted(skipping, office)
    names = [name for page in pages for name in page]
    assert ended.recounted_count == len(names)
    assert sorted(request.name for request in office.asked) == names
    assert {request.calendar_year for request in office.asked} <= {2027}
    assert len({request.request_id for request in office.asked}) == len(names)


async def test_a_problem_that_is_refused_keeps_no_other_from_being_counted_again(
    skipping: WorkflowEnvironment,
) -> None:
    office = Office([["a", "b"], ["c"]], refused="a")
    ended = await recounted(skipping, office)
    assert [request.name for request in office.asked] == ["b", "c"]
    assert (ended.recounted_count, list(ended.refused)) == (2, ["a"])


async def recounted(skipping: WorkflowEnvironment, office: Office) -> Recount:
    """What the loop ends with."""
    queue, event_id = str(uuid4()), str(uuid4())
    async with Worker(
        skipping.client,
        task_queue=queue,
        workflows=[CalendarRecount],
        activities=[office.list_counted, office.recount],
    ):
        return await skipping.client.execute_workflow(
            CalendarRecount.run,
            Recount(year=2027, event_id=event_id),
            id=f"calendar-recount/{event_id}",
            task_queue=queue,
        )

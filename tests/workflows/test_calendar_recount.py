"""The loop that has provisional deadlines counted again, page by page."""

from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from workflows.calendar_recount import CalendarRecount


class Office:
    """Problems with provisional deadlines, and what was asked about them."""

    def __init__(self, pages: list[list[str]], late: int = 0) -> None:
        self.pages = pages
        self.late = late
        self.asked: list[rpc_pb.RecountDeadlinesRequest] = []

    @activity.defn
    async def list_provisional(
        self, request: rpc_pb.ListProblemsRequest
    ) -> rpc_pb.ListProblemsResponse:
        assert request.filter.provisional
        number = int(request.page_token or 0)
        more = str(number + 1) if number + 1 < len(self.pages) else ""
        return rpc_pb.ListProblemsResponse(
            problems=[pb.Problem(name=name) for name in self.pages[number]], next_page_token=more
        )

    @activity.defn
    async def recount(self, request: rpc_pb.RecountDeadlinesRequest, cause: str) -> pb.Problem:
        if self.late:
            self.late -= 1
            raise ApplicationError("the calendar is not known here yet")
        self.asked.append(request)
        return pb.Problem(name=request.name)


@pytest.mark.parametrize(("pages", "late"), [([[]], 0), ([["a", "b"], ["c"]], 0), ([["a"]], 3)])
async def test_every_provisional_problem_is_counted_again_once(
    skipping: WorkflowEnvironment, pages: list[list[str]], late: int
) -> None:
    office, queue, event_id = Office(pages, late), str(uuid4()), str(uuid4())
    async with Worker(
        skipping.client,
        task_queue=queue,
        workflows=[CalendarRecount],
        activities=[office.list_provisional, office.recount],
    ):
        ended = await skipping.client.execute_workflow(
            CalendarRecount.run,
            Recount(year=2027, event_id=event_id),
            id=f"calendar-recount/{event_id}",
            task_queue=queue,
        )
    names = [name for page in pages for name in page]
    assert ended.recounted_count == len(names)
    assert sorted(request.name for request in office.asked) == names
    assert {request.calendar_year for request in office.asked} <= {2027}
    assert len({request.request_id for request in office.asked}) == len(names)

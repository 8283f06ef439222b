"""The loop that moves provisional deadlines once a year's calendar is published."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
    from bihuan.rectification.v1.problem_service_pb2 import (
        ListProblemsRequest,
        ProblemFilter,
        RecountDeadlinesRequest,
    )
    from workflows.activities import Activities, request_id

CALL = timedelta(seconds=15)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
PAGE = 50


@workflow.defn
class CalendarRecount:
    """Has every provisional deadline counted again. Its id is `calendar-recount/<event id>`."""

    @workflow.run
    async def run(self, recount: Recount) -> Recount:
        """Page by page; carries on as new so that a long list makes no long history."""
        page = await workflow.execute_activity_method(
            Activities.list_provisional,
            ListProblemsRequest(
                page_size=PAGE,
                page_token=recount.page_token,
                filter=ProblemFilter(provisional=True),
            ),
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary="列出暂定期限",
        )
        await asyncio.gather(*(self._recount(recount, problem.name) for problem in page.problems))
        recount.recounted_count += len(page.problems)
        recount.page_token = page.next_page_token
        if recount.page_token:
            workflow.continue_as_new(recount)
        return recount

    async def _recount(self, recount: Recount, problem: str) -> None:
        await workflow.execute_activity_method(
            Activities.recount,
            args=[
                RecountDeadlinesRequest(
                    request_id=request_id(f"calendar-recount/{recount.event_id}", problem),
                    name=problem,
                    calendar_year=recount.year,
                ),
                recount.event_id,
            ],
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary=f"重算期限 {problem}",
        )

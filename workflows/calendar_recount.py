"""The loop that moves deadlines once the calendar of a year they are counted into is published."""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

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
    """Has every open deadline that the year touches counted again, and every provisional one.

    Its id is `calendar-recount/<event id>`.
    """

    @workflow.run
    async def run(self, recount: Recount) -> Recount:
        """Page by page; carries on as new so that a long list makes no long history."""
        page = await workflow.execute_activity_method(
            Activities.list_counted,
            ListProblemsRequest(
                page_size=PAGE,
                page_token=recount.page_token,
                filter=ProblemFilter(counted_into_year=recount.year),
            ),
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary=f"列出涉及{recount.year}年的期限",
        )
        await asyncio.gather(*(self._recount(recount, problem) for problem in page.problems))
        recount.page_token = page.next_page_token
        if recount.page_token:
            workflow.continue_as_new(recount)
        return recount

    async def _recount(self, recount: Recount, problem: str) -> None:
        request = RecountDeadlinesRequest(
            request_id=request_id(f"calendar-recount/{recount.event_id}", problem),
            name=problem,
            calendar_year=recount.year,
        )
        try:
            await workflow.execute_activity_method(
                Activities.recount,
                args=[request, recount.event_id],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary=f"重算期限 {problem}",
            )
            recount.recounted_count += 1
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            # One problem must not keep the others from being counted again.
            recount.refused.append(problem)
            workflow.set_current_details(f"### 未能重算\n{', '.join(recount.refused)}")

"""The loop that moves deadlines once the calendar of a year they are counted into is published."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
    from bihuan.calendar.v1.calendar_recount_pb2 import RecountPage
    from bihuan.inspection.v1 import inspection_service_pb2 as inspection
    from bihuan.inspection.v1 import plan_service_pb2 as plans
    from bihuan.penalty.v1 import penalty_case_service_pb2 as penalty
    from bihuan.rectification.v1 import problem_service_pb2 as rectification
    from workflows.activities import Activities, request_id
    from workflows.inspection_activities import InspectionActivities

CALL = timedelta(seconds=15)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
PAGE = 50
Request: TypeAlias = (
    rectification.RecountDeadlinesRequest
    | penalty.RecountDeadlinesRequest
    | plans.RecountPlanDeadlineRequest
    | inspection.RecountDeadlinesRequest
)
RECOUNTS: dict[type[Any], Callable[..., Awaitable[Any]]] = {
    rectification.RecountDeadlinesRequest: Activities.recount,
    penalty.RecountDeadlinesRequest: Activities.recount_penalty_case,
    plans.RecountPlanDeadlineRequest: Activities.recount_plan,
    inspection.RecountDeadlinesRequest: InspectionActivities.recount_inspection,
}


@workflow.defn
class CalendarRecount:
    """Has every open deadline that the year touches counted again, and every provisional one.

    First those of problems, then those of penalty cases, of plans of inspections, of inspections. Its id is
    `calendar-recount/<event id>`.
    """

    @workflow.run
    async def run(self, recount: Recount) -> Recount:
        """Page by page; carries on as new so that a long list makes no long history."""
        page = await _page(recount)
        await asyncio.gather(
            *(self._recount(recount, _of_problem(recount, name)) for name in page.problems),
            *(self._recount(recount, _of_case(recount, name)) for name in page.penalty_cases),
            *(self._recount(recount, _of_plan(recount, name)) for name in page.plans),
            *(self._recount(recount, _of_inspection(recount, name)) for name in page.inspections),
        )
        recount.page_token = page.next_page_token
        if not recount.page_token:
            if recount.plans_done:
                return recount
            recount.plans_done = recount.penalty_cases_done
            recount.penalty_cases_done = recount.problems_done
            recount.problems_done = True
        workflow.continue_as_new(recount)
        return None

    async def _recount(self, recount: Recount, request: Request) -> None:
        try:
            await workflow.execute_activity_method(
                RECOUNTS[type(request)],
                args=[request, recount.event_id],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary=f"重算期限 {request.name}",
            )
            recount.recounted_count += 1
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            # One that is refused must not keep the others from being counted again.
            recount.refused.append(request.name)
            workflow.set_current_details(f"### 未能重算\n{', '.join(recount.refused)}")


async def _page(recount: Recount) -> RecountPage:
    if recount.plans_done:
        return await _inspections(recount)
    if recount.penalty_cases_done:
        return await _plans(recount)
    return await (_cases(recount) if recount.problems_done else _problems(recount))


async def _problems(recount: Recount) -> RecountPage:
    page: RecountPage = await workflow.execute_activity_method(
        Activities.list_counted,
        rectification.ListProblemsRequest(
            page_size=PAGE,
            page_token=recount.page_token,
            filter=rectification.ProblemFilter(counted_into_year=recount.year),
        ),
        start_to_close_timeout=CALL,
        retry_policy=RETRY,
        summary=f"列出涉及{recount.year}年的期限",
    )
    return page


async def _cases(recount: Recount) -> RecountPage:
    page: RecountPage = await workflow.execute_activity_method(
        Activities.list_counted_penalty_cases,
        penalty.ListCasesRequest(
            page_size=PAGE,
            page_token=recount.page_token,
            filter=penalty.CaseFilter(counted_year=recount.year),
        ),
        start_to_close_timeout=CALL,
        retry_policy=RETRY,
        summary=f"列出涉及{recount.year}年的处罚案件期限",
    )
    return page


async def _plans(recount: Recount) -> RecountPage:
    page: RecountPage = await workflow.execute_activity_method(
        Activities.list_counted_plans,
        plans.ListPlansRequest(
            page_size=PAGE,
            page_token=recount.page_token,
            filter=plans.PlanFilter(counted_year=recount.year),
        ),
        start_to_close_timeout=CALL,
        retry_policy=RETRY,
        summary=f"列出涉及{recount.year}年的检查计划期限",
    )
    return page


async def _inspections(recount: Recount) -> RecountPage:
    page: RecountPage = await workflow.execute_activity_method(
        InspectionActivities.list_counted_inspections,
        inspection.ListInspectionsRequest(
            page_size=PAGE,
            page_token=recount.page_token,
            filter=inspection.InspectionFilter(counted_into_year=recount.year),
        ),
        start_to_close_timeout=CALL,
        retry_policy=RETRY,
        summary=f"列出涉及{recount.year}年的检查期限",
    )
    return page


def _of_problem(recount: Recount, name: str) -> rectification.RecountDeadlinesRequest:
    return rectification.RecountDeadlinesRequest(
        request_id=_request_id(recount, name), name=name, calendar_year=recount.year
    )


def _of_case(recount: Recount, name: str) -> penalty.RecountDeadlinesRequest:
    return penalty.RecountDeadlinesRequest(
        request_id=_request_id(recount, name), name=name, calendar_year=recount.year
    )


def _of_plan(recount: Recount, name: str) -> plans.RecountPlanDeadlineRequest:
    return plans.RecountPlanDeadlineRequest(
        request_id=_request_id(recount, name), name=name, calendar_year=recount.year
    )


def _of_inspection(recount: Recount, name: str) -> inspection.RecountDeadlinesRequest:
    return inspection.RecountDeadlinesRequest(
        request_id=_request_id(recount, name), name=name, calendar_year=recount.year
    )


def _request_id(recount: Recount, name: str) -> str:
    return request_id(f"calendar-recount/{recount.event_id}", name)

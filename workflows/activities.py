"""What loops do to the world: gRPC commands, each with a request_id that no retry changes.

What goes to a loop and comes from it is small, whatever a problem has come to: Temporal keeps it all.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import code_pb2
from temporalio import activity
from temporalio.exceptions import ActivityError, ApplicationError

from bihuan.calendar.v1.calendar_recount_pb2 import RecountPage
from bihuan.inspection.v1 import (
    inspection_service_pb2,
    inspection_service_pb2_grpc,
    plan_service_pb2,
    plan_service_pb2_grpc,
    target_service_pb2,
    target_service_pb2_grpc,
)
from bihuan.inspection.v1.plan_loop_pb2 import PlanKnown
from bihuan.inspection.v1.target_loop_pb2 import TargetFact, TargetStanding
from bihuan.notification.v1 import notice_pb2, notice_pb2_grpc
from bihuan.penalty.v1 import penalty_case_service_pb2, penalty_case_service_pb2_grpc
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyStanding
from bihuan.rectification.v1 import problem_pb2, problem_service_pb2, problem_service_pb2_grpc
from bihuan.rectification.v1.problem_loop_pb2 import ProblemStanding
from rpc.causation import caused_by
from rpc.client import status_of
from workflows import inspection_plan_state, target_facts, target_state
from workflows.penalty_state import known_of
from workflows.problem_state import trim

Answer = TypeVar("Answer")

# A caller's mistake stays one however often it is repeated.
NOT_RETRYABLE = frozenset(
    {
        code_pb2.INVALID_ARGUMENT,
        code_pb2.NOT_FOUND,
        code_pb2.ALREADY_EXISTS,
        code_pb2.FAILED_PRECONDITION,
        code_pb2.UNIMPLEMENTED,
    }
)
# The notice went out before, in other words: those of an earlier release.
SENT_BEFORE = frozenset({"REQUEST_ID_REUSED", "ALREADY_EXISTS"})
STANDING = FieldMask(
    paths=[
        "name",
        "etag",
        "state",
        "title",
        "severity",
        "location.district",
        "enterprise",
        "reporter",
        "round",
        "next_step",
        "overdue",
        "escalation",
    ]
)
KNOWN = FieldMask(paths=["name", "etag", "respondent", "violation", "standing", "officer", "plans"])
TARGET_STANDING = FieldMask(
    paths=["name", "etag", "display_name", "district", "grading", "remove_time"]
)
# Its tasks may be thousands: no loop asks for them.
PLAN_KNOWN = FieldMask(
    paths=[
        "name",
        "etag",
        "title",
        "department",
        "district",
        "kind",
        "year",
        "state",
        "deadline",
        "overdue",
    ]
)
# Once the service is upgraded, the same call succeeds: the loop waits for that.
MENDED_BY_UPGRADE = frozenset({"UNKNOWN_EVENT"})


def request_id(workflow_id: str, step: str) -> str:
    """The request_id of a step of a workflow: the same in every attempt and every replay."""
    return str(uuid5(NAMESPACE_URL, f"bihuan:{workflow_id}/{step}"))


def reason_of(error: ActivityError) -> str:
    """The stable reason for which a service refused; empty if it was not refused but failed."""
    return error.cause.type or "" if isinstance(error.cause, ApplicationError) else ""


def standing(problem: problem_pb2.Problem) -> ProblemStanding:
    """What a loop needs to know of a problem."""
    found = ProblemStanding(
        name=problem.name,
        version=int(problem.etag),
        title=problem.title,
        enterprise=problem.enterprise,
        district=problem.location.district,
        severity=problem.severity,
        reporter=problem.reporter,
        state=problem.state,
        round=problem.round,
        overdue=problem.overdue,
        next_step=problem.next_step if problem.HasField("next_step") else None,
        escalation=problem.escalation if problem.HasField("escalation") else None,
    )
    for deadline in (found.next_step.deadline, found.escalation.next_deadline):
        trim(deadline)
    return found


class Activities:
    """Activities over one channel to the services. The channel's token has the role `loop`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._problems = problem_service_pb2_grpc.ProblemServiceStub(channel)
        self._cases = penalty_case_service_pb2_grpc.PenaltyCaseServiceStub(channel)
        self._plans = plan_service_pb2_grpc.PlanServiceStub(channel)
        self._inspections = inspection_service_pb2_grpc.InspectionServiceStub(channel)
        self._targets = target_service_pb2_grpc.TargetServiceStub(channel)
        self._notices = notice_pb2_grpc.NotificationServiceStub(channel)

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """Every activity, for a worker."""
        return [
            self.send_notice,
            self.get_problem,
            self.expire_deadline,
            self.list_counted,
            self.recount,
            self.get_penalty_case,
            self.expire_penalty_deadline,
            self.list_counted_penalty_cases,
            self.recount_penalty_case,
            self.read_target_fact,
            self.record_target_fact,
            self.get_inspection_plan,
            self.expire_plan_deadline,
            self.list_counted_plans,
            self.recount_plan,
            self.get_target,
            self.review_grade,
        ]

    @activity.defn
    async def send_notice(
        self, request: notice_pb2.SendNoticeRequest, cause: str
    ) -> notice_pb2.Notice:
        """Puts a notice into an inbox; `cause` is the id of the event that it tells of."""
        return await carry_out(lambda: self._notices.SendNotice(request), cause)

    @activity.defn
    async def get_problem(self, request: problem_service_pb2.GetProblemRequest) -> ProblemStanding:
        """Where a problem stands."""
        request.read_mask.CopyFrom(STANDING)
        return standing(await carry_out(lambda: self._problems.GetProblem(request), ""))

    @activity.defn
    async def expire_deadline(
        self, request: problem_service_pb2.ExpireDeadlineRequest, cause: str
    ) -> ProblemStanding:
        """Tells the service that a deadline's time has come; the service decides what that means."""
        return standing(await carry_out(lambda: self._problems.ExpireDeadline(request), cause))

    @activity.defn
    async def list_counted(self, request: problem_service_pb2.ListProblemsRequest) -> RecountPage:
        """A page of names of problems, as those with deadlines counted into a year."""
        request.read_mask.CopyFrom(FieldMask(paths=["name"]))
        page = await carry_out(lambda: self._problems.ListProblems(request), "")
        names = [problem.name for problem in page.problems]
        return RecountPage(problems=names, next_page_token=page.next_page_token)

    @activity.defn
    async def recount(
        self, request: problem_service_pb2.RecountDeadlinesRequest, cause: str
    ) -> ProblemStanding:
        """Has a problem's deadlines counted again by a calendar published since."""
        return standing(await carry_out(lambda: self._problems.RecountDeadlines(request), cause))

    @activity.defn
    async def get_penalty_case(
        self, request: penalty_case_service_pb2.GetCaseRequest, plan: int
    ) -> PenaltyStanding:
        """Where a penalty case stands, for the loop of that plan, or of the case if it is 0."""
        request.read_mask.CopyFrom(KNOWN)
        return known_of(await carry_out(lambda: self._cases.GetCase(request), ""), plan)

    @activity.defn
    async def expire_penalty_deadline(
        self, request: penalty_case_service_pb2.ExpireDeadlineRequest, plan: int, cause: str
    ) -> PenaltyStanding:
        """Tells the service that a deadline's time has come; the service decides what that means."""
        return known_of(await carry_out(lambda: self._cases.ExpireDeadline(request), cause), plan)

    @activity.defn
    async def list_counted_penalty_cases(
        self, request: penalty_case_service_pb2.ListCasesRequest
    ) -> RecountPage:
        """A page of names of penalty cases, as those with deadlines counted into a year."""
        request.read_mask.CopyFrom(FieldMask(paths=["name"]))
        page = await carry_out(lambda: self._cases.ListCases(request), "")
        names = [case.name for case in page.cases]
        return RecountPage(penalty_cases=names, next_page_token=page.next_page_token)

    @activity.defn
    async def recount_penalty_case(
        self, request: penalty_case_service_pb2.RecountDeadlinesRequest, cause: str
    ) -> PenaltyStanding:
        """Has a penalty case's deadlines counted again by a calendar published since."""
        return known_of(await carry_out(lambda: self._cases.RecountDeadlines(request), cause), 0)

    @activity.defn
    async def read_target_fact(self, fact: TargetFact) -> TargetFact:
        """The fact with what the resource that it arose from says of it: whose it is, and how grave."""
        name = fact.source
        if name.startswith("problems/"):
            ask = problem_service_pb2.GetProblemRequest(
                name=name, read_mask=target_facts.OF_PROBLEM
            )
            found = await carry_out(lambda: self._problems.GetProblem(ask), "")
            return target_facts.with_problem(fact, found)
        if name.startswith("inspections/"):
            look = inspection_service_pb2.GetInspectionRequest(
                name=name, read_mask=target_facts.OF_INSPECTION
            )
            return target_facts.with_inspection(
                fact, await carry_out(lambda: self._inspections.GetInspection(look), "")
            )
        request = penalty_case_service_pb2.GetCaseRequest(name=name, read_mask=target_facts.OF_CASE)
        return target_facts.with_case(
            fact, await carry_out(lambda: self._cases.GetCase(request), "")
        )

    @activity.defn
    async def record_target_fact(
        self, request: target_service_pb2.RecordFactRequest, cause: str
    ) -> TargetStanding:
        """Puts a fact on record with its target; `cause` is the id of the event that it arose from."""
        return target_state.standing(
            await carry_out(lambda: self._targets.RecordFact(request), cause)
        )

    @activity.defn
    async def get_inspection_plan(self, request: plan_service_pb2.GetPlanRequest) -> PlanKnown:
        """Where a plan of inspections stands."""
        request.read_mask.CopyFrom(PLAN_KNOWN)
        return inspection_plan_state.known_of(
            await carry_out(lambda: self._plans.GetPlan(request), "")
        )

    @activity.defn
    async def expire_plan_deadline(
        self, request: plan_service_pb2.ExpirePlanDeadlineRequest, cause: str
    ) -> PlanKnown:
        """Tells the service that a deadline's time has come; the service decides what that means."""
        return inspection_plan_state.known_of(
            await carry_out(lambda: self._plans.ExpirePlanDeadline(request), cause)
        )

    @activity.defn
    async def list_counted_plans(self, request: plan_service_pb2.ListPlansRequest) -> RecountPage:
        """A page of names of plans of inspections, as those with deadlines counted into a year."""
        request.read_mask.CopyFrom(FieldMask(paths=["name"]))
        page = await carry_out(lambda: self._plans.ListPlans(request), "")
        names = [plan.name for plan in page.plans]
        return RecountPage(plans=names, next_page_token=page.next_page_token)

    @activity.defn
    async def recount_plan(
        self, request: plan_service_pb2.RecountPlanDeadlineRequest, cause: str
    ) -> PlanKnown:
        """Has a plan's deadline counted again by a calendar published since."""
        return inspection_plan_state.known_of(
            await carry_out(lambda: self._plans.RecountPlanDeadline(request), cause)
        )

    @activity.defn
    async def get_target(self, request: target_service_pb2.GetTargetRequest) -> TargetStanding:
        """Where an inspection target stands."""
        request.read_mask.CopyFrom(TARGET_STANDING)
        return target_state.standing(await carry_out(lambda: self._targets.GetTarget(request), ""))

    @activity.defn
    async def review_grade(
        self, request: target_service_pb2.ReviewGradeRequest, cause: str
    ) -> TargetStanding:
        """Has a target's grade looked at again; the service decides whether anything has lapsed."""
        return target_state.standing(
            await carry_out(lambda: self._targets.ReviewGrade(request), cause)
        )


async def carry_out(send: Callable[[], Awaitable[Answer]], cause: str) -> Answer:
    """The answer to a call; `cause` is the id of the event that it follows from, if any.

    Raises ApplicationError, its type the stable reason of a refusal; not retryable if it stays refused.
    """
    try:
        if not cause:
            return await send()
        with caused_by(UUID(cause)):
            return await send()
    except grpc.aio.AioRpcError as error:
        status = status_of(error)
        raise ApplicationError(
            str(status),
            type=status.reason or code_pb2.Code.Name(status.code),
            non_retryable=status.code in NOT_RETRYABLE and status.reason not in MENDED_BY_UPGRADE,
        ) from error

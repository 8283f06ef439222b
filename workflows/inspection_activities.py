"""What the loops of inspections do to the world, as in activities.py: gRPC commands with request_ids.

What follows up a finding is made here, of the inspection as the service has it, so that no text goes through
a history.
"""

from collections.abc import Awaitable, Callable, Sequence

import grpc.aio
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio import activity
from temporalio.exceptions import ApplicationError

from bihuan.calendar.v1.calendar_recount_pb2 import RecountPage
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import inspection_service_pb2_grpc
from bihuan.inspection.v1.inspection_loop_pb2 import DepartmentInvitation, InspectionStanding
from bihuan.inspection.v1.participation_pb2 import Invitation
from bihuan.penalty.v1 import penalty_case_service_pb2_grpc
from bihuan.rectification.v1 import problem_service_pb2 as problems_pb
from bihuan.rectification.v1 import problem_service_pb2_grpc
from workflows import handover
from workflows.activities import carry_out
from workflows.inspection_state import known_of, lead_of

# All that a loop knows; not the report.
KNOWN = FieldMask(
    paths=[
        "name",
        "etag",
        "standing",
        "kind",
        "title",
        "enterprise",
        "from_date",
        "to_date",
        "clue",
        "participants",
        "approval",
        "codes",
        "start",
        "findings",
        "report_time",
        "cancel_reason",
        "open_time",
        "update_time",
        "close_time",
    ]
)


class InspectionActivities:
    """Activities over one channel to the services. The channel's token has the role `loop`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._inspections = inspection_service_pb2_grpc.InspectionServiceStub(channel)
        self._problems = problem_service_pb2_grpc.ProblemServiceStub(channel)
        self._cases = penalty_case_service_pb2_grpc.PenaltyCaseServiceStub(channel)

    def all(self) -> Sequence[Callable[..., Awaitable[object]]]:
        """Every activity, for a worker."""
        return [
            self.get_inspection,
            self.expire_inspection_deadline,
            self.get_invitation,
            self.answer_invitation,
            self.follow_up_finding,
            self.hand_over_finding,
            self.list_counted_inspections,
            self.recount_inspection,
        ]

    @activity.defn
    async def get_inspection(self, request: rpc_pb.GetInspectionRequest) -> InspectionStanding:
        """Where an inspection stands."""
        return known_of(await self._get(request.name))

    @activity.defn
    async def expire_inspection_deadline(
        self, request: rpc_pb.ExpireDeadlineRequest, cause: str
    ) -> InspectionStanding:
        """Tells the service that a deadline's time has come; the service decides what that means."""
        return known_of(await carry_out(lambda: self._inspections.ExpireDeadline(request), cause))

    @activity.defn
    async def get_invitation(self, asked: DepartmentInvitation) -> Invitation:
        """What a department is asked; without `answer_time` if no answer of it is wanted any more."""
        return invitation_of(await self._get(asked.inspection), asked.department)

    @activity.defn
    async def answer_invitation(
        self, request: rpc_pb.AnswerInvitationRequest, cause: str
    ) -> InspectionStanding:
        """Puts a department's answer on record."""
        return known_of(await carry_out(lambda: self._inspections.AnswerInvitation(request), cause))

    @activity.defn
    async def follow_up_finding(
        self, inspection: str, finding: str, request_id: str, cause: str
    ) -> str:
        """Has a problem reported or a clue registered for a finding; its resource name.

        A problem that names the finding as its origin already, whoever reported it, is that problem.
        """
        known = await self._get(inspection)
        found = next(each for each in known.findings if each.id == finding)
        if found.handed_over_to:
            return found.handed_over_to
        if found.outcome == pb.OUTCOME_PENALTY:
            return await self._register(known, found, request_id, cause)
        return await self._report(known, found, request_id, cause)

    @activity.defn
    async def hand_over_finding(
        self, request: rpc_pb.HandOverFindingRequest, cause: str
    ) -> InspectionStanding:
        """Puts on record who follows up a finding."""
        return known_of(await carry_out(lambda: self._inspections.HandOverFinding(request), cause))

    @activity.defn
    async def list_counted_inspections(self, request: rpc_pb.ListInspectionsRequest) -> RecountPage:
        """A page of names of inspections, as those with deadlines counted into a year."""
        request.read_mask.CopyFrom(FieldMask(paths=["name"]))
        page = await carry_out(lambda: self._inspections.ListInspections(request), "")
        names = [each.name for each in page.inspections]
        return RecountPage(inspections=names, next_page_token=page.next_page_token)

    @activity.defn
    async def recount_inspection(
        self, request: rpc_pb.RecountDeadlinesRequest, cause: str
    ) -> InspectionStanding:
        """Has an inspection's deadlines counted again by a calendar published since."""
        return known_of(await carry_out(lambda: self._inspections.RecountDeadlines(request), cause))

    async def _get(self, name: str) -> pb.Inspection:
        request = rpc_pb.GetInspectionRequest(name=name, read_mask=KNOWN)
        return await carry_out(lambda: self._inspections.GetInspection(request), "")

    async def _report(
        self, inspection: pb.Inspection, finding: pb.Finding, request_id: str, cause: str
    ) -> str:
        origin = handover.origin(inspection, finding)
        wanted = problems_pb.ListProblemsRequest(
            filter=problems_pb.ProblemFilter(origin=origin), page_size=1
        )
        known = await carry_out(lambda: self._problems.ListProblems(wanted), "")
        if known.problems:
            return known.problems[0].name
        request = handover.problem_of(inspection, finding, request_id)
        problem = await carry_out(lambda: self._problems.ReportProblem(request), cause)
        return problem.name

    async def _register(
        self, inspection: pb.Inspection, finding: pb.Finding, request_id: str, cause: str
    ) -> str:
        if not finding.offence:
            raise ApplicationError("未写明违法行为", type="NO_OFFENCE", non_retryable=True)
        request = handover.clue_of(inspection, finding, request_id)
        case = await carry_out(lambda: self._cases.RegisterClue(request), cause)
        return case.name


def invitation_of(inspection: pb.Inspection, department: str) -> Invitation:
    """What `department` is asked; without `answer_time` if no answer of it is wanted any more."""
    invitation = Invitation(
        inspection=inspection.name,
        department=department,
        title=inspection.title,
        enterprise=inspection.enterprise,
        from_date=inspection.from_date,
        to_date=inspection.to_date,
        lead=lead_of(inspection).display_name,
    )
    for part in inspection.participants:
        if part.department == department:
            invitation.items.extend(part.items)
            invitation.tasks.extend(part.tasks)
    for due in inspection.standing.deadlines:
        if (due.duty, due.department) == (pb.DUTY_ANSWER, department):
            invitation.answer_date.CopyFrom(due.deadline.due_date)
            invitation.answer_time.CopyFrom(due.deadline.due_time)
    return invitation

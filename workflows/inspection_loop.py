"""The loop of an inspection: departments are asked, the visit is waited for, findings go to their owners."""

from collections.abc import Sequence
from datetime import UTC, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from google.protobuf.message import Message
    from temporalio.common import SearchAttributePair, TypedSearchAttributes
    from temporalio.exceptions import (
        ActivityError,
        ApplicationError,
        FailureError,
        WorkflowAlreadyStartedError,
        is_cancelled_exception,
    )

    from bihuan.inspection.v1 import inspection_pb2 as pb
    from bihuan.inspection.v1.inspection_loop_pb2 import DepartmentInvitation, InspectionStanding
    from bihuan.inspection.v1.inspection_loop_pb2 import InspectionLoop as Loop
    from bihuan.inspection.v1.inspection_service_pb2 import (
        ExpireDeadlineRequest,
        GetInspectionRequest,
        HandOverFindingRequest,
    )
    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from workflows import inspection_alarms as bell
    from workflows import inspection_notices as notices
    from workflows import inspection_state, inspection_view
    from workflows import search_attributes as sa
    from workflows.activities import request_id as request_id_of
    from workflows.alarms import Alarm
    from workflows.case_loop import FEW, CaseLoop
    from workflows.department_invitation import ENDS, DepartmentInvitationLoop
    from workflows.inspection_activities import InspectionActivities
    from workflows.inspection_state import ENDED

# An invitation that cannot even begin, as its endpoint is missing, does not stay for ever.
GRACE = timedelta(days=30)


@workflow.defn
class InspectionLoop(CaseLoop[Loop]):
    """From opening to its end. Its id is `inspection/<uuid of the inspection>`."""

    known = inspection_state.EVENTS

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Follow the inspection to its end: answers with what became of it."""
        return await self.follow()

    @property
    def _inspection(self) -> pb.Inspection:
        return self._loop.known.inspection

    def over(self) -> bool:
        standing = self._inspection.standing
        ended = standing.state in ENDED and not standing.deadlines and not standing.overdue
        told = self._loop.told_version >= self._loop.version
        return ended and told and not bell.to_do(self._loop)

    async def take_up(self) -> None:
        request = GetInspectionRequest(name=self._loop.inspection)
        known = await self.call(
            InspectionActivities.get_inspection, request, summary="读取检查现状"
        )
        self._loop.known.CopyFrom(known)
        self._loop.version = known.version

    def fold(self, messages: Sequence[Message]) -> None:
        inspection_state.fold(self._loop, messages)

    def on_event(self, message: Message) -> list[SendNoticeRequest]:
        return notices.on_event(self._loop, message)

    def alarms(self) -> list[Alarm]:
        return bell.alarms(self._loop)

    def on_reminder(self, alarm: Alarm) -> list[SendNoticeRequest]:
        return notices.reminder(self._loop, bell.deadline_of(self._inspection, alarm))

    def alarm_summary(self, alarm: Alarm) -> str:
        return bell.summary(self._loop, alarm)

    def show(self) -> None:
        inspection_view.show(self._loop)

    def show_details(self) -> None:
        workflow.set_current_details(inspection_view.details(self._loop))

    async def expire(self, alarm: Alarm, request_id: str) -> Sequence[Alarm]:
        match alarm.kind:
            case bell.ASK:
                await self._ask(bell.subject_of(alarm))
                return []
            case bell.WITHDRAW:
                await self._withdraw(bell.subject_of(alarm))
                return []
            case bell.HAND_OVER:
                return await self._hand_over(alarm)
        request = ExpireDeadlineRequest(
            request_id=request_id, name=self._loop.inspection, deadline_id=alarm.deadline_id
        )
        known = await self.call(
            InspectionActivities.expire_inspection_deadline,
            request,
            self._loop.last_event_id,
            summary=f"期限届满 {alarm.deadline_id}",
            retry=FEW,
        )
        return bell.alarms(Loop(known=known))

    async def _ask(self, department: str) -> None:
        """Have the department asked through Nexus, beside this loop; one that is asked already stays so."""
        (part,) = [each for each in self._inspection.participants if each.department == department]
        name = part.display_name
        invitation = DepartmentInvitation(
            inspection=self._loop.inspection,
            department=department,
            endpoint=part.nexus_endpoint,
            cause=self._loop.last_event_id,
        )
        try:
            await workflow.start_child_workflow(
                DepartmentInvitationLoop.run,
                invitation,
                id=self._invitation_id(department),
                # It outlives a loop that continues as new, or that an operator ends.
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                execution_timeout=self._time_to_answer(department) + GRACE,
                static_summary=f"征询 {name}：{self._inspection.title}"[:200],
                search_attributes=self._attributes(name),
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("%s is asked already", department)

    def _time_to_answer(self, department: str) -> timedelta:
        """How long, in real time, an answer may take."""
        ends = [
            self._clock.real(due.deadline.due_time.ToDatetime(UTC))
            for due in self._inspection.standing.deadlines
            if (due.duty, due.department) == (pb.DUTY_ANSWER, department)
        ]
        return max([end - workflow.now() for end in ends], default=timedelta())

    def _attributes(self, department_name: str) -> TypedSearchAttributes:
        enterprise = self._inspection.enterprise
        return TypedSearchAttributes(
            [
                SearchAttributePair(key, value)
                for key, value in (
                    (sa.STAGE, ENDS[DepartmentInvitation.END_UNSPECIFIED]),
                    (sa.WAITING_FOR, department_name),
                    (sa.ENTERPRISE, enterprise.uscc),
                    (sa.DISTRICT, enterprise.district),
                )
            ]
        )

    async def _withdraw(self, department: str) -> None:
        """No answer of the department is wanted any more. One that ended by itself needs no telling."""
        asked = workflow.get_external_workflow_handle(self._invitation_id(department))
        try:
            await asked.signal(DepartmentInvitationLoop.withdraw)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.info("%s is asked no more", department)

    async def _hand_over(self, alarm: Alarm) -> Sequence[Alarm]:
        """Have the finding followed up, then put on record by whom: each once, whatever is told twice."""
        finding = bell.subject_of(alarm)
        try:
            known = await self._followed_up(finding)
        except ActivityError as error:
            if not is_cancelled_exception(error):
                await self._refused(finding, error)
            raise
        self._forget_refusal(finding)
        return bell.alarms(Loop(known=known))

    async def _followed_up(self, finding: str) -> InspectionStanding:
        workflow_id, cause = workflow.info().workflow_id, self._loop.last_event_id
        by = await self.call(
            InspectionActivities.follow_up_finding,
            self._loop.inspection,
            finding,
            request_id_of(workflow_id, f"finding-{finding}/follow-up"),
            cause,
            summary=f"移交第 {finding} 项发现",
            retry=FEW,
        )
        request = HandOverFindingRequest(
            request_id=request_id_of(workflow_id, f"finding-{finding}/hand-over"),
            name=self._loop.inspection,
            finding=finding,
            handed_over_to=by,
        )
        return await self.call(
            InspectionActivities.hand_over_finding,
            request,
            cause,
            summary=f"第 {finding} 项发现移交 {by}",
            retry=FEW,
        )

    async def _refused(self, finding: str, error: ActivityError) -> None:
        """Keep why, for whoever looks, and tell the department, once, if it will not pass by itself."""
        self._forget_refusal(finding)
        reason = f"{error.cause}"[:500]
        self._loop.refusals.add(finding=finding, reason=reason)
        if isinstance(error.cause, ApplicationError) and error.cause.non_retryable:
            (found,) = [each for each in self._inspection.findings if each.id == finding]
            await self._tell(notices.refused(self._loop, found), f"refused-{finding}")

    def _forget_refusal(self, finding: str) -> None:
        kept = [each for each in self._loop.refusals if each.finding != finding]
        del self._loop.refusals[:]
        self._loop.refusals.extend(kept)

    def _invitation_id(self, department: str) -> str:
        uuid = self._loop.inspection.partition("/")[2]
        return f"invitation/{uuid}/{department.partition('/')[2]}"

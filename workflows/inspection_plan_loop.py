"""The loop of a plan of inspections: waits for its approval and its publication, until it is published."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from google.protobuf.message import Message

    from bihuan.inspection.v1.plan_loop_pb2 import PlanLoop as Loop
    from bihuan.inspection.v1.plan_service_pb2 import ExpirePlanDeadlineRequest, GetPlanRequest
    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from workflows import inspection_plan_notices as notices
    from workflows import inspection_plan_state as state
    from workflows.activities import Activities
    from workflows.alarms import Alarm
    from workflows.case_loop import FEW, CaseLoop


@workflow.defn
class InspectionPlanLoop(CaseLoop[Loop]):
    """From draft to publication or withdrawal. Its id is `inspection-plan/<uuid of the plan>`.

    It is not told of tasks: whenever it was left out of some events, it asks the service where the plan is.
    """

    known = state.EVENTS

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Follow the plan to its end: answers with what became of it."""
        return await self.follow()

    def over(self) -> bool:
        ended = self._loop.known.standing.state in state.ENDED
        return ended and self._loop.told_version >= self._loop.version

    async def take_up(self) -> None:
        request = GetPlanRequest(name=self._loop.plan)
        known = await self.call(Activities.get_inspection_plan, request, summary="读取检查计划现状")
        self._loop.known.CopyFrom(known)
        self._loop.version = known.version

    def fold(self, messages: Sequence[Message]) -> None:
        state.fold(self._loop, messages)

    def on_event(self, message: Message) -> list[SendNoticeRequest]:
        return notices.on_event(self._loop, message)

    def alarms(self) -> list[Alarm]:
        return state.alarms(self._loop.known)

    def on_reminder(self, alarm: Alarm) -> list[SendNoticeRequest]:
        return notices.reminder(self._loop)

    async def expire(self, alarm: Alarm, request_id: str) -> list[Alarm]:
        request = ExpirePlanDeadlineRequest(
            request_id=request_id, name=self._loop.plan, deadline_id=alarm.deadline_id
        )
        known = await self.call(
            Activities.expire_plan_deadline,
            request,
            self._loop.last_event_id,
            summary=f"期限届满 {alarm.deadline_id}",
            retry=FEW,
        )
        return state.alarms(known)

    def alarm_summary(self, alarm: Alarm) -> str:
        return state.alarm_summary(self._loop, alarm)

    def show(self) -> None:
        state.show(self._loop)

    def show_details(self) -> None:
        workflow.set_current_details(state.details(self._loop))

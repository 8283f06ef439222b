"""The loop of a penalty case: at each step it waits for whoever must act or may, until the case has ended."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from google.protobuf.message import Message

    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from bihuan.penalty.v1.penalty_case_service_pb2 import ExpireDeadlineRequest, GetCaseRequest
    from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
    from workflows import penalty_alarms, penalty_state
    from workflows import penalty_notices as notices
    from workflows.activities import Activities
    from workflows.alarms import Alarm
    from workflows.case_loop import FEW, CaseLoop
    from workflows.penalty_state import ENDED


class PenaltyLoop(CaseLoop[Loop]):
    """What the loop of a case and the loops of its plans have in common."""

    known = penalty_state.EVENTS

    async def take_up(self) -> None:
        request, plan = GetCaseRequest(name=self._loop.case), self._loop.plan_number
        known = await self.call(Activities.get_penalty_case, request, plan, summary="读取案件现状")
        self._loop.known.CopyFrom(known)
        self._loop.version = known.version

    def fold(self, messages: Sequence[Message]) -> None:
        penalty_state.fold(self._loop, messages)

    def alarms(self) -> list[Alarm]:
        return penalty_alarms.alarms(self._loop.known)

    async def expire(self, alarm: Alarm, request_id: str) -> list[Alarm]:
        request = ExpireDeadlineRequest(
            request_id=request_id, name=self._loop.case, deadline_id=alarm.deadline_id
        )
        known = await self.call(
            Activities.expire_penalty_deadline,
            request,
            self._loop.plan_number,
            self._loop.last_event_id,
            summary=f"期限届满 {alarm.deadline_id}",
            retry=FEW,
        )
        return penalty_alarms.alarms(known)

    def alarm_summary(self, alarm: Alarm) -> str:
        return penalty_alarms.summary(self._loop, alarm)


@workflow.defn
class PenaltyCaseLoop(PenaltyLoop):
    """From clue to closure. Its id is `penalty-case/<uuid of the case>`."""

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Follow the case to its end and hand over: answers with what became of it."""
        return await self.follow()

    def over(self) -> bool:
        # A publication may have to be withdrawn after the case itself has ended.
        standing = self._loop.known.standing
        ended = standing.state in ENDED and not standing.deadlines and not standing.overdue
        return ended and self._loop.told_version >= self._loop.version

    def on_event(self, message: Message) -> list[SendNoticeRequest]:
        return notices.on_event(self._loop, message)

    def on_reminder(self, alarm: Alarm) -> list[SendNoticeRequest]:
        due = penalty_alarms.deadline_of(self._loop.known, alarm)
        return notices.reminder(self._loop, due)

    def show(self) -> None:
        stage = penalty_state.stage(self._loop)
        penalty_state.show(self._loop, stage, penalty_state.details(self._loop))

    def show_details(self) -> None:
        workflow.set_current_details(penalty_state.details(self._loop))

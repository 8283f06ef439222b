"""The loop of one payment plan: reminds before each date, tells of default, until the plan has ended."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from google.protobuf.message import Message

    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
    from workflows import alarms, penalty_alarms, penalty_state, plan_state
    from workflows import plan_notices as notices
    from workflows.alarms import Alarm
    from workflows.penalty_loop import PenaltyLoop
    from workflows.penalty_state import in_force


@workflow.defn
class InstalmentPlanLoop(PenaltyLoop):
    """From consent to completion, revocation or another plan, over two years at most.

    Its id is `payment-plan/<uuid of the case>/<number of the plan>`.
    """

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Follow the plan to its end and hand over: answers with what became of it."""
        return await self.follow()

    def over(self) -> bool:
        # Not by the version alone: what happens to the case after the plan's end does not come here.
        told = self._loop.end_told or self._loop.told_version >= self._loop.version
        ended = not in_force(self._loop.known.plan)
        return told and ended and not alarms.armed(self._loop, self.alarms())

    def alarms(self) -> list[Alarm]:
        # Of a plan that was replaced the deadlines are those of the next one.
        known = self._loop.known
        return [] if plan_state.replaced(known) else penalty_alarms.alarms(known)

    def on_event(self, message: Message) -> list[SendNoticeRequest]:
        if plan_state.ends(self._loop.plan_number, message):
            self._loop.end_told = True
        return notices.on_event(self._loop, message)

    def on_reminder(self, alarm: Alarm) -> list[SendNoticeRequest]:
        due = penalty_alarms.deadline_of(self._loop.known, alarm)
        return notices.reminder(self._loop, due)

    def show(self) -> None:
        stage = plan_state.stage(self._loop.known.plan)
        penalty_state.show(self._loop, stage, plan_state.details(self._loop))

    def show_details(self) -> None:
        workflow.set_current_details(plan_state.details(self._loop))

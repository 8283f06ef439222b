"""The loop of an inspection target: waits until a fact stops weighing, and has the grade looked at again."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from google.protobuf.message import Message

    from bihuan.inspection.v1.target_loop_pb2 import TargetLoop as Loop
    from bihuan.inspection.v1.target_loop_pb2 import TargetStanding as Standing
    from bihuan.inspection.v1.target_service_pb2 import GetTargetRequest, ReviewGradeRequest
    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from rules.clock import legal_date
    from workflows import alarms, target_notices, target_state
    from workflows.activities import Activities
    from workflows.alarms import Alarm
    from workflows.case_loop import FEW, CaseLoop


@workflow.defn
class TargetLoop(CaseLoop[Loop]):
    """From a grade that some fact weighs in until none does, or the target is off the register.

    Its id is `inspection-target/<uuid of the target's stream>`. It does not outlast its last fact: most
    targets of a city have none, and the next event that gives one begins it anew.
    """

    known = target_state.EVENTS

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Follow the grade until nothing of it lapses: answers with what became of it."""
        return await self.follow()

    def over(self) -> bool:
        # Not by the version: facts that change no grade do not come here.
        return bool(self._loop.last_position) and not self._loop.known.HasField("review")

    async def take_up(self) -> None:
        request = GetTargetRequest(name=self._loop.target)
        known = await self.call(Activities.get_target, request, summary="读取检查对象现状")
        self._loop.known.CopyFrom(known)
        self._loop.version = known.version

    def fold(self, messages: Sequence[Message]) -> None:
        target_state.fold(self._loop, messages)

    def on_event(self, message: Message) -> list[SendNoticeRequest]:
        return target_notices.on_event(message)

    def alarms(self) -> list[Alarm]:
        return review_of(self._loop.known)

    def on_reminder(self, alarm: Alarm) -> list[SendNoticeRequest]:
        return []

    async def expire(self, alarm: Alarm, request_id: str) -> list[Alarm]:
        request = ReviewGradeRequest(request_id=request_id, name=self._loop.target)
        known = await self.call(
            Activities.review_grade,
            request,
            self._loop.last_event_id,
            summary=f"到期复评 {alarm.deadline_id}",
            retry=FEW,
        )
        return review_of(known)

    def alarm_summary(self, alarm: Alarm) -> str:
        again = "再报" if any(each.alarm == alarm.key for each in self._loop.put_off) else ""
        return f"{again}到期复评 {legal_date(alarm.at)}"

    def show(self) -> None:
        target_state.show(self._loop)

    def show_details(self) -> None:
        workflow.set_current_details(target_state.details(self._loop))


def review_of(known: Standing) -> list[Alarm]:
    """The one alarm of a target: the end of the period of the fact that lapses first."""
    if not known.HasField("review"):
        return []
    return list(alarms.of_deadline(known.review, known.review.id, known.review.id))

"""The loop of one problem: waits for whoever must act, reminds before, escalates after, until it ends."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from google.protobuf.message import Message

    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from bihuan.rectification.v1 import problem_pb2 as pb
    from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
    from bihuan.rectification.v1.problem_service_pb2 import (
        ExpireDeadlineRequest,
        GetProblemRequest,
    )
    from workflows import problem_alarms, problem_state
    from workflows import problem_notices as notices
    from workflows.activities import Activities
    from workflows.alarms import Alarm
    from workflows.case_loop import FEW, CaseLoop

ENDED = frozenset({pb.STATE_UNFOUNDED, pb.STATE_CLOSED})


@workflow.defn
class ProblemLoop(CaseLoop[Loop]):
    """From report to closure. Its id is `problem-loop/<uuid of the problem>`."""

    known = problem_state.EVENTS
    final_refusals = frozenset({"TOP_OF_LADDER"})

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Follow the problem to its end and hand over: answers with what became of it."""
        return await self.follow()

    def over(self) -> bool:
        return self._loop.state in ENDED and self._loop.told_version >= self._loop.version

    async def take_up(self) -> None:
        request = GetProblemRequest(name=self._loop.problem)
        standing = await self.call(Activities.get_problem, request, summary="读取问题现状")
        problem_state.take_up(self._loop, standing)

    def fold(self, messages: Sequence[Message]) -> None:
        problem_state.fold(self._loop, messages)

    def on_event(self, message: Message) -> list[SendNoticeRequest]:
        return notices.on_event(self._loop, message)

    def alarms(self) -> list[Alarm]:
        return problem_alarms.alarms(self._loop)

    def on_reminder(self, alarm: Alarm) -> list[SendNoticeRequest]:
        return notices.reminder(self._loop, alarm.due_date)

    async def expire(self, alarm: Alarm, request_id: str) -> list[Alarm]:
        request = ExpireDeadlineRequest(
            request_id=request_id, name=self._loop.problem, deadline_id=alarm.deadline_id
        )
        standing = await self.call(
            Activities.expire_deadline,
            request,
            self._loop.last_event_id,
            summary=f"期限届满 {alarm.deadline_id}",
            retry=FEW,
        )
        return problem_alarms.alarms(standing)

    def alarm_summary(self, alarm: Alarm) -> str:
        return problem_alarms.summary(self._loop, alarm)

    def show(self) -> None:
        problem_state.show(self._loop)

    def show_details(self) -> None:
        problem_state.show_details(self._loop)

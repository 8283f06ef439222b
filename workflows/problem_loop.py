"""The loop of one problem: waits for whoever must act, reminds before, escalates after, until it ends.

Events tell the loop whose move it is and until when; the loop tells the services when a time has
come. It records nothing and decides nothing by itself.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from bihuan.feed.v1.feed_service_pb2 import Event
    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from bihuan.rectification.v1 import problem_pb2 as pb
    from bihuan.rectification.v1.events_pb2 import ProblemReported
    from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
    from bihuan.rectification.v1.problem_service_pb2 import (
        ExpireDeadlineRequest,
        GetProblemRequest,
    )
    from bihuan.types.v1.deadline_pb2 import Deadline
    from rpc.telemetry import within_trace
    from rules.clock import Clock
    from workflows import problem_notices as notices
    from workflows import problem_state
    from workflows.activities import Activities, request_id

CALL = timedelta(seconds=15)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
# A deadline's expiry may reach a service whose clock lags: asked again until it agrees.
AGAIN = timedelta(seconds=1)
ENDED = frozenset({pb.STATE_UNFOUNDED, pb.STATE_CLOSED})


class Alarm(NamedTuple):
    """Something to do at a time unless an event comes first."""

    at: datetime
    kind: str
    deadline_id: str
    key: str


@workflow.defn
class ProblemLoop:
    """From report to closure. Its id is `problem-loop/<uuid of the problem>`."""

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._inbox: deque[Event] = deque()
        self._clock = Clock.parse(loop.clock)

    @workflow.signal
    def event(self, event: Event) -> None:
        """An event of the problem, in the order of the log; one that came before is dropped."""
        last = self._inbox[-1].position if self._inbox else self._loop.last_position
        if event.position > last:
            self._inbox.append(event)

    @workflow.query
    def loop(self) -> Loop:
        """Where the loop stands."""
        return self._loop

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Follow the problem to its end and hand over: answers with what became of it."""
        await workflow.wait_condition(lambda: bool(self._inbox or loop.last_position))
        while self._inbox or self._loop.state not in ENDED:
            if self._inbox:
                await self._take(self._inbox.popleft())
            else:
                self._continue_as_new_if_long()
                await self._wait()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._loop

    async def _take(self, event: Event) -> None:
        message = problem_state.payload(event)
        if not self._loop.title and not isinstance(message, ProblemReported):
            await self._take_up()
        problem_state.fold(self._loop, event, message)
        problem_state.show(self._loop)
        drafts = notices.on_event(self._loop, message)
        # The tasks take the trace along; the block itself must not outlast an eviction.
        with within_trace(event.traceparent):
            sending = asyncio.gather(*(self._send(draft, str(event.position)) for draft in drafts))
        await sending

    async def _take_up(self) -> None:
        """Learn what an earlier loop of the same problem knew."""
        problem = await workflow.execute_activity_method(
            Activities.get_problem,
            GetProblemRequest(name=self._loop.problem),
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary="重新立案，读取问题",
        )
        problem_state.take_up(self._loop, problem)

    async def _wait(self) -> None:
        """Until an event comes or the next alarm rings."""
        alarm = self._next_alarm()
        if alarm is None:
            await workflow.wait_condition(lambda: bool(self._inbox))
            return
        try:
            await workflow.wait_condition(
                lambda: bool(self._inbox),
                timeout=max(self._clock.real(alarm.at) - workflow.now(), timedelta()),
                timeout_summary=problem_state.alarm_summary(self._loop, alarm.kind, alarm.at),
            )
        except TimeoutError:
            await self._ring(alarm)

    async def _ring(self, alarm: Alarm) -> None:
        self._loop.rung_alarms.extend(self._passed(alarm))
        if alarm.kind == "remind":
            self._loop.reminder_count += 1
            drafts = notices.reminder(self._loop)
            await asyncio.gather(*(self._send(draft, alarm.key) for draft in drafts))
        else:
            await self._expire(alarm)

    async def _expire(self, alarm: Alarm) -> None:
        """Tell the service until it has recorded the expiry, or an event makes it pointless."""
        attempt = 0
        while not self._inbox:
            attempt += 1
            problem = await workflow.execute_activity_method(
                Activities.expire_deadline,
                args=[
                    ExpireDeadlineRequest(
                        request_id=request_id(
                            workflow.info().workflow_id, f"{alarm.key}/{attempt}"
                        ),
                        name=self._loop.problem,
                        deadline_id=alarm.deadline_id,
                    ),
                    self._loop.last_event_id,
                ],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary=f"期限届满 {alarm.deadline_id}",
            )
            if not _still_open(problem, alarm):
                return
            await workflow.sleep(AGAIN, summary="服务时钟未到，稍后再报")

    async def _send(self, request: SendNoticeRequest, step: str) -> None:
        request.request_id = request_id(
            workflow.info().workflow_id, f"{step}/{request.recipient}/{request.kind}"
        )
        await workflow.execute_activity_method(
            Activities.send_notice,
            args=[request, self._loop.last_event_id],
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary=f"通知 {request.recipient}：{request.title}"[:190],
        )

    def _passed(self, alarm: Alarm) -> list[str]:
        """The alarm, and the reminders that passed with it while the loop could not run."""
        if alarm.kind != "remind":
            return [alarm.key]
        now = self._clock.legal(workflow.now())
        return [
            each.key
            for each in _alarms(self._loop)
            if each.kind == "remind"
            and each.at <= max(now, alarm.at)
            and each.key not in self._loop.rung_alarms
        ]

    def _next_alarm(self) -> Alarm | None:
        rung = set(self._loop.rung_alarms)
        waiting = [alarm for alarm in _alarms(self._loop) if alarm.key not in rung]
        return min(waiting, default=None)

    def _continue_as_new_if_long(self) -> None:
        if workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new(self._loop)


def _alarms(loop: Loop) -> list[Alarm]:
    """Reminders and the end of the next step's deadline, or the next rung once it was missed."""
    if loop.overdue:
        if not loop.escalation.HasField("next_deadline"):
            return []
        return [_end("escalate", loop.escalation.next_deadline)]
    if not loop.HasField("next_step"):
        return []
    deadline = loop.next_step.deadline
    end = _end("due", deadline)
    reminders = [
        Alarm(time.ToDatetime(UTC), "remind", deadline.id, f"{end.key}/remind-{number}")
        for number, time in enumerate(deadline.remind_times, 1)
    ]
    return [*reminders, end]


def _end(kind: str, deadline: Deadline) -> Alarm:
    due = deadline.due_time.ToDatetime(UTC)
    return Alarm(due, kind, deadline.id, f"{deadline.id}@{due:%Y%m%d}/{kind}")


def _still_open(problem: pb.Problem, alarm: Alarm) -> bool:
    """Whether the service saw the very deadline and did not think it over yet."""
    if alarm.kind == "due":
        deadline, open_ = problem.next_step.deadline, not problem.overdue
    else:
        deadline, open_ = problem.escalation.next_deadline, problem.overdue
    return (
        open_ and deadline.id == alarm.deadline_id and deadline.due_time.ToDatetime(UTC) == alarm.at
    )

"""The loop of one problem: waits for whoever must act, reminds before, escalates after, until it ends.

Events tell the loop whose move it is and until when; the loop tells the services when a time has
come. It records nothing and decides nothing by itself.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bihuan.feed.v1.feed_service_pb2 import Event
    from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
    from bihuan.rectification.v1 import problem_pb2 as pb
    from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
    from bihuan.rectification.v1.problem_service_pb2 import (
        ExpireDeadlineRequest,
        GetProblemRequest,
    )
    from rpc.telemetry import within_trace
    from rules.clock import Clock
    from workflows import alarms, problem_state
    from workflows import problem_notices as notices
    from workflows.activities import SENT_BEFORE, Activities, reason_of, request_id
    from workflows.alarms import Alarm

CALL = timedelta(seconds=15)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
# An expiry is told again by the loop, which meanwhile takes in what happens.
FEW = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=5)
ENDED = frozenset({pb.STATE_UNFOUNDED, pb.STATE_CLOSED})
# Of events not taken in yet the loop carries so much along when it continues as new.
MOST_CARRIED_BYTES = 256 * 1024


@workflow.defn
class ProblemLoop:
    """From report to closure. Its id is `problem-loop/<uuid of the problem>`."""

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._inbox: deque[Event] = deque(loop.pending)
        del loop.pending[:]
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
        if self._loop.title:
            problem_state.show(self._loop)
        while self._inbox or not self._over():
            self._continue_as_new_if_long()
            if self._inbox:
                await self._take(self._inbox.popleft())
            else:
                await self._wait()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._loop

    def _over(self) -> bool:
        """Whether the problem has ended, and all events up to its end were told on."""
        return self._loop.state in ENDED and self._loop.told_version >= self._loop.version

    async def _take(self, event: Event) -> None:
        """Take an event in and tell whoever must know. What an earlier loop told already is told
        again with the same request_id, and so is not sent twice.
        """
        messages = problem_state.payloads(event)
        self._loop.last_position, self._loop.last_event_id = event.position, event.id
        self._loop.told_version = event.version
        if not messages or event.version > self._loop.version + 1:
            await self._take_up()
        problem_state.fold(self._loop, event.version, messages)
        problem_state.show(self._loop)
        for number, message in enumerate(messages):
            step = f"{event.position}.{number}" if number else str(event.position)
            await self._tell(notices.on_event(self._loop, message), step, event.traceparent)

    async def _take_up(self) -> None:
        """Learn what was not told: to an earlier loop of the problem, or to none at all."""
        standing = await workflow.execute_activity_method(
            Activities.get_problem,
            GetProblemRequest(name=self._loop.problem),
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary="读取问题现状",
        )
        problem_state.take_up(self._loop, standing)

    async def _wait(self) -> None:
        """Until an event comes or the next alarm rings."""
        following = alarms.next_alarm(self._loop, self._clock)
        if following is None:
            await workflow.wait_condition(lambda: bool(self._inbox))
            return
        at, alarm = following
        try:
            await workflow.wait_condition(
                lambda: bool(self._inbox),
                timeout=max(at - workflow.now(), timedelta()),
                timeout_summary=problem_state.alarm_summary(self._loop, alarm),
            )
        except TimeoutError:
            await self._ring(alarm)

    async def _ring(self, alarm: Alarm) -> None:
        alarm = alarms.ring(self._loop, alarm, self._clock.legal(workflow.now()))
        if alarm.kind == alarms.REMIND:
            self._loop.reminder_count += 1
            await self._tell(notices.reminder(self._loop, alarm.due_date), alarm.key)
            problem_state.show_details(self._loop)
        else:
            await self._expire(alarm)

    async def _expire(self, alarm: Alarm) -> None:
        """Tell the service; again later, unless it has that very deadline open no more."""
        step = f"{workflow.info().run_id}/{alarm.key}/{alarms.attempt(self._loop, alarm)}"
        request = ExpireDeadlineRequest(
            request_id=request_id(workflow.info().workflow_id, step),
            name=self._loop.problem,
            deadline_id=alarm.deadline_id,
        )
        try:
            standing = await workflow.execute_activity_method(
                Activities.expire_deadline,
                args=[request, self._loop.last_event_id],
                start_to_close_timeout=CALL,
                retry_policy=FEW,
                summary=f"期限届满 {alarm.deadline_id}",
            )
            over = not alarms.has_open(standing, alarm)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            over = reason_of(error) == "TOP_OF_LADDER"
        if over:
            alarms.settle(self._loop, alarm)
        else:
            alarms.put_off(self._loop, alarm, workflow.now())
        problem_state.show_details(self._loop)

    async def _tell(
        self, drafts: Iterable[SendNoticeRequest], step: str, traceparent: str = ""
    ) -> None:
        # The tasks take the trace along; the block itself must not outlast an eviction.
        with within_trace(traceparent):
            sending = asyncio.gather(*(self._send(draft, step) for draft in drafts))
        await sending

    async def _send(self, request: SendNoticeRequest, step: str) -> None:
        request.request_id = request_id(
            workflow.info().workflow_id, f"{step}/{request.recipient}/{request.kind}"
        )
        try:
            await workflow.execute_activity_method(
                Activities.send_notice,
                args=[request, self._loop.last_event_id],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary=f"通知 {request.recipient}：{request.title}"[:190],
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if reason_of(error) not in SENT_BEFORE:
                self._loop.undelivered_notices += 1
                problem_state.show_details(self._loop)

    def _continue_as_new_if_long(self) -> None:
        carried = sum(event.ByteSize() for event in self._inbox)
        if workflow.info().is_continue_as_new_suggested() and carried <= MOST_CARRIED_BYTES:
            self._loop.pending.extend(self._inbox)
            workflow.continue_as_new(self._loop)

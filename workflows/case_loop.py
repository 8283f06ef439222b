"""What the loops of all cases have in common: they follow events, ring alarms, tell people and the service.

Events tell a loop who must act and until when; the loop tells the services when a time has come. It records
nothing and decides nothing by itself. What is particular to a case its own loop says.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableSequence, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from google.protobuf.message import Message
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.notification.v1.notice_pb2 import SendNoticeRequest
from rpc.telemetry import within_trace
from rules.clock import Clock
from services.events import read
from workflows import alarms
from workflows.activities import SENT_BEFORE, Activities, reason_of, request_id
from workflows.alarms import Alarm
from workflows.operator_view import Troubled

CALL = timedelta(seconds=15)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
# An expiry is told again by the loop, which meanwhile takes in what happens.
FEW = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=5)
# Of events not taken in yet the loop carries so much along when it continues as new.
MOST_CARRIED_BYTES = 256 * 1024

Answer = TypeVar("Answer")


class LoopState(Troubled, Protocol):
    """What the state of every loop of a case holds, as a message."""

    clock: str
    last_position: int
    last_event_id: str
    version: int
    told_version: int
    reminder_count: int

    @property
    def pending(self) -> MutableSequence[Event]:
        """Events carried along when the loop continues as new."""


State = TypeVar("State", bound=LoopState)


class CaseLoop(ABC, Generic[State]):
    """Follows a case from its first event to its end.

    A loop of a case is a subclass that defines `run`, as `follow`, and an initializer, and says: which events
    there are, what they change and whom to tell; which alarms are open, and how to tell the service that the
    time of one has come; how the service is asked where the case stands; what an operator sees.
    """

    # Types of events that the loop folds.
    known: ClassVar[Collection[type[Message]]]
    # Reasons of a refusal after which an expiry is not told again.
    final_refusals: ClassVar[Collection[str]] = ()

    def __init__(self, loop: State) -> None:
        self._loop = loop
        self._inbox: deque[Event] = deque(loop.pending)
        del loop.pending[:]
        self._clock = Clock.parse(loop.clock)

    @workflow.signal
    def event(self, event: Event) -> None:
        """An event of the case, in the order of the log; one that came before is dropped."""
        last = self._inbox[-1].position if self._inbox else self._loop.last_position
        if event.position > last:
            self._inbox.append(event)

    @workflow.query
    def loop(self) -> State:
        """Where the loop stands."""
        return self._loop

    @abstractmethod
    def over(self) -> bool:
        """Whether the case has ended, and all events up to its end were told on."""

    @abstractmethod
    async def take_up(self) -> None:
        """Ask the service where the case stands, and take that instead of what the loop knew."""

    @abstractmethod
    def fold(self, messages: Sequence[Message]) -> None:
        """Take in what an event says."""

    @abstractmethod
    def on_event(self, message: Message) -> Iterable[SendNoticeRequest]:
        """Whom to tell what of an event, without request ids."""

    @abstractmethod
    def alarms(self) -> Sequence[Alarm]:
        """What is to happen by itself, as far as it is known, rung or not."""

    @abstractmethod
    def on_reminder(self, alarm: Alarm) -> Iterable[SendNoticeRequest]:
        """Whom to remind, without request ids."""

    @abstractmethod
    async def expire(self, alarm: Alarm, request_id: str) -> Sequence[Alarm]:
        """Tell the service that the time of `alarm` has come. The alarms of what is open after that."""

    @abstractmethod
    def alarm_summary(self, alarm: Alarm) -> str:
        """What a timer waits for, in a line."""

    @abstractmethod
    def show(self) -> None:
        """Put the loop where an operator looks: search attributes and current details."""

    @abstractmethod
    def show_details(self) -> None:
        """Show what no search attribute tells."""

    async def follow(self) -> State:
        """Follow the case to its end and hand over: answers with what became of it."""
        if self._loop.last_position:
            self.show()
        while self._inbox or not self.over():
            self._continue_as_new_if_long()
            if self._inbox:
                await self._take(self._inbox.popleft())
            else:
                await self._wait()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._loop

    async def call(
        self,
        activity: Callable[..., Awaitable[Answer]],
        *arguments: Any,
        summary: str,
        retry: RetryPolicy = RETRY,
    ) -> Answer:
        """Do something to the world."""
        answer: Answer = await workflow.execute_activity_method(
            activity,
            args=arguments,
            start_to_close_timeout=CALL,
            retry_policy=retry,
            summary=summary,
        )
        return answer

    async def _take(self, event: Event) -> None:
        """Take an event in and tell whoever must know. What an earlier loop told already is told
        again with the same request_id, and so is not sent twice.
        """
        messages = payloads(event, self.known)
        self._loop.last_position, self._loop.last_event_id = event.position, event.id
        self._loop.told_version = event.version
        if not messages or event.version > self._loop.version + 1:
            await self.take_up()
        if messages and event.version > self._loop.version:
            self._loop.version = event.version
            self.fold(messages)
        self.show()
        for number, message in enumerate(messages):
            step = f"{event.position}.{number}" if number else str(event.position)
            await self._tell(self.on_event(message), step, event.traceparent)

    async def _wait(self) -> None:
        """Until an event comes or the next alarm rings."""
        following = alarms.next_alarm(self._loop, self.alarms(), self._clock)
        if following is None:
            await workflow.wait_condition(lambda: bool(self._inbox))
            return
        at, alarm = following
        try:
            await workflow.wait_condition(
                lambda: bool(self._inbox),
                timeout=max(at - workflow.now(), timedelta()),
                timeout_summary=self.alarm_summary(alarm),
            )
        except TimeoutError:
            await self._ring(alarm)

    async def _ring(self, alarm: Alarm) -> None:
        now = self._clock.legal(workflow.now())
        alarm = alarms.ring(self._loop, self.alarms(), alarm, now)
        if alarm.kind == alarms.REMIND:
            self._loop.reminder_count += 1
            await self._tell(self.on_reminder(alarm), alarm.key)
        else:
            await self._expire(alarm)
        self.show_details()

    async def _expire(self, alarm: Alarm) -> None:
        """Tell the service; again later, unless it has that very deadline open no more."""
        info = workflow.info()
        step = f"{info.run_id}/{alarm.key}/{alarms.attempt(self._loop, alarm)}"
        try:
            still_open = await self.expire(alarm, request_id(info.workflow_id, step))
            settled = alarm.key not in {each.key for each in still_open}
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            settled = reason_of(error) in self.final_refusals
        if settled:
            alarms.settle(self._loop, alarm)
        else:
            alarms.put_off(self._loop, self.alarms(), alarm, workflow.now())

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
        summary = f"通知 {request.recipient}：{request.title}"[:190]
        try:
            await self.call(
                Activities.send_notice, request, self._loop.last_event_id, summary=summary
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            if reason_of(error) not in SENT_BEFORE:
                self._loop.undelivered_notices += 1
                self.show_details()

    def _continue_as_new_if_long(self) -> None:
        carried = sum(event.ByteSize() for event in self._inbox)
        if workflow.info().is_continue_as_new_suggested() and carried <= MOST_CARRIED_BYTES:
            self._loop.pending.extend(self._inbox)
            workflow.continue_as_new(self._loop)


def payloads(event: Event, known: Collection[type[Message]]) -> tuple[Message, ...]:
    """What the event says, as messages of today; nothing if the relay could not deliver that, only that
    there was one. UnknownEvent for one that is not `known`.
    """
    if not event.HasField("payload"):
        return ()
    carried, at = event.payload, (event.stream, event.version, event.position)
    return read(carried.TypeName(), carried.value, *at, known=known)

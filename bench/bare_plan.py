"""What a payment plan would cost without any of the loop's work: its signals, timers and activities alone."""

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from bihuan.feed.v1.feed_service_pb2 import Event
    from bihuan.notification.v1.notice_pb2 import (
        NOTICE_KIND_INFORMATION,
        NOTICE_KIND_REMINDER,
        NoticeKind,
        SendNoticeRequest,
    )
    from bihuan.penalty.v1.penalty_case_service_pb2 import GetCaseRequest
    from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
    from workflows.activities import Activities

CALL = timedelta(seconds=15)
INSTALMENTS = 8


@workflow.defn
class BarePlan:
    """Waits for the consent and each payment, with a reminder before each, as the loop of a plan does."""

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        self._events: list[Event] = []

    @workflow.signal
    def event(self, event: Event) -> None:
        """A consent or a payment."""
        self._events.append(event)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """One instalment after the other."""
        await workflow.wait_condition(lambda: bool(self._events))
        request = GetCaseRequest(name=loop.case)
        await workflow.execute_activity_method(
            Activities.get_penalty_case, args=[request, 1], start_to_close_timeout=CALL
        )
        while len(self._events) <= INSTALMENTS:
            known = len(self._events)
            await self._tell(NOTICE_KIND_INFORMATION)
            await workflow.sleep(max(self._reminder() - workflow.now(), timedelta()))
            await self._tell(NOTICE_KIND_REMINDER)
            await workflow.wait_condition(lambda known=known: len(self._events) > known)  # type: ignore[misc]
        await asyncio.gather(*(self._tell(NOTICE_KIND_INFORMATION) for _ in range(2)))
        return loop

    def _reminder(self) -> datetime:
        """When to remind: what the event says, as the loop reads it, too."""
        recorded = self._events[-1].record_time
        return recorded.ToDatetime(UTC)

    async def _tell(self, kind: NoticeKind.ValueType) -> None:
        notice = SendNoticeRequest(kind=kind, title="第1期缴款" * 10)
        await workflow.execute_activity_method(
            Activities.send_notice, args=[notice, ""], start_to_close_timeout=CALL
        )

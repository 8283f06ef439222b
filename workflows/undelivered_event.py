"""An event that Temporal refused to hand to its loop: told to a person, and open until one resolves it.

The event itself is in the log, and its loop reads from the service what became of the case; what may be
missing are the notices of that event.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bihuan.feed.v1.undelivered_event_pb2 import UndeliveredEvent as Undelivered
    from bihuan.notification.v1 import notice_pb2 as nb
    from workflows import search_attributes as sa
    from workflows.activities import Activities, request_id
    from workflows.problem_notices import SUPERVISOR

CALL = timedelta(seconds=15)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
# What a stream is about, as a resource name.
RESOURCES = {
    "rectification.problem": "problems",
    "penalty.case": "penaltyCases",
    "inspection.inspection": "inspections",
}


@workflow.defn
class UndeliveredEvent:
    """Waits for the signal `resolve`. Its id is `undelivered/<event id>`."""

    @workflow.init
    def __init__(self, event: Undelivered) -> None:
        self._event = event
        self._told = "督办已收到通知"

    @workflow.signal
    def resolve(self, resolution: str = "") -> None:
        """An operator has seen to it, and says how."""
        self._event.resolution = resolution
        self._event.resolve_time.FromDatetime(workflow.now())

    @workflow.run
    async def run(self, event: Undelivered) -> Undelivered:
        """Tell the supervisor, then wait for an operator."""
        self._show()
        await self._tell()
        self._show()
        await workflow.wait_condition(lambda: self._event.HasField("resolve_time"))
        return self._event

    async def _tell(self) -> None:
        event, workflow_id = self._event, workflow.info().workflow_id
        category, _, about = event.stream.partition("-")
        request = nb.SendNoticeRequest(
            request_id=request_id(workflow_id, "supervisor"),
            recipient=SUPERVISOR,
            kind=nb.NOTICE_KIND_TASK,
            title=f"事件未能送达流程：{event.type.rpartition('.')[2]}"[:200],
            body=f"{details(event)}\n\n处理后向流程 {workflow_id} 发送信号 resolve。"[:4000],
            subject=f"{RESOURCES[category]}/{about}" if category in RESOURCES else "",
        )
        try:
            await workflow.execute_activity_method(
                Activities.send_notice,
                args=[request, event.id],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary=f"通知 {SUPERVISOR}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._told = "**未能通知督办**"

    def _show(self) -> None:
        workflow.upsert_search_attributes(
            [sa.STAGE.value_set("未送达"), sa.WAITING_FOR.value_set("运维人员")]
        )
        workflow.set_current_details(
            f"### 事件未能送达流程\n{details(self._event)}\n- {self._told}"
        )


def details(event: Undelivered) -> str:
    """The event in Markdown."""
    lines = [
        f"- 事件：`{event.type}`，日志位置 {event.position}，`{event.id}`",
        f"- 流：`{event.stream}`",
        f"- 原因：{event.reason[:1000]}",
    ]
    return "\n".join(lines)

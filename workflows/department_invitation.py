"""Asks one department through Nexus, for the loop of an inspection, and puts its answer on record.

A workflow of its own rather than a task of that loop: what a Nexus operation answers reaches only the very
run that began it, and that loop continues as new; and a department whose endpoint is missing stops nobody
but itself. The answer comes back to the loop as any other does: as an event.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, NexusOperationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bihuan.inspection.v1 import inspection_pb2 as pb
    from bihuan.inspection.v1.inspection_loop_pb2 import DepartmentInvitation as Loop
    from bihuan.inspection.v1.inspection_service_pb2 import AnswerInvitationRequest
    from bihuan.inspection.v1.participation_pb2 import Invitation, Reply
    from bihuan.notification.v1 import notice_pb2 as nb
    from workflows import search_attributes as sa
    from workflows.activities import Activities, reason_of, request_id
    from workflows.case_loop import CALL, RETRY
    from workflows.inspection_activities import InspectionActivities
    from workflows.inspection_words import ANSWERS
    from workflows.operator_view import day_text
    from workflows.participation import Participation

# Refusals after which no answer is wanted: the time is over, or the inspection has moved on.
TOO_LATE = frozenset({"NOT_INVITING", "ALREADY_ANSWERED"})
# A department whose answer the service cannot take is asked again, not at once and not for ever.
AGAIN, MOST_ATTEMPTS = timedelta(seconds=1), 8
# How long a department that cannot be reached is told that no answer is wanted.
PATIENCE = timedelta(days=1)
ENDS = {
    Loop.END_UNSPECIFIED: "征询中",
    Loop.END_ANSWERED: "已答复",
    Loop.END_WITHDRAWN: "无需答复",
    Loop.END_FAILED: "征询失败",
}


@workflow.defn
class DepartmentInvitationLoop:
    """Ends with an answer, or when none is wanted. Its id is `invitation/<inspection>/<uscc>`."""

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._withdrawn = False
        self._invitation = Invitation()

    @workflow.signal
    def withdraw(self) -> None:
        """No answer is wanted any more."""
        self._withdrawn = True

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        """Ask until the service has taken an answer, or none is wanted."""
        while loop.end == Loop.END_UNSPECIFIED:
            loop.end = await self._ask_once()
            self._show()
        if loop.end == Loop.END_FAILED:
            await self._tell_desk()
        return loop

    async def _ask_once(self) -> Loop.End.ValueType:
        again = self._invitation.attempt
        if again and await self._withdrawn_within(AGAIN * 2 ** (again - 1)):
            return Loop.END_WITHDRAWN
        self._invitation = await self._prepare(again + 1)
        if self._withdrawn or not self._invitation.HasField("answer_time"):
            return Loop.END_WITHDRAWN
        self._show()
        try:
            reply = await self._ask()
        except NexusOperationError as error:
            self._loop.failure = f"{error.cause or error}"
            return Loop.END_FAILED
        if reply is None:
            return Loop.END_WITHDRAWN
        self._loop.reply.CopyFrom(reply)
        return await self._record(reply)

    async def _prepare(self, attempt: int) -> Invitation:
        invitation: Invitation = await workflow.execute_activity_method(
            InspectionActivities.get_invitation,
            self._loop,
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary="读取邀请内容",
        )
        invitation.attempt, invitation.refusal = attempt, self._loop.failure
        return invitation

    async def _ask(self) -> Reply | None:
        """The department's reply, or None if it was withdrawn first."""
        client = workflow.create_nexus_client(service=Participation, endpoint=self._loop.endpoint)
        asking = asyncio.create_task(
            client.execute_operation(
                Participation.invite,
                self._invitation,
                cancellation_type=workflow.NexusOperationCancellationType.WAIT_REQUESTED,
                summary=f"征询 {self._loop.endpoint}：{self._invitation.title}"[:190],
            )
        )
        try:
            await workflow.wait_condition(lambda: self._withdrawn or asking.done())
            if not self._withdrawn:
                return await asking
        finally:
            asking.cancel()
        # The department is to hear of it; what it answers now comes too late.
        asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        await workflow.wait([asking], timeout=PATIENCE.total_seconds())
        return None

    async def _record(self, reply: Reply) -> Loop.End.ValueType:
        request = AnswerInvitationRequest(
            request_id=request_id(
                workflow.info().workflow_id, f"{workflow.info().run_id}/{self._invitation.attempt}"
            ),
            name=self._loop.inspection,
            department=self._loop.department,
            accepted=reply.accepted,
            reason=reply.reason,
            inspectors=reply.inspectors,
        )
        try:
            await workflow.execute_activity_method(
                InspectionActivities.answer_invitation,
                args=[request, self._loop.cause],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary="答复：参加" if reply.accepted else "答复：不参加",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self._loop.failure = f"{error.cause}"
            if reason_of(error) in TOO_LATE:
                return Loop.END_WITHDRAWN
            last = self._invitation.attempt >= MOST_ATTEMPTS
            return Loop.END_FAILED if last else Loop.END_UNSPECIFIED
        self._loop.failure = ""
        return Loop.END_ANSWERED

    async def _withdrawn_within(self, time: timedelta) -> bool:
        try:
            await workflow.wait_condition(
                lambda: self._withdrawn, timeout=time, timeout_summary="答复未受理，再次征询"
            )
        except TimeoutError:
            return False
        return True

    async def _tell_desk(self) -> None:
        """People answer where their system cannot; the deadline goes on meanwhile."""
        invitation = self._invitation
        day = day_text(invitation.answer_date)
        request = nb.SendNoticeRequest(
            request_id=request_id(workflow.info().workflow_id, f"{workflow.info().run_id}/desk"),
            recipient=self._loop.department,
            kind=nb.NOTICE_KIND_TASK,
            title=f"经 Nexus 征询未成，请于{day}前直接答复联合检查邀请（{invitation.title}）"[:200],
            body=self._loop.failure[:4000],
            subject=self._loop.inspection,
            due_time=invitation.answer_time,
        )
        try:
            await workflow.execute_activity_method(
                Activities.send_notice,
                args=[request, self._loop.cause],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary=f"通知 {self._loop.department}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            workflow.logger.warning("notice refused: %s", error.cause)

    def _show(self) -> None:
        workflow.upsert_search_attributes([sa.STAGE.value_set(self._stage())])
        workflow.set_current_details(details(self._loop, self._invitation, self._stage()))

    def _stage(self) -> str:
        refused = self._loop.end == Loop.END_UNSPECIFIED and self._loop.failure
        return "答复未受理" if refused else ENDS[self._loop.end]


def details(loop: Loop, invitation: Invitation, stage: str) -> str:
    """What is asked and what came of it, in Markdown."""
    enterprise = invitation.enterprise
    lines = [
        f"### {invitation.title}",
        f"**{enterprise.display_name}** `{enterprise.uscc}` · `{loop.inspection}`",
        "",
        f"- 征询：`{loop.department}`，经 Nexus 端点 `{loop.endpoint}`，第 {invitation.attempt} 次",
        f"- 阶段：**{stage}**",
        f"- 答复期限：**{day_text(invitation.answer_date)}**",
    ]
    if loop.HasField("reply"):
        answer = ANSWERS[pb.ANSWER_ACCEPTED if loop.reply.accepted else pb.ANSWER_DECLINED]
        why = f"：{loop.reply.reason}" if loop.reply.reason else ""
        lines.append(f"- 答复：**{answer}**{why}，派员 {len(loop.reply.inspectors)} 人")
    if loop.failure:
        lines.append(f"- **未成**：{loop.failure}")
    return "\n".join(lines)

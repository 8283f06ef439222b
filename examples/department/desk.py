"""A department that runs Temporal itself: an invitation is a workflow of its own, which people answer.

To be copied and changed: whatever a department does before it answers, as asking who is free, belongs into
`InvitationDesk.run`. What it must keep to is the service that it implements, workflows/participation.py.
"""

from dataclasses import dataclass, field

import nexusrpc.handler
from temporalio import nexus, workflow
from temporalio.common import WorkflowIDConflictPolicy

with workflow.unsafe.imports_passed_through():
    from bihuan.inspection.v1.participation_pb2 import Invitation, Reply
    from workflows.operator_view import day_text
    from workflows.participation import Participation


@dataclass
class Answer:
    """What a person types, for example {"accepted": true, "inspectors": ["inspectors/…", "inspectors/…"]}."""

    accepted: bool
    reason: str = ""
    inspectors: list[str] = field(default_factory=list)


@workflow.defn
class InvitationDesk:
    """Waits for the update `answer`. It is cancelled when no answer is wanted any more."""

    @workflow.init
    def __init__(self, invitation: Invitation) -> None:
        self._invitation = invitation
        self._answer: Answer | None = None

    @workflow.update
    async def answer(self, answer: Answer) -> str:
        """Somebody of the department has decided."""
        self._answer = answer
        return "已答复：" + ("参加" if answer.accepted else "不参加")

    @answer.validator
    def _check(self, answer: Answer) -> None:
        if self._answer is not None:
            raise ValueError("已经答复")
        if not answer.accepted and not answer.reason:
            raise ValueError("不参加须写明理由 reason")
        if not answer.accepted and answer.inspectors:
            raise ValueError("不参加不得派员")

    @workflow.run
    async def run(self, invitation: Invitation) -> Reply:
        """The department's reply."""
        workflow.set_current_details(details(invitation))
        await workflow.wait_condition(lambda: self._answer is not None)
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self._answer is not None
        return Reply(
            accepted=self._answer.accepted,
            reason=self._answer.reason,
            inspectors=self._answer.inspectors,
        )


@nexusrpc.handler.service_handler(service=Participation)
class ParticipationHandler:
    """Turns what comes through the Nexus endpoint into workflows."""

    @nexus.workflow_run_operation
    async def invite(
        self, ctx: nexus.WorkflowRunOperationContext, invitation: Invitation
    ) -> nexus.WorkflowHandle[Reply]:
        """Asked twice, it is asked once: the id is made of the inspection."""
        inspection = invitation.inspection.partition("/")[2]
        return await ctx.start_workflow(
            InvitationDesk.run,
            invitation,
            id=f"invitation/{inspection}/{invitation.attempt}",
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=invitation.title,
        )


def details(invitation: Invitation) -> str:
    """What is asked, in Markdown, and how to answer."""
    enterprise = invitation.enterprise
    span = f"{day_text(invitation.from_date)}至{day_text(invitation.to_date)}"
    lines = [
        f"### {invitation.title}",
        f"**{enterprise.display_name}** `{enterprise.uscc}` · {enterprise.address}",
        "",
        f"- 牵头：{invitation.lead}",
        f"- 检查日期：{span}",
        f"- 本部门事项：{'、'.join(item.display_name for item in invitation.items)}",
        f"- 请于 **{day_text(invitation.answer_date)}** 前答复：Update `answer`，例如",
        '  `{"accepted": true, "inspectors": ["inspectors/…", "inspectors/…"]}` 或者',
        '  `{"accepted": false, "reason": "本周无人"}`',
    ]
    if invitation.refusal:
        lines.append(f"- **上次答复未被受理**：{invitation.refusal}")
    return "\n".join(lines)

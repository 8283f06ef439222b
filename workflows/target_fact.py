"""Carries a fact from the domain where it arose to the register of inspection targets."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from bihuan.inspection.v1.target_loop_pb2 import TargetFact as Fact
    from bihuan.inspection.v1.target_service_pb2 import RecordFactRequest
    from workflows import search_attributes as sa
    from workflows.activities import Activities, reason_of, request_id
    from workflows.target_facts import NO_CREDIT_CODE, QUIET, RECORDED

CALL = timedelta(seconds=15)
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
STAGES = {RECORDED: "已归集"}
NOT_RECORDED = "未归集"


@workflow.defn
class TargetFact:
    """Reads whose fact it is and how grave, and records it. Its id is `target-fact/<event id>`.

    It fails, for an operator to see, if the service refuses the fact for a reason that is none of QUIET.
    """

    @workflow.run
    async def run(self, fact: Fact) -> Fact:
        """The fact, with what became of it."""
        fact = await workflow.execute_activity_method(
            Activities.read_target_fact,
            fact,
            start_to_close_timeout=CALL,
            retry_policy=RETRY,
            summary=f"读取 {fact.source}",
        )
        fact.result = await self._record(fact) if fact.enterprise else NO_CREDIT_CODE
        workflow.upsert_search_attributes(
            [
                sa.STAGE.value_set(STAGES.get(fact.result, NOT_RECORDED)),
                sa.ENTERPRISE.value_set(fact.enterprise),
            ]
        )
        return fact

    async def _record(self, fact: Fact) -> str:
        workflow_id = workflow.info().workflow_id
        request = RecordFactRequest(
            request_id=request_id(workflow_id, "record"),
            name=f"targets/{fact.enterprise}",
            fact=fact.fact,
        )
        try:
            await workflow.execute_activity_method(
                Activities.record_target_fact,
                args=[request, fact.event_id],
                start_to_close_timeout=CALL,
                retry_policy=RETRY,
                summary=f"归集 {fact.enterprise}",
            )
        except ActivityError as error:
            if is_cancelled_exception(error) or reason_of(error) not in QUIET:
                raise
            return reason_of(error)
        return RECORDED

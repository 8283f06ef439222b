"""Loops that run today must go on under tomorrow's code: recorded histories are replayed.

If one fails, what changed would stop running loops: put the change behind `workflow.patched`.
"""

from pathlib import Path
from types import ModuleType

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from tests.workflows import (
    test_department_invitation,
    test_inspection_loop,
    test_inspection_plan_loop,
    test_instalment_loop,
    test_penalty_loop,
    test_problem_loop,
    test_target_fact,
    test_target_loop,
)
from tests.workflows.record import HISTORIES, LOOPS
from workflows.problem_loop import ProblemLoop
from workflows.worker import WORKFLOWS

SCENARIOS: dict[str, ModuleType] = {
    "problem_loop": test_problem_loop,
    "penalty_loop": test_penalty_loop,
    "instalment_loop": test_instalment_loop,
    "inspection_loop": test_inspection_loop,
    "department_invitation": test_department_invitation,
    "target_loop": test_target_loop,
    "target_fact": test_target_fact,
    "inspection_plan_loop": test_inspection_plan_loop,
}
RECORDED = sorted(path.relative_to(HISTORIES) for path in HISTORIES.glob("*/*.json"))


def history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"{path}", (HISTORIES / path).read_text("utf-8"))


def test_every_scenario_is_recorded() -> None:
    for loop in LOOPS:
        names = {name for name in vars(SCENARIOS[loop]) if name.startswith("test_")}
        found = {path.name.partition(".")[0] for path in RECORDED if path.parent.name == loop}
        assert {f"test_{name}" for name in found} == names


@pytest.mark.parametrize("path", RECORDED, ids=str)
async def test_a_recorded_loop_goes_on_as_it_did(path: Path) -> None:
    await Replayer(workflows=WORKFLOWS).replay_workflow(history(path))


@workflow.defn(name="ProblemLoop")
class Hesitant(ProblemLoop):
    """Waits a second first, as the loops that were recorded did not."""

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        await workflow.sleep(1)
        return await super().run(loop)


@workflow.defn(name="ProblemLoop")
class Silent(ProblemLoop):
    """Tells nobody anything, as the loops that were recorded did."""

    @workflow.init
    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)

    @workflow.run
    async def run(self, loop: Loop) -> Loop:
        return await super().run(loop)

    async def _send(self, request: object, step: str) -> None:
        pass


@pytest.mark.parametrize("changed", [Hesitant, Silent])
async def test_a_change_that_running_loops_do_not_survive_is_caught(changed: type) -> None:
    # A class of this file need not be importable in the sandbox.
    replayer = Replayer(workflows=[changed], workflow_runner=UnsandboxedWorkflowRunner())
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(
            history(
                Path("problem_loop/an_unfounded_report_ends_the_loop_and_tells_the_reporter.json")
            )
        )

"""Four departments inspect together, on a real stack whose parts are killed one after another meanwhile."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowExecutionStatus

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1.inspection_loop_pb2 import DepartmentInvitation, InspectionLoop
from bihuan.penalty.v1 import penalty_case_service_pb2 as penalty_pb
from bihuan.penalty.v1 import penalty_case_service_pb2_grpc
from bihuan.rectification.v1 import problem_service_pb2 as problem_pb
from bihuan.rectification.v1 import problem_service_pb2_grpc
from examples.joint import (
    ECOLOGY,
    EMERGENCY,
    FIRE,
    MARKET,
    NAMESPACE,
    JointInspection,
    fire_service,
    starting_clock,
)
from ops.settings import Settings
from ops.supervisor import Stack
from rpc.client import connect
from rpc.identity import Identity
from tests.e2e.conftest import own_ports
from tests.e2e.test_kill import log_of, logs_on_failure, runs_of_loops

SUPERVISOR = Identity("supervisor", roles=frozenset({"supervisor"}))
# The fire service has 7 legal days, and the worker that takes its answer is started again in these.
DAY_SECONDS = 2.5
COMPLETED = WorkflowExecutionStatus.COMPLETED
KILLED = ("worker", "relay", "temporal", "service")


async def test_one_declines_one_is_silent_one_joins_by_nexus_and_the_report_shows_it_all(
    home: Path,
) -> None:
    clock = starting_clock(DAY_SECONDS)
    settings = Settings(BIHUAN_CLOCK=str(clock), **own_ports())
    async with Stack(settings, home=home, say=print) as stack:
        with logs_on_failure(stack):
            async with fire_service(stack.temporal_address):
                inspection = JointInspection(stack, clock, print)
                ended = await play(inspection)
                await inspection.close()
            await check_people_and_findings(stack, ended)
            await check_loops(stack, inspection.uuid)
            restarts = {name: part.restarts for name, part in stack.parts.items()}
            check_log(Counter(event.payload.TypeName() for event in await log_of(stack)))
    assert restarts == dict.fromkeys(restarts, 0) | dict.fromkeys(KILLED, 1)


async def play(inspection: JointInspection) -> pb.Inspection:
    """To the end; the fire service answers while nobody of ours could hear it, and nobody carries on what
    happens on site, nor hears of it, nor takes findings over, until each part is up again.
    """
    stack = inspection.stack
    await inspection.register()
    await inspection.open()
    await inspection.decline()
    await inspection.fire_asked()
    await stack.kill("worker")
    await inspection.fire_answers()
    await stack.wait_ready("worker")
    await inspection.until(pb.STATE_ARRANGED)
    await inspection.prepare()
    await stack.kill("relay")
    await inspection.visit()
    await stack.kill("temporal")
    await inspection.report()
    await stack.kill("service")
    for name in KILLED:
        await stack.wait_ready(name)
    return await inspection.until(pb.STATE_CLOSED)


async def check_people_and_findings(stack: Stack, ended: pb.Inspection) -> None:
    """How each answered, what the report says of it, and what each finding became, linked both ways."""
    assert [(each.department, each.answer) for each in ended.participants] == [
        (ECOLOGY.name, pb.ANSWER_ACCEPTED),
        (EMERGENCY.name, pb.ANSWER_DECLINED),
        (MARKET.name, pb.ANSWER_TIMED_OUT),
        (FIRE.name, pb.ANSWER_ACCEPTED),
    ]
    assert [code.state for code in ended.codes] == [pb.Code.STATE_USED]
    for said in (
        f"检查码：{ended.codes[0].id}",
        f"{EMERGENCY.display_name}：不参加，理由：专班执行汛期值守",
        f"{MARKET.display_name}：逾期未答复",
        "检查结论：发现三项问题",
        "检查结论：发现一项问题，已当场改正",
    ):
        assert said in ended.report
    became = {each.outcome: each.handed_over_to for each in ended.findings}
    assert became[pb.OUTCOME_REFER] == "扬自然资移〔2026〕3号"
    assert became[pb.OUTCOME_GUIDED] == ""
    origins = await origins_of(stack, became[pb.OUTCOME_RECTIFY], became[pb.OUTCOME_PENALTY])
    assert origins == [
        f"{ended.name}/findings/{each.id}"
        for outcome in (pb.OUTCOME_RECTIFY, pb.OUTCOME_PENALTY)
        for each in ended.findings
        if each.outcome == outcome
    ]


async def origins_of(stack: Stack, problem: str, case: str) -> list[str]:
    """Which findings a problem and a penalty case say that they came from."""
    async with connect(stack.grpc_address, stack.token(SUPERVISOR)) as channel:
        problems = problem_service_pb2_grpc.ProblemServiceStub(channel)
        cases = penalty_case_service_pb2_grpc.PenaltyCaseServiceStub(channel)
        reported = await problems.GetProblem(problem_pb.GetProblemRequest(name=problem))
        registered = await cases.GetCase(penalty_pb.GetCaseRequest(name=case))
    return [reported.origin, registered.origin.resource]


async def check_loops(stack: Stack, uuid: str) -> None:
    """Each ended once, ours and theirs, and an operator reads in the loop all there is to know."""
    ours, theirs = await asyncio.gather(
        Client.connect(stack.temporal_address),
        Client.connect(stack.temporal_address, namespace=NAMESPACE),
    )
    loop = await result(ours, f"inspection/{uuid}", InspectionLoop)
    assert loop.known.inspection.standing.state == pb.STATE_CLOSED
    asked = await result(ours, f"invitation/{uuid}/{FIRE.uscc}", DepartmentInvitation)
    assert asked.end == DepartmentInvitation.END_ANSWERED
    assert (await theirs.get_workflow_handle(f"invitation/{uuid}/1").describe()).status == COMPLETED
    runs = await runs_of_loops(stack)
    assert {runs[f"inspection/{uuid}"], runs[f"invitation/{uuid}/{FIRE.uscc}"]} == {1}
    handle = ours.get_workflow_handle(f"inspection/{uuid}")
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    for shown in (
        f"| {EMERGENCY.display_name} | **不参加**：专班执行汛期值守 |",
        f"| {MARKET.display_name} | **逾期未答复** |",
        f"| {FIRE.display_name} | **参加** |",
        "| Nexus `fire` | 褚检查员、卫检查员 | 2 | 发现一项问题，已当场改正 |",
        "| 转处罚 | `penaltyCases/",
        "| 移送其他部门 | `扬自然资移〔2026〕3号` |",
    ):
        assert shown in metadata.current_details


async def result(client: Client, workflow_id: str, kind: type[Any]) -> Any:
    """What a loop ends with."""
    handle = client.get_workflow_handle(workflow_id, result_type=kind)
    return await asyncio.wait_for(handle.result(), 20)


def check_log(events: Counter[str]) -> None:
    """Whatever was told twice after the kill is on record once."""
    once = ("InspectionOpened", "CodeIssued", "InspectionStarted", "InspectionReported")
    assert {events[f"bihuan.inspection.v1.{each}"] for each in once} == {1}
    assert events["bihuan.inspection.v1.InvitationAnswered"] == 2
    assert events["bihuan.inspection.v1.FindingHandedOver"] == 3
    assert events["bihuan.rectification.v1.ProblemReported"] == 1
    assert events["bihuan.penalty.v1.ClueRegistered"] == 1

"""A plan of inspections from draft to publication over the days that its steps have, and who is told."""

from datetime import timedelta

from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from tests.services import plans as req
from tests.workflows.plan_town import FIRM, SUBMIT, PlanTown
from tests.workflows.relayed import current_details
from workflows import search_attributes as sa

HOUR = timedelta(hours=1)
PLANNER, DECIDER, SUPERVISOR = "desks/planner", "desks/decider", "desks/supervisor"


async def test_a_plan_approved_and_published_in_time_brings_no_reminder(
    planning: PlanTown,
) -> None:
    await planning.submitted()
    await planning.command(req.APPROVE, actor="head")
    await planning.command(req.PUBLISH)
    loop = await planning.handle.result()
    assert loop.known.standing.state == pb.PLAN_STATE_PUBLISHED
    assert (loop.reminder_count, loop.told_version) == (0, planning.position)
    assert planning.titles() == [
        (DECIDER, "请于2026年2月2日前审批检查计划"),
        (PLANNER, "请于2026年2月2日前公布检查计划"),
        (PLANNER, "检查计划已公布，任务可以分发"),
    ]


async def test_whoever_lets_a_day_pass_is_reminded_before_and_reported_after(
    planning: PlanTown,
) -> None:
    await planning.submitted()
    await planning.sleep_past(planning.plan.deadline, HOUR)
    assert planning.plan.overdue
    await planning.command(req.APPROVE, actor="head")
    await planning.sleep_past(planning.plan.deadline, HOUR)
    assert planning.names()[3:] == ["PlanDeadlinePassed", "PlanApproved", "PlanDeadlinePassed"]
    assert planning.sent("REMINDER") == [DECIDER] * 2 + [PLANNER] * 2
    assert planning.sent("OVERDUE") == [DECIDER, PLANNER, SUPERVISOR, SUPERVISOR]
    assert len(planning.expiries) == 2
    assert "**已逾期**" in await current_details(planning.handle)
    await planning.command(req.PUBLISH)
    loop = await planning.handle.result()
    assert (loop.reminder_count, loop.known.standing.overdue) == (4, False)


async def test_a_plan_that_is_returned_is_waited_for_again(planning: PlanTown) -> None:
    await planning.submitted()
    await planning.sleep(3)
    await planning.command(req.RETURN, actor="head")
    await planning.sleep(60)
    assert planning.titles()[1:] == [(PLANNER, "计划已退回，请修改")]
    assert not planning.expiries
    await planning.command(req.add([req.task(2, FIRM)]), SUBMIT)
    await planning.sleep_past(planning.plan.deadline, HOUR)
    assert planning.plan.overdue
    await planning.command(req.APPROVE, actor="head")
    await planning.command(req.PUBLISH)
    assert (await planning.handle.result()).told_version == planning.position


async def test_the_loop_is_told_of_no_tasks_and_reads_where_the_plan_is(
    planning: PlanTown,
) -> None:
    await planning.command(req.plan())
    for number in range(5):
        await planning.command(req.add([req.task(number, FIRM, statutory=True)]))
    await planning.sleep(1)
    assert (planning.read, (await planning.handle.query("loop")).told_version) == (0, 1)
    await planning.command(SUBMIT)
    await planning.sleep(1)
    assert planning.read == 1
    shown = (await planning.handle.describe()).typed_search_attributes
    keys = (sa.STAGE, sa.WAITING_FOR, sa.DISTRICT, sa.OVERDUE)
    assert [shown.get(key) for key in keys] == ["计划待审批", "审批人", req.DISTRICT, False]
    assert "审批检查计划：**2026年2月3日**" in await current_details(planning.handle)


async def test_a_published_plan_that_is_withdrawn_is_told_though_its_loop_has_ended(
    planning: PlanTown,
) -> None:
    await planning.submitted()
    await planning.command(req.APPROVE, actor="head")
    await planning.command(req.PUBLISH)
    await planning.handle.result()
    await planning.command(req.WITHDRAW, actor="head")
    loop = await planning.handle.result()
    assert loop.known.standing.state == pb.PLAN_STATE_WITHDRAWN
    withdrawn = {(PLANNER, "检查计划已撤销"), (SUPERVISOR, "检查计划已撤销")}
    assert set(planning.titles()[-2:]) == withdrawn


async def test_what_a_relay_sends_twice_is_told_once_and_a_lagging_service_is_waited_for(
    planning: PlanTown,
) -> None:
    planning.clock_lag = timedelta(hours=2)
    await planning.command(req.plan(), req.add([req.task(1, FIRM)]), SUBMIT, twice=True)
    await planning.sleep_past(planning.plan.deadline, 3 * HOUR)
    assert planning.names().count("PlanDeadlinePassed") == 1
    assert len(planning.expiries) > 1
    assert len({each.request_id for each in planning.notices}) == len(planning.notices)
    assert planning.sent("TASK") == [DECIDER]
    expire = rpc_pb.ExpirePlanDeadlineRequest(deadline_id=planning.plan.deadline.id)
    await planning.command(expire, actor="loop")
    assert planning.names().count("PlanDeadlinePassed") == 1

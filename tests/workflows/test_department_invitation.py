"""A department that runs Temporal itself is asked through Nexus, in its own namespace, on a real server."""

from collections import Counter
from datetime import timedelta

from temporalio.client import WorkflowExecutionStatus

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1.inspection_loop_pb2 import DepartmentInvitation
from examples.department.desk import Answer
from tests.workflows.inspection_town import (
    ECOLOGY,
    FIRE,
    INSPECTORS,
    LONG_HISTORY,
    MONDAY,
    InspectionTown,
)
from tests.workflows.relayed import current_details, until
from workflows import search_attributes as sa

FAST_DAY = 0.2  # seconds that a legal day takes where it is to pass
CANCELED = WorkflowExecutionStatus.CANCELED
FIRE_COMES = Answer(accepted=True, inspectors=INSPECTORS["fire"])


async def test_it_takes_part_with_the_inspectors_that_it_names(with_fire: InspectionTown) -> None:
    await with_fire.open("ecology", "fire", twice=True)
    await with_fire.answer_by_nexus(FIRE_COMES)
    ended = await with_fire.invitation_ended()
    assert (ended.end, ended.reply.accepted) == (DepartmentInvitation.END_ANSWERED, True)
    assert with_fire.inspection.standing.state == pb.STATE_ARRANGED
    assert with_fire.answers()["fire"] == "ACCEPTED"
    fire = with_fire.inspection.participants[1]
    assert [each.inspector for each in fire.inspectors] == INSPECTORS["fire"]
    assert with_fire.titles("TASK", FIRE) == [], "its desk is asked in its own system alone"
    assert with_fire.names().count("InvitationAnswered") == 1
    assert "消防" not in with_fire.inspection.title
    await until(lambda: shown(with_fire, "| Nexus `fire` | 市消防支队检查员1、市消防支队检查员2 |"))


async def test_it_declines_with_its_reason_and_the_lead_goes_alone(
    with_fire: InspectionTown,
) -> None:
    await with_fire.open("ecology", "fire")
    await with_fire.answer_by_nexus(Answer(accepted=False, reason="本周无人"))
    assert (await with_fire.invitation_ended()).end == DepartmentInvitation.END_ANSWERED
    assert with_fire.answers() == {"ecology": "ACCEPTED", "fire": "DECLINED"}
    await until(lambda: shown(with_fire, "| 市消防支队 | **不参加**：本周无人 |"))


async def test_of_silence_the_deadline_decides_and_its_people_are_asked_no_more(
    with_fire: InspectionTown,
) -> None:
    await with_fire.begin(MONDAY, FAST_DAY)
    await with_fire.open("ecology", "fire")
    await with_fire.asked()
    await with_fire.sleep_past(with_fire.open_deadline(pb.DUTY_ANSWER), timedelta(hours=1))
    assert (await with_fire.invitation_ended()).end == DepartmentInvitation.END_WITHDRAWN
    assert with_fire.answers()["fire"] == "TIMED_OUT"
    assert with_fire.names().count("InvitationAnswered") == 0
    assert len(with_fire.titles("REMINDER", FIRE)) >= 1
    await until(lambda: withdrawn(with_fire))


async def test_cancelled_while_inviting_nobody_is_asked_any_more(with_fire: InspectionTown) -> None:
    await with_fire.open("ecology", "emergency", "fire")
    await with_fire.asked()
    await with_fire.command(rpc_pb.CancelInspectionRequest(reason="线索不实"), actor="head")
    assert (await with_fire.ended()).known.inspection.standing.state == pb.STATE_CANCELLED
    assert (await with_fire.invitation_ended()).end == DepartmentInvitation.END_WITHDRAWN
    await until(lambda: withdrawn(with_fire))


async def test_who_answers_through_grpc_is_asked_by_nexus_no_more(
    with_fire: InspectionTown,
) -> None:
    await with_fire.open("ecology", "fire")
    await with_fire.asked()
    await with_fire.answer("fire")
    assert (await with_fire.invitation_ended()).end == DepartmentInvitation.END_WITHDRAWN
    assert with_fire.answers()["fire"] == "ACCEPTED"
    await until(lambda: withdrawn(with_fire))


async def test_an_answer_that_the_service_cannot_take_is_asked_for_again(
    with_fire: InspectionTown,
) -> None:
    await with_fire.open("ecology", "fire")
    await with_fire.answer_by_nexus(Answer(accepted=True, inspectors=INSPECTORS["market"]))
    await with_fire.answer_by_nexus(FIRE_COMES, attempt=2)
    assert (await with_fire.invitation_ended()).end == DepartmentInvitation.END_ANSWERED
    assert with_fire.answers()["fire"] == "ACCEPTED"
    details = await current_details(with_fire.desk(2))
    assert "**上次答复未被受理**" in details
    assert "INSPECTOR_OF_OTHERS" in details


async def test_where_its_own_system_fails_its_people_are_asked_by_notice(
    with_fire: InspectionTown,
) -> None:
    await with_fire.open("ecology", "fire")
    await with_fire.asked()
    await with_fire.desk().terminate("their operator ended it")
    ended = await with_fire.invitation_ended()
    assert (ended.end, bool(ended.failure)) == (DepartmentInvitation.END_FAILED, True)
    (title,) = with_fire.titles("TASK", FIRE)
    assert title == "经 Nexus 征询未成，请于2026年9月14日前直接答复联合检查邀请"
    stage = (await with_fire.invitation.describe()).typed_search_attributes.get(sa.STAGE)
    assert stage == "征询失败"


async def test_a_loop_that_an_operator_ended_is_taken_up_and_asks_nobody_twice(
    with_fire: InspectionTown,
) -> None:
    await with_fire.open("ecology", "emergency", "fire")
    await with_fire.asked()
    asked = (await with_fire.invitation.describe()).run_id
    await with_fire.handle.terminate("by mistake")
    await with_fire.answer("emergency")
    await with_fire.settled()
    await with_fire.answer_by_nexus(FIRE_COMES)
    assert (await with_fire.invitation_ended()).end == DepartmentInvitation.END_ANSWERED
    assert (await with_fire.invitation.describe()).run_id == asked
    assert with_fire.names().count("InvitationAnswered") == 2
    assert set(Counter(each.request_id for each in with_fire.notices).values()) == {1}


async def test_an_answer_comes_though_the_loop_has_continued_as_new_since_it_was_asked_for(
    with_fire: InspectionTown,
) -> None:
    await with_fire.open("ecology", "fire")
    await with_fire.asked()
    first = (await with_fire.handle.describe()).run_id
    for number in range(LONG_HISTORY // 2 + 20):
        pair = INSPECTORS["ecology"][:: 1 if number % 2 else -1]
        assign = rpc_pb.AssignInspectorsRequest(department=ECOLOGY, inspectors=pair)
        await with_fire.command(assign)

    async def continued() -> bool:
        return (await with_fire.handle.describe()).run_id != first

    await until(continued)
    await with_fire.answer_by_nexus(FIRE_COMES)
    assert (await with_fire.invitation_ended()).end == DepartmentInvitation.END_ANSWERED
    await until(lambda: shown(with_fire, "| 市消防支队 | **参加** |"))
    assert with_fire.inspection.standing.state == pb.STATE_ARRANGED
    assert with_fire.names().count("InvitationAnswered") == 1


async def test_a_missing_endpoint_stops_nobody_but_itself(with_fire: InspectionTown) -> None:
    await with_fire.begin(MONDAY, FAST_DAY)
    with_fire.endpoint = "nobody"
    await with_fire.open("ecology", "emergency", "fire")
    await with_fire.answer("emergency")
    await with_fire.sleep_past(with_fire.open_deadline(pb.DUTY_ANSWER), timedelta(hours=1))
    await with_fire.until(pb.STATE_ARRANGED)
    assert with_fire.answers() == {
        "ecology": "ACCEPTED",
        "emergency": "ACCEPTED",
        "fire": "TIMED_OUT",
    }


async def shown(town: InspectionTown, text: str) -> bool:
    return text in await current_details(town.handle)


async def withdrawn(town: InspectionTown) -> bool:
    return await town.status(town.desk()) == CANCELED

"""The grade of a target over the full period of its facts, and who is told when it changes."""

from datetime import UTC, timedelta

from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from tests.services import targets as req
from tests.workflows.relayed import current_details
from tests.workflows.target_town import TargetTown
from workflows import search_attributes as sa

HOUR = timedelta(hours=1)
REMOVE = rpc_pb.RemoveTargetRequest(reason="注销")


def changes(register: TargetTown) -> list[str]:
    """The grades that were told, in order."""
    return [each.title.partition("由")[2].partition("（")[0] for each in register.notices]


async def test_a_fact_lapses_after_twelve_months_and_the_grade_changes_by_itself(
    register: TargetTown,
) -> None:
    await register.command(req.register())
    await register.known("PENALTY", "serious")
    assert register.target.grading.grade == "D"
    await register.sleep_past(register.target.grading.review, -HOUR)
    assert register.target.grading.grade == "D"
    await register.sleep(HOUR / timedelta(days=1) + 0.1)
    loop = await register.handle.result()
    assert (register.target.grading.grade, loop.known.grade) == ("B", "B")
    assert (await register.now()) - register.target.register_time.ToDatetime(UTC) > timedelta(365)
    assert changes(register) == ["B级变为D级", "D级变为B级"]
    assert {each.recipient for each in register.notices} == {"desks/planner"}
    assert "行政处罚（严重）2026-09-07：-35分" in register.notices[0].body
    assert [each.DESCRIPTOR.name for each in register.events][-1] == "TargetGraded"
    assert len(register.expiries) == 1


async def test_each_fact_lapses_on_its_own_day(register: TargetTown) -> None:
    await register.command(req.register())
    await register.known("PENALTY", "serious", days_ago=300)
    await register.known("ALERT", "serious", days_ago=100)
    await register.known("ALERT", "general", days_ago=100)
    scores = []
    for _ in range(2):
        await register.sleep_past(register.target.grading.review, HOUR)
        scores.append(register.target.grading.score)
    assert scores == [50, 70]
    loop = await register.handle.result()
    assert (loop.known.score, loop.told_version) == (70, register.position)
    assert len(register.expiries) == 2


async def test_a_fact_that_moves_the_review_forward_is_waited_for(register: TargetTown) -> None:
    await register.command(req.register())
    await register.known("PENALTY", "minor")
    await register.known("PENALTY", "serious", days_ago=200)
    first = register.target.grading.review
    await register.sleep_past(first, HOUR)
    assert register.expiries == [first.id]
    assert register.target.grading.score == 65
    await register.sleep_past(register.target.grading.review, HOUR)
    assert (await register.handle.result()).known.score == 70


async def test_what_a_relay_sends_twice_is_told_once(register: TargetTown) -> None:
    await register.command(req.register())
    record = req.record(req.fact("PENALTY", await register.today(), "serious"))
    await register.command(record, twice=True)
    await register.sleep_past(register.target.grading.review, HOUR)
    await register.handle.result()
    assert changes(register) == ["B级变为D级", "D级变为B级"]


async def test_the_loop_waits_for_a_service_whose_clock_lags(register: TargetTown) -> None:
    await register.command(req.register())
    await register.known("PENALTY", "serious")
    register.clock_lag = timedelta(minutes=5)
    await register.sleep_past(register.target.grading.review, timedelta(minutes=1))
    assert register.target.grading.grade == "D"
    assert len(register.expiries) > 1
    assert "再报" in await current_details(register.handle)
    await register.sleep(0.1)
    assert (await register.handle.result()).known.grade == "B"


async def test_a_target_that_is_removed_is_waited_for_no_more(register: TargetTown) -> None:
    await register.command(req.register())
    await register.known("PENALTY", "serious")
    await register.sleep(10)
    await register.command(REMOVE)
    loop = await register.handle.result()
    assert (loop.known.removed, loop.known.HasField("review")) == (True, False)
    assert register.expiries == []


async def test_a_loop_that_an_operator_ended_is_taken_up_by_the_next_event(
    register: TargetTown,
) -> None:
    await register.command(req.register())
    await register.known("PENALTY", "serious")
    await register.sleep(10)
    await register.handle.terminate("by mistake")
    await register.known("ALERT", days_ago=20)
    await register.sleep_past(register.target.grading.review, HOUR)
    await register.sleep_past(register.target.grading.review, HOUR)
    assert (await register.handle.result()).known.grade == "B"


async def test_a_loop_that_has_ended_begins_anew_with_the_next_fact(register: TargetTown) -> None:
    await register.command(req.register())
    for _ in range(2):
        await register.known("PENALTY", "serious")
        await register.sleep_past(register.target.grading.review, HOUR)
        assert (await register.handle.result()).known.grade == "B"
    assert changes(register) == ["B级变为D级", "D级变为B级"] * 2


async def test_an_operator_sees_the_grade_and_until_when_it_stands(register: TargetTown) -> None:
    await register.command(req.register())
    await register.known("PENALTY", "serious")
    await register.sleep(1)
    shown = (await register.handle.describe()).typed_search_attributes
    assert [shown.get(key) for key in (sa.STAGE, sa.ENTERPRISE, sa.DISTRICT, sa.WAITING_FOR)] == [
        "D级",
        req.FIRM,
        "321000",
        "到期复评",
    ]
    due = shown.get(sa.DUE)
    assert due
    assert f"{due.astimezone(UTC):%F %T}" == "2027-09-07 15:59:59"
    details = await current_details(register.handle)
    assert "- 分级：**D级**，35 分" in details
    assert "- 记分有效至 **2027年9月7日**，次日复评" in details

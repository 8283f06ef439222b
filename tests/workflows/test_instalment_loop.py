"""Payment plans over their whole length, up to two years: kept, broken, changed, and paid at once."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from rules import Rules, YearCalendar, as_date
from services.penalty.proceeding import day_message
from tests.services import penalties as req
from tests.workflows.penalty_town import PenaltyTown
from tests.workflows.relayed import current_details
from workflows import search_attributes as sa
from workflows.plan_state import STAGES

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN = money.Plan
DUE = pb.DUTY_INSTALMENT
ABOUT = "（东莞一号电镀有限公司：超过许可排放浓度）"


async def keep(court: PenaltyTown, instalments: int) -> None:
    """Pay so many instalments, each on the last day, in the morning."""
    for _ in range(instalments):
        await court.sleep_past(court.open(DUE), -15 * HOUR)
        await court.pay()


async def suit(court: PenaltyTown) -> None:
    day = day_message(await court.today())
    await court.command(rpc_pb.AcceptRemedyRequest(kind=pb.Remedy.KIND_SUIT, accept_date=day))


async def judgment(court: PenaltyTown, outcome: pb.Remedy.Outcome.ValueType, fen: int = 0) -> None:
    day = day_message(await court.today())
    await court.command(
        rpc_pb.ConcludeRemedyRequest(
            conclude_date=day, outcome=outcome, fine_fen=fen, reference="行初1号"
        )
    )


async def serve(court: PenaltyTown, reference: str, tenths: int) -> None:
    """So much volunteer service is proved."""
    service = money.VolunteerService(
        reference=reference,
        service_date=day_message(await court.today()),
        tenths=tenths,
        organisation="东莞市环保志愿者协会",
    )
    await court.command(pay_pb.RecordVolunteerServiceRequest(service=service))


async def test_two_years_in_eight_instalments_are_reminded_of_once_each_and_kept(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.plan(8)
    begun = await court.today()
    await keep(court, 8)
    loop = await court.ended(court.plan_loop())
    assert (await court.today() - begun) > timedelta(days=720)
    assert (loop.known.plan.state, loop.reminder_count) == (PLAN.STATE_COMPLETED, 16)
    assert court.reminders_sent() == await court.reminders_due()
    about = Counter(each for each in court.titles("REMINDER") if "分期款" in each)
    assert len(about) == 8
    assert set(about.values()) == {2}
    (consent,) = [each for each in court.titles("SERVICE") if "同意" in each]
    assert consent.endswith(ABOUT)
    assert len([each for each in court.titles("INFORMATION") if "收到缴款" in each]) == 8
    assert court.passed() == ["RECONSIDERATION", "SUIT"]
    assert (await court.close()).known.standing.state == pb.STATE_CLOSED


async def test_a_default_in_month_five_is_told_once_at_each_step_until_revocation(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.plan(12, months=1)
    await keep(court, 4)
    await court.sleep_past(court.open(DUE), HOUR)
    assert court.case.plans[0].state == PLAN.STATE_IN_GRACE
    await court.sleep_past(court.open(pb.DUTY_GRACE), HOUR)
    assert court.case.plans[0].state == PLAN.STATE_BREACHED
    task = next(each for each in court.notices if "处理违约" in each.title)
    assert (task.recipient, task.due_time) == (
        "desks/officer",
        court.open(pb.DUTY_BREACH).due_time,
    )
    await court.sleep_past(court.open(pb.DUTY_BREACH), HOUR)
    of_plan = [each for each in court.passed() if each in ("INSTALMENT", "GRACE", "BREACH")]
    assert of_plan == ["INSTALMENT", "GRACE", "BREACH"]
    overdue = Counter(court.sent("OVERDUE"))
    assert overdue == {"enterprises": 2, "desks/supervisor": 3, "desks/officer": 1}
    await court.command(pay_pb.RevokePlanRequest(reasons="逾期未缴"))
    loop = await court.ended(court.plan_loop())
    assert loop.known.plan.state == PLAN.STATE_REVOKED
    (told,) = [each for each in court.notices if "已撤销" in each.title and each.kind == 2]
    assert "次日起加处罚款" in told.body
    assert court.reminders_sent() == await court.reminders_due()


async def test_an_instalment_paid_in_its_days_of_grace_leaves_the_plan_in_force(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.plan(3)
    await court.sleep_past(court.open(DUE), 30 * HOUR)
    await court.pay()
    assert court.case.plans[0].state == PLAN.STATE_ACTIVE
    await keep(court, 2)
    loop = await court.ended(court.plan_loop())
    assert loop.known.plan.state == PLAN.STATE_COMPLETED
    assert court.sent("OVERDUE") == ["desks/supervisor", "enterprises"]


async def test_a_breach_that_is_excused_lets_the_plan_go_on(court: PenaltyTown) -> None:
    await court.paying()
    await court.plan(3)
    await court.sleep_past(court.open(DUE), HOUR)
    await court.sleep_past(court.open(pb.DUTY_GRACE), HOUR)
    await court.pay(req.FINE // 3)
    await court.command(pay_pb.ExcuseBreachRequest(reasons="已补缴"))
    await keep(court, 2)
    loop = await court.ended(court.plan_loop())
    assert loop.known.plan.state == PLAN.STATE_COMPLETED
    assert f"缴款方案继续执行{ABOUT}" in court.titles("INFORMATION", "enterprises")


async def test_a_late_application_with_its_pledge_is_reminded_of_service_until_it_is_done(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.sleep_past(court.open(pb.DUTY_PAYMENT), 5 * DAY)
    await court.plan(2, pledge=True)
    await court.sleep(5)
    await serve(court, "1", 80)
    assert "- 志愿服务：8/12 小时" in await current_details(court.plan_loop())
    await court.sleep_past(court.open(pb.DUTY_VOLUNTEER_SERVICE), -2 * DAY)
    await serve(court, "2", 40)
    await court.sleep(0.1)
    service = [each for each in court.titles("REMINDER") if "志愿服务" in each]
    assert len(service) == 2
    await keep(court, 2)
    loop = await court.ended(court.plan_loop())
    assert loop.known.plan.pledge.done_tenths == 120
    assert court.passed()[0] == "PAYMENT"
    assert "VOLUNTEER_SERVICE" not in court.passed()


async def test_service_that_is_not_done_in_time_is_a_breach(court: PenaltyTown) -> None:
    await court.paying()
    await court.sleep_past(court.open(pb.DUTY_PAYMENT), 5 * DAY)
    await court.plan(2, pledge=True)
    await keep(court, 1)
    await court.sleep_past(court.open(pb.DUTY_VOLUNTEER_SERVICE), HOUR)
    assert court.case.plans[0].state == PLAN.STATE_BREACHED
    assert any("完成志愿服务" in each for each in court.titles("OVERDUE", "enterprises"))
    await court.command(pay_pb.RevokePlanRequest(reasons="未完成志愿服务"))
    assert (await court.ended(court.plan_loop())).known.plan.state == PLAN.STATE_REVOKED


async def test_the_loop_of_a_plan_paid_at_once_waits_for_the_service_pledged(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.sleep_past(court.open(pb.DUTY_PAYMENT), 5 * DAY)
    await court.plan(2, pledge=True)
    await court.sleep(5)
    await court.pay(2 * req.FINE)
    assert court.case.plans[0].state == PLAN.STATE_COMPLETED
    await court.sleep(5)
    await serve(court, "1", 120)
    loop = await court.ended(court.plan_loop())
    assert (loop.known.plan.state, loop.known.plan.pledge.done_tenths) == (
        PLAN.STATE_COMPLETED,
        120,
    )


async def test_a_suit_in_the_middle_does_not_stop_the_plan(court: PenaltyTown) -> None:
    await court.paying()
    await court.plan(4)
    await keep(court, 1)
    await suit(court)
    await keep(court, 1)
    await judgment(court, pb.Remedy.OUTCOME_UPHELD)
    await keep(court, 2)
    loop = await court.ended(court.plan_loop())
    assert loop.known.plan.state == PLAN.STATE_COMPLETED
    assert court.reminders_sent() == await court.reminders_due()


async def test_an_annulment_in_the_middle_ends_the_plan(court: PenaltyTown) -> None:
    await court.paying()
    await court.plan(4)
    await keep(court, 1)
    await suit(court)
    await judgment(court, pb.Remedy.OUTCOME_ANNULLED)
    loop = await court.ended(court.plan_loop())
    assert loop.known.plan.state == PLAN.STATE_CANCELLED
    assert f"缴款方案随处罚决定终止{ABOUT}" in court.titles("INFORMATION", "enterprises")


async def test_who_pays_everything_early_is_reminded_no_more(court: PenaltyTown) -> None:
    await court.paying()
    await court.plan(8)
    await keep(court, 1)
    await court.sleep(10)
    await court.pay(req.FINE - req.FINE // 8)
    loop = await court.ended(court.plan_loop())
    assert (loop.known.plan.state, loop.reminder_count) == (PLAN.STATE_COMPLETED, 2)
    assert f"缴款方案已全部履行{ABOUT}" in court.titles("INFORMATION", "desks/officer")
    await court.close()


async def test_a_plan_that_is_changed_gives_way_to_the_loop_of_the_next(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.plan(8)
    await keep(court, 2)
    await court.sleep(10)
    await court.plan(3)
    first = await court.ended(court.plan_loop(1))
    assert first.known.plan.state == PLAN.STATE_RESCHEDULED
    await keep(court, 3)
    second = await court.ended(court.plan_loop(2))
    assert (second.plan_number, second.known.plan.state) == (2, PLAN.STATE_COMPLETED)
    assert (first.reminder_count, second.reminder_count) == (4, 6)
    assert court.reminders_sent() == await court.reminders_due()


async def test_a_holiday_moved_by_the_state_council_moves_the_instalment(
    court: PenaltyTown,
) -> None:
    await court.begin(datetime(2026, 11, 2, 2, tzinfo=UTC))
    await court.paying()
    await court.plan(4)
    due = as_date(court.open(DUE).due_date)
    assert court.open(DUE).provisional
    holiday = YearCalendar(year=due.year, holidays={due: "春节"}, source="test")
    court.rules = Rules(court.rules.book, court.rules.calendar.with_year(holiday), req.DISTRICT)
    await court.sleep_past(court.open(DUE), -10 * DAY)
    await court.command(rpc_pb.RecountDeadlinesRequest(calendar_year=due.year))
    moved = as_date(court.open(DUE).due_date)
    assert moved > due
    await keep(court, 1)
    assert "INSTALMENT" not in court.passed()
    assert len([each for each in court.titles("REMINDER") if "分期款第1期" in each]) == 2
    assert court.reminders_sent() == await court.reminders_due()
    told = [each for each in court.titles("INFORMATION", "enterprises") if "期限重算" in each]
    assert any(f"{moved.month}月{moved.day}日" in each for each in told)


async def test_a_loop_that_an_operator_ended_is_taken_up_by_the_next_event(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.plan(3)
    await keep(court, 1)
    await court.sleep(0.1)
    await court.plan_loop().terminate("by mistake")
    await court.pay(1)
    await keep(court, 2)
    loop = await court.ended(court.plan_loop())
    assert (loop.known.plan.state, loop.reminder_count) == (PLAN.STATE_COMPLETED, 4)
    assert court.reminders_sent() == await court.reminders_due()


async def test_what_a_relay_sends_twice_is_told_once(court: PenaltyTown) -> None:
    await court.paying()
    await court.plan(3)
    await court.sleep_past(court.open(DUE), HOUR)
    for position, event in enumerate(court.events, 1):
        await court.deliver(court.recorded(event, position))
    await court.pay()
    await court.sleep(0.1)
    assert set(Counter(each.request_id for each in court.notices).values()) == {1}
    assert court.sent("OVERDUE") == ["desks/supervisor", "enterprises"]
    assert len([each for each in court.titles("SERVICE") if "同意" in each]) == 1


async def test_an_operator_sees_the_schedule_and_what_is_due_next(court: PenaltyTown) -> None:
    await court.paying()
    await court.plan(4)
    await keep(court, 1)
    await court.sleep(0.1)
    details = await current_details(court.plan_loop())
    assert "- 第 1 号分期方案：**按期缴款**" in details
    assert "- 下一期：第 2 期，**2027年3月8日**前缴 **75,000.00 元**" in details
    assert "| 1 | 2026年12月7日 | 75,000.00 | 已缴 | 75,000.00 |" in details
    assert "| 4 | 2027年9月7日 | 75,000.00 | 待缴 | 0.00 |" in details
    shown = (await court.plan_loop().describe()).typed_search_attributes
    found = [shown.get(key) for key in (sa.STAGE, sa.WAITING_FOR, sa.ENTERPRISE, sa.OVERDUE)]
    assert found == [STAGES[PLAN.STATE_ACTIVE], "当事人", req.TRADER.uscc, False]

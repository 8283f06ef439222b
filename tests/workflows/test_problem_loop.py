"""Every branch and timer of the problem loop, over months of legal time."""

from datetime import UTC, date, datetime, timedelta

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rules import Rules, YearCalendar
from tests.bureau import item
from tests.workflows.town import Town


async def test_a_problem_put_right_in_time_is_closed_without_a_single_reminder(
    place: Town,
) -> None:
    await place.report()
    await place.verify()
    await place.order(days=30)
    await place.sleep(1)
    await place.submit()
    await place.review()
    await place.sleep(1)
    await place.assess()
    loop = await place.close()
    assert (loop.state, loop.reminder_count, loop.escalation_count) == (pb.STATE_CLOSED, 0, 0)
    assert place.sent("SERVICE") == ["enterprises"]
    assert place.sent("INFORMATION") == ["enterprises", "enterprises", "officers/officer"]


async def test_an_unfounded_report_ends_the_loop_and_tells_the_reporter(place: Town) -> None:
    await place.report()
    await place.verify(found=False)
    loop = await place.result()
    assert loop.state == pb.STATE_UNFOUNDED
    assert place.sent("INFORMATION") == ["officers/officer"]


async def test_a_returned_submission_is_awaited_again(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(days=30)
    await place.submit()
    await place.review(accepted=False, days=20)
    assert place.problem.state == pb.STATE_RECTIFYING
    await place.submit()
    await place.review()
    await place.assess()
    loop = await place.close()
    assert place.names().count("RectificationSubmitted") == 2
    assert loop.state == pb.STATE_CLOSED


async def test_an_overdue_enterprise_is_reminded_and_climbs_the_whole_ladder(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(days=10)
    await place.sleep(90)
    assert place.sent("REMINDER") == ["enterprises", "enterprises"]
    assert place.names().count("DeadlineMissed") == 1
    assert place.names().count("ProblemEscalated") == 4
    assert place.problem.escalation.measure == "移送行政处罚"
    assert place.sent("OVERDUE") == ["desks/supervisor", "enterprises"]
    assert len(place.sent("ESCALATION")) == 8


async def test_an_extension_moves_the_deadline_and_stops_the_ladder(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(days=10)
    await place.sleep(14)
    assert place.problem.overdue
    escalated = place.names().count("ProblemEscalated")
    await place.command(
        rpc_pb.ExtendRectificationRequest(
            name=place.problem.name, limit=pb.Limit(days=40), reason="设备到货晚"
        )
    )
    assert not place.problem.overdue
    await place.sleep(20)
    assert place.names().count("ProblemEscalated") == escalated
    await place.submit()
    assert place.problem.items[0].late is False
    await place.review()
    await place.assess()
    loop = await place.close()
    assert loop.state == pb.STATE_CLOSED


async def test_an_ineffective_rectification_is_reopened_for_another_round(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order()
    await place.submit()
    await place.review()
    await place.assess(effective=False)
    await place.reopen()
    await place.submit()
    await place.review()
    await place.assess()
    loop = await place.close()
    assert loop.round == 2
    assert place.sent("SERVICE") == ["enterprises", "enterprises"]


async def test_every_desk_that_lets_its_deadline_pass_is_reported_to_the_supervisor(
    place: Town,
) -> None:
    late = 0
    steps = [place.verify, place.order, None, place.review, place.assess, place.close]
    await place.report()
    for step in steps:
        if step is None:
            await place.submit()
            continue
        await place.sleep(60)
        late += 1
        assert place.names().count("DeadlineMissed") == late
        assert place.sent("OVERDUE").count("desks/supervisor") == late
        await step()
    assert "ProblemEscalated" not in place.names()


async def test_the_loop_waits_for_a_service_whose_clock_lags(place: Town) -> None:
    place.clock_lag = timedelta(seconds=30)
    await place.report()
    await place.sleep(30)
    assert place.names() == ["ProblemReported", "DeadlineMissed"]


async def test_the_deadline_passes_at_midnight_in_shanghai_and_not_before(place: Town) -> None:
    await place.report()
    due = place.problem.next_step.deadline.due_time.ToDatetime(UTC)
    await place.env.sleep(due - await place.now() - timedelta(minutes=1))
    assert not place.problem.overdue
    await place.env.sleep(timedelta(minutes=2))
    assert place.problem.overdue


async def test_handing_in_a_part_late_does_not_hurry_the_ladder(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.command(
        rpc_pb.OrderRectificationRequest(
            name=place.problem.name, items=[item(days=5), item(days=10)], legal_basis="法"
        )
    )
    await place.env.sleep(timedelta(days=11))
    level, rung = place.problem.escalation.level, place.problem.escalation.next_deadline
    await place.command(
        rpc_pb.SubmitRectificationRequest(
            name=place.problem.name, item_ids=["1"], statement="完成一项"
        )
    )
    assert place.problem.overdue
    await place.env.sleep(rung.due_time.ToDatetime(UTC) - await place.now() - timedelta(hours=1))
    assert place.problem.escalation.level == level
    await place.env.sleep(timedelta(hours=2))
    assert place.problem.escalation.level == level + 1
    assert place.names().count("DeadlineMissed") == 1


async def test_a_recount_leaves_an_overdue_problem_on_its_ladder(place: Town) -> None:
    await place.begin(datetime(2026, 12, 28, 2, tzinfo=UTC))
    await place.report()
    await place.verify()
    await place.order(days=10)
    await place.sleep(16)
    assert place.problem.overdue
    year = (await place.now()).year
    calendar = YearCalendar(year=year, holidays={date(year, 1, 1): "元旦"}, source="test")
    after = YearCalendar(year=year + 1, holidays={date(year + 1, 1, 1): "元旦"}, source="test")
    known = place.rules.calendar.with_year(calendar).with_year(after)
    place.rules = Rules(place.rules.book, known, "150203")
    request = rpc_pb.RecountDeadlinesRequest(name=place.problem.name, calendar_year=year)
    await place.command(request)
    assert place.problem.overdue
    await place.sleep(60)
    assert place.names().count("DeadlineMissed") == 1
    assert place.problem.escalation.measure == "移送行政处罚"


async def test_reminders_that_passed_during_an_outage_are_sent_as_one(place: Town) -> None:
    await place.report()
    await place.verify()
    async with place.relay_down():
        await place.order(days=10)
        await place.sleep(9)
    await place.sleep(0.1)
    assert place.sent("REMINDER").count("enterprises") == 1

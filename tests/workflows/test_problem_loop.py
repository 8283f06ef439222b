"""Every branch and timer of the problem loop, over months of legal time."""

from datetime import UTC, date, datetime, timedelta

from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rules import RuleBook, Rules, YearCalendar, as_date, legal_date
from tests.workflows.town import Town
from workflows import search_attributes as sa
from workflows.problem_state import details

NEW_YEAR_2027 = YearCalendar(year=2027, holidays={date(2027, 1, 1): "元旦"}, source="test")


def missed(place: Town) -> list[list[str]]:
    """Ids of the deadlines whose miss was recorded, by event."""
    return [list(e.deadline_ids) for e in place.events if isinstance(e, ev.DeadlineMissed)]


def other_ladder(place: Town, rungs: int, since: date | None = None) -> Rules:
    """The law with a shorter ladder in force from a day on, or as if it had never been longer."""
    book = RuleBook.load()
    (old,) = book._versions["rectification.escalation"]
    if since is None:
        versions = [old.model_copy(update={"rungs": old.rungs[:rungs]})]
    else:
        ended = old.model_copy(update={"valid_to": since})
        new = old.model_copy(update={"valid_from": since, "rungs": old.rungs[:rungs]})
        versions = [ended, new]
    book._versions["rectification.escalation"] = versions
    return Rules(book, place.rules.calendar, "150203")


async def test_a_problem_put_right_in_time_is_closed_without_a_single_reminder(
    place: Town,
) -> None:
    await place.report()
    await place.verify()
    await place.order(30)
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


async def test_an_operator_in_shanghai_reads_the_last_day_in_time_as_due(place: Town) -> None:
    await place.report()
    await place.sleep(0.01)
    assert place.handle
    shown = (await place.handle.describe()).typed_search_attributes.get(sa.DUE)
    assert shown
    due = place.problem.next_step.deadline
    assert legal_date(shown) == as_date(due.due_date)
    assert shown < due.due_time.ToDatetime(UTC)


async def test_a_returned_submission_is_awaited_again(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(30)
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
    await place.order(10)
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
    await place.order(10)
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
    await place.order(5, 10)
    await place.sleep(11)
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
    assert missed(place) == [["rectify-1.1"], ["rectify-1.2"]]


async def test_a_recount_leaves_an_overdue_problem_on_its_ladder(place: Town) -> None:
    await place.begin(datetime(2026, 12, 28, 2, tzinfo=UTC))
    await place.report()
    await place.verify()
    await place.order(10)
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
        await place.order(10)
        await place.sleep(9)
    await place.sleep(0.1)
    assert place.sent("REMINDER").count("enterprises") == 1


async def test_an_event_that_comes_while_the_service_lags_does_not_lose_the_expiry(
    place: Town,
) -> None:
    await place.report()
    await place.verify()
    await place.order(10, 10)
    place.clock_lag = timedelta(seconds=5)
    await place.sleep_past(place.problem.next_step.deadline, timedelta(seconds=2))
    assert missed(place) == []
    await place.command(
        rpc_pb.ExtendRectificationRequest(
            name=place.problem.name, item_ids=["2"], limit=pb.Limit(days=40), reason="设备到货晚"
        )
    )
    await place.sleep(1)
    assert missed(place) == [["rectify-1.1"]]


async def test_a_recount_that_gives_the_same_date_does_not_lose_the_expiry(place: Town) -> None:
    await place.begin(datetime(2026, 12, 7, 2, tzinfo=UTC))
    await place.report()
    await place.verify()
    await place.order(40)
    deadline = place.problem.next_step.deadline
    assert deadline.provisional
    known = place.rules.calendar.with_year(NEW_YEAR_2027)
    place.rules = Rules(place.rules.book, known, "150203")
    await place.sleep_past(deadline, timedelta(minutes=1))
    assert place.names()[-3:] == ["DeadlinesRecounted", "DeadlineMissed", "ProblemEscalated"]
    assert place.problem.next_step.deadline.due_date == deadline.due_date


async def test_a_case_keeps_the_ladder_that_it_began_to_climb(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(10)
    await place.sleep(12)
    assert place.problem.escalation.level == 1
    place.rules = other_ladder(place, rungs=1, since=(await place.now()).date())
    await place.sleep(60)
    assert place.problem.escalation.measure == "移送行政处罚"
    assert len(place.expiries) == 4


async def test_a_ladder_without_a_rung_that_was_to_follow_ends_there(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(10)
    await place.sleep(12)
    place.rules = other_ladder(place, rungs=1)
    await place.sleep(60)
    assert place.problem.escalation.level == 1
    assert place.expiries == ["rectify-1.1", "escalate-1.2"]


async def test_an_expiry_that_is_not_agreed_with_is_told_ever_more_rarely(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(10)
    place.clock_lag = timedelta(days=400)
    await place.sleep_past(place.problem.next_step.deadline, timedelta(hours=4))
    # Thirteen times in about an hour, doubling from a second, then every hour.
    assert 13 + 2 <= len(place.expiries) <= 13 + 3
    assert place.handle
    loop = await place.handle.query("loop")
    assert [each.attempts for each in loop.put_off] == [len(place.expiries)]
    assert "服务未认可期限届满" in details(loop)
    await place.submit()
    await place.sleep(0.1)
    loop = await place.handle.query("loop")
    assert loop.state == pb.STATE_SUBMITTED


async def test_each_item_is_reminded_of_and_recorded_when_its_own_day_passes(place: Town) -> None:
    await place.report()
    await place.verify()
    await place.order(10, 40, 40)
    await place.sleep(80)
    assert missed(place) == [["rectify-1.1"], ["rectify-1.2", "rectify-1.3"]]
    reminders = [n.title for n in place.notices if n.kind == nb.NOTICE_KIND_REMINDER]
    days = ["3月12日", "3月12日", "4月13日", "4月13日"]
    assert [day in title for day, title in zip(days, reminders, strict=True)] == [True] * 4
    assert place.sent("OVERDUE") == ["desks/supervisor"] * 2 + ["enterprises"] * 2
    assert place.names().count("ProblemEscalated") == 4
    assert [item.overdue for item in place.problem.items] == [True] * 3


async def test_a_reporter_may_be_named_in_any_way(place: Town) -> None:
    await place.report("CN=Li Jing,OU=环保")
    await place.verify(found=False)
    await place.result()
    assert place.sent("INFORMATION") == ["officers/CN%3DLi%20Jing%2COU%3D%E7%8E%AF%E4%BF%9D"]


async def test_a_notice_that_went_out_in_other_words_counts_as_sent(place: Town) -> None:
    place.refusals["officers/officer"] = "REQUEST_ID_REUSED"
    await place.report()
    await place.verify(found=False)
    loop = await place.result()
    assert (loop.state, loop.undelivered_notices) == (pb.STATE_UNFOUNDED, 0)


async def test_a_notice_that_is_refused_is_counted_and_the_loop_goes_on(place: Town) -> None:
    place.refusals["officers/officer"] = "INVALID_ARGUMENT"
    await place.report()
    await place.verify()
    await place.order()
    await place.submit()
    await place.review()
    await place.assess()
    loop = await place.close()
    assert (loop.state, loop.undelivered_notices) == (pb.STATE_CLOSED, 1)
    assert "1 份通知被拒收" in details(loop)

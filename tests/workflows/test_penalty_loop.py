"""Every step of a penalty case with its windows, over the full time that the law gives, and who is told."""

from collections import Counter
from datetime import timedelta

from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from services.penalty.proceeding import day_message
from tests.services import penalties as req
from tests.workflows.penalty_town import PenaltyTown
from tests.workflows.relayed import current_details
from workflows import search_attributes as sa

HOUR = timedelta(hours=1)
PERSON = pb.Respondent(
    kind=pb.Respondent.KIND_PERSON,
    person=pb.Person(id="0197c6d2-0000-7000-8000-000000000001", display_name="李某"),
)
RIGHTS = ["STATEMENT", "HEARING_REQUEST", "APOLOGY", "RECONSIDERATION", "SUIT"]
DUTIES_OF_OFFICER = ["FILING", "REINSPECTION", "DECISION", "SERVICE", "PUBLICATION"]


async def test_a_case_whose_every_window_lapses_is_followed_from_clue_to_closure(
    court: PenaltyTown,
) -> None:
    await court.command(req.clue(await court.today()))
    await court.sleep_past(court.open(pb.DUTY_FILING), HOUR)
    await court.command(req.FILE_CASE)
    order = req.served(rpc_pb.OrderCorrectionRequest, await court.today(), facts="超标")
    await court.command(order)
    await court.sleep_past(court.open(pb.DUTY_DECISION), HOUR)
    await court.command(req.evidence())
    await court.command(req.conclusion())
    await court.command(req.notice(await court.today()))
    await court.sleep(30)
    assert court.case.standing.state == pb.STATE_TO_DECIDE
    await court.command(req.REVIEW, actor="lawyer")
    await court.command(req.discussion(await court.today()))
    await court.command(req.fine())
    await court.sleep_past(court.open(pb.DUTY_SERVICE), HOUR)
    await court.command(req.served(rpc_pb.ServeDecisionRequest, await court.today()))
    await court.sleep_past(court.open(pb.DUTY_SUIT), HOUR)
    await court.command(req.served(rpc_pb.ServeDemandRequest, await court.today()))
    await court.sleep_past(court.open(pb.DUTY_COURT_APPLICATION), HOUR)
    of_party = ["PAYMENT", "RECONSIDERATION", "SUIT", "DEMAND"]
    defence = ["STATEMENT", "HEARING_REQUEST", "APOLOGY"]
    assert court.passed()[:8] == [*DUTIES_OF_OFFICER[:3], *defence, *DUTIES_OF_OFFICER[3:]]
    assert court.passed()[8:] == [*of_party, "COURT_APPLICATION"]
    assert court.reminders_sent() == await court.reminders_due()
    missed = len(court.passed()) - len(RIGHTS)
    assert court.sent("OVERDUE").count("desks/supervisor") == missed
    assert court.sent("OVERDUE").count("enterprises") == 2
    assert len(court.titles("INFORMATION", "desks/officer")) == len(RIGHTS)
    await court.pay(2 * req.FINE)
    inspected = day_message(await court.today())
    await court.command(rpc_pb.RecordReinspectionRequest(inspect_date=inspected, findings="已改正"))
    await court.publish()
    loop = await court.close()
    assert loop.known.standing.state == pb.STATE_CLOSED
    assert loop.told_version == court.position


async def test_a_fine_paid_in_time_is_closed_without_a_reminder(court: PenaltyTown) -> None:
    await court.paying()
    await court.pay(req.FINE)
    loop = await court.close()
    assert (loop.known.standing.state, loop.reminder_count) == (pb.STATE_CLOSED, 0)
    assert court.titles("SERVICE", "enterprises") == [
        "行政处罚事先告知东环罚告字〔2026〕（东莞一号电镀有限公司：超过许可排放浓度）",
        "行政处罚决定（东莞一号电镀有限公司：超过许可排放浓度）",
    ]
    (decision,) = [each for each in court.notices if each.title.startswith("行政处罚决定")]
    assert "缴纳罚款 300,000.00 元：2026年9月22日前（行政处罚法第六十七条）" in decision.body
    assert court.titles("INFORMATION", "officers/officer") == [
        "案件已结案（东莞一号电镀有限公司：超过许可排放浓度）"
    ]


async def test_a_clue_that_is_not_filed_ends_the_loop(court: PenaltyTown) -> None:
    await court.command(req.clue(await court.today()))
    await court.command(rpc_pb.DeclineFilingRequest(reasons="无违法事实"))
    loop = await court.ended(court.handle)
    assert loop.known.standing.state == pb.STATE_NOT_FILED


async def test_an_operator_sees_whose_move_it_is_and_until_when(court: PenaltyTown) -> None:
    await court.paying()
    await court.sleep(1)
    shown = (await court.handle.describe()).typed_search_attributes
    assert [shown.get(key) for key in (sa.STAGE, sa.WAITING_FOR, sa.DISTRICT, sa.OVERDUE)] == [
        "待缴款",
        "当事人",
        "441900",
        False,
    ]
    assert shown.get(sa.ENTERPRISE) == req.TRADER.uscc
    details = await current_details(court.handle)
    assert "缴纳罚款（当事人）：300,000.00 元，**2026年9月22日**，行政处罚法第六十七条" in details


async def test_of_a_natural_person_the_desk_is_told_and_no_name_is_shown(
    court: PenaltyTown,
) -> None:
    await court.paying(PERSON)
    await court.sleep_past(court.open(pb.DUTY_PAYMENT), HOUR)
    assert {each.recipient.partition("/")[0] for each in court.notices} == {"desks"}
    assert court.sent("OVERDUE") == ["desks/officer", "desks/supervisor"]
    assert "自然人当事人：超过许可排放浓度" in court.titles("REMINDER")[0]
    shown = await current_details(court.handle)
    assert "李某" not in shown + "".join(f"{each}" for each in court.notices)


async def test_what_a_relay_sends_twice_is_told_once(court: PenaltyTown) -> None:
    await court.command(req.clue(await court.today()), twice=True)
    await court.command(req.FILE_CASE, twice=True)
    await court.sleep_past(court.open(pb.DUTY_DECISION), HOUR)
    assert court.passed() == ["DECISION"]
    assert set(Counter(each.request_id for each in court.notices).values()) == {1}
    assert court.sent("TASK") == ["desks/officer"] * 2
    assert court.expiries == [court.events[-1].deadline.deadline.id]  # type: ignore[attr-defined]


async def test_a_loop_that_an_operator_ended_is_taken_up_by_the_next_event(
    court: PenaltyTown,
) -> None:
    await court.paying()
    await court.sleep(0.1)
    await court.handle.terminate("by mistake")
    day = day_message(await court.today())
    await court.command(rpc_pb.AcceptRemedyRequest(kind=pb.Remedy.KIND_SUIT, accept_date=day))
    await court.sleep_past(court.open(pb.DUTY_PAYMENT), HOUR)
    assert court.passed() == ["PAYMENT"]
    assert court.reminders_sent() == await court.reminders_due()
    assert len(court.titles("SERVICE")) == 2


async def test_an_annulled_case_is_followed_until_its_publication_is_withdrawn(
    court: PenaltyTown,
) -> None:
    await court.paying()
    day = day_message(await court.today())
    await court.command(rpc_pb.AcceptRemedyRequest(kind=pb.Remedy.KIND_SUIT, accept_date=day))
    await court.sleep(40)
    day, annulled = day_message(await court.today()), pb.Remedy.OUTCOME_ANNULLED
    await court.command(
        rpc_pb.ConcludeRemedyRequest(conclude_date=day, outcome=annulled, reference="行初1号")
    )
    assert court.case.standing.state == pb.STATE_WITHDRAWN
    await court.sleep_past(court.open(pb.DUTY_PUBLICATION_WITHDRAWAL), HOUR)
    assert court.passed()[-1] == "PUBLICATION_WITHDRAWAL"
    overdue = (await court.handle.query("loop")).known.standing.overdue
    assert list(overdue) == [pb.DUTY_PUBLICATION_WITHDRAWAL]
    await court.command(rpc_pb.WithdrawPublicationRequest(reasons="决定已被撤销"))
    loop = await court.ended(court.handle)
    assert loop.known.standing.state == pb.STATE_WITHDRAWN
    assert not loop.known.standing.overdue


async def test_a_closed_case_that_is_contested_is_followed_again(court: PenaltyTown) -> None:
    await court.paying()
    await court.pay(req.FINE)
    await court.close()
    day = day_message(await court.today())
    await court.command(rpc_pb.AcceptRemedyRequest(kind=pb.Remedy.KIND_SUIT, accept_date=day))
    await court.sleep(40)
    day, upheld = day_message(await court.today()), pb.Remedy.OUTCOME_UPHELD
    await court.command(
        rpc_pb.ConcludeRemedyRequest(conclude_date=day, outcome=upheld, reference="行初1号")
    )
    loop = await court.close()
    assert loop.known.standing.state == pb.STATE_CLOSED
    assert len(court.titles("INFORMATION", "officers/officer")) == 4


async def test_reminders_that_passed_during_an_outage_are_sent_as_one(court: PenaltyTown) -> None:
    await court.paying()
    async with court.relay_down():
        await court.command(
            req.served(rpc_pb.OrderCorrectionRequest, await court.today(), facts="x")
        )
        await court.sleep_past(court.open(pb.DUTY_PAYMENT), -HOUR)
    await court.sleep(0.02)
    assert len([each for each in court.titles("REMINDER") if "缴纳罚款" in each]) == 2
    assert court.passed() == []


async def test_the_loop_waits_for_a_service_whose_clock_lags(court: PenaltyTown) -> None:
    await court.paying()
    court.clock_lag = timedelta(seconds=30)
    await court.sleep_past(court.open(pb.DUTY_PAYMENT), timedelta(seconds=20))
    assert court.passed() == []
    await court.sleep(1)
    assert court.passed() == ["PAYMENT"]
    assert len(court.expiries) > 2

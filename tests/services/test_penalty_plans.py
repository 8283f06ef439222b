"""Deferral and instalments from application to the last payment: who may what, and what each miss means."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from google.rpc import code_pb2
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bihuan.penalty.v1 import account_pb2 as pb
from bihuan.penalty.v1 import document_pb2 as doc_pb
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from bihuan.penalty.v1 import penalty_case_pb2 as case_pb
from rpc.errors import StatusError
from rules import Rules, YearCalendar, as_date
from services.penalty import plans
from services.penalty.proceeding import due_date
from services.penalty.settlement import settled
from services.penalty.terms import check, propose
from tests.services.fines import (
    BAOTOU,
    DONGGUAN,
    DUE,
    SERVED,
    UP_TO_2026,
    Fine,
    days,
    message,
    planned,
    reading,
    terms,
)

DAY = timedelta(days=1)
FINE = 100_000_00
FOUR = [date(2026, 12, 15), date(2027, 3, 15), date(2027, 6, 15), date(2027, 9, 15)]
QUARTER = 25_000_00
AUTOMATIC = reading("penalty.plan_default", "automatic")
REVOKE = rpc_pb.RevokePlanRequest(reasons="逾期未缴")
EXCUSE = rpc_pb.ExcuseBreachRequest(reasons="已补缴")
GRANT = rpc_pb.GrantPlanRequest(terms=terms((FOUR[0], FINE)), reasons="情况属实")
REFUSE = rpc_pb.RefusePlanRequest(reasons="不属经济困难")


def quarterly() -> list[tuple[date, int]]:
    return [(day, QUARTER) for day in FOUR]


def with_plan(rules: Rules = DONGGUAN) -> Fine:
    """Four quarterly instalments, applied for on 2026-09-21 and granted on 2026-09-28."""
    fine = Fine(FINE, rules=rules)
    fine.until(date(2026, 9, 21))
    fine.apply()
    fine.until(date(2026, 9, 28))
    fine.grant(*quarterly())
    return fine


def late(rules: Rules = DONGGUAN) -> Fine:
    """Applied for 10 days after the payment date with a pledge, granted on 2026-10-20."""
    fine = Fine(FINE, rules=rules)
    fine.until(date(2026, 10, 18))
    fine.apply(pledge=True)
    fine.until(date(2026, 10, 20))
    fine.grant(*quarterly())
    return fine


def served(tenths: int, on: date, reference: str = "S1") -> rpc_pb.RecordVolunteerServiceRequest:
    service = pb.VolunteerService(
        reference=reference, service_date=message(on), tenths=tenths, organisation="东莞志愿者协会"
    )
    return rpc_pb.RecordVolunteerServiceRequest(service=service)


def test_a_plan_kept_bears_no_surcharge_and_ends_with_the_case_performed() -> None:
    fine = with_plan()
    assert fine.open == {"SUIT": date(2027, 3, 18), "INSTALMENT": FOUR[0]}
    assert days(fine.plan) == FOUR
    for number, day in enumerate(FOUR, 1):
        assert fine.until(day) == []
        fine.pay(QUARTER)
        assert fine.owes().surcharge_fen == 0
        assert fine.case.standing.unpaid_fine_fen == (4 - number) * QUARTER
    assert (fine.plan_state, fine.state, fine.states) == ("COMPLETED", "PERFORMED", ["PAID"] * 4)
    assert (fine.case.standing.plan, fine.overdue) == (0, set())


def test_applied_for_in_time_and_granted_after_the_payment_date_no_surcharge_accrues() -> None:
    fine = Fine(FINE)
    fine.until(DUE)
    fine.apply()
    assert fine.until(date(2026, 10, 20)) == ["DeadlinePassed"]
    assert fine.overdue == {"PAYMENT"}
    # 12 days x 3,000 yuan, unless it is granted: then none from the day after the payment date.
    assert fine.owes().surcharge_fen == 36_000_00
    fine.grant(*quarterly())
    assert fine.owes().surcharge_fen == 0
    assert as_date(fine.case.account.terms[-1].from_date) == DUE + DAY
    assert (fine.overdue, fine.open["INSTALMENT"]) == (set(), FOUR[0])


def test_refused_the_payment_date_stands() -> None:
    fine = Fine(FINE)
    fine.until(DUE)
    fine.apply()
    fine.until(DUE + 7 * DAY)
    assert fine.do(REFUSE) == ["PlanRefused"]
    assert fine.owes().surcharge_fen == 7 * 3_000_00
    assert "APPLICATION_REVIEW" not in fine.open
    answered = fine.case.applications[0]
    assert answered.state == pb.Application.STATE_REFUSED
    contents = fine.case.documents[-1].contents
    assert (contents.amount_fen, contents.surcharge_fen) == (121_000_00, 21_000_00)
    assert as_date(contents.due_date) == DUE


def test_a_late_plan_leaves_the_surcharge_accrued_until_the_grant_owed() -> None:
    fine = late()
    # 2026-10-09 to 10-19 are 11 days x 3,000; on the day of the grant the plan is in force.
    assert fine.owes().surcharge_fen == 33_000_00
    fine.do(served(120, fine.today))
    for day in FOUR:
        fine.until(day)
        fine.pay(QUARTER)
    assert (fine.plan_state, fine.state) == ("COMPLETED", "PAYING")
    assert (fine.owes().outstanding_fen, fine.overdue) == (33_000_00, {"PAYMENT"})
    # The time to sue is still open here, so the way to the court is not.
    assert "COURT_APPLICATION" not in fine.open
    fine.pay(33_000_00)
    assert (fine.state, fine.overdue) == ("PERFORMED", set())


def test_the_way_to_the_court_opens_when_a_plan_ends_and_the_time_to_sue_is_over() -> None:
    fine = late()
    fine.do(served(120, fine.today))
    for day in FOUR:
        fine.until(day)
        fine.let_time_to_sue_end()
        fine.pay(QUARTER)
    # 2027-09-15 + 3 months.
    assert fine.open == {"COURT_APPLICATION": date(2027, 12, 15)}


def test_a_late_application_needs_a_pledge_here_and_is_refused_elsewhere() -> None:
    request = rpc_pb.ApplyForPlanRequest(grounds=[1], statement="x")
    for rules, reason, code in [
        (DONGGUAN, "PLEDGE_NEEDED", code_pb2.INVALID_ARGUMENT),
        (BAOTOU, "LATE_APPLICATION", code_pb2.FAILED_PRECONDITION),
    ]:
        fine = Fine(FINE, rules=rules)
        fine.until(DUE + DAY)
        refused = fine.refused(request)
        assert (refused.reason, refused.code) == (reason, code)
        assert refused.metadata["rule"] == "penalty.late_application"
    # Received in time though recorded later: it is in time.
    fine.apply(apply_date=message(DUE))
    assert not fine.case.applications[0].late
    assert fine.open["APPLICATION_REVIEW"] == date(2026, 10, 23)


@pytest.mark.parametrize(
    ("day", "fields", "reason"),
    [
        (SERVED + 2 * DAY, {"apply_date": message(SERVED + 3 * DAY)}, "FUTURE_DATE"),
        (SERVED + 2 * DAY, {"apply_date": message(SERVED - DAY)}, "BEFORE_SERVICE"),
        (
            SERVED + 2 * DAY,
            {"wish": pb.PlanTerms(kind=1, payments=[pb.PlannedPayment()])},
            "INVALID_DATE",
        ),
    ],
)
def test_an_application_that_is_none_is_refused(
    day: date, fields: dict[str, Any], reason: str
) -> None:
    fine = Fine(FINE)
    fine.until(day)
    request = rpc_pb.ApplyForPlanRequest(grounds=[1], statement="x", **fields)
    refused = fine.refused(request)
    assert (refused.reason, refused.code) == (reason, code_pb2.INVALID_ARGUMENT)


def test_a_plan_needs_an_application_that_is_pending() -> None:
    fine = Fine(FINE)
    for command in (GRANT, REFUSE):
        assert fine.refused(command).reason == "NO_APPLICATION"
    fine.apply()
    request = rpc_pb.ApplyForPlanRequest(grounds=[1], statement="x")
    assert fine.refused(request).reason == "APPLICATION_PENDING"
    fine.do(GRANT)
    for command in (GRANT, REFUSE):
        assert fine.refused(command).reason == "NO_APPLICATION"


def test_terms_outside_the_rules_are_not_granted() -> None:
    fine = Fine(FINE)
    fine.apply()
    command = rpc_pb.GrantPlanRequest(terms=terms((date(2027, 3, 19), FINE)), reasons="x")
    refused = fine.refused(command)
    assert (refused.reason, refused.metadata["rule"]) == (
        "DEFERRAL_TOO_LONG",
        "penalty.plan_deferral",
    )


def test_a_plan_covers_what_is_unpaid_and_its_least_share_is_of_the_whole_fine() -> None:
    fine = Fine(FINE)
    fine.pay(90_000_00)
    fine.apply()
    small = rpc_pb.GrantPlanRequest(
        terms=terms((FOUR[0], 4_000_00), (FOUR[1], 6_000_00)), reasons="x"
    )
    assert fine.refused(small).reason == "INSTALMENT_TOO_SMALL"
    fine.grant((FOUR[0], 5_000_00), (FOUR[1], 5_000_00))
    fine.until(FOUR[0])
    fine.pay(5_000_00)
    assert (fine.states, fine.plan.paid_before_fen) == (["PAID", "DUE"], 90_000_00)


def missed_once(rules: Rules = DONGGUAN) -> Fine:
    fine = with_plan(rules)
    assert fine.until(FOUR[0] + DAY) == ["DeadlinePassed"]
    return fine


def breached(rules: Rules = DONGGUAN) -> Fine:
    """Nothing paid by 2026-12-15, nor in the five working days after it, to 12-22."""
    fine = missed_once(rules)
    fine.until(date(2026, 12, 23))
    return fine


def test_a_missed_instalment_has_days_of_grace() -> None:
    fine = missed_once()
    assert (fine.plan_state, fine.states) == ("IN_GRACE", ["OVERDUE", "DUE", "DUE", "DUE"])
    assert fine.overdue == {"INSTALMENT"}
    assert fine.open == {
        "GRACE": date(2026, 12, 22),
        "INSTALMENT": FOUR[1],
        "SUIT": date(2027, 3, 18),
    }
    (grace, *_) = fine.case.standing.deadlines
    assert (grace.amount_fen, grace.instalment) == (QUARTER, 1)
    fine.pay(10_000_00)
    assert fine.case.standing.deadlines[0].amount_fen == 15_000_00
    fine.until(date(2026, 12, 22))
    fine.pay(15_000_00)
    assert (fine.plan_state, fine.states[0], fine.overdue) == ("ACTIVE", "PAID", set())
    assert fine.open == {"INSTALMENT": FOUR[1], "SUIT": date(2027, 3, 18)}
    assert fine.owes().surcharge_fen == 0


def test_grace_missed_is_a_breach_that_the_bureau_decides_on() -> None:
    fine = breached()
    assert fine.plan_state == "BREACHED"
    assert fine.overdue == {"INSTALMENT", "GRACE"}
    # 2026-12-22 and five working days; 2027 is counted by weekdays as yet.
    assert fine.open["BREACH"] == date(2026, 12, 29)
    assert fine.case.standing.plan == 1
    # Until it is revoked the surcharge does not run.
    assert fine.owes().surcharge_fen == 0


def test_revoked_the_balance_is_due_that_day_and_bears_surcharge_from_the_next() -> None:
    fine = breached()
    fine.pay(10_000_00)
    assert fine.do(REVOKE) == ["PlanRevoked"]
    assert (fine.plan_state, fine.states) == ("REVOKED", ["CANCELLED"] * 4)
    assert (fine.case.standing.plan, fine.overdue) == (0, {"PAYMENT"})
    assert fine.open == {"SUIT": date(2027, 3, 18)}
    # 90,000 x 3 % = 2,700 a day from 2026-12-24 on.
    term = fine.case.account.terms[-1]
    assert as_date(term.from_date) - DAY == as_date(term.due_date) == date(2026, 12, 23)
    told = [fine.owes(date(2026, 12, 23) + n * DAY).surcharge_fen for n in range(3)]
    assert told == [0, 2_700_00, 5_400_00]
    contents = fine.case.documents[-1].contents
    assert (contents.amount_fen, as_date(contents.due_date)) == (90_000_00, date(2026, 12, 23))


def test_a_payment_on_the_day_after_the_revocation_bears_one_day() -> None:
    fine = breached()
    fine.do(REVOKE)
    fine.until(fine.today + DAY)
    fine.pay(FINE)
    assert (fine.owes().outstanding_fen, fine.state) == (3_000_00, "PAYING")
    fine.pay(3_000_00)
    assert fine.state == "PERFORMED"


def test_revocation_opens_the_way_to_the_court_if_the_time_to_sue_is_over() -> None:
    fine = breached()
    fine.let_time_to_sue_end()
    fine.do(REVOKE)
    assert fine.open == {"COURT_APPLICATION": date(2027, 3, 23)}


def test_a_grant_takes_the_place_of_demand_and_court_application() -> None:
    fine = Fine(FINE)
    fine.until(date(2026, 10, 18))
    fine.let_time_to_sue_end()
    p = fine.proceeding
    opens = [
        p.open(case_pb.DUTY_DEMAND, "enforcement.demand", fine.today),
        p.open(case_pb.DUTY_COURT_APPLICATION, "enforcement.court_application", fine.today),
    ]
    fine.take([ev.DemandServed(occurrence=p.occurrence(opens=opens))])
    fine.apply(pledge=True)
    fine.grant(*quarterly())
    assert set(fine.open) == {"VOLUNTEER_SERVICE", "INSTALMENT"}


def test_paid_after_the_default_the_breach_stands_until_it_is_excused() -> None:
    fine = breached()
    fine.pay(QUARTER - 1)
    refused = fine.refused(EXCUSE)
    assert (refused.reason, refused.metadata["unpaid_fen"]) == ("MISSED_UNPAID", "1")
    fine.pay(1)
    assert (fine.plan_state, fine.states[0]) == ("BREACHED", "PAID")
    assert (set(fine.open), fine.overdue) == ({"BREACH", "INSTALMENT", "SUIT"}, set())
    assert fine.do(EXCUSE) == ["BreachExcused"]
    assert (fine.plan_state, set(fine.open)) == ("ACTIVE", {"INSTALMENT", "SUIT"})
    assert fine.refused(REVOKE).reason == "PLAN_NOT_BREACHED"
    assert fine.refused(EXCUSE).reason == "PLAN_NOT_BREACHED"


def test_a_payment_in_time_that_the_bank_reports_late_was_no_default() -> None:
    fine = breached()
    fine.pay(QUARTER, on=date(2026, 12, 22))
    assert (fine.plan_state, fine.overdue) == ("ACTIVE", set())
    assert set(fine.open) == {"INSTALMENT", "SUIT"}


def test_paying_all_that_is_left_completes_the_plan_at_any_time() -> None:
    for fine in (with_plan(), missed_once(), breached()):
        fine.pay(FINE)
        assert (fine.plan_state, fine.state) == ("COMPLETED", "PERFORMED")
        assert (set(fine.open), fine.overdue) == ({"SUIT"}, set())


def test_where_the_rule_says_so_the_balance_falls_due_when_grace_ends() -> None:
    fine = missed_once(AUTOMATIC)
    assert fine.until(date(2026, 12, 24)) == ["DeadlinePassed", "PlanRevoked"]
    assert (fine.plan_state, fine.overdue) == ("REVOKED", {"PAYMENT"})
    # Due on 2026-12-22: 3,000 yuan for 12-23 and for 12-24.
    assert fine.owes().surcharge_fen == 6_000_00
    assert fine.case.documents[-1].kind == doc_pb.DOCUMENT_KIND_REVOCATION


def test_the_next_instalment_missed_while_breached_is_only_marked() -> None:
    fine = breached()
    assert fine.until(FOUR[1] + DAY) == ["DeadlinePassed", "DeadlinePassed"]
    assert (fine.plan_state, fine.states[:3]) == ("BREACHED", ["OVERDUE", "OVERDUE", "DUE"])
    assert (set(fine.open), fine.overdue) == (
        {"INSTALMENT", "SUIT"},
        {"INSTALMENT", "GRACE", "BREACH"},
    )
    fine.pay(2 * QUARTER)
    fine.do(EXCUSE)
    assert (fine.plan_state, fine.overdue) == ("ACTIVE", set())


def test_without_a_plan_in_force_nothing_is_revoked_or_excused() -> None:
    fine = Fine(FINE)
    for command in (REVOKE, EXCUSE):
        assert fine.refused(command).reason == "NO_PLAN"
    assert fine.refused(served(10, fine.today)).reason == "NO_PLEDGE"


def test_service_pledged_is_done_within_three_months_of_the_consent() -> None:
    fine = late()
    # 2027-01-20; twelve hours.
    assert fine.open["VOLUNTEER_SERVICE"] == date(2027, 1, 20)
    assert fine.plan.pledge.required_tenths == 120
    fine.until(date(2026, 11, 2))
    fine.do(served(60, fine.today))
    assert fine.do(served(60, fine.today)) == []
    assert fine.refused(served(61, fine.today)).reason == "REFERENCE_REUSED"
    assert fine.refused(served(60, date(2026, 10, 19), "S2")).reason == "BEFORE_CONSENT"
    assert "VOLUNTEER_SERVICE" in fine.open
    fine.do(served(60, fine.today, "S2"))
    assert "VOLUNTEER_SERVICE" not in fine.open


@pytest.mark.parametrize("rules", [DONGGUAN, AUTOMATIC])
def test_service_not_done_in_time_is_a_breach(rules: Rules) -> None:
    fine = late(rules)
    fine.until(FOUR[0])
    fine.pay(QUARTER)
    told = fine.until(date(2027, 1, 21))
    assert fine.plan.pledge.missed
    if rules is AUTOMATIC:
        assert told == ["DeadlinePassed", "PlanRevoked"]
        assert as_date(fine.case.account.terms[-1].due_date) == date(2027, 1, 20)
        return
    assert (told, fine.plan_state) == (["DeadlinePassed"], "BREACHED")
    assert (fine.overdue, fine.open["BREACH"]) == ({"VOLUNTEER_SERVICE"}, date(2027, 1, 27))
    assert fine.refused(EXCUSE).reason == "SERVICE_NOT_DONE"
    fine.do(served(120, fine.today))
    assert (fine.plan_state, fine.overdue) == ("BREACHED", set())
    fine.do(EXCUSE)
    assert (fine.plan_state, fine.plan.pledge.missed) == ("ACTIVE", True)


def test_service_done_in_time_and_proved_late_was_no_default() -> None:
    fine = late()
    fine.until(FOUR[0])
    fine.pay(QUARTER)
    fine.until(date(2027, 1, 25))
    fine.do(served(120, date(2027, 1, 20)))
    assert (fine.plan_state, fine.plan.pledge.missed) == ("ACTIVE", False)
    assert set(fine.open) == {"INSTALMENT", "SUIT"}


def test_a_suit_in_the_middle_of_a_plan_leaves_its_terms_and_pauses_the_surcharge() -> None:
    fine = with_plan()
    fine.until(date(2026, 11, 2))
    fine.sue()
    assert (fine.plan_state, fine.plan.track, days(fine.plan)) == (
        "ACTIVE",
        pb.TRACK_NON_LITIGATION,
        FOUR,
    )
    # It is still to be kept.
    fine.until(date(2026, 12, 23))
    assert fine.plan_state == "BREACHED"
    fine.do(REVOKE)
    fine.until(date(2027, 1, 10))
    assert fine.owes().surcharge_fen == 0
    fine.conclude(FINE)
    # The last day of the pause is 2027-01-10.
    fine.until(date(2027, 1, 12))
    assert fine.owes().surcharge_fen == 2 * 3_000_00


def test_a_change_of_the_plan_during_a_suit_meets_the_caps_of_litigation() -> None:
    fine = with_plan()
    fine.until(date(2026, 11, 2))
    fine.sue()
    fine.apply()
    assert fine.case.applications[-1].reschedule
    # 30 % of 100,000 yuan, within six months of 2026-11-02, which is 2027-05-04 after the May holiday
    # as far as it is known: 2027-05-02 is a Sunday.
    quarter = rpc_pb.GrantPlanRequest(
        terms=terms(*quarterly()[:3], (FOUR[3], QUARTER)), reasons="x"
    )
    assert fine.refused(quarter).metadata["rule"] in {
        "penalty.plan_total_litigation",
        "penalty.plan_minimum_litigation",
    }
    too_long = [(date(2027, 2, 1), 30_000_00), (date(2027, 4, 1), 30_000_00)]
    command = rpc_pb.GrantPlanRequest(
        terms=terms(*too_long, (date(2027, 5, 4), 40_000_00)), reasons="x"
    )
    assert fine.refused(command).metadata["rule"] == "penalty.plan_total_litigation"
    fine.grant(*too_long, (date(2027, 5, 3), 40_000_00))
    first, second = fine.case.plans
    assert first.state == pb.Plan.STATE_RESCHEDULED
    assert all(each.state == pb.Instalment.STATE_CANCELLED for each in first.instalments)
    assert (second.track, fine.case.standing.plan) == (pb.TRACK_LITIGATION, 2)
    assert fine.open["INSTALMENT"] == date(2027, 2, 1)
    # Once the suit is over, a change goes on counting from the plan of before.
    fine.conclude(FINE)
    fine.apply()
    limits = fine.bounds()
    assert (limits.track, limits.start) == (pb.TRACK_NON_LITIGATION, date(2026, 9, 28))


def test_a_change_at_the_same_stage_goes_on_counting_from_the_first_plan() -> None:
    fine = with_plan()
    for day in FOUR[:2]:
        fine.until(day)
        fine.pay(QUARTER)
    fine.apply()
    limits = fine.bounds()
    assert (limits.start, limits.unpaid_fen) == (date(2026, 9, 28), 50_000_00)
    # Two years from 2026-09-28, not from now.
    (last,) = propose(limits, rpc_pb.ProposePlanRequest(instalments=6, interval_months=3)).proposals
    assert planned(last.terms)[-1][0] == date(2028, 9, 15)
    asked = rpc_pb.ProposePlanRequest(instalments=7, interval_months=3)
    assert "penalty.plan_total" in propose(limits, asked).objection


def test_a_plan_granted_before_the_court_has_the_short_caps() -> None:
    fine = Fine(FINE)
    fine.until(date(2026, 10, 18))
    fine.case.standing.state = case_pb.STATE_ENFORCING
    fine.apply(pledge=True)
    command = rpc_pb.GrantPlanRequest(terms=terms(*quarterly()), reasons="x")
    assert fine.refused(command).metadata["rule"] == "penalty.plan_total_litigation"
    fine.grant((FOUR[0], 50_000_00), (FOUR[1], 50_000_00))
    assert (fine.plan.track, fine.state) == (pb.TRACK_ENFORCEMENT, "ENFORCING")
    fine.do(served(120, fine.today))
    fine.pay(FINE + 30_000_00)
    assert (fine.plan_state, fine.state) == ("COMPLETED", "PERFORMED")


def test_where_the_caps_count_from_the_payment_date() -> None:
    fine = Fine(FINE, rules=reading("penalty.plan_start", "payment_due"))
    fine.apply()
    limits = fine.bounds()
    assert (limits.start, limits.gap_start) == (DUE, DUE)
    # Six months after 2026-10-08.
    fine.grant((date(2027, 4, 8), FINE))
    assert as_date(fine.plan.start_date) == DUE


def test_a_place_without_caps_grants_what_it_finds_right() -> None:
    fine = Fine(FINE, rules=BAOTOU)
    fine.apply()
    fine.grant((date(2027, 6, 1), 1), (date(2028, 6, 1), FINE - 1))
    assert [each.deadline.rule.id for each in fine.plan.instalments] == ["penalty.payment"] * 2
    asked = rpc_pb.ApplyForPlanRequest(grounds=[1], statement="x", pledge=True)
    assert fine.refused(asked).reason == "PLEDGE_UNKNOWN"


def lowered(fine: Fine, fen: int) -> list[int]:
    """The instalments once a suit has made the fine `fen`."""
    fine.sue()
    fine.conclude(fen)
    return [each.amount_fen for each in fine.plan.instalments]


def test_a_lowered_fine_shortens_the_plan_from_its_end() -> None:
    fine = with_plan()
    fine.until(FOUR[0])
    fine.pay(QUARTER)
    # 100,000 to 60,000: 40,000 less; the last falls away, the third keeps 10,000.
    assert lowered(fine, 60_000_00) == [QUARTER, QUARTER, 10_000_00, 0]
    assert fine.states == ["PAID", "DUE", "DUE", "CANCELLED"]
    for day in FOUR[1:3]:
        fine.until(day)
        fine.pay(min(QUARTER, fine.owes().outstanding_fen))
    assert (fine.plan_state, fine.state) == ("COMPLETED", "PERFORMED")


@pytest.mark.parametrize(
    ("fen", "amounts", "state", "over"),
    [
        (20_000_00, [20_000_00, 0, 0, 0], "COMPLETED", 5_000_00),
        (0, [0, 0, 0, 0], "CANCELLED", 25_000_00),
    ],
)
def test_a_fine_lowered_below_what_is_paid_or_annulled_ends_the_plan(
    fen: int, amounts: list[int], state: str, over: int
) -> None:
    fine = with_plan()
    fine.until(FOUR[0])
    fine.pay(QUARTER)
    assert lowered(fine, fen) == amounts
    assert (fine.plan_state, fine.owes().overpaid_fen) == (state, over)
    fine.until(fine.today + DAY)
    for reference, amount, on, reason in [
        ("R1", over + 1, fine.today, "MORE_THAN_OVERPAID"),
        ("R1", over, date(2026, 12, 1), "MORE_THAN_OVERPAID"),
    ]:
        refused = fine.refused(refund(reference, amount, on))
        assert (refused.reason, refused.violations[0][0]) == (reason, "amount_fen")
    assert fine.do(refund("R1", over, fine.today)) == ["OverpaymentRefunded"]
    assert fine.do(refund("R1", over, fine.today)) == []
    assert fine.refused(refund("R1", 1, fine.today)).reason == "REFERENCE_REUSED"
    assert fine.owes().overpaid_fen == 0


def refund(reference: str, fen: int, on: date) -> rpc_pb.RefundOverpaymentRequest:
    return rpc_pb.RefundOverpaymentRequest(
        reference=reference, amount_fen=fen, refund_date=message(on)
    )


def test_without_a_plan_a_change_changes_none() -> None:
    assert plans.after_change(Fine(FINE).proceeding, 1) is None
    assert plans.recount(Fine(FINE).proceeding, lambda deadline: deadline) is None


def test_surcharge_is_given_up_as_far_as_it_is_outstanding() -> None:
    fine = Fine(FINE)
    fine.until(DUE + 2 * DAY)
    fine.pay(FINE + 1_000_00)
    more = rpc_pb.ReduceSurchargeRequest(amount_fen=5_000_01, reason="已治理")
    assert fine.refused(more).reason == "MORE_THAN_SURCHARGE"
    fine.do(rpc_pb.ReduceSurchargeRequest(amount_fen=5_000_00, reason="已治理"))
    assert (fine.state, fine.owes().waived_fen) == ("PERFORMED", 5_000_00)


def test_the_fine_itself_is_not_given_up() -> None:
    fine = Fine(FINE)
    fine.until(DUE + 2 * DAY)
    more = rpc_pb.ReduceSurchargeRequest(amount_fen=6_000_01, reason="已治理")
    assert fine.refused(more).reason == "MORE_THAN_SURCHARGE"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (case_pb.STATE_CLOSED, "PAYMENT_ON_CLOSED_CASE"),
        (case_pb.STATE_WITHDRAWN, "PAYMENT_ON_CLOSED_CASE"),
        (case_pb.STATE_DECIDED, "NOTHING_TO_PAY"),
    ],
)
def test_nothing_is_paid_on_a_case_that_is_not_open_for_it(state: Any, reason: str) -> None:
    fine = Fine(FINE)
    fine.case.standing.state = state
    payment = rpc_pb.RecordPaymentRequest(
        reference="B1", amount_fen=1, pay_date=message(fine.today)
    )
    assert fine.refused(payment).reason == reason


@pytest.mark.parametrize(
    ("on", "reason"),
    [(SERVED + DAY, "FUTURE_DATE"), (SERVED - DAY, "BEFORE_DECISION")],
)
def test_a_payment_on_an_impossible_day_is_refused(on: date, reason: str) -> None:
    payment = rpc_pb.RecordPaymentRequest(reference="B1", amount_fen=1, pay_date=message(on))
    refused = Fine(FINE).refused(payment)
    assert (refused.reason, refused.code) == (reason, code_pb2.INVALID_ARGUMENT)


def test_a_payment_on_a_performed_case_is_overpaid() -> None:
    fine = Fine(FINE)
    fine.pay(FINE)
    fine.pay(100)
    assert (fine.state, fine.owes().overpaid_fen) == ("PERFORMED", 100)


def test_part_paid_in_time_lowers_what_the_payment_deadline_asks() -> None:
    fine = Fine(FINE)
    fine.pay(40_000_00)
    (payment, _) = fine.case.standing.deadlines
    assert (payment.amount_fen, fine.case.standing.unpaid_fine_fen) == (60_000_00, 60_000_00)
    assert (set(fine.open), fine.overdue) == ({"PAYMENT", "SUIT"}, set())


def test_money_that_comes_while_another_duty_ends_leaves_the_others_as_they_are() -> None:
    fine = Fine(FINE)
    sued = settled(fine.proceeding, fine.case.account, None, closes={case_pb.DUTY_SUIT})
    assert [each.duty for each in sued.standing.deadlines] == [case_pb.DUTY_PAYMENT]
    again = fine.proceeding.open(case_pb.DUTY_SUIT, "remedy.suit", SERVED)
    fine.pay(FINE)
    told = settled(fine.proceeding, fine.case.account, None, opens=[again], closes=[again.duty])
    assert [each.duty for each in told.standing.deadlines] == [case_pb.DUTY_SUIT]


def test_two_instalments_missed_have_their_own_days_of_grace_until_the_first_are_over() -> None:
    fine = Fine(FINE, today=date(2026, 11, 2))
    fine.until(date(2026, 11, 2))
    fine.apply(pledge=True)
    fine.grant((date(2026, 12, 14), 50_000_00), (date(2026, 12, 16), 50_000_00))
    fine.until(date(2026, 12, 17))
    graces = [each for each in fine.case.standing.deadlines if each.duty == case_pb.DUTY_GRACE]
    assert [(each.instalment, due_date(each.deadline).day) for each in graces] == [(1, 21), (2, 23)]
    paid = Fine(FINE)
    paid.case, paid.today = fine.case, fine.today
    paid.pay(50_000_00)
    assert (paid.plan_state, paid.open["GRACE"]) == ("IN_GRACE", date(2026, 12, 23))
    fine.until(date(2026, 12, 22))
    assert (fine.plan_state, "GRACE" in fine.open) == ("BREACHED", False)


def test_each_instalment_counts_from_the_one_before() -> None:
    origins = [as_date(each.deadline.origin_date) for each in with_plan().plan.instalments]
    assert origins == [date(2026, 9, 28), *FOUR[:3]]


HOLIDAYS_2027 = YearCalendar(
    year=2027,
    holidays={date(2027, 3, 15) + n * DAY: "调休" for n in range(2)},
    source="made up for the test",
)


def test_a_holiday_moved_by_the_state_council_moves_the_instalment_on_it_only() -> None:
    fine = with_plan()
    rules = replace(DONGGUAN, calendar=UP_TO_2026.with_year(HOLIDAYS_2027))
    moved = plans.recount(fine.proceeding, rules.recount)
    assert moved is not None
    assert days(moved) == [FOUR[0], date(2027, 3, 17), *FOUR[2:]]
    assert (
        plans.recount(replace(fine.proceeding, case=case_with(fine, moved)), rules.recount) is None
    )


def case_with(fine: Fine, plan: pb.Plan) -> case_pb.PenaltyCase:
    case = case_pb.PenaltyCase()
    case.CopyFrom(fine.case)
    case.plans[-1].CopyFrom(plan)
    return case


def test_the_surcharge_follows_a_payment_date_that_is_counted_again() -> None:
    fine = Fine(FINE, served=date(2026, 12, 18), today=date(2026, 12, 18))
    before = fine.case.standing.deadlines[0]
    assert due_date(before.deadline) == date(2027, 1, 4)
    holiday = YearCalendar(year=2027, holidays={date(2027, 1, 4): "元旦"}, source="made up")
    fine.rules = replace(DONGGUAN, calendar=UP_TO_2026.with_year(holiday))
    again = case_pb.OpenDeadline()
    again.CopyFrom(before)
    again.deadline.CopyFrom(fine.rules.recount(before.deadline))
    told = fine.proceeding.occurrence(opens=[again], closes=[case_pb.DUTY_PAYMENT])
    fine.take([ev.DeadlinesRecounted(occurrence=told, deadline_ids=[before.deadline.id])])
    by_day = [fine.owes(date(2027, 1, 4) + n * DAY).surcharge_fen for n in range(3)]
    assert by_day == [0, 0, 3_000_00]


def test_the_consent_says_what_the_law_demands() -> None:
    fine = late()
    document = fine.case.documents[-1]
    contents = document.contents
    assert document.kind == doc_pb.DOCUMENT_KIND_CONSENT
    assert document.number == "东环缓缴字〔2026〕"  # its serial is given as it is recorded
    assert contents.respondent == "东莞某纸业有限公司（统一社会信用代码9144）"
    assert "经营困难" in contents.facts
    assert [(as_date(line.due_date), line.amount_fen) for line in contents.schedule] == quarterly()
    assert (contents.amount_fen, contents.surcharge_fen) == (FINE, 33_000_00)
    assert "加处罚款33000元；2027年1月20日（含当日）前完成志愿服务12小时" in contents.performance
    assert not any("本地指引的理解" in law for law in contents.law), (
        "a reading of the law is no law"
    )
    assert any("3%" in text and "行政处罚法第七十二条" in text for text in contents.consequences)
    assert any("60日" in text for text in contents.rights)
    assert any("6个月" in text for text in contents.rights)
    assert any("东生态规" in text for text in contents.law)
    assert contents.reasons == "情况属实"


def test_a_plan_names_its_rules_and_how_sure_they_are() -> None:
    rules = {each.id: each.confidence for each in with_plan().plan.rules}
    assert {"penalty.plan_total", "penalty.plan_gap", "penalty.plan_minimum"} <= set(rules)
    assert len(set(rules.values())) > 1


def test_the_deadlines_of_a_deferral_are_reminded_of_by_its_rule() -> None:
    fine = Fine(FINE)
    fine.apply()
    fine.grant((date(2027, 3, 18), FINE))
    (only,) = fine.plan.instalments
    assert only.deadline.rule.id == "penalty.plan_deferral"
    assert len(only.deadline.remind_times) == 3


class Life(RuleBasedStateMachine):
    """Whatever is done to a fine: fen are conserved, every plan keeps the rules, and events are all."""

    @initialize(
        fen=st.integers(1_000, 10**7),
        rules=st.sampled_from([DONGGUAN, DONGGUAN, AUTOMATIC, BAOTOU]),
        wait=st.sampled_from([0, 10, 30]),
        pick=st.none() | st.integers(0, 60),
    )
    def serve(self, fen: int, rules: Rules, wait: int, pick: int | None) -> None:
        self.fine = Fine(fen, rules=rules)
        self.reported = 0
        if pick is not None:
            self.wait(wait)
            self.apply(rules is not BAOTOU)
            self.grant(0, 0, False, pick)

    @rule(step=st.sampled_from([1, 3, 8, 20, 45, 100]))
    def waits(self, step: int) -> None:
        self.wait(step)

    @rule()
    def waits_until_something_passes(self) -> None:
        if ends := [day for duty, day in self.fine.open.items() if duty != "SUIT"]:
            self.wait((min(ends) - self.fine.today).days + 1)

    def wait(self, step: int) -> None:
        self.fine.until(self.fine.today + step * DAY)

    @rule(part=st.sampled_from([0.01, 0.03, 0.05, 0.1, 0.2, 0.3, 1.1]), back=st.integers(0, 12))
    def pay(self, part: float, back: int) -> None:
        on = max(self.fine.today - back * DAY, SERVED)
        fen = max(int(self.fine.fine_fen * part), 1)
        self.fine.pay(fen, on=on, reference=f"B{self.reported}")
        self.reported += 1

    @rule()
    def pay_what_is_next(self) -> None:
        for each in self.fine.case.standing.deadlines[:1]:
            if each.amount_fen:
                self.fine.pay(each.amount_fen, reference=f"B{self.reported}")
                self.reported += 1

    @rule(pledge=st.booleans())
    def applies(self, pledge: bool) -> None:
        self.apply(pledge)

    def apply(self, pledge: bool) -> None:
        self._try(rpc_pb.ApplyForPlanRequest(grounds=[4], statement="x", pledge=pledge))

    @precondition(lambda self: self.fine.case.applications)
    @rule(
        count=st.sampled_from([0, 2, 3, 6]),
        months=st.sampled_from([0, 1, 2, 3]),
        end=st.booleans(),
        pick=st.integers(0, 100),
    )
    def grants(self, count: int, months: int, end: bool, pick: int) -> None:
        self.grant(count, months, end, pick)

    def grant(self, count: int, months: int, end: bool, pick: int) -> None:
        if not self.fine.case.applications:
            return
        asked = rpc_pb.ProposePlanRequest(instalments=count, interval_months=months, month_end=end)
        limits = self.fine.bounds()
        found = propose(limits, asked).proposals
        if not found:
            return
        chosen = found[pick % len(found)].terms
        check(limits, chosen)
        asks = self.fine.case.applications[-1]
        pending = asks.state == pb.Application.STATE_APPLIED
        # A change of a plan needs one in force.
        pending = pending and not (asks.reschedule and not self.fine.case.standing.plan)
        command = rpc_pb.GrantPlanRequest(terms=chosen, reasons="x")
        assert self._try(command) == pending
        if pending:
            assert days(self.fine.plan) == [day for day, _ in planned(chosen)]

    @rule(command=st.sampled_from([REFUSE, REVOKE, EXCUSE]))
    def decide(self, command: Any) -> None:
        self._try(command)

    @rule(tenths=st.integers(1, 240), reference=st.integers(1, 3))
    def serve_hours(self, tenths: int, reference: int) -> None:
        self._try(served(tenths, self.fine.today, f"S{reference}"))

    @rule(part=st.sampled_from([0.1, 1.0]))
    def give_up(self, part: float) -> None:
        owed = self.fine.owes()
        left = owed.outstanding_fen - self.fine.case.standing.unpaid_fine_fen
        if (fen := int(left * part)) > 0 and self.fine.state == "PAYING":
            assert self._try(rpc_pb.ReduceSurchargeRequest(amount_fen=fen, reason="x"))

    @rule()
    def pay_back(self) -> None:
        if over := self.fine.owes().overpaid_fen:
            count = len(self.fine.case.account.refunds)
            assert self._try(refund(f"R{count}", over, self.fine.today))

    @precondition(lambda self: not self.fine.case.remedies)
    @rule()
    def sue(self) -> None:
        self.fine.sue()

    @precondition(lambda self: self.fine.case.remedies)
    @rule(part=st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    def conclude(self, part: float) -> None:
        if self.fine.case.remedies[-1].outcome == case_pb.Remedy.OUTCOME_UNSPECIFIED:
            self.fine.conclude(int(self.fine.fine_fen * part))

    def _try(self, command: Any) -> bool:
        try:
            self.fine.do(command)
        except StatusError:
            return False
        return True

    @invariant()
    def fen_are_conserved(self) -> None:
        told, case = self.fine.owes(), self.fine.case
        assert told.paid_fen + told.outstanding_fen + told.waived_fen == told.due_fen
        assert told.surcharge_fen <= case.account.fine_fen
        money = sum(each.amount_fen for each in case.account.payments)
        back = sum(each.amount_fen for each in case.account.refunds)
        assert told.paid_fen + told.overpaid_fen == money - back
        assert (self.fine.state == "PERFORMED") <= (told.outstanding_fen == 0)

    @invariant()
    def the_plan_covers_what_is_unpaid_and_falls_on_working_days(self) -> None:
        standing = self.fine.case.standing
        if standing.plan:
            plan = self.fine.plan
            left = sum(each.amount_fen - each.paid_fen for each in plan.instalments)
            assert left == standing.unpaid_fine_fen
            assert plan.number == standing.plan
        for plan in self.fine.case.plans:
            assert all(self.fine.rules.calendar.day(day).working for day in days(plan))

    @invariant()
    def what_is_open_follows_from_the_plan(self) -> None:
        standing = self.fine.case.standing
        found = [each for each in standing.deadlines if each.duty == case_pb.DUTY_INSTALMENT]
        due = [
            each
            for each in (self.fine.plan.instalments if standing.plan else [])
            if each.state == pb.Instalment.STATE_DUE
        ]
        assert [each.instalment for each in found] == [each.number for each in due[:1]]
        assert ("BREACH" in {*self.fine.open, *self.fine.overdue}) == (
            bool(standing.plan) and self.fine.plan_state == "BREACHED"
        )
        assert not (standing.plan and "PAYMENT" in {*self.fine.open, *self.fine.overdue})

    def teardown(self) -> None:
        if hasattr(self, "fine"):
            assert self.fine.replayed() == self.fine.case


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_change_of_a_plan_that_was_revoked_meanwhile_is_applied_for_anew_with_a_pledge() -> None:
    fine = with_plan()
    fine.until(date(2027, 1, 20))
    assert fine.plan_state == "BREACHED"
    fine.apply()
    fine.do(REVOKE)
    command = rpc_pb.GrantPlanRequest(
        terms=terms((date(2027, 3, 1), 50_000_00), (date(2027, 4, 1), 50_000_00)), reasons="x"
    )
    assert fine.refused(command).reason == "PLAN_ENDED"
    fine.do(rpc_pb.RefusePlanRequest(reasons="方案已撤销"))
    without = rpc_pb.ApplyForPlanRequest(grounds=[pb.HARDSHIP_GROUND_BUSINESS], statement="x")
    assert fine.refused(without).reason == "PLEDGE_NEEDED"


@pytest.mark.parametrize(("late", "state"), [(1, "ACTIVE"), (8, "BREACHED"), (30, "BREACHED")])
def test_a_payment_after_its_day_comes_to_the_same_whether_or_not_a_loop_has_told(
    late: int, state: str
) -> None:
    told, untold = with_plan(), with_plan()
    told.until(FOUR[0] + late * DAY)
    told.pay(QUARTER)
    untold.today = FOUR[0] + late * DAY
    names = untold.pay(QUARTER)
    assert names[0] == "DeadlinePassed"
    assert names[-1] == "PaymentRecorded"
    assert untold.plan_state == told.plan_state == state
    assert untold.case.standing == told.case.standing
    assert untold.case.plans == told.case.plans
    assert untold.replayed() == untold.case


def test_a_plan_whose_grace_is_over_can_be_revoked_though_no_loop_has_told() -> None:
    fine = with_plan()
    fine.today = FOUR[0] + 8 * DAY
    assert fine.do(REVOKE) == ["DeadlinePassed", "DeadlinePassed", "PlanRevoked"]
    assert fine.plan_state == "REVOKED"
    # So it is in a year whose calendar is not known yet.
    provisional = with_plan()
    provisional.until(FOUR[0])
    provisional.pay(QUARTER)
    provisional.today = FOUR[1] + 8 * DAY
    assert provisional.case.standing.deadlines[0].deadline.provisional
    assert provisional.do(REVOKE)[-1] == "PlanRevoked"
    early = with_plan()
    early.today = FOUR[0] + DAY
    assert early.refused(REVOKE).reason == "PLAN_NOT_BREACHED"

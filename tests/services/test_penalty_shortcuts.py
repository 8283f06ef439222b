"""Shortcuts that the law does not allow: days moved back, steps used twice, ends with something open."""

from datetime import date
from typing import Any

import pytest

from bihuan.penalty.v1 import discretion_pb2 as amounts
from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from services.penalty.account import statement
from services.penalty.evolve import evolve
from services.penalty.proceeding import day_message
from tests.services import penalties as req
from tests.services.test_penalty_model import (
    APOLOGISE,
    APPLY,
    CLUE,
    CONCLUDE,
    CORRECT,
    DAY,
    DECIDED,
    DECLINE,
    DEMAND,
    DEMANDED,
    DISCUSS,
    EVIDENCE,
    FILE,
    FILED,
    FINE,
    GRANT,
    HEARD,
    INVESTIGATED,
    MONDAY,
    NOTIFIED,
    PAYING,
    PUBLISH,
    RECONSIDER,
    REFUSE_PLAN,
    REINSPECT,
    REVIEWED,
    REVOKE,
    RULES,
    SERVE,
    SUE,
    SUSPEND,
    TO_COURT,
    UNPAID,
    UPHELD,
    Case,
    Step,
    act,
    expire,
    go,
    grant,
    lapse,
    new_year,
    review,
    ruled,
    to,
    today,
)


def on(kind: type[Any], day: date, **fields: Any) -> Any:
    """A service of that day."""
    return req.served(kind, day, **fields)


ENDED = rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_ENDED, reasons="无可供执行财产")
CHANGED = ruled(pb.Remedy.OUTCOME_CHANGED, 20_000_000)
DEFAULTED = [lapse(pb.DUTY_INSTALMENT), lapse(pb.DUTY_GRACE)]
# What leads there, and a command whose day lies before what it follows, with the field that says so.
TOO_EARLY: dict[str, tuple[list[Step], Step, str]] = {
    "an order before the violation was found": (
        FILED,
        on(rpc_pb.OrderCorrectionRequest, MONDAY - DAY, facts="仍在排放"),
        "act_date",
    ),
    "an order before the last re-inspection, whose days would count twice": (
        [*FILED, CORRECT, go(19), REINSPECT],
        on(rpc_pb.OrderCorrectionRequest, MONDAY + 18 * DAY, facts="仍在排放"),
        "act_date",
    ),
    "a statement before the notice that it answers": (
        NOTIFIED,
        rpc_pb.SubmitStatementRequest(text="请从轻", receive_date=day_message(MONDAY)),
        "receive_date",
    ),
    # The days until the hearing do not count towards the limit for deciding.
    "a hearing asked for before the notice": (
        NOTIFIED,
        rpc_pb.RequestHearingRequest(request_date=day_message(MONDAY)),
        "request_date",
    ),
    "an apology before the notice": (
        NOTIFIED,
        rpc_pb.OfferApologyRequest(
            channel=pb.Apology.CHANNEL_MEDIA,
            correct_date=day_message(MONDAY),
            apply_date=day_message(MONDAY),
        ),
        "apply_date",
    ),
    "a notice before the investigation was concluded": (
        [*FILED, EVIDENCE, go(20), CONCLUDE],
        req.notice(MONDAY + 19 * DAY),
        "act_date",
    ),
    # Else the days to answer it would be over as it is recorded.
    "a further notice before the evidence that it rests on": (
        [*HEARD, go(10), EVIDENCE],
        req.notice(MONDAY + DAY),
        "act_date",
    ),
    "a demand of what is not due yet": (
        UNPAID,
        on(rpc_pb.ServeDemandRequest, date(2026, 10, 8)),
        "act_date",
    ),
}


@pytest.mark.parametrize("what", TOO_EARLY)
def test_nothing_is_dated_before_what_it_follows(what: str) -> None:
    steps, step, field = TOO_EARLY[what]
    case = Case()
    case.do(*steps)
    error = case.refused(step)
    assert error.reason == "DATE_TOO_EARLY"
    assert [path for path, _ in error.violations] == [field]


def test_after_a_plan_is_revoked_the_court_needs_another_demand() -> None:
    case = Case()
    case.do(*DEMANDED, APPLY, grant, *DEFAULTED, REVOKE)
    assert case.refused(TO_COURT).reason == "NO_DEMAND"
    case.do(go(1), DEMAND)
    assert case.refused(TO_COURT).reason == "DEMAND_NOT_EXPIRED"
    case.do(lapse(pb.DUTY_DEMAND), TO_COURT)
    assert case.state == "ENFORCING"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [([APPLY, grant], "PLAN_IN_FORCE"), ([APPLY], "APPLICATION_PENDING")],
)
def test_a_case_is_not_closed_over_a_plan_or_an_application(steps: list[Step], reason: str) -> None:
    case = Case()
    case.do(*DEMANDED, TO_COURT, *steps, ENDED, PUBLISH)
    assert case.refused(req.CLOSE).reason == reason


def test_an_application_not_answered_in_time_still_keeps_the_bureau_from_the_court() -> None:
    case = Case()
    case.do(*DEMANDED, APPLY, lapse(pb.DUTY_APPLICATION_REVIEW))
    assert case.refused(TO_COURT).reason == "APPLICATION_PENDING"
    assert case.refused(DEMAND).reason == "APPLICATION_PENDING"
    case.do(REFUSE_PLAN, TO_COURT)
    assert case.state == "ENFORCING"


def test_a_case_for_which_the_court_was_not_asked_in_time_can_be_closed() -> None:
    case = Case()
    case.do(*DEMANDED, PUBLISH)
    assert case.refused(req.CLOSE).reason == "OUTSTANDING"
    case.do(lapse(pb.DUTY_COURT_APPLICATION), req.CLOSE)
    assert case.state == "CLOSED"


@pytest.mark.parametrize(
    ("steps", "state"),
    [([lapse(pb.DUTY_COURT_APPLICATION)], "PAYING"), ([TO_COURT, ENDED], "ENFORCING")],
)
def test_a_case_closed_with_money_owed_goes_back_to_where_it_was(
    steps: list[Step], state: str
) -> None:
    case = Case()
    case.do(*DEMANDED, PUBLISH, *steps, req.CLOSE, SUE)
    assert (case.state, list(case.case.standing.overdue)) == (state, [pb.DUTY_PAYMENT])
    owed = statement(case.case.account, case.rules, case.today).outstanding_fen
    case.do(today(lambda day: req.payment(day, owed)))
    assert case.state == "PERFORMED"


LATE: dict[str, tuple[list[Step], Step]] = {
    "CaseFiled": ([CLUE, go(16)], FILE),
    "FilingDeclined": ([CLUE, go(16)], DECLINE),
    "CaseDecided": ([*REVIEWED, go(90)], FINE),
    "DecisionServed": ([*DECIDED, go(20)], SERVE),
    "DecisionPublished": ([*DECIDED, go(20)], PUBLISH),
    "Reinspected": ([*FILED, CORRECT, go(31)], REINSPECT),
    "PlanRefused": ([*PAYING, APPLY, go(30)], REFUSE_PLAN),
    "PlanRevoked": ([*PAYING, APPLY, grant, *DEFAULTED, go(12)], REVOKE),
}


@pytest.mark.parametrize("event", LATE)
def test_what_the_bureau_does_late_is_seen_though_no_loop_has_told(event: str) -> None:
    steps, step = LATE[event]
    case = Case()
    case.do(*steps)
    assert case.do(step) == ["DeadlinePassed", event]
    assert case.events[-2].missed  # type: ignore[union-attr]
    assert case.events[-2].occurrence.standing.overdue
    folded = pb.PenaltyCase(name=case.case.name)
    for each in case.events:
        folded = evolve(folded, each)
    assert folded == case.case
    told = Case()
    told.do(*steps, *(expire(duty) for duty in case.events[-2].occurrence.standing.overdue))
    assert told.do(step) == [event]
    assert told.case.standing == case.case.standing


def test_what_was_done_in_time_and_recorded_later_was_not_late() -> None:
    case = Case()
    case.do(*DECIDED)
    in_time = on(rpc_pb.ServeDecisionRequest, case.today)
    assert case.do(go(20), in_time) == ["DecisionServed"]


def test_a_publication_to_be_withdrawn_already_gets_no_second_deadline() -> None:
    case = Case()
    case.do(*PAYING, PUBLISH, SUE, CHANGED)
    until = case.due(pb.DUTY_PUBLICATION_WITHDRAWAL)
    case.do(go(1), SUE, CHANGED)
    assert case.due(pb.DUTY_PUBLICATION_WITHDRAWAL) == until
    duties = [each.duty for each in case.case.standing.deadlines]
    assert duties.count(pb.DUTY_PUBLICATION_WITHDRAWAL) == 1
    case.do(lapse(pb.DUTY_PUBLICATION_WITHDRAWAL), SUE, CHANGED)
    assert "DUTY_PUBLICATION_WITHDRAWAL" not in case.opened
    assert pb.DUTY_PUBLICATION_WITHDRAWAL in case.case.standing.overdue


def test_the_months_for_the_court_open_once_the_party_can_sue_no_more() -> None:
    case = Case()
    refused = rpc_pb.RecordRulingRequest(state=pb.Enforcement.STATE_REFUSED, reasons="材料不全")
    case.do(*DEMANDED, TO_COURT, RECONSIDER, UPHELD, refused)
    assert case.opened >= {"DUTY_SUIT"}
    assert "DUTY_COURT_APPLICATION" not in case.opened
    case.do(lapse(pb.DUTY_SUIT))
    duties = [each.duty for each in case.case.standing.deadlines]
    assert duties.count(pb.DUTY_COURT_APPLICATION) == 1


def test_an_apology_halves_what_was_proposed_once_also_after_a_further_notice() -> None:
    case, expected = Case(), {"chosen_fen": 0, "difference_reason": ""}
    heavier = [factor.levels[-1].id for factor in RULES.factors("penalty.discretion", MONDAY)]
    factors = [
        amounts.FactorLevel(factor=each.factor, level=level)
        for each, level in zip(req.FACTORS, heavier, strict=True)
    ]
    weighed = {"factors": factors, **expected}
    notice = today(lambda day: req.notice(day, **weighed))
    case.do(*INVESTIGATED, notice, APOLOGISE, GRANT)
    proposed = case.case.proposal.chosen_fen
    case.do(lapse(pb.DUTY_STATEMENT, pb.DUTY_HEARING_REQUEST), EVIDENCE, notice)
    assert case.case.proposal.chosen_fen == proposed // 2
    case.do(req.WAIVE, review(), DISCUSS, req.fine(**weighed))
    assert case.case.decision.fine_fen == proposed // 2


def test_an_investigator_does_not_decide() -> None:
    case = Case()
    case.do(*REVIEWED)
    assert case.refused(FINE, actor="zhang").reason == "INVESTIGATOR_MAY_NOT_REVIEW"
    assert case.do(FINE) == ["CaseDecided"]


def test_the_party_may_still_apologise_while_the_case_is_suspended() -> None:
    case = Case()
    case.do(*NOTIFIED, lapse(pb.DUTY_STATEMENT, pb.DUTY_HEARING_REQUEST), SUSPEND)
    assert case.do(APOLOGISE) == ["ApologyOffered"]
    assert case.case.standing.suspended


def test_a_party_that_learns_of_a_decision_early_need_not_wait_until_it_counts_as_served() -> None:
    case = Case()
    case.do(*DECIDED, act(rpc_pb.ServeDecisionRequest, method=doc.SERVICE_METHOD_PUBLIC_NOTICE))
    yesterday = {"accept_date": day_message(case.today - DAY), "reference": "1"}
    early = rpc_pb.AcceptRemedyRequest(kind=pb.Remedy.KIND_SUIT, **yesterday)
    assert case.refused(early).reason == "DATE_TOO_EARLY"
    case.do(go(3), SUE, go(60), UPHELD)
    assert case.state == "PAYING"


def test_a_case_is_not_closed_while_service_pledged_may_still_be_done() -> None:
    case = Case()
    case.do(*PAYING, PUBLISH, APPLY, grant, today(lambda day: req.payment(day, req.FINE)))
    assert (case.state, case.opened >= {"DUTY_VOLUNTEER_SERVICE"}) == ("PERFORMED", True)
    assert case.refused(req.CLOSE).metadata["duty"] == "DUTY_VOLUNTEER_SERVICE"
    case.do(lapse(pb.DUTY_VOLUNTEER_SERVICE), req.CLOSE)
    assert case.state == "CLOSED"


def test_a_payment_that_a_calendar_finds_in_time_leaves_nothing_due() -> None:
    case = Case(today=date(2026, 12, 10))
    case.do(*PAYING, to(date(2027, 1, 9)), today(lambda day: req.payment(day, req.FINE)))
    # The 7th was the last day as far as was known: two days of surcharge.
    assert case.state == "PAYING"
    case.rules = new_year(19)
    assert case.do(rpc_pb.RecountDeadlinesRequest(calendar_year=2027)) == ["DeadlinesRecounted"]
    assert case.state == "PERFORMED"
    assert "DUTY_PAYMENT" not in case.opened

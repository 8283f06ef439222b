"""Which loops an event goes to, and that each of several has it once, whatever Temporal says in between."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio.common import WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.inspection.v1 import inspection_events_pb2 as insp_ev
from bihuan.inspection.v1 import inspection_pb2 as insp
from bihuan.inspection.v1 import target_events_pb2 as target_ev
from bihuan.inspection.v1 import target_pb2
from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.rectification.v1 import events_pb2 as problem_ev
from bihuan.rectification.v1 import problem_pb2
from bihuan.types.v1.deadline_pb2 import Deadline
from services.penalty.proceeding import day_message
from tests.services import penalties as req
from tests.workflows.penalty_town import PenaltyTown
from workflows.relay import Relay
from workflows.routes import Route, routes
from workflows.target_facts import class_of

CASE, FIRST, SECOND = "penalty-case/1", "payment-plan/1/1", "payment-plan/1/2"
NO_TEMPORAL = None


def during(plan: int) -> ev.Occurrence:
    return ev.Occurrence(standing=pb.Standing(plan=plan))


def at(state: insp.State.ValueType) -> insp_ev.Occurrence:
    return insp_ev.Occurrence(standing=insp.Standing(state=state))


def plan(number: int) -> money.Plan:
    return money.Plan(number=number)


@pytest.mark.parametrize(
    ("message", "ids"),
    [
        (ev.ClueRegistered(), [CASE]),
        (ev.PaymentRecorded(occurrence=during(0)), [CASE]),
        (ev.RemedyAccepted(occurrence=during(1)), [CASE, FIRST]),
        (ev.PlanGranted(occurrence=during(1), plan=plan(1)), [CASE, FIRST]),
        (ev.PlanGranted(occurrence=during(2), plan=plan(2)), [CASE, FIRST, SECOND]),
        (ev.PlanRevoked(occurrence=during(0), plan=plan(2)), [CASE, SECOND]),
        (ev.VolunteerServiceRecorded(occurrence=during(2), plan=plan(1)), [CASE, FIRST, SECOND]),
    ],
    ids=lambda value: value.DESCRIPTOR.name if isinstance(value, Message) else "",
)
def test_an_event_goes_to_the_loop_of_its_case_and_to_those_of_its_plans(
    message: Message, ids: Sequence[str]
) -> None:
    payload = AnyMessage()
    payload.Pack(message)
    event = Event(stream="penalty.case-1", version=1, position=1, payload=payload)
    found = routes(event, "")
    assert [to.workflow_id for to in found] == ids
    assert [to.argument.plan_number for to in found] == [
        0 if each == CASE else int(each[-1]) for each in ids
    ]


def sent(stream: str, message: Message) -> Event:
    payload = AnyMessage()
    payload.Pack(message)
    return Event(id="e", stream=stream, version=1, position=1, payload=payload)


RECTIFY, REVIEW = problem_pb2.STEP_RECTIFY, problem_pb2.STEP_REVIEW
FINED, FREE = ev.DecisionServed(account=money.Account()), ev.DecisionServed()


@pytest.mark.parametrize(
    ("stream", "message", "kind"),
    [
        ("penalty.case-1", FINED, "PENALTY"),
        ("penalty.case-1", FREE, ""),
        ("penalty.case-1", ev.CaseDecided(), ""),
        ("penalty.case-1", ev.CaseWithdrawn(ground=pb.WITHDRAWAL_GROUND_ANNULLED), "REPAIR"),
        ("penalty.case-1", ev.CaseWithdrawn(ground=pb.WITHDRAWAL_GROUND_UNFOUNDED), ""),
        (
            "rectification.problem-1",
            problem_ev.ProblemVerified(verification=problem_pb2.Verification(confirmed=True)),
            "PROBLEM",
        ),
        ("rectification.problem-1", problem_ev.ProblemVerified(), ""),
        ("rectification.problem-1", problem_ev.ProblemClosed(), "PROBLEM_CLOSED"),
        ("rectification.problem-1", problem_ev.DeadlineMissed(step=RECTIFY), "OVERDUE"),
        ("rectification.problem-1", problem_ev.DeadlineMissed(step=REVIEW), ""),
    ],
)
def test_an_event_is_a_fact_about_its_enterprise_if_it_says_so(
    stream: str, message: Message, kind: str
) -> None:
    found = [each for each in routes(sent(stream, message), "") if each.workflow == "TargetFact"]
    assert [each.workflow_id for each in found] == ["target-fact/e"] * bool(kind)
    for each in found:
        assert each.argument.fact.kind == target_pb2.FactKind.Value(f"FACT_KIND_{kind}")
        assert each.argument.source == each.argument.fact.source != ""


WAITS = target_pb2.Grading(grade="B", review=Deadline(id="review"))


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        (target_ev.TargetRegistered(), False),
        (target_ev.FactRecorded(), False),
        (target_ev.TargetGraded(grading=target_pb2.Grading(grade="B")), False),
        (target_ev.TargetGraded(grading=WAITS), True),
        (target_ev.TargetGraded(old_grade="B", grading=target_pb2.Grading(grade="B")), True),
        (target_ev.TargetRemoved(), True),
    ],
)
def test_a_target_has_a_loop_only_while_a_fact_is_to_lapse(message: Message, wanted: bool) -> None:
    found = routes(sent("inspection.target-1", message), "")
    assert [each.workflow_id for each in found] == ["inspection-target/1"] * wanted


@pytest.mark.parametrize(
    ("hearing", "chosen", "daily", "expected"),
    [
        (False, 5, 0, "minor"),
        (True, 4, 0, "general"),
        (True, 5, 0, "serious"),
        (False, 1, 1, "serious"),
    ],
)
def test_the_class_of_a_penalty_follows_from_its_fine(
    hearing: bool, chosen: int, daily: int, expected: str
) -> None:
    case = pb.PenaltyCase(hearing_due=hearing)
    discretion = case.decision.discretion
    discretion.chosen_fen, discretion.ceiling_fen, discretion.daily_fen = chosen, 5, daily
    assert class_of(case) == expected


@pytest.mark.parametrize(
    ("message", "again"),
    [
        (insp_ev.InspectionOpened(), False),
        (insp_ev.EntriesRecorded(occurrence=at(insp.STATE_REPORTED)), True),
        (insp_ev.EntriesRecorded(occurrence=at(insp.STATE_CLOSED)), False),
        (insp_ev.InspectionRated(occurrence=at(insp.STATE_CLOSED)), False),
    ],
    ids=["opened", "late finding", "late entry", "rating"],
)
def test_of_what_happens_to_an_inspection_that_has_ended_only_a_finding_has_it_followed_again(
    message: Message, again: bool
) -> None:
    payload = AnyMessage()
    payload.Pack(message)
    event = Event(stream="inspection.inspection-1", version=1, position=1, payload=payload)
    (found,) = routes(event, "")
    assert (found.workflow_id, found.argument.inspection) == ("inspection/1", "inspections/1")
    assert (found.reuse == WorkflowIDReusePolicy.ALLOW_DUPLICATE) == again
    assert found.bare == isinstance(message, insp_ev.InspectionRated), (
        "a rating is not for its loop"
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RPCStatusCode.UNAVAILABLE, ["penalty-case", "payment-plan", "payment-plan"]),
        (
            RPCStatusCode.PERMISSION_DENIED,
            ["penalty-case", "payment-plan", "undelivered", "payment-plan"],
        ),
    ],
)
async def test_a_loop_that_has_an_event_is_not_sent_it_again_for_the_sake_of_another(
    status: RPCStatusCode, expected: list[str]
) -> None:
    court: PenaltyTown = PenaltyTown(NO_TEMPORAL)  # type: ignore[arg-type]
    sent: list[str] = []

    async def send(to: Route, event: Any) -> None:
        sent.append(to.workflow_id.partition("/")[0])
        if len(sent) == 2:
            raise RPCError("no", status, b"")

    relay = Relay(NO_TEMPORAL, clock="")  # type: ignore[arg-type]
    relay._send = send  # type: ignore[method-assign]
    granted = ev.PlanGranted(occurrence=during(1), plan=plan(1))
    await relay.deliver(court.recorded(granted, 1))
    assert sent == expected


async def test_a_party_is_told_of_a_refund_after_its_case_has_ended(court: PenaltyTown) -> None:
    await court.paying()
    await court.pay(req.FINE)
    day = day_message(await court.today())
    await court.command(rpc_pb.AcceptRemedyRequest(kind=pb.Remedy.KIND_SUIT, accept_date=day))
    annulled = pb.Remedy.OUTCOME_ANNULLED
    await court.command(
        rpc_pb.ConcludeRemedyRequest(conclude_date=day, outcome=annulled, reference="行初1号")
    )
    await court.command(rpc_pb.WithdrawPublicationRequest(reasons="决定已被撤销"))
    await court.ended(court.handle)
    refund = pay_pb.RefundOverpaymentRequest(
        reference="退1", amount_fen=req.FINE, refund_date=day_message(await court.today())
    )
    await court.command(refund, twice=True)
    loop = await court.ended(court.handle)
    assert loop.known.standing.state == pb.STATE_WITHDRAWN
    told = [each for each in court.titles("INFORMATION") if each.startswith("已退还多缴款")]
    assert len(told) == 1

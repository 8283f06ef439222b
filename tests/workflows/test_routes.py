"""Which loops an event goes to, and that each of several has it once, whatever Temporal says in between."""

from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from temporalio.service import RPCError, RPCStatusCode

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from services.penalty.proceeding import day_message
from tests.services import penalties as req
from tests.workflows.penalty_town import PenaltyTown
from workflows.relay import Relay
from workflows.routes import Route, routes

CASE, FIRST, SECOND = "penalty-case/1", "payment-plan/1/1", "payment-plan/1/2"
NO_TEMPORAL = None


def during(plan: int) -> ev.Occurrence:
    return ev.Occurrence(standing=pb.Standing(plan=plan))


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

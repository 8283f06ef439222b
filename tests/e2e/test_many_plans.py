"""Many plans at once on the embedded stack: each reminder goes out once, and none is forgotten.

Forty here; `make bench` runs it with two hundred, at a pace that so many leave a small machine.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.types.v1.deadline_pb2 import Deadline
from ops.persist import persist
from ops.settings import Settings
from ops.supervisor import Stack
from rpc.client import connect
from rpc.identity import Identity
from rules import Clock, WorkingCalendar, legal_date
from services.penalty.proceeding import day_message
from tests.bureau import Client
from tests.e2e.conftest import own_ports
from tests.e2e.test_kill import log_of, logs_on_failure
from tests.services import penalties as requests

PLANS = int(os.environ.get("BENCH_PLANS", "40"))
AT_ONCE, DAY_SECONDS = 16, 0.5 + PLANS / 50
BEGIN = datetime(2026, 9, 7, 1, tzinfo=UTC)
DEFERRED = timedelta(days=33)
CHIEF = Identity("chief", "局长", frozenset({"officer", "decider"}))
LAWYER = Identity("lawyer", "法制员", frozenset({"legal_reviewer"}))


async def test_of_many_plans_each_reminder_goes_out_once(home: Path) -> None:
    clock = Clock(BEGIN, datetime.now(UTC) + timedelta(seconds=10), DAY_SECONDS)
    async with Stack(
        Settings(BIHUAN_CLOCK=str(clock), **own_ports()), home=home, say=print
    ) as stack:
        with logs_on_failure(stack):
            plans = await grant_all(stack, clock)
            last = max(deadline.due_time.ToDatetime(UTC) for deadline in plans.values())
            await asyncio.sleep((clock.real(last) - datetime.now(UTC)).total_seconds() + 2)
            sent = reminders(await log_of(stack))
    wanted = {
        (case, legal_date(time.ToDatetime(UTC)))
        for case, deadline in plans.items()
        for time in deadline.remind_times
    }
    assert len(wanted) >= 2 * PLANS
    # Of the day before one may be of the day itself, on a machine that is busy.
    assert Counter(case for case, _ in sent) == Counter(case for case, _ in wanted)
    assert len(set(sent)) == len(sent), "twice on one day"


def reminders(log: Sequence[Event]) -> list[tuple[str, date]]:
    """Of which case somebody was reminded to pay an instalment, and on which legal day."""
    notices = [
        nb.NoticeSent.FromString(event.payload.value)
        for event in log
        if event.payload.Is(nb.NoticeSent.DESCRIPTOR)
    ]
    return [
        (notice.subject, legal_date(notice.send_time.ToDatetime(UTC)))
        for notice in notices
        if notice.kind == nb.NOTICE_KIND_REMINDER and "分期款" in notice.title
    ]


async def grant_all(stack: Stack, clock: Clock) -> dict[str, Deadline]:
    """So many fines, each deferred: when each falls due, by the name of its case."""
    turns, plans = asyncio.Semaphore(AT_ONCE), dict[str, Deadline]()
    chief, lawyer = (
        connect(stack.grpc_address, stack.token(identity)) for identity in (CHIEF, LAWYER)
    )

    async def one() -> None:
        async with turns:
            case = await granted(Client(chief), Client(lawyer), clock)
            plans[case.name] = case.plans[0].instalments[0].deadline

    async with chief, lawyer:
        await asyncio.gather(*(one() for _ in range(PLANS)))
    return plans


async def granted(chief: Client, lawyer: Client, clock: Clock) -> pb.PenaltyCase:
    """A case from the clue to the consent, by calls as its people make them."""

    def today() -> date:
        return legal_date(clock.now())

    case = await chief.penalties.RegisterClue(requests.of(requests.clue(today()), ""))

    async def send(service: Any, request: Any) -> Any:
        call = request.DESCRIPTOR.name.removesuffix("Request")
        asked = requests.of(request, case.name)
        return await persist(partial(getattr(service, call), asked))

    await send(chief.penalties, requests.FILE_CASE)
    await send(chief.penalties, requests.evidence(file=await chief.upload()))
    await send(chief.penalties, requests.conclusion())
    await send(chief.penalties, requests.notice(today()))
    await send(chief.penalties, requests.WAIVE)
    await send(lawyer.penalties, requests.REVIEW)
    await send(chief.penalties, requests.discussion(today()))
    await send(chief.penalties, requests.fine())
    await send(chief.penalties, requests.served(rpc_pb.ServeDecisionRequest, today()))
    proof = [await chief.upload(b"proof", "财务报表")]
    await send(
        chief.payments, requests.application(evidence=proof, apply_date=day_message(today()))
    )
    due = WorkingCalendar.load().on_or_after(today() + DEFERRED)
    payment = money.PlannedPayment(due_date=day_message(due), amount_fen=requests.FINE)
    terms = money.PlanTerms(kind=money.PLAN_KIND_DEFERRAL, payments=[payment])
    deferred: pb.PenaltyCase = await send(
        chief.payments, pay_pb.GrantPlanRequest(terms=terms, reasons="同意")
    )
    return deferred

"""The loop of a payment plan beside a bare workflow that has as many signals, timers and activities.

Each is reminded of an instalment a moment after it paid the last. As many plans run at once as keep
server and worker busy, and no more than leaves time to set each timer before it is to go off.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.type.date_pb2 import Date
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bench.bare_plan import INSTALMENTS, BarePlan
from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1.penalty_case_service_pb2 import GetCaseRequest
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop, PenaltyStanding
from bihuan.types.v1.deadline_pb2 import Deadline, RuleReference
from ops.part import beside_python
from workflows.instalment_loop import InstalmentPlanLoop
from workflows.search_attributes import KEYS
from workflows.temporal_client import TASK_QUEUE

ROUNDS = 5
TRIAL, SAMPLE = 40, 9  # plans
WAIT = timedelta(seconds=1)  # from an event to its reminder
BUSY = 9  # plans at once for each that could be done in a second without waiting
FEWER = 80  # per cent of them, where timers came too late
CASE, INSTALMENT_FEN = "penaltyCases/1", 3_750_000
# What both must have as many of.
ALIKE = (
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
)
TIMER = EventType.EVENT_TYPE_TIMER_STARTED


class Pace(NamedTuple):
    """Workflows a second from start to end, and events in the history of one, timers among them."""

    rate: float
    events: float
    timers: float


@dataclass
class Payer:
    """Pays each instalment as it is reminded of it, and answers for the services."""

    client: Client
    wait: timedelta = WAIT
    paid: Counter[str] = field(default_factory=Counter)

    @activity.defn
    async def get_penalty_case(self, request: GetCaseRequest, plan: int) -> PenaltyStanding:
        return PenaltyStanding(
            name=request.name,
            version=1,
            summary="超过许可排放浓度",
            uscc="91130200699229617X",
            display_name="东莞一号电镀有限公司",
            district="441900",
            standing=_standing(0, WAIT),
            plan=_plan(0),
        )

    @activity.defn
    async def send_notice(self, request: nb.SendNoticeRequest, cause: str) -> nb.Notice:
        if request.kind == nb.NOTICE_KIND_REMINDER:
            workflow_id = activity.info().workflow_id
            assert workflow_id
            self.paid[workflow_id] += 1
            handle = self.client.get_workflow_handle(workflow_id)
            await handle.signal("event", _payment(self.paid[workflow_id], self.wait))
        return nb.Notice()


async def compare() -> tuple[Pace, Pace]:
    """The loop's pace, and the bare workflow's: medians of rounds in turn on one server."""
    paces = list[tuple[Pace, Pace]]()
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=beside_python("temporal"), search_attributes=KEYS
    ) as env:
        payer = Payer(env.client)
        async with Worker(
            env.client,
            task_queue=TASK_QUEUE,
            workflows=[InstalmentPlanLoop, BarePlan],
            activities=[payer.get_penalty_case, payer.send_notice],
        ):
            plans = await _busy(payer)
            while len(paces) < ROUNDS:
                found = [await _pace(payer, kind, plans) for kind in (InstalmentPlanLoop, BarePlan)]
                if all(pace.timers == INSTALMENTS for pace in found):
                    paces.append((found[0], found[1]))
                else:  # too late for a timer: the machine has something else to do
                    plans = max(1, plans * FEWER // 100)
    return _median([loop for loop, _ in paces]), _median([bare for _, bare in paces])


async def _busy(payer: Payer) -> int:
    """How many plans at once keep everybody busy: by how fast they go without waiting."""
    payer.wait = timedelta()
    began = time.perf_counter()
    await asyncio.gather(*(_live(payer, BarePlan) for _ in range(TRIAL)))
    payer.wait = WAIT
    return round(BUSY * WAIT.total_seconds() * TRIAL / (time.perf_counter() - began))


async def _pace(payer: Payer, kind: type, plans: int) -> Pace:
    began = time.perf_counter()
    handles = await asyncio.gather(*(_live(payer, kind) for _ in range(plans)))
    seconds = time.perf_counter() - began
    histories = [await _counts(handle) for handle in handles[:: plans // SAMPLE or 1]]
    alike = [statistics.median(each[kind] for each in histories) for kind in ALIKE]
    assert alike == [INSTALMENTS + 1, 2 * INSTALMENTS + 3], alike
    timers = statistics.median(each[TIMER] for each in histories)
    return Pace(plans / seconds, statistics.median(each.total() for each in histories), timers)


async def _counts(handle: WorkflowHandle[Any, Any]) -> Counter[int]:
    """Events of a history by type."""
    return Counter([event.event_type async for event in handle.fetch_history_events()])


async def _live(payer: Payer, kind: type) -> WorkflowHandle[Any, Any]:
    """A plan from its consent to its end."""
    handle: WorkflowHandle[Any, Any] = await payer.client.start_workflow(
        kind.__name__,
        PenaltyLoop(case=CASE, plan_number=1),
        id=f"payment-plan/{uuid4()}/1",
        task_queue=TASK_QUEUE,
        start_signal="event",
        start_signal_args=[_consent(2 * payer.wait)],  # all begin at once
    )
    await handle.result()
    return handle


def _median(paces: Sequence[Pace]) -> Pace:
    rates, events, timers = (statistics.median(column) for column in zip(*paces, strict=True))
    return Pace(rates, events, timers)


def _consent(wait: timedelta) -> Event:
    occurrence = ev.Occurrence(standing=_standing(0, wait))
    return _event(ev.PlanGranted(occurrence=occurrence, plan=_plan(0)), 2, wait)


def _payment(paid: int, wait: timedelta) -> Event:
    """The event by which so many instalments are paid."""
    payment = money.Payment(reference=f"{paid}", amount_fen=INSTALMENT_FEN)
    occurrence = ev.Occurrence(standing=_standing(paid, wait))
    recorded = ev.PaymentRecorded(occurrence=occurrence, payment=payment, plan=_plan(paid))
    return _event(recorded, paid + 2, wait)


def _event(message: Message, version: int, wait: timedelta) -> Event:
    """With the time of its reminder as its own, for who does not read what it says."""
    payload = AnyMessage()
    payload.Pack(message)
    event = Event(
        id=str(uuid4()),
        stream="penalty.case-1",
        position=version,
        version=version,
        payload=payload,
    )
    event.record_time.FromDatetime(datetime.now(UTC) + wait)
    return event


def _plan(paid: int) -> money.Plan:
    plan = money.Plan(
        number=1,
        kind=money.PLAN_KIND_INSTALMENTS,
        state=money.Plan.STATE_COMPLETED if paid == INSTALMENTS else money.Plan.STATE_ACTIVE,
    )
    for number in range(1, INSTALMENTS + 1):
        done = number <= paid
        plan.instalments.add(
            number=number,
            amount_fen=INSTALMENT_FEN,
            paid_fen=INSTALMENT_FEN if done else 0,
            state=money.Instalment.STATE_PAID if done else money.Instalment.STATE_DUE,
            deadline=_deadline(number, WAIT),
        )
    return plan


def _standing(paid: int, wait: timedelta) -> pb.Standing:
    """Of the plan the next instalment is open."""
    standing = pb.Standing(state=pb.STATE_PAYING, plan=1)
    if paid < INSTALMENTS:
        standing.deadlines.add(
            duty=pb.DUTY_INSTALMENT,
            party=pb.PARTY_RESPONDENT,
            instalment=paid + 1,
            amount_fen=INSTALMENT_FEN,
            deadline=_deadline(paid + 1, wait),
        )
    return standing


def _deadline(number: int, wait: timedelta) -> Deadline:
    """In an hour, to be reminded of after `wait`."""
    now = datetime.now(UTC)
    deadline = Deadline(
        id=f"instalment-{number}",
        due_date=Date(year=2027, month=number, day=1),
        rule=RuleReference(id="penalty.plan_gap", citation="东生态规〔2025〕2号"),
    )
    deadline.due_time.FromDatetime(now + timedelta(hours=1))
    deadline.remind_times.add().FromDatetime(now + wait)
    return deadline


if __name__ == "__main__":
    for name, pace in zip(("loop", "bare"), asyncio.run(compare()), strict=True):
        print(f"{name}: {pace.rate:.1f} workflows/s, {pace.events:.0f} events")

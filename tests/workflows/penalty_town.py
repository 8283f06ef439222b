"""A penalty case and its loops on the time-skipping server: the real model, rules and relay, no transport."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import payment_service_pb2 as pay_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop as Loop
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyStanding as Known
from bihuan.types.v1.deadline_pb2 import Deadline
from eventstore import RecordedEvent
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar, legal_date, months_after
from services.penalty.decide import decide
from services.penalty.evolve import evolve
from services.penalty.proceeding import Proceeding, day_message
from tests.services import penalties as req
from tests.workflows.place import Place
from workflows.penalty_state import known_of
from workflows.relay import Relay
from workflows.temporal_client import TASK_QUEUE
from workflows.worker import WORKFLOWS

MONDAY = datetime(2026, 9, 7, 2, tzinfo=UTC)
BUILT_IN = WorkingCalendar.load().years
CALENDAR = WorkingCalendar({year: BUILT_IN[year] for year in BUILT_IN if year <= 2026})
RULES = Rules(RuleBook.load(), CALENDAR, req.DISTRICT)


@dataclass
class PenaltyTown(Place):
    """Carries out commands at legal time; the relay takes their events to the loops."""

    rules: Rules = RULES
    queue: str = TASK_QUEUE
    case: pb.PenaltyCase = field(
        default_factory=lambda: pb.PenaltyCase(name=f"penaltyCases/{uuid4()}")
    )
    held: list[RecordedEvent] | None = None

    @property
    def id(self) -> str:
        return self.case.name.removeprefix("penaltyCases/")

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The loop of the case."""
        return self.env.client.get_workflow_handle(f"penalty-case/{self.id}")

    def plan_loop(self, number: int = 1) -> WorkflowHandle[Any, Any]:
        """The loop of a plan."""
        return self.env.client.get_workflow_handle(f"payment-plan/{self.id}/{number}")

    def loops(self, module: str) -> dict[str, WorkflowHandle[Any, Any]]:
        """Of the loops so far those that a module under workflows/ defines, by what tells them apart."""
        if module == "penalty_loop":
            return {"": self.handle}
        return {f".{plan.number}": self.plan_loop(plan.number) for plan in self.case.plans}

    async def command(self, command: Any, actor: str = "officer", twice: bool = False) -> None:
        """Carry out a command; every event reaches the loops, `twice` as a relay may send it."""
        now = await self.now() - self.clock_lag
        for event in decide(Proceeding(self.case, actor, self.rules, now), command):
            self.position += 1
            self.case = evolve(self.case, event)
            self.case.etag = str(self.position)
            self.events.append(event)
            recorded = self.recorded(event, self.position)
            for _ in range(2 if twice else 1):
                await self.deliver(recorded)

    async def deliver(self, event: RecordedEvent) -> None:
        """By the relay, unless it is down."""
        if self.held is not None:
            self.held.append(event)
            return
        await Relay(self.env.client, str(self.clock)).deliver(event)

    def recorded(self, event: Message, position: int) -> RecordedEvent:
        return RecordedEvent(
            id=UUID(int=UUID(self.id).int ^ position),
            stream=f"penalty.case-{self.id}",
            version=position,
            type=event.DESCRIPTOR.full_name,
            data=event.SerializeToString(),
            actor="officer",
            correlation_id=UUID(self.id),
            causation_id=None,
            request_id=None,
            traceparent="",
            recorded_at=datetime.now(UTC),
            position=position,
        )

    @asynccontextmanager
    async def relay_down(self) -> AsyncIterator[None]:
        """Within the block events are recorded but reach the loops only after it."""
        self.held = []
        yield
        held, self.held = self.held, None
        for event in held:
            await self.deliver(event)

    async def today(self) -> date:
        return legal_date(await self.now())

    def open(self, duty: pb.Duty.ValueType) -> Deadline:
        """The deadline of that duty, which is open."""
        (found,) = [each for each in self.case.standing.deadlines if each.duty == duty]
        return found.deadline

    def passed(self) -> list[str]:
        """Duties whose time came, in order."""
        return [
            pb.Duty.Name(event.deadline.duty).removeprefix("DUTY_")  # type: ignore[attr-defined]
            for event in self.events
            if event.DESCRIPTOR.name == "DeadlinePassed"
        ]

    def titles(self, kind: str, recipient: str = "") -> list[str]:
        """Titles of the notices of a kind, as they were sent."""
        wanted = nb.NoticeKind.Value(f"NOTICE_KIND_{kind}")
        return [
            each.title
            for each in self.notices
            if each.kind == wanted and each.recipient.startswith(recipient)
        ]

    async def reminders_due(self) -> Counter[int]:
        """When the deadlines end that were to be reminded of, once for each reminder, by the events alone."""
        due: Counter[int] = Counter()
        now = Timestamp()
        now.FromDatetime(await self.now())
        times = [each.occurrence.occur_time.ToNanoseconds() for each in self.events]  # type: ignore[attr-defined]
        spans = zip(self.events, pairwise([*times, now.ToNanoseconds()]), strict=True)
        for event, (since, until) in spans:
            for each in event.occurrence.standing.deadlines:  # type: ignore[attr-defined]
                reminders = [time.ToNanoseconds() for time in each.deadline.remind_times]
                due[each.deadline.due_time.seconds] += sum(since < at <= until for at in reminders)
        return +due

    def reminders_sent(self) -> Counter[int]:
        """When what was reminded of falls due, once for each reminder."""
        sent = (each for each in self.notices if each.kind == nb.NOTICE_KIND_REMINDER)
        return Counter(each.due_time.seconds for each in sent)

    async def notified(self, respondent: pb.Respondent = req.TRADER) -> None:
        """From the clue to the notice, in a day."""
        day = await self.today()
        await self.command(req.clue(day, respondent=respondent))
        await self.command(req.FILE_CASE)
        await self.command(req.evidence())
        await self.command(req.conclusion())
        await self.command(req.notice(day))

    async def decided(self) -> None:
        """The fine, and the decision served, as soon as they may be."""
        day = await self.today()
        await self.command(req.REVIEW, actor="lawyer")
        await self.command(req.discussion(day))
        await self.command(req.fine())
        await self.command(req.served(rpc_pb.ServeDecisionRequest, day))

    async def paying(self, respondent: pb.Respondent = req.TRADER) -> None:
        """A fine to be paid, published, the party having waived its rights."""
        await self.notified(respondent)
        await self.command(req.WAIVE, actor="party")
        await self.decided()
        await self.publish()

    async def publish(self) -> None:
        day = day_message(await self.today())
        await self.command(rpc_pb.PublishDecisionRequest(publish_date=day))

    async def plan(self, instalments: int, months: int = 3, pledge: bool = False) -> None:
        """A plan of equal instalments so many months apart is applied for and granted."""
        await self.command(req.application(pledge=pledge), actor="party")
        await self.grant(instalments, months)

    async def grant(self, instalments: int, months: int = 3) -> None:
        today, unpaid = await self.today(), self.case.standing.unpaid_fine_fen
        each = unpaid // instalments
        amounts = [each] * (instalments - 1) + [unpaid - each * (instalments - 1)]
        days = [months_after(today, months * number) for number in range(1, instalments + 1)]
        payments = [
            money.PlannedPayment(
                due_date=day_message(self.rules.calendar.on_or_after(day)), amount_fen=amount
            )
            for day, amount in zip(days, amounts, strict=True)
        ]
        terms = money.PlanTerms(kind=money.PLAN_KIND_INSTALMENTS, payments=payments)
        await self.command(pay_pb.GrantPlanRequest(terms=terms, reasons="确有经济困难"))

    async def pay(self, amount_fen: int = 0) -> None:
        """So much, or what the next open instalment comes to."""
        (owed, *_) = [
            each.amount_fen
            for each in self.case.standing.deadlines
            if each.duty in (pb.DUTY_INSTALMENT, pb.DUTY_GRACE)
        ] or [0]
        reference = str(len(self.case.account.payments) + 1)
        await self.command(req.payment(await self.today(), amount_fen or owed, reference))

    async def close(self) -> Loop:
        """Close the case; what its loop ends with."""
        await self.command(req.CLOSE)
        return await self.ended(self.handle)

    async def ended(self, handle: WorkflowHandle[Any, Any]) -> Loop:
        """What a loop ends with."""
        kind = self.env.client.get_workflow_handle(handle.id, result_type=Loop)
        return await kind.result()

    @activity.defn
    async def get_penalty_case(self, request: rpc_pb.GetCaseRequest, plan: int) -> Known:
        return known_of(self.case, plan)

    @activity.defn
    async def expire_penalty_deadline(
        self, request: rpc_pb.ExpireDeadlineRequest, plan: int, cause: str
    ) -> Known:
        self.expiries.append(request.deadline_id)
        try:
            await self.command(request, "loop", twice=True)
        except StatusError as error:
            raise ApplicationError(str(error), type=error.reason, non_retryable=True) from error
        return known_of(self.case, plan)


@asynccontextmanager
async def penalty_town(env: WorkflowEnvironment) -> AsyncIterator[PenaltyTown]:
    """A town whose worker runs until the block ends."""
    open_ = PenaltyTown(env)
    activities = [
        open_.send_notice,
        open_.read_target_fact,
        open_.get_penalty_case,
        open_.expire_penalty_deadline,
    ]
    async with Worker(
        env.client,
        task_queue=open_.queue,
        workflows=WORKFLOWS,
        activities=activities,
    ):
        await open_.begin(MONDAY)
        try:
            yield open_
        finally:
            # What is left behind would hold up the server's time for other tests: an activity of a loop that
            # is terminated, and a loop without a worker.
            await open_.sleep(1e-5)
            for handle in [
                open_.handle,
                *map(open_.plan_loop, range(1, len(open_.case.plans) + 1)),
            ]:
                with suppress(RPCError):  # it has ended already, or never began
                    await handle.terminate()

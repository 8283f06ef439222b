"""An inspection and its loops: the real model, rules and relay, no transport.

On the time-skipping server nobody runs Temporal itself: that server skips no time while a Nexus operation
runs, nor ever again once one was cancelled, and carries none to another namespace. Where the fire service
(消防) has its own namespace, it is on a real server, by a fast legal clock.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2, target_pb2
from bihuan.inspection.v1.inspection_loop_pb2 import DepartmentInvitation, InspectionStanding
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionLoop as Loop
from bihuan.inspection.v1.participation_pb2 import Invitation
from bihuan.notification.v1 import notice_pb2 as nb
from bihuan.types.v1.deadline_pb2 import Deadline
from eventstore import RecordedEvent
from examples.department.desk import Answer, InvitationDesk
from examples.department.worker import worker
from rpc.errors import StatusError
from rules import Clock, RuleBook, Rules, WorkingCalendar, legal_date
from services.inspection.inspections import signing
from services.inspection.inspections.decide import decide
from services.inspection.inspections.evolve import evolve
from services.inspection.inspections.proceeding import Known, Proceeding
from tests.services.rosters import uscc
from tests.workflows.place import Place, RealTime
from workflows.inspection_activities import invitation_of
from workflows.inspection_state import known_of
from workflows.relay import Relay
from workflows.temporal_client import TASK_QUEUE
from workflows.worker import WORKFLOWS

# A history this long is to be continued as new; a production server waits for thousands of events.
LONG_HISTORY = 100
MOMENT = timedelta(seconds=0.05)
MONDAY = datetime(2026, 9, 7, 2, tzinfo=UTC)
RULES = Rules(RuleBook.load(), WorkingCalendar.load(), "321000")
FIRE_ENDPOINT = FIRE_NAMESPACE = "fire"
ENTERPRISE = uscc(1)
NAMES = {
    "ecology": "市生态环境局",
    "emergency": "市应急局",
    "market": "市市场监管局",
    "fire": "市消防支队",
}
ITEMS = {
    "ecology": ["ecology.facilities", "ecology.hazardous_waste"],
    "emergency": ["emergency.hazards"],
    "market": ["market.quality"],
    "fire": ["fire.exits"],
}
DEPARTMENTS = {name: f"departments/{uscc(100 + n)}" for n, name in enumerate(NAMES)}
ECOLOGY, EMERGENCY, MARKET, FIRE = DEPARTMENTS.values()
INSPECTORS = {
    whose: [f"inspectors/{UUID(int=number * 10 + each)}" for each in (1, 2)]
    for number, whose in enumerate(NAMES, 1)
}
TARGET = target_pb2.Target(
    name=f"targets/{ENTERPRISE}",
    display_name="扬州市江都某某化工有限公司",
    district="321012",
    address="沿江路8号",
    industry="C2614",
)
TIP_OFF = pb.Clue(source=pb.Clue.SOURCE_TIP_OFF, reference="12345-7", summary="夜间异味")
EMERGENCY_CLUE = pb.Clue(source=pb.Clue.SOURCE_EMERGENCY, reference="119-3", summary="储罐泄漏")


def day_message(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


def roster() -> tuple[dict[str, roster_pb2.Department], dict[str, roster_pb2.Inspector]]:
    """Four departments with two certified inspectors each, the subjects named after the department."""
    departments, inspectors = {}, {}
    for field_, name in DEPARTMENTS.items():
        departments[name] = roster_pb2.Department(
            name=name,
            display_name=NAMES[field_],
            field=field_,
            district="321000",
            power=roster_pb2.POWER_STATUTORY,
        )
        for number, inspector in enumerate(INSPECTORS[field_], 1):
            inspectors[inspector] = roster_pb2.Inspector(
                name=inspector,
                subject=f"{field_}{number}",
                display_name=f"{NAMES[field_]}检查员{number}",
                department=name,
                certificates=[
                    roster_pb2.Certificate(
                        issuer="江苏省人民政府",
                        number=f"苏{number}",
                        from_date=Date(year=2025, month=1, day=1),
                        to_date=Date(year=2029, month=12, day=31),
                    )
                ],
            )
    return departments, inspectors


def mint(statement: str) -> pb.Code:
    """A code that nobody need verify."""
    return pb.Code(id=signing.code_id(), signature="s", key="k", statement=statement)


@dataclass
class InspectionTown(Place):
    """Carries out commands at legal time; the relay takes their events to the loops."""

    queue: str = TASK_QUEUE
    inspection: pb.Inspection = field(
        default_factory=lambda: pb.Inspection(name=f"inspections/{uuid4()}")
    )
    # The fire service's own namespace, if it has one.
    theirs: Client | None = None
    endpoint: str = FIRE_ENDPOINT
    # What follows up findings: by request_id its name. Findings that nobody takes, with the reason.
    owners: dict[str, str] = field(default_factory=dict)
    refused_findings: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.inspection.name.removeprefix("inspections/")

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The loop of the inspection."""
        return self.env.client.get_workflow_handle(f"inspection/{self.id}")

    @property
    def invitation(self) -> WorkflowHandle[Any, Any]:
        """The loop that asks the fire service."""
        uscc_ = FIRE.partition("/")[2]
        return self.env.client.get_workflow_handle(f"invitation/{self.id}/{uscc_}")

    def desk(self, attempt: int = 1) -> WorkflowHandle[Any, Any]:
        """What the fire service sees of it in its own namespace."""
        assert self.theirs is not None
        return self.theirs.get_workflow_handle(f"invitation/{self.id}/{attempt}")

    def known(self) -> Known:
        """What the services know besides."""
        departments, inspectors = roster()
        if self.theirs:
            departments[FIRE].nexus_endpoint = self.endpoint
        return Known(target=TARGET, departments=departments, inspectors=inspectors, mint=mint)

    def loops(self, module: str) -> dict[str, WorkflowHandle[Any, Any]]:
        """Of the loops so far those that a module under workflows/ defines, by what tells them apart."""
        if module == "department_invitation":
            return {"": self.invitation, ".inspection": self.handle}
        return {"": self.handle}

    async def command(self, command: Any, actor: str = "planner", twice: bool = False) -> None:
        """Carry out a command; every event reaches the loop, `twice` as a relay may send it."""
        now = await self.now() - self.clock_lag
        for event in decide(Proceeding(self.inspection, actor, RULES, now, self.known()), command):
            self.position += 1
            self.inspection = evolve(self.inspection, event)
            self.inspection.etag = str(self.position)
            self.events.append(event)
            recorded = self.recorded(event, self.position)
            for _ in range(2 if twice else 1):
                await Relay(self.env.client, str(self.clock)).deliver(recorded)

    def recorded(self, event: Message, position: int) -> RecordedEvent:
        return RecordedEvent(
            id=UUID(int=UUID(self.id).int ^ position),
            stream=f"inspection.inspection-{self.id}",
            version=position,
            type=event.DESCRIPTOR.full_name,
            data=event.SerializeToString(),
            actor="planner",
            correlation_id=UUID(self.id),
            causation_id=None,
            request_id=None,
            traceparent="",
            recorded_at=datetime.now(UTC),
            position=position,
        )

    async def today(self) -> date:
        return legal_date(await self.now())

    def open_deadline(self, duty: pb.Duty.ValueType, department: str = "") -> Deadline:
        """The deadline of that duty, which is open."""
        found = [
            each
            for each in self.inspection.standing.deadlines
            if each.duty == duty and department in ("", each.department)
        ]
        return found[0].deadline

    def answers(self) -> dict[str, str]:
        """How each department answered, by its field."""
        return {
            field_: pb.Answer.Name(each.answer).removeprefix("ANSWER_")
            for field_, name in DEPARTMENTS.items()
            for each in self.inspection.participants
            if each.department == name
        }

    def titles(self, kind: str, recipient: str) -> list[str]:
        """Titles of the notices of a kind to a recipient, as they were sent, without what they are about."""
        wanted = nb.NoticeKind.Value(f"NOTICE_KIND_{kind}")
        return [
            each.title.partition("（")[0]
            for each in self.notices
            if each.kind == wanted and each.recipient == recipient
        ]

    async def open(
        self,
        *fields: str,
        clue: pb.Clue = TIP_OFF,
        days: int = 30,
        twice: bool = False,
    ) -> None:
        """Opened by the department of the first field, within so many days; the others are invited."""
        today = await self.today()
        await self.command(
            rpc_pb.OpenInspectionRequest(
                kind=plan_pb2.KIND_CASE,
                enterprise=ENTERPRISE,
                from_date=day_message(today),
                to_date=day_message(today + timedelta(days=days)),
                clue=clue,
                participants=[
                    rpc_pb.OpenInspectionRequest.Draft(
                        department=DEPARTMENTS[each], items=ITEMS[each]
                    )
                    for each in fields
                ],
            ),
            twice=twice,
        )

    async def answer(self, field_: str, accepted: bool = True, reason: str = "") -> None:
        """A department answers through gRPC, and sends its two if it comes."""
        await self.command(
            rpc_pb.AnswerInvitationRequest(
                department=DEPARTMENTS[field_],
                accepted=accepted,
                reason=reason,
                inspectors=INSPECTORS[field_] if accepted else [],
            ),
            actor=field_,
        )

    async def answer_by_nexus(self, answer: Answer, attempt: int = 1) -> None:
        """The fire service answers in its own system, once it is asked there."""
        await self.asked(attempt)
        await self.desk(attempt).execute_update(InvitationDesk.answer, answer)

    async def asked(self, attempt: int = 1) -> None:
        """Wait until the fire service is asked in its own system."""
        for _ in range(200):
            with suppress(RPCError):
                await self.desk(attempt).describe()
                return
            await self.env.sleep(MOMENT)
        raise AssertionError("the fire service was not asked")

    async def begin(self, legal: datetime, day_seconds: float = 86400.0) -> None:
        """Legal time is `legal` now, and a legal day takes so many seconds of the server's time."""
        self.clock = Clock(legal, await self.env.get_current_time(), day_seconds)

    async def sleep(self, days: float) -> None:
        await self.env.sleep(timedelta(seconds=self.clock.day_seconds * days))

    async def sleep_past(self, deadline: Deadline, more: timedelta) -> None:
        ends = self.clock.real(deadline.due_time.ToDatetime(UTC) + more)
        await self.env.sleep(ends - await self.env.get_current_time())

    async def until(self, *states: pb.State.ValueType) -> None:
        """Let a moment pass at a time until the inspection is in one of these states."""
        for _ in range(200):
            if self.inspection.standing.state in states:
                return
            await self.env.sleep(MOMENT)
        state = pb.State.Name(self.inspection.standing.state)
        raise AssertionError(f"{state} after {self.names()}")

    async def settled(self) -> None:
        """Let what is under way come to rest."""
        await self.env.sleep(10 * MOMENT)

    async def approved_with_code(self, on_the_spot: str = "") -> None:
        """The lead names its inspectors, the head approves unless it cannot wait, the code is issued."""
        assign = rpc_pb.AssignInspectorsRequest(
            department=ECOLOGY, inspectors=INSPECTORS["ecology"]
        )
        await self.command(assign)
        if not on_the_spot:
            await self.command(rpc_pb.ApproveInspectionRequest(scheme="现场检查"), actor="head")
        today = day_message(await self.today())
        await self.command(
            rpc_pb.IssueCodeRequest(from_date=today, to_date=today, on_the_spot_reason=on_the_spot)
        )

    async def started(self) -> None:
        """The lead's first inspector begins on site."""
        now = Timestamp()
        now.FromDatetime(await self.now())
        await self.command(
            rpc_pb.StartInspectionRequest(
                code=self.inspection.codes[-1].id,
                enterprise=ENTERPRISE,
                device="平板1",
                device_time=now,
            ),
            actor="ecology1",
        )

    async def entry(self, field_: str, failed: pb.Entry) -> pb.Entry:
        """What a department's inspector notes now of its first item."""
        failed.id, failed.item, failed.check = str(uuid4()), ITEMS[field_][0], pb.CHECK_FAILED
        failed.device_time.FromDatetime(await self.now())
        return failed

    async def checked(self, field_: str, *failed: pb.Entry) -> None:
        """A department checks its items: `failed` are for the first of them, the others are in order."""
        now = Timestamp()
        now.FromDatetime(await self.now())
        items = ITEMS[field_]
        entries = [
            pb.Entry(id=str(uuid4()), item=item, check=pb.CHECK_PASSED, device_time=now)
            for item in items[1 if failed else 0 :]
        ]
        entries += [await self.entry(field_, each) for each in failed]
        request = rpc_pb.RecordEntriesRequest(department=DEPARTMENTS[field_], entries=entries)
        await self.command(request, f"{field_}1")

    async def recorded_result(self, field_: str, conclusion: str = "未发现问题") -> None:
        """A department records its result."""
        await self.command(
            rpc_pb.RecordResultRequest(department=DEPARTMENTS[field_], conclusion=conclusion),
            f"{field_}1",
        )

    async def ended(self) -> Loop:
        """What the loop ends with."""
        kind = self.env.client.get_workflow_handle(self.handle.id, result_type=Loop)
        return await kind.result()

    async def invitation_ended(self) -> DepartmentInvitation:
        """What the loop that asks the fire service ends with."""
        kind = self.env.client.get_workflow_handle(
            self.invitation.id, result_type=DepartmentInvitation
        )
        return await kind.result()

    async def status(self, handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionStatus | None:
        return (await handle.describe()).status

    @activity.defn
    async def get_inspection(self, request: rpc_pb.GetInspectionRequest) -> InspectionStanding:
        return known_of(self.inspection)

    @activity.defn
    async def get_invitation(self, asked: DepartmentInvitation) -> Invitation:
        return invitation_of(self.inspection, asked.department)

    @activity.defn
    async def answer_invitation(
        self, request: rpc_pb.AnswerInvitationRequest, cause: str
    ) -> InspectionStanding:
        return await self._told(request)

    @activity.defn
    async def expire_inspection_deadline(
        self, request: rpc_pb.ExpireDeadlineRequest, cause: str
    ) -> InspectionStanding:
        self.expiries.append(request.deadline_id)
        return await self._told(request)

    @activity.defn
    async def follow_up_finding(
        self, inspection: str, finding: str, request_id: str, cause: str
    ) -> str:
        if reason := self.refused_findings.get(finding):
            raise ApplicationError("refused", type=reason, non_retryable=True)
        (found,) = [each for each in self.inspection.findings if each.id == finding]
        kind = "penaltyCases" if found.outcome == pb.OUTCOME_PENALTY else "problems"
        return self.owners.setdefault(request_id, f"{kind}/{uuid4()}")

    @activity.defn
    async def hand_over_finding(
        self, request: rpc_pb.HandOverFindingRequest, cause: str
    ) -> InspectionStanding:
        return await self._told(request)

    async def _told(self, request: Any) -> InspectionStanding:
        try:
            await self.command(request, "loop", twice=True)
        except StatusError as error:
            raise ApplicationError(str(error), type=error.reason, non_retryable=True) from error
        return known_of(self.inspection)

    def activities(self) -> Sequence[Any]:
        return [
            self.send_notice,
            self.get_inspection,
            self.read_target_fact,
            self.get_invitation,
            self.answer_invitation,
            self.expire_inspection_deadline,
            self.follow_up_finding,
            self.hand_over_finding,
        ]


@asynccontextmanager
async def inspection_town(
    env: WorkflowEnvironment | RealTime, theirs: Client | None = None
) -> AsyncIterator[InspectionTown]:
    """A town whose workers run until the block ends: ours, and that of the fire service in its namespace."""
    open_ = InspectionTown(env, theirs=theirs)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        ours = Worker(
            env.client,
            task_queue=open_.queue,
            workflows=WORKFLOWS,
            activities=open_.activities(),
        )
        await stack.enter_async_context(ours)
        if theirs:
            await stack.enter_async_context(worker(theirs))
        await open_.begin(MONDAY)
        try:
            yield open_
        finally:
            # As in penalty_town: what is left behind would hold up the server's time.
            await env.sleep(MOMENT)
            for handle in (open_.handle, open_.invitation):
                with suppress(RPCError):  # it has ended already, or never began
                    await handle.terminate()

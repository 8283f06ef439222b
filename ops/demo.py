"""Plays a scenario against a real stack, through gRPC alone, and tells what became of it."""

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

import grpc.aio
from rich.console import Console
from rich.table import Table

from bihuan.evidence.v1 import evidence_service_pb2 as evidence_pb
from bihuan.evidence.v1 import evidence_service_pb2_grpc
from bihuan.feed.v1 import feed_service_pb2 as feed_pb
from bihuan.feed.v1 import feed_service_pb2_grpc
from bihuan.notification.v1 import notice_pb2, notice_pb2_grpc
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.rectification.v1 import problem_service_pb2_grpc
from bihuan.types.v1.evidence_pb2 import Evidence
from ops.failures import DemoFailed
from ops.home import passing
from ops.scenario import ACKNOWLEDGE, Attachment, Case, Scenario, Step, load
from ops.settings import Settings
from ops.supervisor import Stack
from rpc.client import connect, status_of
from rpc.identity import Identity
from rpc.permissions import ROLES_FILE
from rules import SHANGHAI, Clock, as_date, legal_date
from workflows.problem_loop import ENDED
from workflows.problem_state import STAGES

OPERATOR = Identity("demo-operator", "演示观察员", frozenset({"operator", "agency"}))
# Legal time starts when the stack is up; embedded servers and Python mostly need less than this.
LEAD_SECONDS = 10.0
WORKING_HOUR = time(10)
PATIENCE_SECONDS = 60.0
# Sent again: a part restarts, or a loop recorded an expiry at the same moment.
TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
    }
)
Answer = TypeVar("Answer")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Reminder:
    """Somebody was reminded of a deadline."""

    time: str
    text: str


@dataclass(frozen=True)
class Escalation:
    """A rung of the ladder was climbed."""

    time: str
    measure: str


@dataclass
class Outcome:
    """What became of one problem. Times are legal, ISO 8601, Asia/Shanghai."""

    key: str
    enterprise: str
    problem: str = ""
    stages: list[dict[str, str]] = field(default_factory=list)
    reminders: list[Reminder] = field(default_factory=list)
    escalations: list[Escalation] = field(default_factory=list)
    final_state: str = ""


@dataclass(frozen=True)
class LedgerRow:
    """One item of an enterprise's ledger (整改台账); `state` is that of its problem."""

    enterprise: str
    problem: str
    title: str
    item: str
    finding: str
    measure: str
    responsible_unit: str
    due_date: str
    late: bool
    round: int
    state: str


@dataclass(frozen=True)
class Report:
    """What became of a scenario: its problems, ledger, events counted by type, and workflows."""

    scenario: str
    day_seconds: float
    problems: list[Outcome]
    ledger: list[LedgerRow]
    events: Mapping[str, int]
    workflows: int


async def run(
    settings: Settings,
    *,
    as_json: bool = False,
    keep: bool = False,
    scenario_file: Path | None = None,
    day_seconds: float = 1.0,
) -> None:
    """Start a stack of its own, play, print the ledger, stop the stack. Raises DemoFailed.

    keep: leave the stack up after the ledger, until cancelled.
    """
    scenario = load(scenario_file or _built_in(), settings.roles or ROLES_FILE)
    console = Console(stderr=as_json, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    clock = demo_clock(scenario, day_seconds)
    say(
        f"{scenario.name}：演示时钟，一个法定日约 {day_seconds:g} 秒（a legal day lasts {day_seconds:g} s）"
    )
    with passing(settings.home, say) as home:
        settings = settings.model_copy(update={"home": home, "clock": str(clock)})
        async with Stack(settings, say=say) as stack:
            say(f"gRPC {stack.grpc_address}")
            clock = await in_time(scenario, stack, clock, say)
            report = await Demo(scenario, stack, clock, say).play()
            if as_json:
                print(json.dumps(asdict(report), ensure_ascii=False, indent=2), flush=True)
            else:
                console.print(ledger(report), summary(report))
            if keep:
                for line in stack.links:
                    say(line)
                say("the stack stays up; Ctrl-C stops it")
                await asyncio.Event().wait()
    say(f"nothing is left running; `{_command()} demo --keep` stays up for a look at the loops")


def demo_clock(scenario: Scenario, day_seconds: float, lead: float = LEAD_SECONDS) -> Clock:
    """A clock that reaches the first day of the scenario in `lead` seconds."""
    start = datetime.combine(scenario.starts, time(8), SHANGHAI).astimezone(UTC)
    return Clock(start, datetime.now(UTC) + timedelta(seconds=lead), day_seconds)


async def in_time(scenario: Scenario, stack: Stack, clock: Clock, say: Say) -> Clock:
    """The clock, set back where the machine was so slow that the first day has passed already."""
    lead = LEAD_SECONDS
    while legal_date(clock.now()) > scenario.starts:
        say(f"the stack took over {lead:g} s to start: legal time begins again")
        lead *= 2
        clock = demo_clock(scenario, clock.day_seconds, lead)
        await stack.set_clock(str(clock))
    return clock


class Demo:
    """Plays one scenario on a running stack."""

    def __init__(self, scenario: Scenario, stack: Stack, clock: Clock, say: Say) -> None:
        self._scenario = scenario
        self._stack = stack
        self._clock = clock
        self._say = say
        self._run = str(uuid4())
        self._outcomes = {
            case.key: Outcome(case.key, scenario.enterprises[case.enterprise].display_name)
            for case in scenario.cases
        }
        self._events: Counter[str] = Counter()
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._position = 0

    async def play(self) -> Report:
        """Play to the end; every loop must have ended then. Raises DemoFailed."""
        self._position = await self._head()
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.gather(*(self._play_case(case) for case in self._scenario.cases))
            await self._until(self._all_ended, "problems still open")
            workflows = await self._await_workflows()
            await self._until(partial(self._unseen, watching), "events not followed")
            return Report(
                self._scenario.name,
                self._clock.day_seconds,
                list(self._outcomes.values()),
                await self._ledger(),
                dict(sorted(self._events.items())),
                workflows,
            )
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            for channel in self._channels.values():
                await channel.close()

    async def _play_case(self, case: Case) -> None:
        for number, step in enumerate(case.steps):
            await self._sleep_until(step)
            await self._take(case, step, f"{case.key}/{number}")

    async def _take(self, case: Case, step: Step, step_id: str) -> None:
        channel = self._channel(self._scenario.identities[step.who])
        if step.call == ACKNOWLEDGE:
            await self._acknowledge(case, channel, step_id)
            return
        request: Any = self._scenario.request(case, step)
        request.request_id = self._request_id(step_id)
        if step.call != "ReportProblem":
            request.name = self._outcomes[case.key].problem
        for attachment in step.attach:
            request.evidence.append(await self._upload(channel, attachment))
        method = getattr(problem_service_pb2_grpc.ProblemServiceStub(channel), step.call)
        problem: pb.Problem = await _persist(lambda: method(request))
        self._outcomes[case.key].problem = problem.name

    async def _acknowledge(self, case: Case, channel: grpc.aio.Channel, step_id: str) -> None:
        """Read and acknowledge what came into the enterprise's inbox about this problem."""
        stub = notice_pb2_grpc.NotificationServiceStub(channel)
        uscc = self._scenario.enterprises[case.enterprise].uscc
        inbox = notice_pb2.ListNoticesRequest(
            recipient=f"enterprises/{uscc}", subject=self._outcomes[case.key].problem, unread=True
        )
        notices: list[notice_pb2.Notice] = []

        async def nothing() -> list[str]:
            # The loop may be a moment behind, and nobody acknowledges what has not come.
            notices[:] = (await _persist(lambda: stub.ListNotices(inbox))).notices
            return [] if notices else [case.key]

        await self._until(nothing, "no notice to acknowledge")
        for notice in notices:
            request = notice_pb2.AcknowledgeNoticeRequest(
                request_id=self._request_id(f"{step_id}/{notice.name}"), name=notice.name
            )
            await _persist(partial(stub.AcknowledgeNotice, request))

    async def _upload(self, channel: grpc.aio.Channel, attachment: Attachment) -> Evidence:
        stub = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
        return await _persist(lambda: stub.UploadEvidence(_parts(attachment)))

    async def _watch(self) -> None:
        """Follow the log and tell of each event of our problems, whatever restarts meanwhile."""
        stub = feed_service_pb2_grpc.FeedServiceStub(self._channel(OPERATOR))
        while True:
            request = feed_pb.FollowEventsRequest(after_position=self._position)
            try:
                async for answer in stub.FollowEvents(request):
                    self._note(answer.event)
                    self._position = answer.event.position
            except grpc.aio.AioRpcError as error:
                if error.code() not in TRANSIENT:
                    raise
            await asyncio.sleep(0.2)

    def _note(self, event: feed_pb.Event) -> None:
        name = event.payload.TypeName()
        self._events[name] += 1
        if name == notice_pb2.NoticeSent.DESCRIPTOR.full_name:
            self._note_reminder(notice_pb2.NoticeSent.FromString(event.payload.value))
            return
        outcome = self._outcome_of(event)
        if outcome is None:
            return
        kind = name.rpartition(".")[2]
        at = self._legal(event.record_time.ToDatetime(UTC))
        outcome.stages.append({"event": kind, "time": at})
        if kind == "ProblemEscalated":
            escalated = ev.ProblemEscalated.FromString(event.payload.value)
            outcome.escalations.append(Escalation(at, escalated.escalation.measure))
        self._say(f"{at[:10]}  {outcome.enterprise}  {outcome.key}  {kind}")

    def _note_reminder(self, notice: notice_pb2.NoticeSent) -> None:
        for outcome in self._outcomes.values():
            if notice.kind == notice_pb2.NOTICE_KIND_REMINDER and notice.subject == outcome.problem:
                at = _iso(notice.send_time.ToDatetime(UTC))
                outcome.reminders.append(Reminder(at, notice.title))
                self._say(f"{at[:10]}  {outcome.enterprise}  {outcome.key}  {notice.title}")

    def _outcome_of(self, event: feed_pb.Event) -> Outcome | None:
        """Whose event it is; a report is known by its title, its answer may still be on its way."""
        problem = f"problems/{event.correlation_id}"
        for case in self._scenario.cases:
            outcome = self._outcomes[case.key]
            if outcome.problem == problem:
                return outcome
        if event.payload.Is(ev.ProblemReported.DESCRIPTOR):
            reported = ev.ProblemReported.FromString(event.payload.value)
            for case in self._scenario.cases:
                if case.steps[0].arguments.get("title") == reported.title:
                    self._outcomes[case.key].problem = problem
                    return self._outcomes[case.key]
        return None

    async def _all_ended(self) -> list[str]:
        stub = problem_service_pb2_grpc.ProblemServiceStub(self._channel(OPERATOR))
        left = []
        for outcome in self._outcomes.values():
            request = rpc_pb.GetProblemRequest(name=outcome.problem)
            problem = await _persist(partial(stub.GetProblem, request))
            outcome.final_state = pb.State.Name(problem.state)
            if problem.state not in ENDED:
                left.append(f"{outcome.key} is in {outcome.final_state}")
        return left

    async def _ledger(self) -> list[LedgerRow]:
        """The ledgers of all enterprises, one after the other."""
        stub = problem_service_pb2_grpc.ProblemServiceStub(self._channel(OPERATOR))
        rows = []
        for company in self._scenario.enterprises.values():
            request = rpc_pb.GetLedgerRequest(enterprise=company.uscc, page_size=500)
            answer = await _persist(partial(stub.GetLedger, request))
            rows += [_ledger_row(company.display_name, row) for row in answer.rows]
        return rows

    async def _await_workflows(self) -> int:
        """Wait until every loop has ended; how many there were."""
        from temporalio.client import Client

        address, namespace = self._stack.temporal_address, self._stack.settings.temporal_namespace
        client = await Client.connect(address, namespace=namespace)

        async def running() -> list[str]:
            left = []
            for outcome in self._outcomes.values():
                handle = client.get_workflow_handle(_workflow_id(outcome))
                status = (await handle.describe()).status
                if status is None or status.name != "COMPLETED":
                    left.append(f"{_workflow_id(outcome)} is {status.name if status else '?'}")
            return left

        await self._until(running, "loops still running")
        return len(self._outcomes)

    async def _unseen(self, watching: asyncio.Task[None]) -> list[str]:
        if watching.done():
            watching.result()
        left = await self._head() - self._position
        return [f"{left} of them"] if left else []

    async def _until(self, left: Callable[[], Awaitable[list[str]]], what: str) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while open_ := await left():
            if asyncio.get_running_loop().time() > deadline:
                raise DemoFailed(f"{what}: {'; '.join(open_)}")
            await asyncio.sleep(0.2)

    async def _head(self) -> int:
        stub = feed_service_pb2_grpc.FeedServiceStub(self._channel(OPERATOR))
        answer = await _persist(lambda: stub.ReadEvents(feed_pb.ReadEventsRequest(page_size=1)))
        return int(answer.head_position)

    async def _sleep_until(self, step: Step) -> None:
        legal = datetime.combine(step.date, WORKING_HOUR, SHANGHAI).astimezone(UTC)
        await asyncio.sleep((self._clock.real(legal) - datetime.now(UTC)).total_seconds())

    def _legal(self, real: datetime) -> str:
        return _iso(self._clock.legal(real))

    def _request_id(self, step_id: str) -> str:
        return str(uuid5(NAMESPACE_URL, f"{self._run}/{step_id}"))

    def _channel(self, identity: Identity) -> grpc.aio.Channel:
        if identity.subject not in self._channels:
            token = self._stack.token(identity)
            self._channels[identity.subject] = connect(self._stack.grpc_address, token)
        return self._channels[identity.subject]


def ledger(report: Report) -> Table:
    """The enterprises' rectification ledgers as one table."""
    table = Table(title=f"{report.scenario}  整改台账", show_lines=True)
    for column in ("企业", "问题", "整改措施", "责任单位", "逾期", "轮次", "状态"):
        table.add_column(column, overflow="fold")
    table.add_column("期限", no_wrap=True)
    for row in report.ledger:
        table.add_row(
            row.enterprise,
            row.title,
            row.measure,
            row.responsible_unit,
            "是" if row.late else "",
            str(row.round),
            _label(row.state),
            row.due_date,
        )
    return table


def summary(report: Report) -> Table:
    """What became of each problem, and the counts."""
    shown = sum(len(outcome.stages) for outcome in report.problems)
    reminders = sum(len(outcome.reminders) for outcome in report.problems)
    total = sum(report.events.values())
    table = Table(
        title=f"{total} events: {shown} of problems and {reminders} reminders, as shown above; "
        f"{total - shown - reminders} other notices sent, read or acknowledged. "
        f"{report.workflows} loops, all ended"
    )
    for column in ("问题", "企业", "经过", "提醒", "升级", "结果"):
        table.add_column(column, overflow="fold")
    for outcome in report.problems:
        table.add_row(
            outcome.key,
            outcome.enterprise,
            f"{outcome.stages[0]['time'][:10]} 至 {outcome.stages[-1]['time'][:10]}",
            str(len(outcome.reminders)),
            "\n".join(each.measure for each in outcome.escalations),
            _label(outcome.final_state),
        )
    return table


def _ledger_row(enterprise: str, row: rpc_pb.LedgerRow) -> LedgerRow:
    return LedgerRow(
        enterprise=enterprise,
        problem=row.problem,
        title=row.title,
        item=row.item.id,
        finding=row.item.finding,
        measure=row.item.measure,
        responsible_unit=row.item.responsible_unit,
        due_date=as_date(row.item.deadline.due_date).isoformat(),
        late=row.item.late,
        round=row.round,
        state=pb.State.Name(row.problem_state),
    )


def _label(state: str) -> str:
    """A state as people call it; other programs get its name in the enum."""
    return STAGES[pb.State.Value(state)]


def _iso(time: datetime) -> str:
    return time.astimezone(SHANGHAI).isoformat(timespec="seconds")


def _workflow_id(outcome: Outcome) -> str:
    return f"problem-loop/{outcome.problem.removeprefix('problems/')}"


async def _persist(send: Callable[[], Awaitable[Answer]]) -> Answer:
    """Send until answered, however often the service restarts; the request_id makes that safe."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        try:
            return await send()
        except grpc.aio.AioRpcError as error:
            late = asyncio.get_running_loop().time() > deadline
            if error.code() not in TRANSIENT or late:
                raise DemoFailed(str(status_of(error))) from error
            await asyncio.sleep(0.2)


async def _parts(attachment: Attachment) -> AsyncIterator[evidence_pb.UploadEvidenceRequest]:
    header = evidence_pb.UploadEvidenceRequest.Header(
        media_type="text/plain", title=attachment.title
    )
    yield evidence_pb.UploadEvidenceRequest(header=header)
    yield evidence_pb.UploadEvidenceRequest(chunk=attachment.text.encode())


def _command() -> str:
    """How to call us from here; `make demo` does so without the environment being active."""
    beside = Path(sys.executable).with_name("bihuan")
    return "bihuan" if shutil.which("bihuan") else os.path.relpath(beside)


def _built_in() -> Path:
    return Path(str(files("ops"))).parent / "examples" / "kundulun.yaml"

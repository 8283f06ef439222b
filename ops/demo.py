"""Plays a scenario against a real stack, through gRPC alone, and tells what became of it."""

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import grpc.aio
from rich.console import Console
from rich.table import Table

from bihuan.evidence.v1 import evidence_service_pb2 as evidence_pb
from bihuan.evidence.v1 import evidence_service_pb2_grpc
from bihuan.feed.v1 import feed_service_pb2 as feed_pb
from bihuan.feed.v1 import feed_service_pb2_grpc
from bihuan.notification.v1 import notice_pb2, notice_pb2_grpc
from bihuan.types.v1.evidence_pb2 import Evidence
from ops.failures import DemoFailed
from ops.home import passing
from ops.outcome import Escalation, Outcome, Reminder, Report
from ops.penalty_play import PenaltyPlay
from ops.persist import PATIENCE_SECONDS, TRANSIENT, persist
from ops.problem_play import ProblemPlay
from ops.scenario import ACKNOWLEDGE, Attachment, Case, Scenario, Step, enclose, load
from ops.settings import Settings
from ops.supervisor import Stack
from rpc.client import connect
from rpc.identity import Identity
from rpc.permissions import ROLES_FILE
from rules import SHANGHAI, Clock, legal_date

OPERATOR = Identity("demo-operator", "演示观察员", frozenset({"operator", "agency"}))
# Legal time starts when the stack is up; embedded servers and Python mostly need less than this.
LEAD_SECONDS = 10.0
WORKING_HOUR = time(10)
PLAYS: dict[str, ProblemPlay | PenaltyPlay] = {
    "problems": ProblemPlay(),
    "penalties": PenaltyPlay(),
}
Say = Callable[[str], None]


async def run(
    settings: Settings,
    *,
    as_json: bool = False,
    keep: bool = False,
    scenario_file: Path,
    day_seconds: float | None = None,
) -> None:
    """Start a stack of its own, play, print the ledger, stop the stack. Raises DemoFailed.

    keep: leave the stack up after the ledger, until cancelled; day_seconds: as the scenario says if None.
    """
    scenario = load(scenario_file, settings.roles or ROLES_FILE)
    console = Console(stderr=as_json, highlight=False)
    say = partial(console.print, markup=False, soft_wrap=True)
    day_seconds = day_seconds or scenario.day_seconds
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
                play = PLAYS[scenario.domain.section]
                console.print(play.table(report), summary(report, play.label))
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
        self._domain = scenario.domain
        self._play = PLAYS[scenario.domain.section]
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
            await self._until(self._all_ended, "cases still open")
            workflows = await self._await_workflows()
            await self._until(partial(self._unseen, watching), "events not followed")
            return Report(
                self._scenario.name,
                self._clock.day_seconds,
                list(self._outcomes.values()),
                await self._play.ledger(
                    self._channel(OPERATOR), self._scenario, list(self._outcomes.values())
                ),
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
        if step.call != self._domain.opening:
            request.name = self._outcomes[case.key].name
        enclose(request, [await self._upload(channel, each) for each in step.attach])
        send = self._domain.send(channel, step.call)
        answer: Any = await persist(partial(send, request))
        self._outcomes[case.key].name = answer.name

    async def _acknowledge(self, case: Case, channel: grpc.aio.Channel, step_id: str) -> None:
        """Read and acknowledge what came into the enterprise's inbox about this case."""
        stub = notice_pb2_grpc.NotificationServiceStub(channel)
        uscc = self._scenario.enterprises[case.enterprise].uscc
        inbox = notice_pb2.ListNoticesRequest(
            recipient=f"enterprises/{uscc}", subject=self._outcomes[case.key].name, unread=True
        )
        notices: list[notice_pb2.Notice] = []

        async def nothing() -> list[str]:
            # The loop may be a moment behind, and nobody acknowledges what has not come.
            notices[:] = (await persist(lambda: stub.ListNotices(inbox))).notices
            return [] if notices else [case.key]

        await self._until(nothing, "no notice to acknowledge")
        for notice in notices:
            request = notice_pb2.AcknowledgeNoticeRequest(
                request_id=self._request_id(f"{step_id}/{notice.name}"), name=notice.name
            )
            await persist(partial(stub.AcknowledgeNotice, request))

    async def _upload(self, channel: grpc.aio.Channel, attachment: Attachment) -> Evidence:
        stub = evidence_service_pb2_grpc.EvidenceServiceStub(channel)
        return await persist(lambda: stub.UploadEvidence(_parts(attachment)))

    async def _watch(self) -> None:
        """Follow the log and tell of each event of our cases, whatever restarts meanwhile."""
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
        if measure := self._play.measure(event):
            outcome.escalations.append(Escalation(at, measure))
        self._say(f"{at[:10]}  {outcome.enterprise}  {outcome.key}  {kind}")

    def _note_reminder(self, notice: notice_pb2.NoticeSent) -> None:
        for outcome in self._outcomes.values():
            if notice.kind == notice_pb2.NOTICE_KIND_REMINDER and notice.subject == outcome.name:
                at = _iso(notice.send_time.ToDatetime(UTC))
                outcome.reminders.append(Reminder(at, notice.title))
                self._say(f"{at[:10]}  {outcome.enterprise}  {outcome.key}  {notice.title}")

    def _outcome_of(self, event: feed_pb.Event) -> Outcome | None:
        """Whose event it is; a case is known by its title, its first answer may still be on its way."""
        name = f"{self._domain.collection}/{event.correlation_id}"
        for outcome in self._outcomes.values():
            if outcome.name == name:
                return outcome
        if title := self._play.opened(event):
            for case in self._scenario.cases:
                if self._play.title(case.steps[0].arguments) == title:
                    self._outcomes[case.key].name = name
                    return self._outcomes[case.key]
        return None

    async def _all_ended(self) -> list[str]:
        left = []
        for outcome in self._outcomes.values():
            channel = self._channel(OPERATOR)
            outcome.final_state, ended = await self._play.standing(channel, outcome.name)
            if not ended:
                left.append(f"{outcome.key} is in {outcome.final_state}")
        return left

    async def _await_workflows(self) -> int:
        """Wait until every loop has ended; how many there were."""
        from temporalio.client import Client

        address, namespace = self._stack.temporal_address, self._stack.settings.temporal_namespace
        client = await Client.connect(address, namespace=namespace)

        loops = [
            loop
            for outcome in self._outcomes.values()
            for loop in await self._play.loops(self._channel(OPERATOR), outcome.name)
        ]

        async def running() -> list[str]:
            left = []
            for loop in loops:
                status = (await client.get_workflow_handle(loop).describe()).status
                if status is None or status.name != "COMPLETED":
                    left.append(f"{loop} is {status.name if status else '?'}")
            return left

        await self._until(running, "loops still running")
        return len(loops)

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
        answer = await persist(lambda: stub.ReadEvents(feed_pb.ReadEventsRequest(page_size=1)))
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


def summary(report: Report, label: Callable[[str], str]) -> Table:
    """What became of each case, and the counts; `label` says a state as people call it."""
    shown = sum(len(outcome.stages) for outcome in report.cases)
    reminders = sum(len(outcome.reminders) for outcome in report.cases)
    total = sum(report.events.values())
    table = Table(
        title=f"{total} events: {shown} of cases and {reminders} reminders, as shown above; "
        f"{total - shown - reminders} other notices sent, read or acknowledged. "
        f"{report.workflows} loops, all ended"
    )
    escalated = any(outcome.escalations for outcome in report.cases)
    for column in ("案件", "企业", "经过", "提醒", *(["升级"] if escalated else []), "结果"):
        table.add_column(column, overflow="fold")
    for outcome in report.cases:
        ladder = ["\n".join(each.measure for each in outcome.escalations)] if escalated else []
        table.add_row(
            outcome.key,
            outcome.enterprise,
            f"{outcome.stages[0]['time'][:10]} 至 {outcome.stages[-1]['time'][:10]}",
            str(len(outcome.reminders)),
            *ladder,
            label(outcome.final_state),
        )
    return table


def _iso(time: datetime) -> str:
    return time.astimezone(SHANGHAI).isoformat(timespec="seconds")


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


def built_in(name: str) -> Path:
    """The file of a scenario that comes with Bihuan."""
    return Path(str(files("ops"))).parent / "examples" / f"{name}.yaml"

"""A joint inspection of four departments, played on a stack of its own: `python -m examples.joint`.

Ecology (生态环境) leads and invites three. Emergency management (应急) declines, market regulation (市场监管)
does not answer, the fire service (消防) runs Temporal itself: it is asked through Nexus in its own namespace,
where one of its people answers with Temporal's command line. The two that come share one code; what they find
goes to rectification, to penalty and to another body. `--keep` stays up after that, for a look at the loop.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid4, uuid5

import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import (
    inspection_service_pb2_grpc,
    plan_pb2,
    roster_pb2,
    roster_service_pb2_grpc,
    target_pb2,
    target_service_pb2_grpc,
)
from bihuan.inspection.v1 import roster_service_pb2 as roster_rpc
from bihuan.inspection.v1 import target_service_pb2 as target_rpc
from examples.department.worker import TASK_QUEUE
from ops.home import passing
from ops.settings import Settings
from ops.supervisor import Stack
from rpc.client import connect
from rpc.identity import Identity
from rules import SHANGHAI, Clock, legal_date
from workflows.inspection_words import ANSWERS

FIRST_DAY, LAST_DAY = date(2026, 9, 7), date(2026, 10, 30)
DAY_SECONDS, LEAD_SECONDS, PATIENCE_SECONDS = 1.0, 4.0, 40.0
NAMESPACE = ENDPOINT = "fire"
ENTERPRISE = "91321012MA1KDL011C"
Say = Callable[[str], None]


class Department(NamedTuple):
    """A department: credit code, name, field of enforcement, and what it checks here."""

    uscc: str
    display_name: str
    field: str
    items: Sequence[str]

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"departments/{self.uscc}"


ECOLOGY = Department(
    "11321000MB10000013",
    "扬州市生态环境局",
    "ecology",
    ["ecology.facilities", "ecology.hazardous_waste"],
)
EMERGENCY = Department("11321000MB10000026", "扬州市应急管理局", "emergency", ["emergency.hazards"])
MARKET = Department("11321000MB10000039", "扬州市市场监督管理局", "market", ["market.quality"])
FIRE = Department(
    "11321000MB1000004C", "扬州市消防救援支队", "fire", ["fire.exits", "fire.facilities"]
)
DEPARTMENTS = (ECOLOGY, EMERGENCY, MARKET, FIRE)
PLANNER = Identity("planner", roles=frozenset({"planner", "supervisor"}))
HEAD = Identity("head", "高局长", frozenset({"decider"}), agency=ECOLOGY.uscc)


class JointInspection:
    """Who does what, step by step, each as the person who would: through gRPC, but for the fire service."""

    def __init__(
        self,
        stack: Stack,
        clock: Clock,
        say: Say,
        days: tuple[date, date] = (FIRST_DAY, LAST_DAY),
    ) -> None:
        self.stack, self.clock, self.say, self.days = stack, clock, say, days
        self.name = ""
        self.inspectors: dict[str, list[str]] = {}
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels.values():
            await channel.close()

    @property
    def uuid(self) -> str:
        """What the ids of its workflows are made of."""
        return self.name.removeprefix("inspections/")

    async def register(self) -> None:
        """Departments and their inspectors, and the enterprise, come onto the registers."""
        channel = self._as(PLANNER)
        roster = roster_service_pb2_grpc.RosterServiceStub(channel)
        for department in DEPARTMENTS:
            await roster.RegisterDepartment(_registration(department))
            named = [
                await roster.RegisterInspector(_inspector(department, number)) for number in (1, 2)
            ]
            self.inspectors[department.field] = [each.name for each in named]
        target = target_rpc.RegisterTargetRequest(request_id=_new(), uscc=ENTERPRISE)
        target.profile.CopyFrom(
            target_pb2.TargetProfile(
                display_name="扬州市江都区宏远化工有限公司",
                district="321012",
                address="沿江开发区三路8号",
                industry="C2614",
            )
        )
        await target_service_pb2_grpc.TargetServiceStub(channel).RegisterTarget(target)

    async def open(self) -> None:
        """Ecology opens it on a tip-off, and invites the other three."""
        clue = pb.Clue(
            source=pb.Clue.SOURCE_TIP_OFF, reference="12345-20260907-18", summary="夜间异味"
        )
        drafts = [
            rpc_pb.OpenInspectionRequest.Draft(department=each.name, items=each.items)
            for each in DEPARTMENTS
        ]
        request = rpc_pb.OpenInspectionRequest(
            kind=plan_pb2.KIND_CASE,
            enterprise=ENTERPRISE,
            from_date=_day(self.days[0]),
            to_date=_day(self.days[1]),
            clue=clue,
            participants=drafts,
        )
        planner = Identity("planner-ecology", roles=frozenset({"planner"}), agency=ECOLOGY.uscc)
        opened = await self._call("OpenInspection", request, planner)
        self.name = opened.name
        self.say(f"{opened.title}：{opened.name}")

    async def decline(self) -> None:
        """Emergency management does not come."""
        request = rpc_pb.AnswerInvitationRequest(
            department=EMERGENCY.name, accepted=False, reason="专班执行汛期值守"
        )
        await self._call("AnswerInvitation", request, _officer(EMERGENCY, 1))
        self.say(f"{EMERGENCY.display_name}：不参加")

    async def fire_asked(self) -> None:
        """Until the fire service is asked in its own namespace. TimeoutError if it is not."""
        show = ("workflow", "describe", "--workflow-id", f"invitation/{self.uuid}/1")

        async def asked() -> bool:
            return (await self._temporal(*show, "--namespace", NAMESPACE))[0] == 0

        await until(asked)

    async def fire_answers(self) -> None:
        """One of its people answers, as the Web UI would: by the update `answer` of the workflow."""
        answer = {"accepted": True, "inspectors": self.inspectors["fire"]}
        command = ("workflow", "update", "execute", "--name", "answer")
        whom = ("--workflow-id", f"invitation/{self.uuid}/1", "--namespace", NAMESPACE)
        code, text = await self._temporal(*command, *whom, "--input", json.dumps(answer))
        if code:
            raise RuntimeError(f"the fire service cannot answer: {text}")
        self.say(f"{FIRE.display_name}：经 Nexus 参加")

    async def prepare(self) -> None:
        """Ecology names its inspectors, its head approves, the code is issued."""
        assign = rpc_pb.AssignInspectorsRequest(
            department=ECOLOGY.name, inspectors=self.inspectors["ecology"]
        )
        await self._call("AssignInspectors", assign, _officer(ECOLOGY, 1))
        approve = rpc_pb.ApproveInspectionRequest(scheme="两部门现场检查，一次完成", opinion="同意")
        await self._call("ApproveInspection", approve, HEAD)
        today = legal_date(self.clock.now())
        code = rpc_pb.IssueCodeRequest(
            from_date=_day(today), to_date=_day(today + timedelta(days=6))
        )
        issued = await self._call("IssueCode", code, _officer(ECOLOGY, 1))
        self.say(f"检查码 {issued.codes[-1].id}")

    async def visit(self) -> None:
        """Both start with one code, note what they see, and record their results."""
        inspection = await self.inspection()
        start = rpc_pb.StartInspectionRequest(
            code=inspection.codes[-1].id,
            enterprise=ENTERPRISE,
            device="平板-07",
            device_time=self._now(),
        )
        await self._call("StartInspection", start, _officer(ECOLOGY, 1))
        for department, entries, conclusion in _seen():
            for entry in entries:
                entry.device_time.CopyFrom(self._now())
            noted = rpc_pb.RecordEntriesRequest(department=department.name, entries=entries)
            await self._call("RecordEntries", noted, _officer(department, 2))
            result = rpc_pb.RecordResultRequest(department=department.name, conclusion=conclusion)
            await self._call("RecordResult", result, _officer(department, 1))
            self.say(f"{department.display_name}：{conclusion}")

    async def report(self) -> None:
        """The enterprise is told; what another body must see to, ecology hands over itself."""
        await self._call("ReportInspection", rpc_pb.ReportInspectionRequest(), _officer(ECOLOGY, 1))
        for finding in (await self.inspection()).findings:
            if finding.outcome == pb.OUTCOME_REFER:
                request = rpc_pb.HandOverFindingRequest(
                    finding=finding.id, handed_over_to="扬自然资移〔2026〕3号"
                )
                await self._call("HandOverFinding", request, _officer(ECOLOGY, 1))

    async def until(self, state: pb.State.ValueType) -> pb.Inspection:
        """The inspection once it is in that state. TimeoutError if it does not come to it."""

        async def come_to_it() -> bool:
            return (await self.inspection()).standing.state == state

        await until(come_to_it)
        return await self.inspection()

    async def inspection(self) -> pb.Inspection:
        """As it is now."""
        return await self._call("GetInspection", rpc_pb.GetInspectionRequest(), PLANNER)

    async def _call(self, method: str, request: Any, who: Identity) -> pb.Inspection:
        stub = inspection_service_pb2_grpc.InspectionServiceStub(self._as(who))
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = _new()
        if "name" in request.DESCRIPTOR.fields_by_name:
            request.name = self.name
        answer: pb.Inspection = await getattr(stub, method)(request)
        return answer

    def _as(self, who: Identity) -> grpc.aio.Channel:
        if who.subject not in self._channels:
            self._channels[who.subject] = connect(self.stack.grpc_address, self.stack.token(who))
        return self._channels[who.subject]

    def _now(self) -> Timestamp:
        now = Timestamp()
        now.FromDatetime(self.clock.now())
        return now

    async def _temporal(self, *arguments: str) -> tuple[int, str]:
        return await temporal(self.stack.temporal_address, *arguments)


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    """Ask ten times a second until it is so. TimeoutError if it does not come."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await done():
                return
            await asyncio.sleep(0.1)


async def temporal(address: str, *arguments: str) -> tuple[int, str]:
    """Temporal's own command line: exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("temporal")),
        *arguments,
        "--address",
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


@asynccontextmanager
async def fire_service(address: str) -> AsyncIterator[None]:
    """The fire service's own namespace, Nexus endpoint and worker; the worker runs until the block ends."""
    create = ("operator", "namespace", "create", "--namespace", NAMESPACE)
    endpoint = ("operator", "nexus", "endpoint", "create", "--name", ENDPOINT)
    target = ("--target-namespace", NAMESPACE, "--target-task-queue", TASK_QUEUE)
    for command in (create, (*endpoint, *target)):
        code, text = await temporal(address, *command)
        if code:
            raise RuntimeError(f"{' '.join(command)}: {text}")
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.department.worker"),
        *("--address", address, "--namespace", NAMESPACE),
        stdout=asyncio.subprocess.DEVNULL,  # ours is for the answer of `--json` alone
    )
    try:
        yield
    finally:
        worker.terminate()
        await worker.wait()


def starting_clock(day_seconds: float = DAY_SECONDS) -> Clock:
    """A clock that reaches the morning of the first day once a stack is up."""
    morning = datetime.combine(FIRST_DAY, time(8), SHANGHAI).astimezone(UTC)
    return Clock(morning, datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS), day_seconds)


async def play(inspection: JointInspection) -> pb.Inspection:
    """From the opening to the end, departments and enterprise being registered."""
    await inspection.open()
    await inspection.decline()
    await inspection.fire_asked()
    await inspection.fire_answers()
    arranged = await inspection.until(pb.STATE_ARRANGED)
    (silent,) = [each for each in arranged.participants if each.department == MARKET.name]
    inspection.say(f"{silent.display_name}：{ANSWERS[silent.answer]}")
    await inspection.prepare()
    await inspection.visit()
    await inspection.report()
    return await inspection.until(pb.STATE_CLOSED)


async def run(keep: bool, day_seconds: float) -> None:
    """Start a stack, play, print what became of it, stop the stack."""
    clock = starting_clock(day_seconds)
    with passing(Settings().home, print) as home:
        settings = Settings().model_copy(update={"home": home, "clock": str(clock)})
        async with AsyncExitStack() as up:
            stack = await up.enter_async_context(Stack(settings, say=print))
            await up.enter_async_context(fire_service(stack.temporal_address))
            inspection = JointInspection(stack, clock, print)
            up.push_async_callback(inspection.close)
            await inspection.register()
            ended = await play(inspection)
            print(ended.report)
            for finding in ended.findings:
                print(
                    f"{finding.id} {finding.description} → {finding.handed_over_to or '当场改正'}"
                )
            if keep:
                print(f"{stack.ui_url}/namespaces/default/workflows/inspection%2F{inspection.uuid}")
                await asyncio.Event().wait()


def _seen() -> list[tuple[Department, list[pb.Entry], str]]:
    """What each department's inspectors note, and its conclusion."""
    waste = {"item": "ecology.hazardous_waste", "check": pb.CHECK_FAILED}
    facilities = {"item": "ecology.facilities", "check": pb.CHECK_FAILED}
    exits = {"item": "fire.exits", "check": pb.CHECK_FAILED}
    return [
        (
            ECOLOGY,
            [
                _failed("贮存间未张贴标识", pb.GRAVITY_GENERAL, pb.OUTCOME_RECTIFY, **waste),
                _failed(
                    "治污设施停运，废气直排",
                    pb.GRAVITY_SERIOUS,
                    pb.OUTCOME_PENALTY,
                    offence="offence.facility_not_effective",
                    **facilities,
                ),
                _failed("堆场占用耕地", pb.GRAVITY_GENERAL, pb.OUTCOME_REFER, **waste),
            ],
            "发现三项问题",
        ),
        (
            FIRE,
            [
                _failed(
                    "疏散通道堆放杂物",
                    pb.GRAVITY_MINOR,
                    pb.OUTCOME_GUIDED,
                    guidance="当场清理",
                    **exits,
                ),
                pb.Entry(id=_new(), item="fire.facilities", check=pb.CHECK_PASSED),
            ],
            "发现一项问题，已当场改正",
        ),
    ]


def _failed(
    note: str, gravity: pb.Gravity.ValueType, outcome: pb.Outcome.ValueType, **fields: Any
) -> pb.Entry:
    return pb.Entry(id=_new(), note=note, gravity=gravity, outcome=outcome, **fields)


def _officer(department: Department, number: int) -> Identity:
    """An inspector of the department, as the roster knows the subject."""
    subject = f"{department.field}-{number}"
    return Identity(subject, roles=frozenset({"officer"}), agency=department.uscc)


def _registration(department: Department) -> roster_rpc.RegisterDepartmentRequest:
    return roster_rpc.RegisterDepartmentRequest(
        request_id=_new(),
        uscc=department.uscc,
        profile=roster_pb2.DepartmentProfile(
            display_name=department.display_name,
            field=department.field,
            district="321000",
            power=roster_pb2.POWER_STATUTORY,
            nexus_endpoint=ENDPOINT if department is FIRE else "",
        ),
    )


def _inspector(department: Department, number: int) -> roster_rpc.RegisterInspectorRequest:
    subject = _officer(department, number).subject
    serial = uuid5(NAMESPACE_URL, subject).int % 100_000
    certificate = roster_pb2.Certificate(
        issuer="江苏省人民政府",
        number=f"苏执{serial:05}",
        from_date=_day(date(2025, 1, 1)),
        to_date=_day(date(2029, 12, 31)),
    )
    surname = "陈周吴郑王冯褚卫"[2 * DEPARTMENTS.index(department) + number - 1]
    return roster_rpc.RegisterInspectorRequest(
        request_id=_new(),
        subject=subject,
        display_name=f"{surname}检查员",
        department=department.name,
        certificates=[certificate],
    )


def _day(value: date) -> Date:
    return Date(year=value.year, month=value.month, day=value.day)


def _new() -> str:
    return str(uuid4())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--keep", action="store_true", help="stay up after the end, until Ctrl-C")
    parser.add_argument("--day-seconds", type=float, default=DAY_SECONDS)
    chosen = parser.parse_args()
    try:
        asyncio.run(run(chosen.keep, chosen.day_seconds))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()

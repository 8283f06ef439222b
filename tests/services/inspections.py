"""An inspection led through commands by the pure model under the real rules, and requests that are valid."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

import pytest

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2, target_pb2
from rpc.errors import StatusError
from rules import RuleBook, Rules, WorkingCalendar, as_date
from services.inspection.inspections import counting, signing
from services.inspection.inspections.decide import decide
from services.inspection.inspections.evolve import Event, evolve
from services.inspection.inspections.proceeding import Known, Proceeding, Task
from tests.services.rosters import ECOLOGY as ECOLOGY_USCC
from tests.services.rosters import certificate, day, uscc
from tests.services.targets import fact

YANGZHOU = "321003"
RULES = Rules(RuleBook.load(), WorkingCalendar.load(), YANGZHOU)
MONDAY = date(2026, 9, 7)
DAY = timedelta(days=1)
FIRM = "91130200699229617X"
NAME = f"inspections/{uuid5(NAMESPACE_URL, 'inspection')}"
ECOLOGY, FIRE, MARKET, LABOUR = (
    f"departments/{each}" for each in (ECOLOGY_USCC, uscc(1), uscc(2), uscc(3))
)
FIELDS = {ECOLOGY: "ecology", FIRE: "fire", MARKET: "market", LABOUR: "labour"}
ITEMS = {
    ECOLOGY: "ecology.facilities",
    FIRE: "fire.exits",
    MARKET: "market.quality",
    LABOUR: "labour.hours",
}
Step: TypeAlias = "Callable[[Case], Any] | Any"
EMERGENCY = pb.Clue(source=pb.Clue.SOURCE_EMERGENCY, reference="12345-2026-1", summary="厂区冒黄烟")


def keys() -> signing.CodeKeys:
    """A key that is in no file."""
    return _Keys()


class _Keys(signing.CodeKeys):
    def _private(self) -> Any:
        return _private()

    def trusted(self) -> dict[str, bytes]:
        public = _private().public_key().public_bytes_raw()
        return {signing.key_id(public): public}


@cache
def _private() -> Any:
    return signing.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def departments() -> dict[str, roster_pb2.Department]:
    return {
        name: roster_pb2.Department(
            name=name,
            display_name=f"扬州市{field}局",
            field=field,
            district="321000",
            power=roster_pb2.POWER_STATUTORY,
        )
        for name, field in FIELDS.items()
    }


def inspector(department: str, number: int = 0, **fields: Any) -> roster_pb2.Inspector:
    """The inspector of that number of a department, certified for years."""
    word = f"{FIELDS.get(department, department)}-{number}"
    values: dict[str, Any] = {
        "name": f"inspectors/{uuid5(NAMESPACE_URL, word)}",
        "subject": word,
        "display_name": word,
        "department": department,
        "certificates": [certificate(f"苏{word}")],
    }
    return roster_pb2.Inspector(**{**values, **fields})


def team(department: str, count: int = 2) -> list[str]:
    """The names of inspectors of a department."""
    return [inspector(department, number).name for number in range(count)]


def target(**fields: Any) -> target_pb2.Target:
    values: dict[str, Any] = {
        "name": f"targets/{FIRM}",
        "display_name": "扬州一号化工有限公司",
        "district": YANGZHOU,
        "industry": "C2614",
        "grading": target_pb2.Grading(grade="B"),
    }
    return target_pb2.Target(**{**values, **fields})


def task(
    department: str,
    id: str = "1",  # noqa: A002
    kind: plan_pb2.Kind.ValueType = plan_pb2.KIND_DAILY,
    first: date = MONDAY,
    last: date = MONDAY + 20 * DAY,
    **fields: Any,
) -> Task:
    """A task on FIRM in the plan of a department."""
    plan = f"plans/{uuid5(NAMESPACE_URL, f'{department} {kind}')}"
    values: dict[str, Any] = {
        "id": id,
        "enterprise": FIRM,
        "items": [ITEMS[department]],
        "from_date": day(first),
        "to_date": day(last),
        **fields,
    }
    return Task(f"{plan}/tasks/{id}", department, kind, plan_pb2.Task(**values))


def known(*tasks: Task, **fields: Any) -> Known:
    """What other rooms know: every department with three inspectors, the enterprise, these tasks."""
    inspectors = [inspector(name, number) for name in FIELDS for number in range(3)]
    values: dict[str, Any] = {
        "target": target(),
        "departments": departments(),
        "inspectors": {each.name: each for each in inspectors},
        "tasks": {each.name: each for each in tasks or (task(name) for name in FIELDS)},
        "mint": keys().mint,
    }
    return Known(**{**values, **fields})


@dataclass
class Case:
    """An inspection, the day it is, the law, and what other rooms know."""

    today: date = MONDAY
    rules: Rules = RULES
    known: Known = field(default_factory=known)
    inspection: pb.Inspection = field(default_factory=lambda: pb.Inspection(name=NAME))
    # Of each department how many other visits count, as the transaction that numbers them would find.
    taken: dict[str, counting.Taken] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    _seconds: int = 0

    @property
    def now(self) -> datetime:
        """Nine in the morning, Shanghai, and a second more with each command."""
        morning = datetime(self.today.year, self.today.month, self.today.day, 1, tzinfo=UTC)
        return morning + timedelta(seconds=self._seconds)

    def do(self, *steps: Step, actor: str = "officer") -> list[str]:
        """Carry out commands, or what makes them for today; the names of the events of the last."""
        events: list[Event] = []
        for step in steps:
            command = step(self) if callable(step) else step
            if command is None:
                continue
            self._seconds += 1
            before = self.inspection.SerializeToString(deterministic=True)
            events = decide(self.proceeding(actor), command)
            for event in events:
                if isinstance(event, ev.CodeIssued):
                    counting.number(self.inspection, event, self.taken)
            assert self.inspection.SerializeToString(deterministic=True) == before
            for event in events:
                self.inspection = evolve(self.inspection, event)
            self.events += events
        return [event.DESCRIPTOR.name for event in events]

    def proceeding(self, actor: str = "officer") -> Proceeding:
        """The inspection as a command by `actor` finds it now."""
        return Proceeding(self.inspection, actor, self.rules, self.now, self.known)

    def refused(self, step: Step, actor: str = "officer") -> StatusError:
        """Why a command is refused; the inspection is left as it was."""
        before = self.inspection.SerializeToString(deterministic=True), len(self.events)
        with pytest.raises(StatusError) as refusal:
            self.do(step, actor=actor)
        assert (self.inspection.SerializeToString(deterministic=True), len(self.events)) == before
        return refusal.value

    def knows(self, **fields: Any) -> None:
        """From now on other rooms know this instead."""
        self.known = replace(self.known, **fields)

    def open(self, duty: pb.Duty.ValueType, department: str = "") -> pb.OpenDeadline | None:
        """The open deadline of that duty, of that department if one is given."""
        return self.proceeding().opened(duty, department)

    def due(self, duty: pb.Duty.ValueType, department: str = "") -> date:
        """Until when."""
        found = self.open(duty, department)
        assert found is not None
        return as_date(found.deadline.due_date)

    def part(self, department: str) -> pb.Participant:
        return self.proceeding().participant(department)

    @property
    def duties(self) -> list[tuple[str, str]]:
        """What is open, by name, and whose it is."""
        return [
            (pb.Duty.Name(each.duty).removeprefix("DUTY_"), each.department)
            for each in self.inspection.standing.deadlines
        ]

    @property
    def state(self) -> str:
        return pb.State.Name(self.inspection.standing.state).removeprefix("STATE_")


def draft(
    department: str, tasks: Iterable[Task] | None = None, **fields: Any
) -> rpc_pb.OpenInspectionRequest.Draft:
    """A department with these tasks, or the one that `known` gives it."""
    found = [task(department)] if tasks is None else tasks
    values: dict[str, Any] = {"department": department, "tasks": [each.name for each in found]}
    return rpc_pb.OpenInspectionRequest.Draft(**{**values, **fields})


def opening(*participants: Any, **fields: Any) -> rpc_pb.OpenInspectionRequest:
    """An inspection by plan of these departments, or drafts, for the next two weeks."""
    drafts = [draft(each) if isinstance(each, str) else each for each in participants]
    values: dict[str, Any] = {
        "kind": plan_pb2.KIND_DAILY,
        "enterprise": FIRM,
        "from_date": day(MONDAY),
        "to_date": day(MONDAY + 13 * DAY),
        "participants": drafts or [draft(ECOLOGY)],
    }
    return rpc_pb.OpenInspectionRequest(**{**values, **fields})


def on_clue(*departments: str, clue: pb.Clue = EMERGENCY, **fields: Any) -> Any:
    """An inspection on a clue."""
    drafts = [draft(each, [], items=[ITEMS[each]]) for each in departments or (ECOLOGY,)]
    values: dict[str, Any] = {"kind": plan_pb2.KIND_CASE, "clue": clue, **fields}
    return opening(*drafts, **values)


def accept(department: str, *inspectors: str) -> rpc_pb.AnswerInvitationRequest:
    return rpc_pb.AnswerInvitationRequest(
        department=department, accepted=True, inspectors=inspectors
    )


def decline(department: str, reason: str = "人手不足") -> rpc_pb.AnswerInvitationRequest:
    return rpc_pb.AnswerInvitationRequest(department=department, reason=reason)


def assign(department: str, names: Iterable[str] = ()) -> rpc_pb.AssignInspectorsRequest:
    """These inspectors, or two of the department."""
    return rpc_pb.AssignInspectorsRequest(
        department=department, inspectors=names or team(department)
    )


def code(
    case: Case | None = None, days: int = 3, start: date | None = None, **fields: Any
) -> rpc_pb.IssueCodeRequest:
    """A code for some days from today, or from `start`."""
    first = start or (case.today if case else MONDAY)
    return rpc_pb.IssueCodeRequest(
        from_date=day(first), to_date=day(first + (days - 1) * DAY), **fields
    )


def on_the_spot(case: Case) -> rpc_pb.IssueCodeRequest:
    """A code without approval."""
    return code(case, on_the_spot_reason="险情不等人")


def go(days: int) -> Step:
    """Some days later."""

    def step(case: Case) -> None:
        case.today += days * DAY

    return step


def lapse(duty: pb.Duty.ValueType, department: str = "") -> Step:
    """The days of this pass, and it is told."""

    def step(case: Case) -> rpc_pb.ExpireDeadlineRequest:
        case.today = max(case.today, case.due(duty, department) + DAY)
        found = case.open(duty, department)
        assert found is not None
        return rpc_pb.ExpireDeadlineRequest(deadline_id=found.deadline.id)

    return step


OPEN, JOINT = opening(ECOLOGY), opening(ECOLOGY, FIRE, MARKET)
ASSIGN = assign(ECOLOGY)
APPROVE = rpc_pb.ApproveInspectionRequest(scheme="查排污许可执行情况", opinion="同意")
DISAPPROVE = rpc_pb.ApproveInspectionRequest(scheme="查", opinion="不属紧急", disapproved=True)
REVOKE = rpc_pb.RevokeCodeRequest(reason="企业停产")
CANCEL = rpc_pb.CancelInspectionRequest(reason="企业停产")
NONE = rpc_pb.ExpireDeadlineRequest(deadline_id="none")
RECOUNT = rpc_pb.RecountDeadlinesRequest(calendar_year=2026)


def start(case: Case) -> None:
    """An inspector of the lead shows the code on site."""
    command = rpc_pb.StartInspectionRequest(
        code=case.inspection.codes[-1].id, enterprise=FIRM, device="pad-1"
    )
    command.device_time.FromDatetime(case.now)
    case.do(command, actor="ecology-0")


def conclude(case: Case) -> None:
    """The lead finds everything in order."""
    [item] = case.part(ECOLOGY).items
    entry = pb.Entry(id=str(uuid5(NAMESPACE_URL, "entry")), item=item.id, check=pb.CHECK_PASSED)
    entry.device_time.FromDatetime(case.now)
    note = rpc_pb.RecordEntriesRequest(department=ECOLOGY, entries=[entry])
    result = rpc_pb.RecordResultRequest(department=ECOLOGY, conclusion="未发现问题")
    case.do(note, result, actor="ecology-0")


def answered(case: Case) -> rpc_pb.PrecheckInspectionRequest:
    """Data answer the only question."""
    told = fact("PERMIT_REPORT", MONDAY - 10 * DAY, answers=["permit_report"])
    case.knows(target=target(facts=[told]))
    return rpc_pb.PrecheckInspectionRequest()


def asking_for_permit(case: Case) -> rpc_pb.OpenInspectionRequest:
    """An inspection that asks only what data can answer."""
    permit = task(ECOLOGY, "permit", items=["ecology.permit"])
    case.knows(tasks={permit.name: permit})
    return opening(draft(ECOLOGY, [permit]))


# What leads to each state.
INVITING: list[Step] = [JOINT]
ARRANGED: list[Step] = [OPEN, ASSIGN]
APPROVED: list[Step] = [*ARRANGED, APPROVE]
READY: list[Step] = [*APPROVED, code]
SPOT: list[Step] = [on_clue(), ASSIGN, on_the_spot]
CANCELLED: list[Step] = [OPEN, CANCEL]
OFF_SITE: list[Step] = [asking_for_permit, answered]
UNDER_WAY: list[Step] = [*READY, start]
RECORDED: list[Step] = [*UNDER_WAY, conclude]
REPORT = rpc_pb.ReportInspectionRequest()
CLOSED: list[Step] = [*RECORDED, REPORT]
# Nothing is left to hand over, but the head has not looked at its beginning.
REPORTED: list[Step] = [*SPOT, start, conclude, REPORT]

"""An inspection from its code on, as the tests of what happens on site and after begin with it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, uuid5

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.inspection.v1 import code_service_pb2 as code_pb
from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2, target_pb2
from rpc.errors import StatusError
from rules import SHANGHAI, RuleBook, Rules, WorkingCalendar, as_date
from services.inspection.inspections.decide import decide
from services.inspection.inspections.evolve import Event, evolve
from services.inspection.inspections.proceeding import Known, Proceeding
from tests.services.rosters import certificate, day, uscc

DISTRICT, ENTERPRISE, OTHER = "321000", uscc(1), uscc(2)
ECOLOGY, EMERGENCY, FIRE = (f"departments/{uscc(n)}" for n in (11, 12, 13))
NAMES = {ECOLOGY: "扬州市生态环境局", EMERGENCY: "扬州市应急管理局", FIRE: "扬州市消防救援支队"}
NAME = f"inspections/{uuid5(NAMESPACE_URL, 'one')}"
CODE, OLD_CODE, STRANGE_CODE = ("01K4HSP0000000000000000000"[:25] + each for each in "ABC")
RULES = Rules(RuleBook.load(), WorkingCalendar.load(), DISTRICT)
MORNING = datetime(2026, 9, 7, 1, tzinfo=UTC)  # a Monday, 09:00 in Shanghai
FIRST, LAST = date(2026, 9, 7), date(2026, 9, 9)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Step: TypeAlias = "Callable[[Visit], Any] | Any"


def id_(word: str) -> str:
    """A UUID that stands for the word."""
    return str(uuid5(NAMESPACE_URL, word))


def at(time: datetime) -> Timestamp:
    """An instant as a message."""
    instant = Timestamp()
    instant.FromDatetime(time)
    return instant


def midnight(of: date) -> Timestamp:
    """When that day begins in Shanghai."""
    return at(datetime(of.year, of.month, of.day, tzinfo=SHANGHAI).astimezone(UTC))


def item(item_id: str, **fields: Any) -> pb.Item:
    """An item of the published list."""
    listed = RULES.items(FIRST)
    name = listed[item_id].name if item_id in listed else item_id
    return pb.Item(id=item_id, display_name=name, **fields)


def inspectors(department: str) -> list[pb.Assigned]:
    """Two, called by their department and number."""
    word = NAMES[department][3:5]
    return [
        pb.Assigned(
            inspector=f"inspectors/{id_(f'{word}{n}')}",
            display_name=f"{word}检查员{n}",
            certificate=f"江苏省人民政府 苏{word}{n}",
        )
        for n in (1, 2)
    ]


def subject(department: str, number: int = 1) -> str:
    """The identity of an inspector."""
    return f"{NAMES[department][3:5]}-{number}"


def participant(department: str, *items: pb.Item, **fields: Any) -> pb.Participant:
    values: dict[str, Any] = {
        "answer": pb.ANSWER_ACCEPTED,
        "inspectors": inspectors(department),
        "visit_of_year": 1,
        "lead": department == ECOLOGY,
    }
    return pb.Participant(
        department=department,
        display_name=NAMES[department],
        items=items,
        **{**values, **fields},
    )


JOINT = (
    participant(ECOLOGY, item("ecology.monitoring"), item("ecology.facilities")),
    participant(EMERGENCY, item("emergency.hazards")),
    participant(
        FIRE,
        item("fire.exits"),
        answer=pb.ANSWER_DECLINED,
        reason="警力不足",
        inspectors=[],
        visit_of_year=0,
    ),
)


def inspection(
    state: pb.State.ValueType = pb.STATE_READY,
    participants: Iterable[pb.Participant] = JOINT,
    **fields: Any,
) -> pb.Inspection:
    """An inspection in a state that needs nothing but a code; with the codes that such a state has."""
    values: dict[str, Any] = {
        "kind": plan_pb2.KIND_DAILY,
        "title": "综合查一次",
        "enterprise": pb.Inspected(
            uscc=ENTERPRISE, display_name="扬州一号化工有限公司", district=DISTRICT
        ),
        "from_date": day(FIRST),
        "to_date": day(LAST),
        "open_time": at(MORNING - 7 * DAY),
        "codes": [code()] if state == pb.STATE_READY else [],
    }
    found = pb.Inspection(
        name=NAME,
        standing=pb.Standing(state=state),
        participants=participants,
        **{**values, **fields},
    )
    visit = Proceeding(found, "officer", RULES, MORNING - 7 * DAY)
    if state in (pb.STATE_ARRANGED, pb.STATE_APPROVED, pb.STATE_READY):
        due = visit.open(pb.DUTY_VISIT, ECOLOGY, visit.today, due=LAST)
        found.standing.deadlines.append(due)
    return found


def code(code_id: str = CODE, **fields: Any) -> pb.Code:
    """A code for the days of the visit."""
    values: dict[str, Any] = {
        "from_time": midnight(FIRST),
        "to_time": midnight(LAST + DAY),
        "state": pb.Code.STATE_ISSUED,
    }
    return pb.Code(id=code_id, **{**values, **fields})


def known(**fields: Any) -> Known:
    """The inspectors of all departments, and whatever else."""
    roster = {
        each.inspector: roster_pb2.Inspector(
            name=each.inspector,
            subject=subject(department, number),
            department=department,
            certificates=[certificate()],
        )
        for department in NAMES
        for number, each in enumerate(inspectors(department), 1)
    }
    return Known(inspectors=roster, **fields)


@dataclass
class Visit:
    """An inspection, the time it is, what is known, and what happened so far."""

    inspection: pb.Inspection = field(default_factory=inspection)
    now: datetime = MORNING
    known: Known = field(default_factory=known)
    events: list[Event] = field(default_factory=list)

    def do(self, *steps: Step, actor: str = "") -> list[str]:
        """Carry out commands, or what makes them for now; the names of the events of the last."""
        events: list[Event] = []
        for step in steps:
            command = step(self) if callable(step) else step
            if command is None:
                continue
            before = self.inspection.SerializeToString(deterministic=True)
            events = decide(self.proceeding(actor), command)
            assert self.inspection.SerializeToString(deterministic=True) == before
            for event in events:
                self.inspection = evolve(self.inspection, event)
            self.events += events
        return [event.DESCRIPTOR.name for event in events]

    def refused(self, step: Step, actor: str = "") -> StatusError:
        """Why a command is refused."""
        with pytest.raises(StatusError) as refusal:
            self.do(step, actor=actor)
        return refusal.value

    def proceeding(self, actor: str = "") -> Proceeding:
        """The inspection as a command finds it now."""
        return Proceeding(self.inspection, actor or subject(ECOLOGY), RULES, self.now, self.known)

    def knowing(self, **fields: Any) -> "Visit":
        """The same, with something else known."""
        return replace(self, known=replace(self.known, **fields))

    @property
    def state(self) -> str:
        return pb.State.Name(self.inspection.standing.state).removeprefix("STATE_")

    @property
    def open(self) -> dict[str, date]:
        """What is open, by duty and number of the department, and until when."""
        numbers = {name: n for n, name in enumerate(NAMES)}
        return {
            f"{pb.Duty.Name(each.duty).removeprefix('DUTY_')} {numbers[each.department]}": as_date(
                each.deadline.due_date
            )
            for each in self.inspection.standing.deadlines
        }


def later(time: timedelta) -> Step:
    """Some time later."""

    def step(visit: Visit) -> None:
        visit.now += time

    return step


def miss(duty: pb.Duty.ValueType) -> Step:
    """The deadlines of that duty have passed, and that was told."""

    def step(visit: Visit) -> None:
        p = visit.proceeding()
        gone = ev.DeadlinePassed(occurrence=p.occurrence(misses=p.ids(duty)), missed=True)
        visit.inspection = evolve(visit.inspection, gone)

    return step


def begin(device_time: datetime = MORNING, **fields: Any) -> rpc_pb.StartInspectionRequest:
    """The start of the visit."""
    values: dict[str, Any] = {"code": CODE, "enterprise": ENTERPRISE, "device": "pad-1"}
    return rpc_pb.StartInspectionRequest(device_time=at(device_time), **{**values, **fields})


def passed(word: str, item_id: str, minutes: int = 10, **fields: Any) -> pb.Entry:
    """An entry of something in order; `word` stands for its id, minutes are those after nine."""
    values: dict[str, Any] = {
        "check": pb.CHECK_PASSED,
        "device_time": at(MORNING + minutes * MINUTE),
    }
    return pb.Entry(id=id_(word), item=item_id, **{**values, **fields})


def failed(
    word: str,
    item_id: str,
    outcome: pb.Outcome.ValueType = pb.OUTCOME_RECTIFY,
    **fields: Any,
) -> pb.Entry:
    """An entry of something that is not in order."""
    values: dict[str, Any] = {
        "check": pb.CHECK_FAILED,
        "note": "危废标签缺失",
        "gravity": pb.GRAVITY_GENERAL,
        "outcome": outcome,
    }
    if outcome == pb.OUTCOME_GUIDED:
        values["guidance"] = "补贴标签"
    return passed(word, item_id, **{**values, **fields})


def note(department: str, *entries: pb.Entry) -> rpc_pb.RecordEntriesRequest:
    return rpc_pb.RecordEntriesRequest(department=department, entries=entries)


def conclude(department: str, conclusion: str = "总体符合") -> rpc_pb.RecordResultRequest:
    return rpc_pb.RecordResultRequest(department=department, conclusion=conclusion)


def hand_over(finding: str, became: str) -> rpc_pb.HandOverFindingRequest:
    return rpc_pb.HandOverFindingRequest(finding=finding, handed_over_to=became)


PROBLEM, CASE = f"problems/{id_('problem')}", f"penaltyCases/{id_('case')}"
PRECHECK = rpc_pb.PrecheckInspectionRequest()
REPORT = rpc_pb.ReportInspectionRequest()
RATE = code_pb.RateInspectionRequest(code=CODE, score=4, comment="态度好")
CLEAN = [
    note(ECOLOGY, passed("1", "ecology.monitoring"), passed("2", "ecology.facilities", 20)),
    note(EMERGENCY, passed("3", "emergency.hazards", 30)),
]
FINDING = note(ECOLOGY, failed("4", "ecology.facilities", minutes=25))
RESULTS = [conclude(ECOLOGY), conclude(EMERGENCY)]
# The way from a code to each state, of an inspection that found nothing, and of one that found something.
WAYS: dict[str, list[Step]] = {
    "READY": [later(HOUR)],
    "UNDER_WAY": [begin(), later(HOUR)],
    "RECORDED": [begin(), later(HOUR), *CLEAN, *RESULTS],
    "CLOSED": [begin(), later(HOUR), *CLEAN, *RESULTS, REPORT],
}
FOUND: list[Step] = [begin(), later(HOUR), *CLEAN, FINDING, *RESULTS]
WAYS["REPORTED"] = [*FOUND, REPORT]


def fact(
    word: str, kind: target_pb2.FactKind.ValueType, on: date, *answers: str, **fields: Any
) -> target_pb2.Fact:
    """A fact about the enterprise; `word` stands for its id."""
    values: dict[str, Any] = {"level": "general", "source": f"facts/{word}", "compliant": True}
    return target_pb2.Fact(
        id=id_(word), kind=kind, date=day(on), answers=answers, **{**values, **fields}
    )

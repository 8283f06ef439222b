"""What every decision on an inspection starts from: it, who acts, what is known, the law, the day. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2, target_pb2
from rpc.errors import StatusError, failed_precondition, invalid_argument, not_found
from rules import Rules, as_date, legal_date

# The rule that limits each duty.
LIMITS = {
    pb.DUTY_ANSWER: "inspection.answer",
    pb.DUTY_VISIT: "inspection.visit",
    pb.DUTY_RESULT: "inspection.result",
    pb.DUTY_REPORT: "inspection.report",
    pb.DUTY_REVIEW: "inspection.emergency_review",
    pb.DUTY_HANDOVER: "inspection.handover",
}
Mint = Callable[[str], pb.Code]
"""Signs a statement: given all it says after the code's id, a code with id, key, signature and statement."""


@dataclass(frozen=True)
class Task:
    """An open task of a published plan: its name, its department and what is planned."""

    name: str
    department: str
    kind: plan_pb2.Kind.ValueType
    task: plan_pb2.Task


@dataclass(frozen=True)
class Known:
    """What other rooms know that a decision needs; empty where it needs nothing of them.

    departments, inspectors, tasks: by resource name, those that the command names and that exist; earlier:
    inspections of the enterprise whose results are recorded, newest first; drawn: inspectors whom draws
    chose for the department's tasks.
    """

    target: target_pb2.Target | None = None
    departments: Mapping[str, roster_pb2.Department] = field(default_factory=dict)
    inspectors: Mapping[str, roster_pb2.Inspector] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    earlier: tuple[pb.Inspection, ...] = ()
    drawn: tuple[str, ...] = ()
    mint: Mint | None = None


@dataclass(frozen=True)
class Proceeding:
    """An inspection at the moment of a command.

    actor: subject of the identity that acts; rules: the law of the place of the enterprise; now: legal
    time, UTC.
    """

    inspection: pb.Inspection
    actor: str
    rules: Rules
    now: datetime
    known: Known = field(default_factory=Known)

    @property
    def today(self) -> date:
        """The legal date, Asia/Shanghai."""
        return legal_date(self.now)

    @property
    def time(self) -> Timestamp:
        """The legal instant."""
        instant = Timestamp()
        instant.FromDatetime(self.now)
        return instant

    def participant(self, department: str) -> pb.Participant:
        """The department's part. NOT_FOUND if it was not asked."""
        for each in self.inspection.participants:
            if each.department == department:
                return each
        raise not_found("bihuan.dev/Participant", f"{self.inspection.name}/{department}")

    @property
    def lead(self) -> pb.Participant:
        """The part of the department that leads."""
        return self.inspection.participants[0]

    @property
    def going(self) -> list[pb.Participant]:
        """Departments that take part and have an item that data did not answer."""
        return going(self.inspection)

    def open(
        self,
        duty: pb.Duty.ValueType,
        department: str,
        origin: date,
        *,
        due: date | None = None,
    ) -> pb.OpenDeadline:
        """The deadline that the duty's rule sets from `origin`, or on `due` where a day was set; a day that
        is not after the origin is taken as the day after it.
        """
        if due is not None:
            due = max(due, origin + timedelta(days=1))
        deadline_id = _deadline_id(duty, department, origin)
        deadline = self.rules.deadline(LIMITS[duty], origin, deadline_id, due=due)
        return pb.OpenDeadline(duty=duty, department=department, deadline=deadline)

    def open_each(
        self,
        duty: pb.Duty.ValueType,
        departments: Iterable[str],
        origin: date,
        *,
        latest: date,
    ) -> list[pb.OpenDeadline]:
        """As `open`, for several departments that have the same limit: it is counted once, and ends on
        `latest` where it would end later.
        """
        opened: list[pb.OpenDeadline] = []
        for department in departments:
            if not opened:
                first = self.open(duty, department, origin)
                if latest < as_date(first.deadline.due_date):
                    first = self.open(duty, department, origin, due=latest)
                opened.append(first)
                continue
            same = pb.OpenDeadline()
            same.CopyFrom(opened[0])
            same.department = department
            same.deadline.id = _deadline_id(duty, department, origin)
            opened.append(same)
        return opened

    def opened(self, duty: pb.Duty.ValueType, department: str = "") -> pb.OpenDeadline | None:
        """The open deadline of that duty, of that department if one is given."""
        found = (each for each in self.inspection.standing.deadlines if each.duty == duty)
        return next((each for each in found if department in ("", each.department)), None)

    def occurrence(
        self,
        state: pb.State.ValueType | None = None,
        *,
        opens: Iterable[pb.OpenDeadline] = (),
        closes: Collection[str] = (),
        misses: Collection[str] = (),
    ) -> ev.Occurrence:
        """What an event says of who acted and where the inspection stands after it.

        `closes` ends deadlines by id, overdue or not, before `opens` begin; `misses` takes deadlines from
        the open to the overdue ones.
        """
        standing = pb.Standing()
        standing.CopyFrom(self.inspection.standing)
        if state is not None:
            standing.state = state
        gone = {*closes, *misses}
        kept = [each for each in standing.deadlines if each.deadline.id not in gone]
        overdue = [each for each in standing.overdue if each not in closes]
        del standing.deadlines[:], standing.overdue[:]
        standing.deadlines.extend(sorted([*kept, *opens], key=_due))
        standing.overdue.extend(sorted({*overdue, *misses}))
        return ev.Occurrence(standing=standing, actor=self.actor, occur_time=self.time)

    def ids(self, duty: pb.Duty.ValueType, department: str = "") -> set[str]:
        """Ids of open and overdue deadlines of that duty, of that department if one is given: what is
        closed when it is fulfilled.
        """
        word = pb.Duty.Name(duty).removeprefix("DUTY_").lower()
        prefix = f"{word}-{department.removeprefix('departments/')}"
        standing = self.inspection.standing
        every = {*(each.deadline.id for each in standing.deadlines), *standing.overdue}
        return {each for each in every if each.startswith(prefix)}

    def refuse(self, reason: str, text: str, **metadata: str) -> StatusError:
        """FAILED_PRECONDITION with a stable reason, the inspection and its state."""
        state = pb.State.Name(self.inspection.standing.state)
        name = self.inspection.name
        return failed_precondition(reason, text, resource=name, state=state, **metadata)


def going(inspection: pb.Inspection) -> list[pb.Participant]:
    """Departments that take part and have an item that data did not answer."""
    return [
        each
        for each in inspection.participants
        if each.answer == pb.ANSWER_ACCEPTED and any(not item.answered_by for item in each.items)
    ]


def unchecked(participant: pb.Participant) -> list[pb.Item]:
    """Items that data did not answer and nobody looked at."""
    noted = {entry.item for entry in participant.entries}
    return [each for each in participant.items if not each.answered_by and each.id not in noted]


def assigned(inspection: pb.Inspection) -> Iterable[str]:
    """Names of all inspectors of an inspection."""
    return (each.inspector for one in inspection.participants for each in one.inspectors)


def whole_date(value: date_pb2.Date, name: str) -> date:
    """The day that a command names. INVALID_ARGUMENT naming the field if it is none."""
    try:
        return date(value.year, value.month, value.day)
    except ValueError as error:
        raise invalid_argument(
            "INVALID_DATE", f"{name} is not a day: {error}", [(name, "must be a whole date")]
        ) from error


def _deadline_id(duty: pb.Duty.ValueType, department: str, origin: date) -> str:
    word = pb.Duty.Name(duty).removeprefix("DUTY_").lower()
    return f"{word}-{department.removeprefix('departments/')}@{origin:%Y%m%d}"


def _due(deadline: pb.OpenDeadline) -> tuple[int, int, str]:
    return deadline.deadline.due_time.ToNanoseconds(), deadline.duty, deadline.department

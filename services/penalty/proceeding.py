"""What every decision on a case starts from: the case, who acts, the law of the place, the day. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2

from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.types.v1.deadline_pb2 import CONFIDENCE_LOW, Deadline
from rpc.errors import StatusError, failed_precondition, invalid_argument
from rules import Rules, as_date, legal_date
from services.deadlines import passed

OFFICER, RESPONDENT = pb.PARTY_OFFICER, pb.PARTY_RESPONDENT
# Who must act, or may.
PARTIES = {
    pb.DUTY_FILING: OFFICER,
    pb.DUTY_DECISION: OFFICER,
    pb.DUTY_STATEMENT: RESPONDENT,
    pb.DUTY_HEARING_REQUEST: RESPONDENT,
    pb.DUTY_APOLOGY: RESPONDENT,
    pb.DUTY_SERVICE: OFFICER,
    pb.DUTY_PUBLICATION: OFFICER,
    pb.DUTY_PUBLICATION_WITHDRAWAL: OFFICER,
    pb.DUTY_PAYMENT: RESPONDENT,
    pb.DUTY_RECONSIDERATION: RESPONDENT,
    pb.DUTY_SUIT: RESPONDENT,
    pb.DUTY_DEMAND: RESPONDENT,
    pb.DUTY_COURT_APPLICATION: OFFICER,
    pb.DUTY_REINSPECTION: OFFICER,
    pb.DUTY_APPLICATION_REVIEW: OFFICER,
    pb.DUTY_INSTALMENT: RESPONDENT,
    pb.DUTY_GRACE: RESPONDENT,
    pb.DUTY_BREACH: OFFICER,
    pb.DUTY_VOLUNTEER_SERVICE: RESPONDENT,
}
# Rights lapse; nobody is overdue with them.
RIGHTS = frozenset(
    {
        pb.DUTY_STATEMENT,
        pb.DUTY_HEARING_REQUEST,
        pb.DUTY_APOLOGY,
        pb.DUTY_RECONSIDERATION,
        pb.DUTY_SUIT,
    }
)


@dataclass(frozen=True)
class Proceeding:
    """A case at the moment of a command.

    actor: subject of the identity that acts; rules: the law of the place of the violation; now: legal
    time, UTC; original: for a daily penalty the original case as it stands now; earlier: how many other
    cases found a violation of the same party.
    """

    case: pb.PenaltyCase
    actor: str
    rules: Rules
    now: datetime
    original: pb.PenaltyCase | None = None
    earlier: int = 0

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

    def day(self, value: date_pb2.Date, field: str, *, since: date_pb2.Date | None = None) -> date:
        """The day that a command names. INVALID_ARGUMENT if it is none, later than today, or before
        the day `since`.
        """
        day = whole_date(value, field)
        if since is not None and day < as_date(since):
            raise invalid_argument(
                "DATE_TOO_EARLY",
                f"{field} is {day}, before {as_date(since)}",
                [(field, f"must not lie before {as_date(since)}")],
            )
        if day > self.today:
            raise invalid_argument(
                "FUTURE_DATE",
                f"{field} is {day}, and today is {self.today}",
                [(field, "must not lie in the future")],
            )
        return day

    def open(
        self,
        duty: pb.Duty.ValueType,
        rule_id: str,
        origin: date,
        *,
        due: date | None = None,
        amount_fen: int = 0,
        instalment: int = 0,
    ) -> pb.OpenDeadline:
        """The deadline that the rule sets from `origin`, or on `due` where a date was set."""
        numbered = f"-{instalment}" if instalment else ""
        name = pb.Duty.Name(duty).removeprefix("DUTY_").lower()
        deadline_id = f"{name}{numbered}@{origin:%Y%m%d}"
        return pb.OpenDeadline(
            duty=duty,
            party=PARTIES[duty],
            deadline=self.rules.deadline(rule_id, origin, deadline_id, due=due),
            amount_fen=amount_fen,
            instalment=instalment,
        )

    def told(self, rule_id: str) -> str:
        """What a refusal says of the rule of today that it rests on, and whether that is unsure."""
        rule = self.rules.reference(rule_id, self.today)
        unsure = ", unsure (待确认)" if rule.confidence == CONFIDENCE_LOW else ""
        return f"{rule.id}, {rule.citation}{unsure}"

    def opened(self, duty: pb.Duty.ValueType) -> pb.OpenDeadline | None:
        """The deadline of that duty that ends first, if any is open."""
        found = (each for each in self.case.standing.deadlines if each.duty == duty)
        return next(found, None)

    def runs(self, duty: pb.Duty.ValueType) -> bool:
        """Whether such a deadline is open and its time has not come, told or not."""
        found = self.opened(duty)
        return found is not None and not passed(found.deadline, self.now)

    def occurrence(
        self,
        state: pb.State.ValueType | None = None,
        *,
        opens: Iterable[pb.OpenDeadline] = (),
        closes: Collection[pb.Duty.ValueType] = (),
        misses: Collection[pb.Duty.ValueType] = (),
        **changes: int,
    ) -> ev.Occurrence:
        """What an event says of who acted and where the case stands after it.

        `closes` ends duties, overdue or not, before those of `opens` begin; `misses` makes duties overdue;
        `changes` sets other fields of the standing: suspended, plan, unpaid_fine_fen.
        """
        standing = pb.Standing()
        standing.CopyFrom(self.case.standing)
        if state is not None:
            standing.state = state
        for field, value in changes.items():
            setattr(standing, field, value)
        kept = [each for each in standing.deadlines if each.duty not in closes]
        overdue = {duty for duty in standing.overdue if duty not in closes} | set(misses)
        del standing.deadlines[:], standing.overdue[:]
        standing.deadlines.extend(sorted([*kept, *opens], key=_due))
        standing.overdue.extend(sorted(overdue))
        return ev.Occurrence(standing=standing, actor=self.actor, occur_time=self.time)

    def refuse(self, reason: str, text: str, **metadata: str) -> StatusError:
        """FAILED_PRECONDITION with a stable reason, the case and its state."""
        state = pb.State.Name(self.case.standing.state)
        return failed_precondition(reason, text, resource=self.case.name, state=state, **metadata)


def whole_date(value: date_pb2.Date, field: str) -> date:
    """The date that a command names, past or future. INVALID_ARGUMENT if it is none."""
    try:
        return date(value.year, value.month, value.day)
    except ValueError as error:
        raise invalid_argument(
            "INVALID_DATE", f"{field} is not a day: {error}", [(field, "must be a whole date")]
        ) from error


def due_date(deadline: Deadline) -> date:
    """The last day in time."""
    return as_date(deadline.due_date)


def day_message(day: date) -> date_pb2.Date:
    """A day as a message."""
    return date_pb2.Date(year=day.year, month=day.month, day=day.day)


def _due(deadline: pb.OpenDeadline) -> tuple[int, int]:
    return deadline.deadline.due_time.ToNanoseconds(), deadline.duty

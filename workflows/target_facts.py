"""Which events are facts about an inspection target, and how grave each is."""

from collections.abc import Sequence
from datetime import UTC, date
from uuid import NAMESPACE_URL, uuid5

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.inspection.v1 import inspection_events_pb2 as inspection_ev
from bihuan.inspection.v1 import inspection_pb2 as inspection
from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1.target_loop_pb2 import TargetFact
from bihuan.penalty.v1 import events_pb2 as penalty_ev
from bihuan.penalty.v1 import penalty_case_pb2 as penalty
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as problem
from rules.clock import legal_date

MINOR, GENERAL, SERIOUS = "minor", "general", "serious"
SEVERITIES = {
    problem.SEVERITY_MINOR: MINOR,
    problem.SEVERITY_GENERAL: GENERAL,
    problem.SEVERITY_SERIOUS: SERIOUS,
}
# Of the resource that an event is about what the events do not say.
OF_PROBLEM = FieldMask(paths=["enterprise.uscc", "severity"])
OF_INSPECTION = FieldMask(paths=["enterprise.uscc"])
OF_CASE = FieldMask(paths=["respondent.uscc", "hearing_due", "decision"])
RECORDED, NO_CREDIT_CODE = "recorded", "NO_CREDIT_CODE"
# Reasons for which a fact is not on record and nobody need see to it: the enterprise is not on the register,
# the fact is on record already, or it is too old to weigh.
QUIET = frozenset({"TARGET_NOT_FOUND", "TARGET_REMOVED", "FACT_DIFFERS", "FACT_LAPSED"})


def of_problem(event: Event, messages: Sequence[Message], name: str) -> list[TargetFact]:
    """The facts that an event of the problem `name` is: found true, put right, or not put right in time."""
    found = []
    for message in messages:
        match message:
            case ev.ProblemVerified() if message.verification.confirmed:
                time = message.verification.verify_time
                found.append(_fact(event, name, pb.FACT_KIND_PROBLEM, time))
            case ev.ProblemClosed():
                found.append(_fact(event, name, pb.FACT_KIND_PROBLEM_CLOSED, message.close_time))
            case ev.DeadlineMissed() if message.step == problem.STEP_RECTIFY:
                overdue = _fact(event, name, pb.FACT_KIND_OVERDUE, message.detect_time, GENERAL)
                # Once for a problem, however many of its days pass.
                overdue.fact.id = str(uuid5(NAMESPACE_URL, f"bihuan:fact/{name}/overdue"))
                found.append(overdue)
    return found


def of_penalty(event: Event, messages: Sequence[Message], name: str) -> list[TargetFact]:
    """The facts that an event of the penalty case `name` is: a fine took effect, or was annulled.

    A fine counts from its decision, as the publication of penalties does, but only once it was served: before
    that it does not bind the party.
    """
    found = []
    for message in messages:
        match message:
            case penalty_ev.DecisionServed() if message.HasField("account"):
                time = message.occurrence.occur_time
                found.append(_fact(event, name, pb.FACT_KIND_PENALTY, time))
            case penalty_ev.CaseWithdrawn() if message.ground == penalty.WITHDRAWAL_GROUND_ANNULLED:
                time = message.occurrence.occur_time
                found.append(_fact(event, name, pb.FACT_KIND_REPAIR, time, GENERAL))
    return found


def of_inspection(event: Event, messages: Sequence[Message], name: str) -> list[TargetFact]:
    """The facts that an event of the inspection `name` is: that it found nothing. What it finds comes by the
    problems and penalty cases that this becomes.
    """
    return [
        _fact(event, name, pb.FACT_KIND_CLEAN_INSPECTION, message.occurrence.occur_time, GENERAL)
        for message in messages
        if isinstance(message, inspection_ev.InspectionReported) and not message.finding_count
    ]


def with_inspection(fact: TargetFact, found: inspection.Inspection) -> TargetFact:
    """The fact with what its inspection says: whose it is."""
    fact.enterprise = found.enterprise.uscc
    return fact


def with_problem(fact: TargetFact, found: problem.Problem) -> TargetFact:
    """The fact with what its problem says: whose it is, and how grave."""
    fact.enterprise = found.enterprise.uscc
    fact.fact.level = fact.fact.level or SEVERITIES.get(found.severity, GENERAL)
    return fact


def with_case(fact: TargetFact, found: penalty.PenaltyCase) -> TargetFact:
    """The fact with what its case says: whose it is, how grave, and the day of the decision. A natural person
    is no target and has no credit code.
    """
    fact.enterprise = found.respondent.uscc
    if fact.fact.kind == pb.FACT_KIND_PENALTY:
        fact.fact.level = class_of(found)
        fact.fact.date.CopyFrom(found.decision.decide_date)
    return fact


def class_of(case: penalty.PenaltyCase) -> str:
    """The class of a penalty (domain: class of a penalty; measures on publishing dishonesty, F29, confidence
    MEDIUM), as far as a fine can tell it.

    Serious (严重): a huge fine, which no rule puts a number to: the most that the law allows for the offence,
    as long as that is large; or a daily penalty, for refusing to correct. General (一般): another large fine,
    that is one for which a hearing is due. Minor (轻微): any other.
    """
    decided = case.decision.discretion
    if decided.daily_fen:
        return SERIOUS
    if not case.hearing_due:
        return MINOR
    return SERIOUS if decided.chosen_fen >= decided.ceiling_fen else GENERAL


def _fact(
    event: Event, name: str, kind: pb.FactKind.ValueType, time: Timestamp, level: str = ""
) -> TargetFact:
    fact = pb.Fact(
        id=str(uuid5(NAMESPACE_URL, f"bihuan:fact/{event.id}")),
        kind=kind,
        level=level,
        source=name,
        date=_day(legal_date(time.ToDatetime(UTC))),
    )
    return TargetFact(event_id=event.id, source=name, fact=fact)


def _day(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)

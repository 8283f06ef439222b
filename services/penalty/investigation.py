"""What the investigation finds, who looks over it, and orders to correct with their re-inspections. Pure."""

from collections.abc import Collection

from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from rpc.errors import StatusError, invalid_argument
from rules import as_date
from services.penalty import documents
from services.penalty.evolve import Event
from services.penalty.proceeding import Proceeding, whole_date

OFFICERS = "penalty.officers"
REINSPECTION = "rectification.reinspection"


def add_evidence(p: Proceeding, command: rpc_pb.AddEvidenceRequest) -> list[Event]:
    """Evidence; of a report the result must have been told to the party."""
    added = []
    for index, each in enumerate(command.evidence):
        field = f"evidence[{index}].told_date"
        if each.HasField("told_date"):
            p.day(each.told_date, field)
        elif each.kind == pb.CaseEvidence.KIND_REPORT:
            raise invalid_argument(
                "RESULT_NOT_TOLD",
                "the result of monitoring, testing or an expert is told to the party first",
                [(field, "must be given for KIND_REPORT")],
            )
        entry = pb.CaseEvidence()
        entry.CopyFrom(each)
        entry.add_time.CopyFrom(p.time)
        added.append(entry)
    return [ev.EvidenceAdded(occurrence=p.occurrence(), evidence=added)]


def conclude(p: Proceeding, command: rpc_pb.ConcludeInvestigationRequest) -> list[Event]:
    """The investigation, by officers who may investigate, with evidence."""
    for index, officer in enumerate(command.officers):
        valid = whole_date(officer.valid_until, f"officers[{index}].valid_until")
        if valid < p.today:
            raise p.refuse(
                "CERTIFICATE_EXPIRED",
                f"certificate {officer.certificate} was valid until {valid}",
                certificate=officer.certificate,
            )
    least = p.rules.number(OFFICERS, p.today)
    if len({officer.subject for officer in command.officers}) < least:
        raise p.refuse("NOT_ENOUGH_OFFICERS", f"at least {least} officers investigate")
    if not p.case.evidence:
        raise p.refuse("NO_EVIDENCE", f"{p.case.name} has no evidence")
    return [
        ev.InvestigationConcluded(
            occurrence=p.occurrence(pb.STATE_INVESTIGATED),
            investigation=pb.Investigation(
                officers=command.officers, facts=command.facts, conclude_time=p.time
            ),
        )
    ]


def review(p: Proceeding, command: rpc_pb.RecordLegalReviewRequest) -> list[Event]:
    """A legal review, by none of the investigators (查审分离)."""
    require_other(p, [p.actor])
    return [
        ev.LegalReviewRecorded(
            occurrence=p.occurrence(),
            review=pb.LegalReview(
                passed=command.passed,
                opinion=command.opinion,
                reviewer=p.actor,
                review_time=p.time,
            ),
        )
    ]


def discuss(p: Proceeding, command: rpc_pb.RecordDiscussionRequest) -> list[Event]:
    """A collective discussion, in which none of the investigators votes."""
    require_other(p, command.participants)
    p.day(command.discuss_date, "discuss_date", since=p.case.file_date)
    return [
        ev.DiscussionRecorded(
            occurrence=p.occurrence(),
            discussion=pb.Discussion(
                agreed=command.agreed,
                minutes=command.minutes,
                participants=command.participants,
                discuss_date=command.discuss_date,
                record_time=p.time,
            ),
        )
    ]


def order_correction(p: Proceeding, command: rpc_pb.OrderCorrectionRequest) -> list[Event]:
    """The violation is to stop; from the day of service a round of re-inspection runs."""
    rounds = p.case.reinspections
    if rounds and not rounds[-1].HasField("inspect_date"):
        raise p.refuse("REINSPECTION_PENDING", f"round {rounds[-1].round} is not re-inspected yet")
    # No day counts twice: a round begins when the one before has ended.
    since = rounds[-1].inspect_date if rounds else p.case.found_date
    service = documents.served(p, command, since=since)
    until = p.open(pb.DUTY_REINSPECTION, REINSPECTION, as_date(service.serve_date))
    return [
        ev.CorrectionOrdered(
            occurrence=p.occurrence(opens=[until]),
            reinspection=pb.Reinspection(
                round=len(rounds) + 1,
                order_serve_date=service.serve_date,
                deadline=until.deadline,
            ),
            document=documents.correction_order(p, command.facts, until.deadline, service),
        )
    ]


def reinspect(p: Proceeding, command: rpc_pb.RecordReinspectionRequest) -> list[Event]:
    """What re-inspection found; a refusal counts the days since the order was served."""
    rounds = p.case.reinspections
    if not rounds or rounds[-1].HasField("inspect_date"):
        raise p.refuse("NO_ORDER_TO_INSPECT", "each re-inspection follows an order to correct")
    done = pb.Reinspection()
    done.CopyFrom(rounds[-1])
    day = p.day(command.inspect_date, "inspect_date", since=done.order_serve_date)
    done.inspect_date.CopyFrom(command.inspect_date)
    done.refused, done.findings = command.refused, command.findings
    done.days = (day - as_date(done.order_serve_date)).days if command.refused else 0
    done.evidence.extend(command.evidence)
    return [
        ev.Reinspected(occurrence=p.occurrence(closes={pb.DUTY_REINSPECTION}), reinspection=done)
    ]


def require_other(p: Proceeding, subjects: Collection[str]) -> None:
    """None of these investigated. FAILED_PRECONDITION otherwise."""
    investigators = {officer.subject for officer in p.case.investigation.officers}
    if both := sorted(investigators.intersection(subjects)):
        raise _not_separate(p, both[0])


def _not_separate(p: Proceeding, subject: str) -> StatusError:
    return p.refuse(
        "INVESTIGATOR_MAY_NOT_REVIEW",
        f"{subject} investigated the case, and may not review it",
        subject=subject,
    )

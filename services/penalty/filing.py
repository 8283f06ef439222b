"""From the clue to the file, and what happens to the file as such: limits, suspension, withdrawal. Pure."""

from datetime import date

from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from rpc.errors import invalid_argument
from rules import as_date
from services.penalty import discretion
from services.penalty.evolve import Event
from services.penalty.proceeding import Proceeding, day_message

FILING, DECISION = "penalty.filing", "penalty.decision"
Extend = rpc_pb.ExtendLimitRequest
# The rule of each extension, the duty whose limit it extends, and what must have come before it.
EXTENSIONS = {
    Extend.EXTENSION_FILING: ("penalty.filing_extended", pb.DUTY_FILING, ""),
    Extend.EXTENSION_DECISION: ("penalty.decision_extended", pb.DUTY_DECISION, ""),
    Extend.EXTENSION_DECISION_COLLECTIVE: (
        "penalty.decision_extended_again",
        pb.DUTY_DECISION,
        "penalty.decision_extended",
    ),
}
EVERY_DUTY = frozenset(pb.Duty.values())


def register(p: Proceeding, command: rpc_pb.RegisterClueRequest) -> list[Event]:
    """A clue, to be filed or not within its limit."""
    found = p.day(command.found_date, "found_date")
    conduct = p.day(command.violation.conduct_date, "violation.conduct_date")
    discretion.require_known(p.rules, command.violation, conduct, p.today)
    daily = command.origin.kind == pb.Origin.KIND_DAILY_PENALTY
    if command.round and not daily:
        raise invalid_argument(
            "NOT_A_DAILY_PENALTY",
            "round names a re-inspection of the original case",
            [("round", "only with KIND_DAILY_PENALTY")],
        )
    return [
        ev.ClueRegistered(
            occurrence=p.occurrence(pb.STATE_CLUE, opens=[p.open(pb.DUTY_FILING, FILING, found)]),
            name=p.case.name,
            origin=command.origin,
            respondent=command.respondent,
            violation=command.violation,
            found_date=command.found_date,
            daily_basis=_daily_basis(p, command) if daily else None,
        )
    ]


def file(p: Proceeding, command: rpc_pb.FileCaseRequest) -> list[Event]:
    """The case is filed: from today the limit for deciding runs."""
    last = _limitation(p)
    if as_date(p.case.found_date) > last:
        raise p.refuse(
            "LIMITATION_EXPIRED",
            f"the violation could be punished if found by {last}",
            last=f"{last}",
        )
    return [
        ev.CaseFiled(
            occurrence=p.occurrence(
                pb.STATE_INVESTIGATING,
                opens=[p.open(pb.DUTY_DECISION, DECISION, p.today)],
                closes={pb.DUTY_FILING},
            ),
            file_date=day_message(p.today),
            reasons=command.reasons,
        )
    ]


def decline(p: Proceeding, command: rpc_pb.DeclineFilingRequest) -> list[Event]:
    """The clue is not filed: the end of it."""
    ended = p.occurrence(pb.STATE_NOT_FILED, closes=EVERY_DUTY)
    return [ev.FilingDeclined(occurrence=ended, reasons=command.reasons)]


def extend(p: Proceeding, command: rpc_pb.ExtendLimitRequest) -> list[Event]:
    """A limit that has not passed yet, each extension once and in order."""
    rule_id, duty, before = EXTENSIONS[command.extension]
    if (p.case.standing.state == pb.STATE_CLUE) != (duty == pb.DUTY_FILING):
        raise p.refuse("NOT_EXTENDABLE", f"{rule_id} does not extend a limit of this stage")
    if rule_id in p.case.extensions:
        raise p.refuse("EXTENSION_USED", f"the limit was extended by {rule_id} already")
    if before and before not in p.case.extensions:
        raise p.refuse("EXTENSION_OUT_OF_ORDER", f"{rule_id} comes after {before}")
    limit = p.opened(duty)
    if duty in p.case.standing.overdue or (limit and not p.runs(duty)):
        raise p.refuse("LIMIT_PASSED", "a limit is extended before it ends, not after")
    opens = []
    if limit is not None:
        origin, excluded = as_date(limit.deadline.origin_date), p.case.excluded_days
        days = excluded if duty == pb.DUTY_DECISION else 0
        opens = [_limit(p, duty, rule_id, origin, days)]
    return [
        ev.LimitExtended(
            occurrence=p.occurrence(opens=opens, closes={duty}),
            extension=rule_id,
            reason=command.reason,
        )
    ]


def suspend(p: Proceeding, command: rpc_pb.SuspendCaseRequest) -> list[Event]:
    """The limit for deciding stands still from today."""
    return [
        ev.CaseSuspended(
            occurrence=p.occurrence(
                closes={pb.DUTY_DECISION}, misses=missed_decision(p), suspended=True
            ),
            suspend_date=day_message(p.today),
            reason=command.reason,
        )
    ]


def resume(p: Proceeding, command: rpc_pb.ResumeCaseRequest) -> list[Event]:
    """The limit for deciding runs on, later by the days of the suspension."""
    if not p.case.standing.suspended:
        raise p.refuse("NOT_SUSPENDED", f"{p.case.name} is not suspended")
    days = (p.today - as_date(p.case.suspend_date)).days
    occurrence = p.occurrence(opens=decision_limit(p, days), suspended=False)
    return [ev.CaseResumed(occurrence=occurrence, days=days)]


def withdraw(p: Proceeding, command: rpc_pb.WithdrawCaseRequest) -> list[Event]:
    """The case ends without a decision."""
    if command.ground == pb.WITHDRAWAL_GROUND_ANNULLED:
        raise invalid_argument(
            "GROUND_OF_A_REMEDY",
            "a case is withdrawn as annulled by what a remedy came to",
            [("ground", "must be another; ConcludeRemedy records an annulment")],
        )
    return [withdrawn(p, command.ground, command.reasons)]


def withdrawn(
    p: Proceeding, ground: pb.WithdrawalGround.ValueType, reasons: str
) -> ev.CaseWithdrawn:
    """The end of the case: nothing is due any more, but the withdrawal of a publication."""
    kept = {pb.DUTY_PUBLICATION_WITHDRAWAL}
    ended = p.occurrence(
        pb.STATE_WITHDRAWN, closes=EVERY_DUTY - kept, suspended=False, plan=0, unpaid_fine_fen=0
    )
    return ev.CaseWithdrawn(occurrence=ended, ground=ground, reasons=reasons)


def decision_limit(p: Proceeding, more: int) -> list[pb.OpenDeadline]:
    """The limit for deciding, counted from filing: `more` days besides those known do not count.

    None if it was missed: a limit that has passed does not begin again.
    """
    if missed_decision(p):
        return []
    extended = [each for each in p.case.extensions if each.startswith(DECISION)]
    rule_id = extended[-1] if extended else DECISION
    excluded = p.case.excluded_days + more
    return [_limit(p, pb.DUTY_DECISION, rule_id, as_date(p.case.file_date), excluded)]


def missed_decision(p: Proceeding) -> set[pb.Duty.ValueType]:
    """The duty to decide, if its limit was missed."""
    return {pb.DUTY_DECISION} & set(p.case.standing.overdue)


def _limit(
    p: Proceeding, duty: pb.Duty.ValueType, rule_id: str, origin: date, excluded: int
) -> pb.OpenDeadline:
    length = p.rules.rule(rule_id, origin).version.value or 0
    limit = p.open(duty, rule_id, origin)
    if excluded:
        days = length + excluded
        counted = p.rules.deadline(rule_id, origin, limit.deadline.id, days=days)
        limit.deadline.CopyFrom(counted)
    return limit


def _limitation(p: Proceeding) -> date:
    """The last day on which the violation could be found, by the law of the conduct."""
    harm = "penalty.limitation_with_harm" if p.case.violation.harm else "penalty.limitation"
    conduct = as_date(p.case.violation.conduct_date)
    return as_date(p.rules.deadline(harm, conduct, "limitation").due_date)


def _daily_basis(p: Proceeding, command: rpc_pb.RegisterClueRequest) -> pb.DailyBasis:
    """What a daily penalty counts from: a refusal to correct, after the original decision was served."""
    original = p.original
    if original is None:
        raise invalid_argument(
            "NO_ORIGINAL_CASE",
            "a daily penalty names its original case",
            [("origin.resource", "must be the name of a penalty case")],
        )
    if not same_party(original.respondent, command.respondent):
        raise invalid_argument(
            "OTHER_RESPONDENT",
            "a daily penalty is for the party of the original case",
            [("respondent", "must be that of the original case")],
        )
    require_original(p)
    rounds = [each for each in original.reinspections if each.round == command.round]
    if not rounds or not rounds[0].refused or not rounds[0].days:
        raise p.refuse("NO_REFUSAL", f"round {command.round} found no refusal to correct")
    return pb.DailyBasis(
        original_case=original.name,
        round=command.round,
        days=rounds[0].days,
        original_fine_fen=original.decision.fine_fen,
        original_serve_date=original.decision.serve_date,
    )


def require_original(p: Proceeding) -> pb.PenaltyCase:
    """The original case: its decision is a fine, is served, and stands. FAILED_PRECONDITION otherwise."""
    original = p.original
    if original is None or original.decision.kind != pb.Decision.KIND_FINE:
        raise p.refuse("ORIGINAL_NOT_SERVED", "the original case is not decided with a fine")
    served = original.decision.HasField("serve_date")
    if not served or as_date(original.decision.serve_date) > p.today:
        raise p.refuse("ORIGINAL_NOT_SERVED", f"the decision of {original.name} is not served yet")
    if original.standing.state == pb.STATE_WITHDRAWN:
        raise p.refuse("ORIGINAL_ANNULLED", f"the decision of {original.name} was annulled")
    return original


def same_party(one: pb.Respondent, other: pb.Respondent) -> bool:
    """Whether both are the same entity, trader or person."""
    return (one.kind, one.uscc, one.person.id) == (other.kind, other.uscc, other.person.id)

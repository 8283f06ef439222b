"""After the decision: remedies, demand, the court, closure. Pure."""

from dataclasses import replace
from datetime import date

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from rpc.errors import invalid_argument
from rules import as_date
from services.penalty import documents, plans
from services.penalty.account import DAY, statement
from services.penalty.decision import PUBLICATION_WITHDRAWAL, SUIT
from services.penalty.evolve import Event, evolve
from services.penalty.filing import withdrawn
from services.penalty.proceeding import Proceeding, day_message, due_date
from services.penalty.settlement import OWING, settled

SUIT_AFTER_RECONSIDERATION = "remedy.suit_after_reconsideration"
DEMAND, COURT_APPLICATION = "enforcement.demand", "enforcement.court_application"
TO_COURT = frozenset({pb.DUTY_RECONSIDERATION, pb.DUTY_SUIT})
# What must be done before a case is closed; other rights and duties end with it.
BEFORE_CLOSURE = frozenset(
    {pb.DUTY_PUBLICATION, pb.DUTY_PUBLICATION_WITHDRAWAL, pb.DUTY_REINSPECTION}
)


def accept(p: Proceeding, command: rpc_pb.AcceptRemedyRequest) -> list[Event]:
    """A remedy was accepted: the surcharge stands still, and no court can be applied to."""
    if p.case.decision.kind != pb.Decision.KIND_FINE:
        raise p.refuse("NO_FINE", "there is no fine to contest")
    _require_no_remedy(p)
    kinds = {each.kind for each in p.case.remedies}
    if command.kind == pb.Remedy.KIND_RECONSIDERATION and kinds:
        raise p.refuse("RECONSIDERATION_USED", "reconsideration comes once, and before a suit")
    # The party may know of a decision before a public notice of it counts as service.
    p.day(command.accept_date, "accept_date", since=p.case.account.terms[0].from_date)
    reopened = _reopened(p) if p.case.standing.state == pb.STATE_CLOSED else None
    return [
        ev.RemedyAccepted(
            occurrence=p.occurrence(
                reopened,
                closes={*TO_COURT, pb.DUTY_COURT_APPLICATION},
                misses={pb.DUTY_PAYMENT} if reopened in OWING else (),
            ),
            remedy=pb.Remedy(
                kind=command.kind, accept_date=command.accept_date, reference=command.reference
            ),
        )
    ]


def _reopened(p: Proceeding) -> pb.State.ValueType:
    """Where a closed case goes that is contested: to where it was."""
    if not _owed(p).outstanding_fen:
        return pb.STATE_PERFORMED
    ended = p.case.enforcement.state == pb.Enforcement.STATE_ENDED
    return pb.STATE_ENFORCING if ended else pb.STATE_PAYING


def conclude(p: Proceeding, command: rpc_pb.ConcludeRemedyRequest) -> list[Event]:
    """What came of it: the fine as it stands from the start, the periods that run from now."""
    remedy = _concluded(p, command)
    annulled = remedy.outcome == pb.Remedy.OUTCOME_ANNULLED
    account = money.Account()
    account.CopyFrom(p.case.account)
    account.fine_fen = remedy.fine_fen
    account.pauses[-1].to_date.CopyFrom(remedy.conclude_date)
    event = ev.RemedyConcluded(
        occurrence=_standing_after(p, remedy, account),
        remedy=remedy,
        plan=plans.after_change(p, remedy.fine_fen),
    )
    if not annulled:
        return [event]
    after = replace(p, case=evolve(p.case, event))
    return [event, withdrawn(after, pb.WITHDRAWAL_GROUND_ANNULLED, remedy.reference)]


def demand(p: Proceeding, command: rpc_pb.ServeDemandRequest) -> list[Event]:
    """The demand letter with what is owed to the fen; days later the way to the court is open."""
    _require_collectable(p)
    _require_over(p, pb.DUTY_PAYMENT, "PAYMENT_NOT_DUE", "the fine can be paid until")
    service = documents.served(p, command, since=day_message(_unpaid_since(p.case)))
    # What the letter said on its day, however much later that is recorded.
    owed = statement(p.case.account, p.rules, as_date(service.act_date))
    until = p.open(
        pb.DUTY_DEMAND, DEMAND, as_date(service.serve_date), amount_fen=owed.outstanding_fen
    )
    surcharge = _surcharge_owed(p, owed)
    letter = documents.demand(
        p, owed.outstanding_fen - surcharge, surcharge, until.deadline, service
    )
    occurrence = p.occurrence(opens=[until], closes={pb.DUTY_DEMAND})
    return [ev.DemandServed(occurrence=occurrence, document=letter)]


def apply(p: Proceeding, command: rpc_pb.ApplyForEnforcementRequest) -> list[Event]:
    """The court is asked to enforce: after remedies and demand, within its months."""
    _require_collectable(p)
    _require_way_to_court(p)
    owed = _owed(p)
    surcharge = _surcharge_owed(p, owed)
    fine = owed.outstanding_fen - surcharge
    return [
        ev.EnforcementApplied(
            occurrence=p.occurrence(
                pb.STATE_ENFORCING, closes={pb.DUTY_COURT_APPLICATION, *TO_COURT}
            ),
            enforcement=pb.Enforcement(
                state=pb.Enforcement.STATE_APPLIED,
                court=command.court,
                apply_date=day_message(p.today),
                amount_fen=owed.outstanding_fen,
            ),
            document=documents.court_application(p, command.court, fine, surcharge),
        )
    ]


def rule(p: Proceeding, command: rpc_pb.RecordRulingRequest) -> list[Event]:
    """What the court ruled; refused, the case is where it was, as long as the court's months last."""
    if command.state == pb.Enforcement.STATE_APPLIED:
        raise invalid_argument(
            "NOT_A_RULING", "a ruling allows, refuses or ends", [("state", "must be a ruling")]
        )
    ended = (pb.Enforcement.STATE_REFUSED, pb.Enforcement.STATE_ENDED)
    if p.case.enforcement.state in ended:
        raise p.refuse("ENFORCEMENT_ENDED", "the court ended enforcement already")
    occurrence = p.occurrence()
    if command.state == pb.Enforcement.STATE_REFUSED:
        # A right that still runs opens the way to the court as it lapses.
        suable = any(p.opened(duty) for duty in TO_COURT)
        waits = _pending(p.case) or p.case.standing.plan or suable
        opens = [] if waits else [court_window(p)]
        occurrence = p.occurrence(pb.STATE_PAYING, opens=opens)
    return [
        ev.EnforcementRuled(occurrence=occurrence, state=command.state, reasons=command.reasons)
    ]


def close(p: Proceeding, command: rpc_pb.CloseCaseRequest) -> list[Event]:
    """The end: nothing owed, or nothing more to be had, and nothing left to do."""
    case = p.case
    _require_no_remedy(p)
    if case.HasField("account"):
        _require_settled(p)
    opened = {each.duty for each in case.standing.deadlines}
    left = (opened | set(case.standing.overdue)) & BEFORE_CLOSURE
    # Service that was not done in time keeps no case open for ever.
    if undone := sorted(left | opened & {pb.DUTY_VOLUNTEER_SERVICE}):
        duty = pb.Duty.Name(undone[0])
        raise p.refuse("DUTY_OPEN", f"{duty} is still to be done", duty=duty)
    ended = p.occurrence(pb.STATE_CLOSED, closes=frozenset(pb.Duty.values()), plan=0)
    return [ev.CaseClosed(occurrence=ended, conclusion=command.conclusion)]


def _require_settled(p: Proceeding) -> None:
    """Nothing is owed, or nothing more to be had of it; nothing is to be paid back."""
    owed = _owed(p)
    if owed.outstanding_fen:
        ended = p.case.enforcement.state == pb.Enforcement.STATE_ENDED
        # A court that was not asked in time enforces nothing any more (行政强制法第五十三条).
        if not ended and pb.DUTY_COURT_APPLICATION not in p.case.standing.overdue:
            raise p.refuse(
                "OUTSTANDING",
                f"{owed.outstanding_fen} fen are still owed",
                outstanding_fen=f"{owed.outstanding_fen}",
            )
        _require_no_plan(p)
    if owed.overpaid_fen:
        raise p.refuse(
            "OVERPAID",
            f"{owed.overpaid_fen} fen are to be paid back",
            overpaid_fen=f"{owed.overpaid_fen}",
        )


def court_window(p: Proceeding) -> pb.OpenDeadline:
    """Until when the court can be asked: from the end of the suit's period, of a remedy, or of the
    plan, whichever ended last (行政强制法第五十三条、行政处罚法第七十二条第二款).
    """
    ends = [_contestable_until(p)]
    if p.case.plans:
        ends += [as_date(term.due_date) for term in p.case.account.terms[-1:] if term.due_date.year]
        last = p.case.plans[-1].instalments[-1].deadline
        ends += [due_date(last)] if p.case.plans[-1].state == money.Plan.STATE_COMPLETED else []
    return p.open(pb.DUTY_COURT_APPLICATION, COURT_APPLICATION, max(ends))


def _contestable_until(p: Proceeding) -> date:
    """The last day on which the party could contest, or on which the last remedy was concluded."""
    served = as_date(p.case.decision.serve_date)
    for remedy in p.case.remedies[-1:]:
        ended = as_date(remedy.conclude_date)
        if remedy.kind == pb.Remedy.KIND_SUIT:
            return ended
        return due_date(_suit_after(p, remedy).deadline)
    return due_date(p.open(pb.DUTY_SUIT, SUIT, served).deadline)


def _suit_after(p: Proceeding, remedy: pb.Remedy) -> pb.OpenDeadline:
    """The suit after reconsideration; where that was withdrawn, the first period if it is longer."""
    after = p.open(pb.DUTY_SUIT, SUIT_AFTER_RECONSIDERATION, as_date(remedy.conclude_date))
    if remedy.outcome != pb.Remedy.OUTCOME_WITHDRAWN:
        return after
    first = p.open(pb.DUTY_SUIT, SUIT, as_date(p.case.decision.serve_date))
    return max(first, after, key=lambda each: due_date(each.deadline))


def _standing_after(p: Proceeding, remedy: pb.Remedy, account: money.Account) -> ev.Occurrence:
    """What runs from the day on which the result was served, and what is owed now."""
    changed = remedy.outcome in (pb.Remedy.OUTCOME_CHANGED, pb.Remedy.OUTCOME_ANNULLED)
    concluded = as_date(remedy.conclude_date)
    opens = []
    asked = {each.duty for each in p.case.standing.deadlines} | set(p.case.standing.overdue)
    public = p.case.decision.HasField("publish_date")
    if changed and public and pb.DUTY_PUBLICATION_WITHDRAWAL not in asked:
        opens.append(p.open(pb.DUTY_PUBLICATION_WITHDRAWAL, PUBLICATION_WITHDRAWAL, concluded))
    suable = remedy.kind == pb.Remedy.KIND_RECONSIDERATION
    if suable and remedy.outcome != pb.Remedy.OUTCOME_ANNULLED:
        opens.append(_suit_after(p, remedy))
    case = pb.PenaltyCase()
    case.CopyFrom(p.case)
    case.standing.CopyFrom(p.occurrence(opens=opens).standing)
    to_court = []
    if not suable and case.standing.state == pb.STATE_PAYING:
        to_court = [p.open(pb.DUTY_COURT_APPLICATION, COURT_APPLICATION, concluded)]
    plan = plans.after_change(p, remedy.fine_fen) or plans.last_plan(p)
    return settled(replace(p, case=case), account, plan, opens=to_court)


def _concluded(p: Proceeding, command: rpc_pb.ConcludeRemedyRequest) -> pb.Remedy:
    if not _pending(p.case):
        raise p.refuse("NO_REMEDY", "no remedy is under way")
    remedy = pb.Remedy()
    remedy.CopyFrom(p.case.remedies[-1])
    p.day(command.conclude_date, "conclude_date", since=remedy.accept_date)
    remedy.conclude_date.CopyFrom(command.conclude_date)
    remedy.outcome, remedy.reference = command.outcome, command.reference
    before = p.case.account.fine_fen
    remedy.fine_fen = before
    if command.outcome == pb.Remedy.OUTCOME_ANNULLED:
        remedy.fine_fen = 0
    if command.outcome == pb.Remedy.OUTCOME_CHANGED:
        remedy.fine_fen = command.fine_fen
        if command.fine_fen > before:
            raise invalid_argument(
                "FINE_NOT_LOWERED",
                f"the fine is {before} fen: a remedy never makes it heavier",
                [("fine_fen", f"must be at most {before}")],
            )
    elif command.fine_fen:
        raise invalid_argument(
            "FINE_NOT_CHANGED", "only a change sets a fine", [("fine_fen", "for a change only")]
        )
    return remedy


def _require_collectable(p: Proceeding) -> None:
    """Something is owed, and neither remedy nor plan nor application stands in the way."""
    _require_no_remedy(p)
    _require_no_plan(p)
    if not _owed(p).outstanding_fen:
        raise p.refuse("NOTHING_OUTSTANDING", "nothing is owed")


def _require_no_plan(p: Proceeding) -> None:
    if p.case.standing.plan:
        raise p.refuse("PLAN_IN_FORCE", "a payment plan is in force")
    if plans.pending(p):
        raise p.refuse("APPLICATION_PENDING", "an application for a plan is not decided yet")


def _require_way_to_court(p: Proceeding) -> None:
    """Nobody can contest any more, the demand is over, and the months for the court are not."""
    for duty in sorted(TO_COURT, reverse=True):  # the suit's period is the longer one
        _require_over(p, duty, "SUIT_PERIOD_OPEN", "the party may contest the decision until")
    demands = [each for each in p.case.documents if each.kind == doc.DOCUMENT_KIND_DEMAND]
    # One from before a plan asked for what was not due any more while the plan was in force.
    if not demands or as_date(demands[-1].service.act_date) < _unpaid_since(p.case):
        raise p.refuse("NO_DEMAND", "a demand letter of what is due now comes before the court")
    _require_over(p, pb.DUTY_DEMAND, "DEMAND_NOT_EXPIRED", "the demand letter gives until")
    last = due_date((p.opened(pb.DUTY_COURT_APPLICATION) or court_window(p)).deadline)
    if p.today > last:
        raise p.refuse("COURT_WINDOW_CLOSED", f"the court could be asked until {last}")


def _require_over(p: Proceeding, duty: pb.Duty.ValueType, reason: str, until: str) -> None:
    """The time of that duty or right is over. FAILED_PRECONDITION says when it will be."""
    found = p.opened(duty)
    if found and p.runs(duty):
        last = due_date(found.deadline)
        raise p.refuse(reason, f"{until} {last}", due_date=f"{last}")


def _unpaid_since(case: pb.PenaltyCase) -> date:
    """The first day on which what is owed is overdue by the terms that were set last."""
    term = case.account.terms[-1]
    return as_date(term.due_date) + DAY if term.HasField("due_date") else as_date(term.from_date)


def _require_no_remedy(p: Proceeding) -> None:
    if _pending(p.case):
        raise p.refuse("REMEDY_PENDING", "reconsideration or a suit is under way")


def _pending(case: pb.PenaltyCase) -> bool:
    unspecified = pb.Remedy.OUTCOME_UNSPECIFIED
    return bool(case.remedies) and case.remedies[-1].outcome == unspecified


def _owed(p: Proceeding) -> money.AccountStatement:
    return statement(p.case.account, p.rules, p.today)


def _surcharge_owed(p: Proceeding, owed: money.AccountStatement) -> int:
    """The part of what is owed that is surcharge: payments go to the fine first."""
    return owed.outstanding_fen - (p.case.account.fine_fen - owed.paid_fine_fen)

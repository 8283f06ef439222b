"""The decision with all that must have come before it, its service and its publication. Pure."""

from datetime import UTC

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from rpc.errors import invalid_argument
from rules import as_date, legal_date
from services.penalty import discretion, documents
from services.penalty.defence import DEFENCE, assess
from services.penalty.evolve import Event
from services.penalty.investigation import require_other
from services.penalty.proceeding import Proceeding, day_message

SERVICE, PUBLICATION = "penalty.service", "penalty.publication"
PAYMENT, SURCHARGE = "penalty.payment", "penalty.surcharge"
SURCHARGE_BASE = "penalty.surcharge_base"
RECONSIDERATION, SUIT = "remedy.reconsideration", "remedy.suit"
PUBLICATION_WITHDRAWAL = "penalty.publication_withdrawal"
LEGAL_REVIEW, DISCUSSION = "penalty.legal_review_amount", "penalty.discussion_amount"
BEFORE = frozenset({pb.DUTY_DECISION, *DEFENCE, pb.DUTY_APOLOGY})
BASES = {"unpaid": money.SURCHARGE_BASE_UNPAID, "fine": money.SURCHARGE_BASE_FINE}


def decide(p: Proceeding, command: rpc_pb.DecideCaseRequest) -> list[Event]:
    """A fine, or no penalty; refused for whatever the law wants before it."""
    fine = command.kind == pb.Decision.KIND_FINE
    _require_ground(command)
    _require_heard(p, fine)
    decided = pb.Decision(
        kind=command.kind,
        ground=command.ground,
        decider=p.actor,
        decide_date=day_message(p.today),
    )
    if fine:
        decided.discretion.CopyFrom(assess(p, command))
        decided.fine_fen = decided.discretion.chosen_fen
        _require_not_heavier(p, decided.fine_fen)
    else:
        _require_no_penalty(p, command)
    _require_examined(p)
    duties = {pb.DUTY_SERVICE: SERVICE} | ({pb.DUTY_PUBLICATION: PUBLICATION} if fine else {})
    opens = [p.open(duty, rule_id, p.today) for duty, rule_id in duties.items()]
    return [
        ev.CaseDecided(
            occurrence=p.occurrence(
                pb.STATE_DECIDED, opens=opens, closes=BEFORE, unpaid_fine_fen=decided.fine_fen
            ),
            decision=decided,
            document=documents.decision(p, decided, command.reasons),
        )
    ]


def serve(p: Proceeding, command: rpc_pb.ServeDecisionRequest) -> list[Event]:
    """From the day it counts as served, payment and remedies run; with no penalty, nothing does."""
    service = documents.served(p, command, since=p.case.decision.decide_date)
    if p.case.decision.kind == pb.Decision.KIND_NO_PENALTY:
        occurrence = p.occurrence(pb.STATE_PERFORMED, closes={pb.DUTY_SERVICE})
        return [ev.DecisionServed(occurrence=occurrence, service=service)]
    served, fine = as_date(service.serve_date), p.case.decision.fine_fen
    payment = p.open(pb.DUTY_PAYMENT, PAYMENT, served, amount_fen=fine)
    opens = [
        payment,
        p.open(pb.DUTY_RECONSIDERATION, RECONSIDERATION, served),
        p.open(pb.DUTY_SUIT, SUIT, served),
    ]
    account = money.Account(
        original_fine_fen=fine,
        fine_fen=fine,
        terms=[money.PaymentTerm(from_date=service.act_date, due_date=payment.deadline.due_date)],
        surcharge_rule=p.rules.reference(SURCHARGE, served),
        surcharge_base=BASES[p.rules.choice(SURCHARGE_BASE, served)],
        surcharge_base_rule=p.rules.reference(SURCHARGE_BASE, served),
    )
    occurrence = p.occurrence(pb.STATE_PAYING, opens=opens, closes={pb.DUTY_SERVICE})
    return [ev.DecisionServed(occurrence=occurrence, service=service, account=account)]


def publish(p: Proceeding, command: rpc_pb.PublishDecisionRequest) -> list[Event]:
    """The decision is public."""
    decided = p.case.decision
    if decided.kind != pb.Decision.KIND_FINE:
        raise p.refuse("NOTHING_TO_PUBLISH", "the decision is no penalty")
    if decided.HasField("publish_date"):
        raise p.refuse("ALREADY_PUBLISHED", f"published on {as_date(decided.publish_date)}")
    p.day(command.publish_date, "publish_date", since=decided.decide_date)
    occurrence = p.occurrence(closes={pb.DUTY_PUBLICATION})
    return [ev.DecisionPublished(occurrence=occurrence, publish_date=command.publish_date)]


def withdraw_publication(p: Proceeding, command: rpc_pb.WithdrawPublicationRequest) -> list[Event]:
    """The decision is not public any more; one that was changed is to be published anew."""
    if not p.case.decision.HasField("publish_date"):
        raise p.refuse("NOT_PUBLISHED", "the decision is not public")
    opens = []
    if p.case.standing.state != pb.STATE_WITHDRAWN:
        opens = [p.open(pb.DUTY_PUBLICATION, PUBLICATION, p.today)]
    occurrence = p.occurrence(opens=opens, closes={pb.DUTY_PUBLICATION_WITHDRAWAL})
    return [ev.PublicationWithdrawn(occurrence=occurrence, reasons=command.reasons)]


def _require_ground(command: rpc_pb.DecideCaseRequest) -> None:
    """A ground and reasons go with no penalty, and with nothing else."""
    none = command.kind == pb.Decision.KIND_NO_PENALTY
    if none != (command.ground != pb.Decision.GROUND_UNSPECIFIED):
        raise invalid_argument(
            "GROUND_WRONG",
            "a decision of no penalty has a ground, a fine has none",
            [("ground", "goes with KIND_NO_PENALTY")],
        )
    if none and not command.reasons:
        raise invalid_argument(
            "REASONS_MISSING", "no penalty needs reasons", [("reasons", "must be given")]
        )


def _require_heard(p: Proceeding, fine: bool) -> None:
    """The party was told what is proposed, and has had its say."""
    case = p.case
    if fine and case.standing.state == pb.STATE_INVESTIGATED:
        raise p.refuse("NOTICE_NOT_SERVED", "a penalty is decided after its notice")
    if case.standing.state == pb.STATE_HEARING:
        raise p.refuse("HEARING_PENDING", "the hearing asked for is not held yet")
    for duty in sorted(DEFENCE):
        found = p.opened(duty)
        if found and p.runs(duty):
            last = as_date(found.deadline.due_date)
            raise p.refuse(
                "NOTICE_NOT_EXPIRED", f"the party has time until {last}", due_date=f"{last}"
            )
    if any(not each.consideration for each in case.statements):
        raise p.refuse("STATEMENT_NOT_CONSIDERED", "what the party stated is not considered yet")
    if fine:
        _require_apology_settled(p)


def _require_apology_settled(p: Proceeding) -> None:
    if p.case.apology.state == pb.Apology.STATE_APPLIED:
        raise p.refuse("APOLOGY_PENDING", "the apology offered is not reviewed yet")
    found = p.opened(pb.DUTY_APOLOGY)
    if found and p.runs(pb.DUTY_APOLOGY) and not p.case.rights_waived:
        last = as_date(found.deadline.due_date)
        raise p.refuse(
            "APOLOGY_WINDOW_OPEN",
            f"the party may offer an apology until {last}",
            due_date=f"{last}",
        )


def _require_not_heavier(p: Proceeding, fine_fen: int) -> None:
    proposed = p.case.proposal.chosen_fen
    if fine_fen > proposed:
        raise p.refuse(
            "PENALTY_ABOVE_NOTICE",
            f"the notice proposed {proposed} fen: a defence never makes a penalty heavier",
            proposed_fen=f"{proposed}",
            fine_fen=f"{fine_fen}",
        )


def _require_examined(p: Proceeding) -> None:
    """Others than those who investigated have looked over it, and decide it (查审分离)."""
    require_other(p, [p.actor])
    _require_review(p)
    _require_discussion(p)


def _require_review(p: Proceeding) -> None:
    """A legal review that agrees, after the last evidence and after the hearing, where one is due."""
    case = p.case
    large = case.proposal.chosen_fen >= p.rules.amount(
        LEGAL_REVIEW, discretion.party(p.case.respondent), p.today
    )
    if not (large or case.hearing.concluded or case.HasField("daily_basis")):
        return
    last = case.legal_reviews[-1] if case.legal_reviews else pb.LegalReview()
    since = max((each.add_time.ToNanoseconds() for each in case.evidence), default=0)
    reviewed = legal_date(last.review_time.ToDatetime(UTC))
    fresh = last.review_time.ToNanoseconds() >= since
    if case.hearing.concluded:
        fresh = fresh and reviewed >= as_date(case.hearing.hearing_date)
    if not (last.passed and fresh):
        raise p.refuse(
            "LEGAL_REVIEW_MISSING",
            "a legal review must agree, after the last evidence and after the hearing"
            f" ({p.told(LEGAL_REVIEW)})",
            rule=LEGAL_REVIEW,
        )


def _require_discussion(p: Proceeding) -> None:
    """A collective discussion that agrees, where one is due; after the objection, if there is one."""
    case = p.case
    who = discretion.party(case.respondent)
    if case.proposal.chosen_fen < p.rules.amount(DISCUSSION, who, p.today):
        return
    last = case.discussions[-1] if case.discussions else pb.Discussion()
    objected = [as_date(each.receive_date) for each in case.statements]
    if case.hearing.concluded:
        objected.append(as_date(case.hearing.hearing_date))
    held = bool(case.discussions) and last.agreed
    if held and objected:
        after_notice = last.record_time.ToNanoseconds() > case.notice_time.ToNanoseconds()
        held = after_notice and as_date(last.discuss_date) >= max(objected)
    if not held:
        raise p.refuse(
            "DISCUSSION_MISSING",
            "a collective discussion must agree, again if the party objected to the notice"
            f" ({p.told(DISCUSSION)})",
            rule=DISCUSSION,
        )


def _require_no_penalty(p: Proceeding, command: rpc_pb.DecideCaseRequest) -> None:
    """What each ground for no penalty asks for."""
    if command.ground == pb.Decision.GROUND_NO_FAULT:
        return
    violation = p.case.violation
    if not command.HasField("correct_date"):
        raise p.refuse(
            "NOT_CORRECTED", "correct_date is needed: no penalty is for what was corrected"
        )
    p.day(command.correct_date, "correct_date", since=violation.conduct_date)
    if violation.harm:
        raise p.refuse("HARM_DONE", "no penalty is for what did no harm, or hardly any")
    if command.ground == pb.Decision.GROUND_FIRST_MINOR and p.earlier:
        raise p.refuse("NOT_FIRST_TIME", f"{p.earlier} cases of this party were decided before")

"""From the notice to the end of the defence: statement, hearing, apology. Pure."""

from contextlib import suppress
from datetime import UTC, date

from google.protobuf.message import Message
from google.type import date_pb2

from bihuan.penalty.v1 import discretion_pb2 as amounts
from bihuan.penalty.v1 import document_pb2 as doc
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from rpc.errors import invalid_argument
from rules import UnknownRule, as_date, legal_date
from services.penalty import discretion, documents
from services.penalty.evolve import Event, excluded_days
from services.penalty.filing import decision_limit, missed_decision, require_original
from services.penalty.investigation import require_other
from services.penalty.proceeding import Proceeding, day_message, due_date, whole_date

STATEMENT, HEARING_REQUEST = "penalty.statement", "penalty.hearing_request"
HEARING_NOTICE, HEARING_AMOUNT = "penalty.hearing_notice", "penalty.hearing_amount"
APOLOGY, APOLOGY_AFTER_OBSTACLE = "penalty.apology", "penalty.apology_after_obstacle"
APOLOGY_REDUCTION, APOLOGY_SERVICE = "penalty.apology_reduction", "penalty.apology_tenths"
DEFENCE = frozenset({pb.DUTY_STATEMENT, pb.DUTY_HEARING_REQUEST})


def notify(p: Proceeding, command: rpc_pb.ServeNoticeRequest) -> list[Event]:
    """The notice is served: the party may state, ask for a hearing if entitled, apologise."""
    if p.case.standing.state == pb.STATE_TO_DECIDE and not _new_evidence(p.case):
        raise p.refuse("NO_NEW_EVIDENCE", "a further notice rests on evidence since the last one")
    service = documents.served(p, command, since=_known_since(p.case))
    proposal = assess(p, command)
    hearing = entitled(p, proposal.chosen_fen)
    opens = _rights(p, as_date(service.serve_date), hearing)
    limits = decision_limit(p, excluded_days(service))
    occurrence = p.occurrence(
        pb.STATE_NOTIFIED,
        opens=[*opens, *limits],
        closes={*DEFENCE, pb.DUTY_APOLOGY, pb.DUTY_DECISION},
        misses=missed_decision(p),
    )
    return [
        ev.NoticeServed(
            occurrence=occurrence,
            proposal=proposal,
            hearing_due=hearing,
            hearing_rule=p.rules.reference(HEARING_AMOUNT, p.today),
            document=documents.notice(p, proposal, service, opens),
        )
    ]


def state(p: Proceeding, command: rpc_pb.SubmitStatementRequest) -> list[Event]:
    """What the party states in its days."""
    received = _received(p, command, "receive_date")
    last = _require_not_waived(p, STATEMENT, pb.DUTY_STATEMENT)
    if received > last:
        raise p.refuse(
            "STATEMENT_TOO_LATE", f"the party could state until {last}", due_date=f"{last}"
        )
    statement = pb.Statement(
        text=command.text, evidence=command.evidence, receive_date=day_message(received)
    )
    return [ev.StatementReceived(occurrence=p.occurrence(), statement=statement)]


def consider(p: Proceeding, command: rpc_pb.ConsiderStatementRequest) -> list[Event]:
    """Whether what was stated is taken up, and why."""
    if not any(not each.consideration for each in p.case.statements):
        raise p.refuse("NO_STATEMENT", "there is no statement that was not considered yet")
    return [
        ev.StatementConsidered(
            occurrence=p.occurrence(), accepted=command.accepted, reasons=command.reasons
        )
    ]


def waive(p: Proceeding, command: rpc_pb.WaiveRightsRequest) -> list[Event]:
    """The party expressly waives statement and hearing."""
    occurrence = p.occurrence(pb.STATE_TO_DECIDE, closes=DEFENCE)
    return [ev.RightsWaived(occurrence=occurrence, receipt=command.receipt)]


def request_hearing(p: Proceeding, command: rpc_pb.RequestHearingRequest) -> list[Event]:
    """A hearing is asked for in its days; the limit for deciding stands still until it is held."""
    asked = _received(p, command, "request_date")
    if not p.case.hearing_due:
        raise p.refuse(
            "NOT_ENTITLED_TO_HEARING",
            f"the penalty proposed gives no right to a hearing ({p.told(HEARING_AMOUNT)})",
            rule=HEARING_AMOUNT,
        )
    if p.case.hearing.HasField("request_date"):
        raise p.refuse("HEARING_HELD", "the hearing was held already")
    last = _require_not_waived(p, HEARING_REQUEST, pb.DUTY_HEARING_REQUEST)
    if asked > last:
        raise p.refuse(
            "HEARING_TOO_LATE", f"a hearing could be asked for until {last}", due_date=f"{last}"
        )
    occurrence = p.occurrence(
        pb.STATE_HEARING,
        closes={pb.DUTY_HEARING_REQUEST, pb.DUTY_DECISION},
        misses=missed_decision(p),
    )
    return [ev.HearingRequested(occurrence=occurrence, request_date=day_message(asked))]


def schedule(p: Proceeding, command: rpc_pb.ScheduleHearingRequest) -> list[Event]:
    """The hearing, its notice served so many working days before; again where it is put off."""
    require_other(p, [command.chair])
    service = documents.served(p, command, since=p.case.hearing.request_date)
    day = whole_date(command.hearing_date, "hearing_date")
    # The days between: neither that of service nor that of the hearing counts.
    counted = p.rules.deadline(HEARING_NOTICE, as_date(service.serve_date), "hearing-notice")
    if day <= as_date(counted.due_date):
        raise p.refuse(
            "HEARING_NOTICE_TOO_SHORT",
            f"served on {as_date(service.serve_date)}, the hearing_date must lie after"
            f" {as_date(counted.due_date)}: {counted.rule.citation}",
            after=f"{as_date(counted.due_date)}",
            rule=counted.rule.id,
        )
    hearing = pb.Hearing(
        request_date=p.case.hearing.request_date,
        notice_date=service.serve_date,
        hearing_date=command.hearing_date,
        chair=command.chair,
        place=command.place,
    )
    return [
        ev.HearingScheduled(
            occurrence=p.occurrence(),
            hearing=hearing,
            document=documents.hearing_notice(p, hearing, service),
        )
    ]


def hold(p: Proceeding, command: rpc_pb.HoldHearingRequest) -> list[Event]:
    """The hearing was held, or the party stayed away: the limit for deciding runs on."""
    hearing = p.case.hearing
    if not hearing.HasField("hearing_date"):
        raise p.refuse("HEARING_NOT_SCHEDULED", "the hearing has no day yet")
    day = as_date(hearing.hearing_date)
    if day > p.today:
        raise p.refuse("HEARING_NOT_DUE", f"the hearing is on {day}", hearing_date=f"{day}")
    days = (day - as_date(hearing.request_date)).days
    return [
        ev.HearingHeld(
            occurrence=p.occurrence(pb.STATE_TO_DECIDE, opens=decision_limit(p, days)),
            attended=command.attended,
            record=command.record,
            days=days,
        )
    ]


def apologise(p: Proceeding, command: rpc_pb.OfferApologyRequest) -> list[Event]:
    """Apology and promise, offered in its days or soon after what stood in the way ended."""
    if p.case.apology.state != pb.Apology.STATE_UNSPECIFIED:
        raise p.refuse("APOLOGY_OFFERED", "an apology was offered already")
    applied = _received(p, command, "apply_date")
    corrected = p.day(command.correct_date, "correct_date", since=p.case.violation.conduct_date)
    if corrected > applied:
        raise p.refuse("NOT_CORRECTED", f"the violation was corrected on {corrected} only")
    last = _apology_until(p, command)
    if applied > last:
        raise p.refuse(
            "APOLOGY_TOO_LATE", f"an apology could be offered until {last}", due_date=f"{last}"
        )
    served = as_date(p.case.notice_serve_date)
    ids = [APOLOGY, APOLOGY_REDUCTION]
    if command.channel == pb.Apology.CHANNEL_WEBSITE:
        ids.append(APOLOGY_SERVICE)
    apology = pb.Apology(
        state=pb.Apology.STATE_APPLIED,
        apply_date=day_message(applied),
        correct_date=command.correct_date,
        channel=command.channel,
        rules=[p.rules.reference(each, served) for each in ids],
    )
    if command.HasField("obstacle_end_date"):
        apology.obstacle_end_date.CopyFrom(command.obstacle_end_date)
    return [ev.ApologyOffered(occurrence=p.occurrence(closes={pb.DUTY_APOLOGY}), apology=apology)]


def review_apology(p: Proceeding, command: rpc_pb.ReviewApologyRequest) -> list[Event]:
    """Granted if what was promised is done: on the website with so many hours of service."""
    apology = p.case.apology
    if apology.state != pb.Apology.STATE_APPLIED:
        raise p.refuse("NO_APOLOGY", "no apology waits for review")
    if command.granted and apology.channel == pb.Apology.CHANNEL_WEBSITE:
        needed = p.rules.number(APOLOGY_SERVICE, as_date(p.case.notice_serve_date))
        if command.service_tenths < needed:
            raise p.refuse(
                "SERVICE_INCOMPLETE",
                f"{needed / 10:g} hours of service are needed, {command.service_tenths / 10:g} proved:"
                " service_tenths",
                rule=APOLOGY_SERVICE,
                needed_tenths=f"{needed}",
            )
    return [
        ev.ApologyReviewed(
            occurrence=p.occurrence(),
            granted=command.granted,
            service_tenths=command.service_tenths,
            reasons=command.reasons,
        )
    ]


def entitled(p: Proceeding, fine_fen: int) -> bool:
    """Whether a fine of so many fen is large enough for a hearing."""
    return fine_fen >= p.rules.amount(HEARING_AMOUNT, discretion.party(p.case.respondent), p.today)


def assess(
    p: Proceeding, command: rpc_pb.ServeNoticeRequest | rpc_pb.DecideCaseRequest
) -> amounts.Discretion:
    """What the facts come to and what is chosen; for a daily penalty the original fine by the days."""
    case, conduct = p.case, as_date(p.case.violation.conduct_date)
    if case.HasField("daily_basis"):
        found = discretion.daily(p.rules, _basis(p), p.today)
    else:
        who = discretion.party(case.respondent)
        found = discretion.assess(p.rules, case.violation, command.factors, conduct, p.today, who)
    if case.apology.state == pb.Apology.STATE_GRANTED:
        served = as_date(case.notice_serve_date)
        # What a further notice proposes is reduced already; it is not reduced twice.
        proposed = case.proposal.chosen_fen + case.proposal.apology_reduction_fen
        found = discretion.reduce_for_apology(p.rules, found, proposed, served)
    return discretion.choose(found, command.chosen_fen, command.difference_reason)


def _basis(p: Proceeding) -> pb.DailyBasis:
    """What the daily penalty counts from, by the original fine as it stands now."""
    basis = pb.DailyBasis()
    basis.CopyFrom(p.case.daily_basis)
    basis.original_fine_fen = require_original(p).account.fine_fen
    return basis


def _rights(p: Proceeding, served: date, hearing: bool) -> list[pb.OpenDeadline]:
    opens = [p.open(pb.DUTY_STATEMENT, STATEMENT, served)]
    if hearing:
        opens.append(p.open(pb.DUTY_HEARING_REQUEST, HEARING_REQUEST, served))
    if p.case.apology.state == pb.Apology.STATE_UNSPECIFIED:
        with suppress(UnknownRule):  # a place without such a guideline
            opens.append(p.open(pb.DUTY_APOLOGY, APOLOGY, served))
    return opens


def _known_since(case: pb.PenaltyCase) -> date_pb2.Date:
    """The day on which all that the notice tells was there: what was found, and the last of the evidence."""
    times = [each.add_time.ToDatetime(UTC) for each in case.evidence]
    found = max([*times, case.investigation.conclude_time.ToDatetime(UTC)])
    return day_message(legal_date(found))


def _new_evidence(case: pb.PenaltyCase) -> bool:
    since = case.notice_time.ToNanoseconds()
    return any(each.add_time.ToNanoseconds() > since for each in case.evidence)


def _received(p: Proceeding, command: Message, field: str) -> date:
    """The day it was received, none before the notice that it answers; today if none is given."""
    if not command.HasField(field):
        return p.today
    notices = [each for each in p.case.documents if each.kind == doc.DOCUMENT_KIND_NOTICE]
    return p.day(getattr(command, field), field, since=notices[-1].service.act_date)


def _require_not_waived(p: Proceeding, rule_id: str, duty: pb.Duty.ValueType) -> date:
    """The last day of a right of the defence, also when it has lapsed."""
    if p.case.rights_waived:
        raise p.refuse("RIGHTS_WAIVED", "the party expressly waived statement and hearing")
    if found := p.opened(duty):
        return due_date(found.deadline)
    served = as_date(p.case.notice_serve_date)
    return due_date(p.open(duty, rule_id, served).deadline)


def _apology_until(p: Proceeding, command: rpc_pb.OfferApologyRequest) -> date:
    served = as_date(p.case.notice_serve_date)
    last = due_date(p.open(pb.DUTY_APOLOGY, APOLOGY, served).deadline)
    if not command.HasField("obstacle_end_date"):
        return last
    ended = p.day(command.obstacle_end_date, "obstacle_end_date")
    if ended < served:
        raise invalid_argument(
            "NO_OBSTACLE",
            f"what ended on {ended} did not keep the party from applying since {served}",
            [("obstacle_end_date", f"must not lie before {served}")],
        )
    after = p.rules.deadline(APOLOGY_AFTER_OBSTACLE, ended, "apology")
    return max(last, as_date(after.due_date))

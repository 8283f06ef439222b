"""Deferral and instalments: from the application to the last payment, or to revocation. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from bihuan.penalty.v1 import account_pb2 as money
from bihuan.penalty.v1 import events_pb2 as ev
from bihuan.penalty.v1 import payment_service_pb2 as rpc_pb
from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.types.v1.deadline_pb2 import Deadline
from rpc.errors import invalid_argument
from rules import as_date
from services import deadlines
from services.penalty import plan_documents as documents
from services.penalty.account import (
    DAY,
    ENDED,
    IN_FORCE,
    INSTALMENT,
    PLAN,
    missed,
    payment_date,
    refilled,
    service_owed,
    unpaid_fine,
)
from services.penalty.evolve import Event, evolve
from services.penalty.proceeding import Proceeding, day_message, due_date
from services.penalty.settlement import PLANNED, settled
from services.penalty.terms import DEFERRAL, GAP, Bounds, bounds_of, check, planned_days, track_of

PAYMENT, REVIEW = "penalty.payment", "penalty.plan_review"
GRACE, BREACH, DEFAULT = "penalty.plan_grace", "penalty.plan_breach", "penalty.plan_default"
LATE, SERVICE = "penalty.late_application", "penalty.volunteer_service"
SERVICE_TENTHS = "penalty.volunteer_tenths"
FALLEN_DUE = "逾期未履行，按规定未缴余额到期"
DUE, PAID, OVERDUE = INSTALMENT.STATE_DUE, INSTALMENT.STATE_PAID, INSTALMENT.STATE_OVERDUE


def last_plan(p: Proceeding) -> money.Plan | None:
    """The last plan of the case, in force or not."""
    return p.case.plans[-1] if p.case.plans else None


def in_force(p: Proceeding) -> money.Plan | None:
    """The plan in force, a breached one included."""
    number = p.case.standing.plan
    return p.case.plans[number - 1] if number else None


def apply_for_plan(p: Proceeding, command: rpc_pb.ApplyForPlanRequest) -> list[Event]:
    """An application, in time or late.

    Raises FAILED_PRECONDITION: APPLICATION_PENDING, NOTHING_UNPAID, LATE_APPLICATION where the place
    allows none; INVALID_ARGUMENT for PLEDGE_NEEDED, PLEDGE_UNKNOWN, and days that are none.
    """
    given = command.HasField("apply_date")
    day = p.day(command.apply_date, "apply_date") if given else p.today
    if pending(p):
        raise p.refuse("APPLICATION_PENDING", f"{p.case.name} has an application to be decided")
    _require_unpaid(p)
    if day < (served := as_date(p.case.account.terms[0].from_date)):
        text = f"must not lie before the decision was served, {served}"
        raise invalid_argument("BEFORE_SERVICE", f"apply_date {text}", [("apply_date", text)])
    application = _application(p, command, day)
    _require_pledge(p, application, day)
    planned_days(command.wish, "wish")
    review = p.open(pb.DUTY_APPLICATION_REVIEW, REVIEW, day)
    occurrence = settled(p, p.case.account, last_plan(p), opens=[review])
    return [ev.PlanApplied(occurrence=occurrence, application=application)]


def grant_plan(p: Proceeding, command: rpc_pb.GrantPlanRequest) -> list[Event]:
    """A plan on terms that the rules allow, in place of one in force.

    Raises FAILED_PRECONDITION: NO_APPLICATION, NOTHING_UNPAID, PLAN_ENDED for a change of a plan that is
    not in force any more, which would be a late application without pledge; INVALID_ARGUMENT as
    `terms.check`.
    """
    application = _grantable(p)
    bounds = bounds_of(p)
    check(bounds, command.terms)
    plan = _granted(p, bounds, application, command.terms)
    term = money.PaymentTerm(from_date=day_message(_from_date(p, application)))
    account = _with_term(p, term)
    opens = []
    if plan.HasField("pledge") and application.pledge and not _carried(p):
        opens.append(p.open(pb.DUTY_VOLUNTEER_SERVICE, SERVICE, p.today))
    return [
        ev.PlanGranted(
            occurrence=settled(p, account, plan, opens=opens, closes={pb.DUTY_APPLICATION_REVIEW}),
            plan=plan,
            reasons=command.reasons,
            document=documents.consent(p, account, application, plan, command.reasons),
            term=term,
        )
    ]


def refuse_plan(p: Proceeding, command: rpc_pb.RefusePlanRequest) -> list[Event]:
    """An application refused: what was due stays due. Raises FAILED_PRECONDITION NO_APPLICATION."""
    application = _answered(p)
    closes = {pb.DUTY_APPLICATION_REVIEW}
    return [
        ev.PlanRefused(
            occurrence=settled(p, p.case.account, last_plan(p), closes=closes),
            application=application.number,
            reasons=command.reasons,
            document=documents.refusal(p, application, command.reasons),
        )
    ]


def revoke_plan(p: Proceeding, command: rpc_pb.RevokePlanRequest) -> list[Event]:
    """A breached plan revoked: what is unpaid falls due today. Raises FAILED_PRECONDITION as `_breached`."""
    missed = missed_before(p, p.today)
    p = _after(p, missed)
    return [*missed, _revoked(p, _breached(p), command.reasons, p.today)]


def excuse_breach(p: Proceeding, command: rpc_pb.ExcuseBreachRequest) -> list[Event]:
    """A breached plan that goes on.

    Raises FAILED_PRECONDITION as `_breached`; MISSED_UNPAID and SERVICE_NOT_DONE while what was missed is
    still not done.
    """
    untold = missed_before(p, p.today)
    p = _after(p, untold)
    plan = _breached(p)
    if unpaid := missed(plan):
        fen = sum(each.amount_fen - each.paid_fen for each in unpaid)
        text = f"of instalments missed {fen} fen are unpaid"
        raise p.refuse("MISSED_UNPAID", text, unpaid_fen=str(fen))
    if plan.pledge.missed and service_owed(plan):
        text = f"{plan.pledge.done_tenths} of {plan.pledge.required_tenths} tenths of an hour done"
        raise p.refuse("SERVICE_NOT_DONE", text)
    plan.state = PLAN.STATE_ACTIVE
    occurrence = settled(p, p.case.account, plan)
    return [*untold, ev.BreachExcused(occurrence=occurrence, plan=plan, reasons=command.reasons)]


def record_volunteer_service(
    p: Proceeding, command: rpc_pb.RecordVolunteerServiceRequest
) -> list[Event]:
    """Hours proved towards the pledge; nothing if the proof is known already.

    Raises FAILED_PRECONDITION: NO_PLEDGE, REFERENCE_REUSED; INVALID_ARGUMENT for a day in the future or
    before the consent.
    """
    found, service = last_plan(p), command.service
    if found is None or not found.HasField("pledge"):
        raise p.refuse("NO_PLEDGE", f"no volunteer service is pledged in {p.case.name}")
    day = p.day(service.service_date, "service.service_date")
    for known in found.pledge.services:
        if known.reference == service.reference:
            if known == service:
                return []
            text = f"{known.reference} is recorded with other hours, day or organisation"
            raise p.refuse("REFERENCE_REUSED", text, reference=known.reference)
    if day < (since := as_date(found.pledge.deadline.origin_date)):
        text = f"must not lie before the consent, {since}"
        path = "service.service_date"
        raise invalid_argument("BEFORE_CONSENT", f"{path} {text}", [(path, text)])
    plan = _copy(found)
    plan.pledge.services.append(service)
    plan.pledge.done_tenths += service.tenths
    _withdraw_breach(p, plan)
    occurrence = settled(p, p.case.account, plan)
    return [ev.VolunteerServiceRecorded(occurrence=occurrence, service=service, plan=plan)]


def expire(p: Proceeding, deadline: pb.OpenDeadline) -> list[Event]:
    """What follows when an open deadline about money has passed. The caller has seen that it has."""
    if deadline.duty == pb.DUTY_INSTALMENT:
        return [_missed(p, deadline)]
    if deadline.duty in (pb.DUTY_GRACE, pb.DUTY_VOLUNTEER_SERVICE):
        return _defaulted(p, deadline)
    occurrence = settled(p, p.case.account, last_plan(p), passed=deadline)
    return [ev.DeadlinePassed(occurrence=occurrence, deadline=deadline, missed=True)]


def missed_before(p: Proceeding, day: date) -> list[Event]:
    """What of a plan had ended before that day, where nobody has told yet: instalments, grace, a breach."""
    events: list[Event] = []
    while late := _late(_after(p, events), day):
        events += expire(_after(p, events), late)
    return events


def _after(p: Proceeding, events: Sequence[Event]) -> Proceeding:
    case = p.case
    for event in events:
        case = evolve(case, event)
    return replace(p, case=case)


def _late(p: Proceeding, day: date) -> pb.OpenDeadline | None:
    waiting = (each for each in p.case.standing.deadlines if each.duty in PLANNED)
    ended = (each for each in waiting if due_date(each.deadline) < day)
    return next((each for each in ended if not _moves(p, each.deadline)), None)


def _moves(p: Proceeding, deadline: Deadline) -> bool:
    """Whether a calendar published since moves it."""
    return deadlines.again(deadline, 0, True, p.rules, p.now) != deadline


def recount(p: Proceeding, again: Callable[[Deadline], Deadline]) -> money.Plan | None:
    """The plan in force with the dates of what is not paid or done yet as `again` counts them; None if
    none moves.
    """
    plan = in_force(p)
    if plan is None:
        return None
    after = _copy(plan)
    for each in after.instalments:
        if each.state == DUE:
            each.deadline.CopyFrom(again(each.deadline))
    if service_owed(after) and not after.pledge.missed:
        after.pledge.deadline.CopyFrom(again(after.pledge.deadline))
    return after if after != plan else None


def after_change(p: Proceeding, fine_fen: int) -> money.Plan | None:
    """The plan in force once a remedy has changed the fine to `fine_fen`; None if there is none.

    What is not owed any more is taken from the last instalment backwards; a fine of 0 ends the plan.
    """
    found = in_force(p)
    if found is None:
        return None
    plan = _copy(found)
    owed = [each for each in plan.instalments if each.state != INSTALMENT.STATE_CANCELLED]
    excess = sum(each.amount_fen for each in owed) - max(fine_fen - plan.paid_before_fen, 0)
    for each in reversed(owed):
        cut = min(max(excess, 0), each.amount_fen)
        excess -= cut
        each.amount_fen -= cut
        if not each.amount_fen:
            each.state, each.paid_fen = INSTALMENT.STATE_CANCELLED, 0
            each.ClearField("pay_date")
    plan = refilled(plan, p.case.account.payments)
    if not fine_fen:
        plan.state = PLAN.STATE_CANCELLED
    return plan


def progressed(p: Proceeding, plan: money.Plan, account: money.Account) -> money.Plan:
    """The plan in force after what was paid. A breach that proves to be none, as what was missed had been
    paid in time or in grace, is none any more.
    """
    after = refilled(plan, account.payments)
    _withdraw_breach(p, after)
    return after


def _withdraw_breach(p: Proceeding, plan: money.Plan) -> None:
    pledge = plan.pledge
    if pledge.missed:
        until = due_date(pledge.deadline)
        in_time = [each for each in pledge.services if as_date(each.service_date) <= until]
        pledge.missed = sum(each.tenths for each in in_time) < pledge.required_tenths
    if plan.state == PLAN.STATE_BREACHED and not pledge.missed and not _in_default(p, plan):
        plan.state = PLAN.STATE_ACTIVE


def _in_default(p: Proceeding, plan: money.Plan) -> bool:
    """Whether an instalment was not paid in its days of grace either."""
    return any(
        each.state == OVERDUE
        or (each.state == PAID and as_date(each.pay_date) > _grace_end(p, each))
        for each in plan.instalments
    )


def _grace_end(p: Proceeding, instalment: money.Instalment) -> date:
    return due_date(p.rules.deadline(GRACE, due_date(instalment.deadline), ""))


def _missed(p: Proceeding, deadline: pb.OpenDeadline) -> Event:
    """An instalment missed: its days of grace begin, unless the plan is breached already."""
    plan, opens = _copy(p.case.plans[-1]), []
    plan.instalments[deadline.instalment - 1].state = OVERDUE
    if plan.state != PLAN.STATE_BREACHED:
        plan.state = PLAN.STATE_IN_GRACE
        grace = p.open(
            pb.DUTY_GRACE,
            GRACE,
            due_date(deadline.deadline),
            amount_fen=deadline.amount_fen,
            instalment=deadline.instalment,
        )
        opens.append(grace)
    occurrence = settled(p, p.case.account, plan, opens=opens, passed=deadline)
    return ev.DeadlinePassed(occurrence=occurrence, deadline=deadline, missed=True, plan=plan)


def _defaulted(p: Proceeding, deadline: pb.OpenDeadline) -> list[Event]:
    """Days of grace or a pledge missed: the plan in force is breached, or falls due at once by rule."""
    plan, opens = _copy(p.case.plans[-1]), []
    if deadline.duty == pb.DUTY_VOLUNTEER_SERVICE:
        plan.pledge.missed = True
    automatic = p.rules.choice(DEFAULT, p.today) == "automatic"
    if plan.state in IN_FORCE and plan.state != PLAN.STATE_BREACHED:
        plan.state = PLAN.STATE_BREACHED
        if not automatic:
            opens.append(p.open(pb.DUTY_BREACH, BREACH, due_date(deadline.deadline)))
    event = ev.DeadlinePassed(
        occurrence=settled(p, p.case.account, plan, opens=opens, passed=deadline),
        deadline=deadline,
        missed=True,
        plan=plan,
    )
    if not (automatic and plan.state in IN_FORCE):
        return [event]
    after = replace(p, case=evolve(p.case, event))
    return [event, _revoked(after, plan, FALLEN_DUE, due_date(deadline.deadline))]


def _revoked(p: Proceeding, plan: money.Plan, reasons: str, due: date) -> Event:
    """The plan revoked; what is unpaid fell due on `due`."""
    after = _copy(plan)
    after.state = PLAN.STATE_REVOKED
    for each in after.instalments:
        if each.state not in ENDED:
            each.state = INSTALMENT.STATE_CANCELLED
    term = money.PaymentTerm(from_date=day_message(due + DAY), due_date=day_message(due))
    account = _with_term(p, term)
    return ev.PlanRevoked(
        occurrence=settled(p, account, after, ended=due),
        plan=after,
        reasons=reasons,
        document=documents.revocation(p, account, plan, reasons, due),
        term=term,
    )


def _application(
    p: Proceeding, command: rpc_pb.ApplyForPlanRequest, day: date
) -> money.Application:
    reschedule = bool(p.case.standing.plan)
    return money.Application(
        number=len(p.case.applications) + 1,
        state=money.Application.STATE_APPLIED,
        grounds=command.grounds,
        statement=command.statement,
        evidence=command.evidence,
        wish=command.wish if command.HasField("wish") else None,
        apply_date=day_message(day),
        late=not reschedule and day > payment_date(p.case.account),
        pledge=command.pledge,
        reschedule=reschedule,
    )


def _granted(
    p: Proceeding, bounds: Bounds, application: money.Application, terms: money.PlanTerms
) -> money.Plan:
    return money.Plan(
        number=len(p.case.plans) + 1,
        kind=terms.kind,
        track=track_of(p.case),
        state=PLAN.STATE_ACTIVE,
        instalments=_instalments(p, bounds, terms),
        pledge=_pledge(p, application),
        grant_date=day_message(p.today),
        start_date=day_message(bounds.start),
        rules=bounds.references(terms.kind),
        application=application.number,
        paid_before_fen=bounds.fine_fen - bounds.unpaid_fen,
    )


def _instalments(
    p: Proceeding, bounds: Bounds, terms: money.PlanTerms
) -> Sequence[money.Instalment]:
    rule_id = DEFERRAL if terms.kind == money.PLAN_KIND_DEFERRAL else GAP
    found, before = [], bounds.gap_start
    for number, payment in enumerate(terms.payments, 1):
        day = as_date(payment.due_date)
        origin = before if before < day else p.today
        known = p.rules.book.find(rule_id, origin, p.rules.jurisdiction)
        opened = p.open(
            pb.DUTY_INSTALMENT, rule_id if known else PAYMENT, origin, due=day, instalment=number
        )
        found.append(
            money.Instalment(
                number=number,
                amount_fen=payment.amount_fen,
                deadline=opened.deadline,
                state=DUE,
            )
        )
        before = due_date(opened.deadline)
    return found


def _pledge(p: Proceeding, application: money.Application) -> money.VolunteerPledge | None:
    """The pledge of the application, or that of the plan replaced, which stands."""
    if carried := _carried(p):
        return carried
    if not application.pledge:
        return None
    return money.VolunteerPledge(
        required_tenths=p.rules.number(SERVICE_TENTHS, p.today),
        deadline=p.open(pb.DUTY_VOLUNTEER_SERVICE, SERVICE, p.today).deadline,
    )


def _carried(p: Proceeding) -> money.VolunteerPledge | None:
    replaced = in_force(p)
    return replaced.pledge if replaced and replaced.HasField("pledge") else None


def _from_date(p: Proceeding, application: money.Application) -> date:
    """From when the surcharge does not run: applied for in time, it never does."""
    if application.late or application.reschedule:
        return p.today
    return min(p.today, payment_date(p.case.account) + DAY)


def pending(p: Proceeding) -> money.Application | None:
    """The application that waits for an answer, however long."""
    waiting = (each for each in p.case.applications if each.state == each.STATE_APPLIED)
    return next(waiting, None)


def _answered(p: Proceeding) -> money.Application:
    application = pending(p)
    if application is None:
        raise p.refuse("NO_APPLICATION", f"nothing is applied for in {p.case.name}")
    return application


def _grantable(p: Proceeding) -> money.Application:
    application = _answered(p)
    _require_unpaid(p)
    if application.reschedule and not p.case.standing.plan:
        text = "the plan that was to be changed has ended: another is applied for anew"
        raise p.refuse("PLAN_ENDED", text)
    return application


def _breached(p: Proceeding) -> money.Plan:
    """A copy of the breached plan. FAILED_PRECONDITION: NO_PLAN, PLAN_NOT_BREACHED."""
    plan = in_force(p)
    if plan is None:
        raise p.refuse("NO_PLAN", f"{p.case.name} has no plan in force")
    if plan.state != PLAN.STATE_BREACHED:
        state = PLAN.State.Name(plan.state)
        raise p.refuse("PLAN_NOT_BREACHED", f"plan {plan.number} is in {state}", plan_state=state)
    return _copy(plan)


def _require_unpaid(p: Proceeding) -> None:
    if not unpaid_fine(p.case.account, p.today):
        raise p.refuse("NOTHING_UNPAID", f"nothing is unpaid of the fine of {p.case.name}")


def _require_pledge(p: Proceeding, application: money.Application, day: date) -> None:
    rule = p.rules.rule(LATE, day)
    cited = f"{rule.id}, {rule.version.citation}"
    if application.late and rule.version.choice == "refused":
        text = f"applied for on {day}, after the payment date {payment_date(p.case.account)}"
        raise p.refuse(
            "LATE_APPLICATION",
            f"{text} ({cited})",
            rule=rule.id,
            rule_version=rule.version_id,
            citation=rule.version.citation,
        )
    if application.late and not application.pledge:
        text = "must be given with an application after the payment date"
        raise invalid_argument(
            "PLEDGE_NEEDED", f"pledge {text} ({cited})", [("pledge", text)], rule=rule.id
        )
    if application.pledge and not p.rules.book.find(SERVICE, day, p.rules.jurisdiction):
        text = "must not be given where no rule says what is to be done"
        raise invalid_argument("PLEDGE_UNKNOWN", f"pledge {text}", [("pledge", text)])


def _with_term(p: Proceeding, term: money.PaymentTerm) -> money.Account:
    account = money.Account()
    account.CopyFrom(p.case.account)
    account.terms.append(term)
    return account


def _copy(plan: money.Plan) -> money.Plan:
    copy = money.Plan()
    copy.CopyFrom(plan)
    return copy

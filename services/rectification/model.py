"""What may happen next to a problem: each command decided by the law and the state. Pure."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from google.type import date_pb2

from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from bihuan.types.v1.deadline_pb2 import Deadline
from rpc.errors import failed_precondition, invalid_argument
from rules import Rules, as_date, legal_date
from services.deadlines import again, due, passed
from services.rectification.deadlines import is_awaited, open_deadlines, with_deadline
from services.rectification.evolve import Event, merged

Command: TypeAlias = (
    rpc_pb.ReportProblemRequest
    | rpc_pb.VerifyProblemRequest
    | rpc_pb.OrderRectificationRequest
    | rpc_pb.ExtendRectificationRequest
    | rpc_pb.SubmitRectificationRequest
    | rpc_pb.ReviewRectificationRequest
    | rpc_pb.AssessProblemRequest
    | rpc_pb.ReopenProblemRequest
    | rpc_pb.EscalateProblemRequest
    | rpc_pb.CloseProblemRequest
    | rpc_pb.ExpireDeadlineRequest
    | rpc_pb.RecountDeadlinesRequest
)
# The states in which a command may come, and the reason given in any other.
ALLOWED: dict[type[Command], tuple[frozenset[pb.State.ValueType], str]] = {
    rpc_pb.ReportProblemRequest: (frozenset({pb.STATE_UNSPECIFIED}), "ALREADY_REPORTED"),
    rpc_pb.VerifyProblemRequest: (frozenset({pb.STATE_REPORTED}), "NOT_AWAITING_VERIFICATION"),
    rpc_pb.OrderRectificationRequest: (frozenset({pb.STATE_CONFIRMED}), "NOT_AWAITING_ORDER"),
    rpc_pb.ExtendRectificationRequest: (frozenset({pb.STATE_RECTIFYING}), "NOT_RECTIFYING"),
    rpc_pb.SubmitRectificationRequest: (frozenset({pb.STATE_RECTIFYING}), "NOT_RECTIFYING"),
    rpc_pb.EscalateProblemRequest: (frozenset({pb.STATE_RECTIFYING}), "NOT_RECTIFYING"),
    rpc_pb.ReviewRectificationRequest: (frozenset({pb.STATE_SUBMITTED}), "NOT_AWAITING_REVIEW"),
    rpc_pb.AssessProblemRequest: (frozenset({pb.STATE_ACCEPTED}), "NOT_AWAITING_ASSESSMENT"),
    rpc_pb.CloseProblemRequest: (frozenset({pb.STATE_EFFECTIVE}), "NOT_AWAITING_CLOSURE"),
    rpc_pb.ReopenProblemRequest: (
        frozenset({pb.STATE_INEFFECTIVE, pb.STATE_CLOSED}),
        "NOT_REOPENABLE",
    ),
}
# Who takes a step, and the rule that limits it.
STEPS = {
    pb.STEP_VERIFY: (pb.PARTY_VERIFIER, "rectification.verification"),
    pb.STEP_ORDER: (pb.PARTY_OFFICER, "rectification.ordering"),
    pb.STEP_RECTIFY: (pb.PARTY_ENTERPRISE, "rectification.order"),
    pb.STEP_REVIEW: (pb.PARTY_OFFICER, "rectification.review"),
    pb.STEP_ASSESS: (pb.PARTY_ASSESSOR, "rectification.follow_up"),
    pb.STEP_REOPEN: (pb.PARTY_OFFICER, "rectification.reopening"),
    pb.STEP_CLOSE: (pb.PARTY_ASSESSOR, "rectification.closure"),
}
RESUBMISSION = "rectification.resubmission"
# As far as the days of a limit may reach in the proto.
FURTHEST = timedelta(days=1095)


def decide(
    problem: pb.Problem, command: Command, actor: str, rules: Rules, now: datetime
) -> list[Event]:
    """What follows from `command` by `actor` (an identity's subject) at `now` (legal time, UTC).

    `problem` has its name set and state UNSPECIFIED before it is reported; `rules` are those of its
    place. Raises StatusError: FAILED_PRECONDITION for a move that the state forbids,
    INVALID_ARGUMENT naming the field for a bad one. A late or doubled expiry gives no event.
    """
    _require_state(problem, command)
    case = _Case(problem, actor, rules, now)
    return DECISIONS[type(command)](case, command)


class _Case:
    """A problem with all that a decision on it depends on."""

    def __init__(self, problem: pb.Problem, actor: str, rules: Rules, now: datetime) -> None:
        self.problem = problem
        self.actor = actor
        self.rules = rules
        self.now = now
        self.today: date = legal_date(now)
        self.time = Timestamp()
        self.time.FromDatetime(now)

    def step(self, step: pb.Step.ValueType, number: int) -> pb.NextStep:
        """The `number`th time this step is due, counted from today by its rule."""
        party, rule = STEPS[step]
        deadline_id = f"{pb.Step.Name(step).removeprefix('STEP_').lower()}-{number}"
        deadline = self.rules.deadline(rule, self.today, deadline_id)
        days = open_deadlines([deadline])
        return pb.NextStep(step=step, party=party, deadline=deadline, open_deadlines=days)

    def limited(self, rule: str, limit: pb.Limit, deadline_id: str, field: str) -> Deadline:
        """A deadline from today: as `limit` sets it, else as `rule` does."""
        match limit.WhichOneof("limit"):
            case "due_date":
                due = _date(limit.due_date, f"{field}.due_date")
                if not self.today < due <= self.today + FURTHEST:
                    text = f"must lie after {self.today}, at most {FURTHEST.days} days"
                    raise invalid_argument(
                        "DUE_DATE_OUT_OF_RANGE",
                        f"the due date {due} {text}",
                        [(f"{field}.due_date", text)],
                    )
                return self.rules.deadline(rule, self.today, deadline_id, due=due)
            case "days":
                return self.rules.deadline(rule, self.today, deadline_id, days=limit.days)
        return self.rules.deadline(rule, self.today, deadline_id)

    def items(self, drafts: Iterable[rpc_pb.ItemDraft], round_: int) -> list[pb.RectificationItem]:
        """Items of an order, numbered, each with its deadline."""
        return [
            pb.RectificationItem(
                id=str(number),
                finding=draft.finding,
                cause=draft.cause,
                measure=draft.measure,
                responsible_unit=draft.responsible_unit,
                accepting_unit=draft.accepting_unit,
                state=pb.RectificationItem.STATE_OUTSTANDING,
                deadline=self.limited(
                    STEPS[pb.STEP_RECTIFY][1],
                    draft.limit,
                    f"rectify-{round_}.{number}",
                    f"items[{number - 1}].limit",
                ),
            )
            for number, draft in enumerate(drafts, 1)
        ]

    def chosen(
        self, ids: Sequence[str], state: pb.RectificationItem.State.ValueType
    ) -> list[pb.RectificationItem]:
        """The items of `ids`, each in `state`; all items in it if no ids are given."""
        in_state = {item.id: item for item in self.problem.items if item.state == state}
        known = {item.id for item in self.problem.items}
        for index, item_id in enumerate(ids):
            if item_id not in known:
                raise invalid_argument(
                    "UNKNOWN_ITEM",
                    f"{self.problem.name} has no item {item_id}",
                    [(f"item_ids[{index}]", f"must be one of {', '.join(sorted(known))}")],
                )
            if item_id not in in_state:
                wanted = pb.RectificationItem.State.Name(state)
                raise failed_precondition(
                    "ITEM_" + wanted.replace("STATE_", "NOT_"),
                    f"item {item_id} of {self.problem.name} is not {wanted}",
                    resource=self.problem.name,
                    item=item_id,
                    state=pb.State.Name(self.problem.state),
                )
        return [in_state[item_id] for item_id in ids] or list(in_state.values())


def _report(case: _Case, command: rpc_pb.ReportProblemRequest) -> list[Event]:
    if command.origin and command.source != pb.SOURCE_INSPECTION:
        raise invalid_argument(
            "NOT_FROM_AN_INSPECTION",
            "origin names the finding of an inspection",
            [("origin", "only with SOURCE_INSPECTION")],
        )
    return [
        ev.ProblemReported(
            name=case.problem.name,
            title=command.title,
            description=command.description,
            source=command.source,
            category=command.category,
            severity=command.severity,
            location=command.location,
            enterprise=command.enterprise,
            reporter=case.actor,
            report_time=case.time,
            next_step=case.step(pb.STEP_VERIFY, 1),
            complainant=command.complainant if command.HasField("complainant") else None,
            origin=command.origin,
        )
    ]


def _verify(case: _Case, command: rpc_pb.VerifyProblemRequest) -> list[Event]:
    confirmed = command.result == rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED
    verification = pb.Verification(
        confirmed=confirmed,
        reasons=command.reasons,
        verifier=case.actor,
        verify_time=case.time,
        evidence=command.evidence,
    )
    next_step = case.step(pb.STEP_ORDER, 1) if confirmed else None
    return [ev.ProblemVerified(verification=verification, next_step=next_step)]


def _order(case: _Case, command: rpc_pb.OrderRectificationRequest) -> list[Event]:
    items = case.items(command.items, 1)
    return [
        ev.RectificationOrdered(
            order=_issued(case, command.legal_basis), items=items, next_step=_rectify(case, items)
        )
    ]


def _extend(case: _Case, command: rpc_pb.ExtendRectificationRequest) -> list[Event]:
    extended = [
        _extended(case, item, command.limit)
        for item in case.chosen(command.item_ids, pb.RectificationItem.STATE_OUTSTANDING)
    ]
    extensions = [
        ev.RectificationExtended.Extension(item_id=item.id, deadline=item.deadline)
        for item in extended
    ]
    return [
        ev.RectificationExtended(
            extensions=extensions,
            reason=command.reason,
            officer=case.actor,
            extend_time=case.time,
            next_step=_rectify(case, merged(case.problem.items, extended)),
        )
    ]


def _extended(case: _Case, item: pb.RectificationItem, limit: pb.Limit) -> pb.RectificationItem:
    # The same deadline, later: its count so far stays part of its explanation.
    target = case.limited(STEPS[pb.STEP_RECTIFY][1], limit, item.deadline.id, "limit")
    if target.due_time.ToDatetime() <= item.deadline.due_time.ToDatetime():
        raise invalid_argument(
            "NOT_AN_EXTENSION",
            f"item {item.id} is due on {_iso(item.deadline)} already; {_iso(target)} is not later",
            [("limit", f"must end after {_iso(item.deadline)}")],
        )
    return with_deadline(item, case.rules.extended(item.deadline, as_date(target.due_date)))


def _submit(case: _Case, command: rpc_pb.SubmitRectificationRequest) -> list[Event]:
    items = case.chosen(command.item_ids, pb.RectificationItem.STATE_OUTSTANDING)
    ids = [item.id for item in items]
    rest = [
        item
        for item in case.problem.items
        if item.state == pb.RectificationItem.STATE_OUTSTANDING and item.id not in ids
    ]
    review = case.step(pb.STEP_REVIEW, len(case.problem.submissions) + 1)
    return [
        ev.RectificationSubmitted(
            submission=pb.Submission(
                item_ids=ids,
                statement=command.statement,
                evidence=command.evidence,
                submitter=case.actor,
                submit_time=case.time,
            ),
            late_item_ids=[item.id for item in items if passed(item.deadline, case.now)],
            next_step=_rectify(case, rest) if rest else review,
        )
    ]


def _review(case: _Case, command: rpc_pb.ReviewRectificationRequest) -> list[Event]:
    if command.result == rpc_pb.ReviewRectificationRequest.RESULT_RETURNED:
        return [_return(case, command)]
    if command.item_ids or command.HasField("limit"):
        field = "item_ids" if command.item_ids else "limit"
        raise invalid_argument(
            "NOTHING_RETURNED",
            "item_ids and limit go with RESULT_RETURNED",
            [(field, "must be empty when the submission is accepted")],
        )
    return [
        ev.RectificationAccepted(
            reasons=command.reasons,
            reviewer=case.actor,
            review_time=case.time,
            next_step=case.step(pb.STEP_ASSESS, case.problem.round),
        )
    ]


def _return(case: _Case, command: rpc_pb.ReviewRectificationRequest) -> Event:
    items = [
        _returned(case, item, command)
        for item in case.chosen(command.item_ids, pb.RectificationItem.STATE_SUBMITTED)
    ]
    return ev.RectificationReturned(
        reasons=command.reasons,
        reviewer=case.actor,
        review_time=case.time,
        items=items,
        next_step=_rectify(case, items),
    )


def _returned(
    case: _Case, item: pb.RectificationItem, command: rpc_pb.ReviewRectificationRequest
) -> pb.RectificationItem:
    deadline = item.deadline
    if command.HasField("limit") or passed(deadline, case.now):
        deadline = case.limited(RESUBMISSION, command.limit, deadline.id, "limit")
    returned = with_deadline(item, deadline)
    returned.state = pb.RectificationItem.STATE_OUTSTANDING
    return returned


def _assess(case: _Case, command: rpc_pb.AssessProblemRequest) -> list[Event]:
    effective = command.result == rpc_pb.AssessProblemRequest.RESULT_EFFECTIVE
    assessment = pb.Assessment(
        effective=effective,
        findings=command.findings,
        evidence=command.evidence,
        assessor=case.actor,
        assess_time=case.time,
    )
    step = pb.STEP_CLOSE if effective else pb.STEP_REOPEN
    next_step = case.step(step, case.problem.round)
    return [ev.ProblemAssessed(assessment=assessment, next_step=next_step)]


def _reopen(case: _Case, command: rpc_pb.ReopenProblemRequest) -> list[Event]:
    round_ = case.problem.round + 1
    items = case.items(command.items, round_)
    return [
        ev.ProblemReopened(
            reason=command.reason,
            order=_issued(case, command.legal_basis),
            items=items,
            round=round_,
            next_step=_rectify(case, items),
        )
    ]


def _escalate(case: _Case, command: rpc_pb.EscalateProblemRequest) -> list[Event]:
    problem = case.problem
    if not problem.overdue:
        raise failed_precondition(
            "NOT_OVERDUE",
            f"{problem.name} is not overdue",
            resource=problem.name,
            state=pb.State.Name(problem.state),
        )
    return [_climbed(case, command.reason)]


def _close(case: _Case, command: rpc_pb.CloseProblemRequest) -> list[Event]:
    return [
        ev.ProblemClosed(
            conclusion=command.conclusion,
            officer=case.actor,
            close_time=case.time,
            evidence=command.evidence,
        )
    ]


def _expire(case: _Case, command: rpc_pb.ExpireDeadlineRequest) -> list[Event]:
    problem = case.problem
    if moved := _recounted(case):
        return [moved]
    for day in problem.next_step.open_deadlines:
        if command.deadline_id in day.deadline_ids and passed(day, case.now):
            return _missed(case, day, command.deadline_id)
    rung = problem.escalation.next_deadline
    if command.deadline_id == rung.id and problem.overdue and passed(rung, case.now):
        return [_climbed(case, f"逾期未整改,{problem.escalation.measure}后期限届满")]
    return []


def _missed(case: _Case, day: pb.OpenDeadline, deadline_id: str) -> list[Event]:
    """What ended on `day` was not done; the first miss of a rectification sets foot on the ladder."""
    before = case.problem.next_step
    missed = ev.DeadlineMissed(
        deadline_id=deadline_id,
        step=before.step,
        party=before.party,
        detect_time=case.time,
        next_step=pb.NextStep(
            step=before.step,
            party=before.party,
            deadline=before.deadline,
            overdue=True,
            open_deadlines=[each for each in before.open_deadlines if each != day],
        ),
        deadline_ids=day.deadline_ids,
        due_date=day.due_date,
    )
    if before.step != pb.STEP_RECTIFY or case.problem.overdue:
        return [missed]
    rung = _rung(case, "整改期限届满,未提交整改结果")
    return [missed, rung] if rung else [missed]


def _climbed(case: _Case, reason: str) -> ev.ProblemEscalated:
    if rung := _rung(case, reason):
        return rung
    problem = case.problem
    raise failed_precondition(
        "TOP_OF_LADDER",
        f"{problem.name} has reached the last rung, {problem.escalation.measure}",
        resource=problem.name,
        state=pb.State.Name(problem.state),
    )


def _rung(case: _Case, reason: str) -> ev.ProblemEscalated | None:
    """One rung up the ladder, with the deadline of the rung after it; None at the top."""
    before, today, rules = case.problem.escalation, case.today, case.rules
    ladder = before.rule if before.HasField("rule") else rules.ladder(today)
    rung = rules.rung(before.level + 1, today, ladder)
    if rung is None:
        return None
    above = rules.rung(rung.level + 1, today, ladder)
    escalation = pb.Escalation(level=rung.level, measure=rung.measure, rule=ladder)
    if above:
        escalation.next_measure = above.measure
        deadline_id = f"escalate-{case.problem.round}.{above.level}"
        deadline = rules.rung_deadline(above.level, today, deadline_id, ladder)
        escalation.next_deadline.CopyFrom(deadline)
    return ev.ProblemEscalated(
        escalation=escalation, reason=reason, actor=case.actor, escalate_time=case.time
    )


def _recount(case: _Case, command: rpc_pb.RecountDeadlinesRequest) -> list[Event]:
    moved = _recounted(case, command.calendar_year)
    return [moved] if moved else []


def _recounted(case: _Case, year: int = 0) -> ev.DeadlinesRecounted | None:
    """Deadlines counted again by the calendar known now: the provisional ones, and those counted
    into `year`. None if nothing changes.
    """
    problem = case.problem
    if not problem.HasField("next_step"):
        return None
    items = [
        with_deadline(item, _again(case, item.deadline, year, is_awaited(item)))
        for item in problem.items
        if item.state != pb.RectificationItem.STATE_ACCEPTED
    ]
    step, escalation = _step_again(case, items, year), _escalation_again(case, year)
    before = {item.id: item for item in problem.items}
    moved = [item for item in items if item != before[item.id]]
    unmoved = step.deadline == problem.next_step.deadline and escalation == problem.escalation
    if not moved and unmoved:
        return None
    return ev.DeadlinesRecounted(
        items=[
            ev.RectificationExtended.Extension(item_id=item.id, deadline=item.deadline)
            for item in moved
        ],
        next_step=step,
        escalation=escalation if problem.HasField("escalation") else None,
        recount_time=case.time,
    )


def _again(case: _Case, deadline: Deadline, year: int, awaited: bool) -> Deadline:
    return again(deadline, year, awaited, case.rules, case.now)


def _step_again(case: _Case, items: Iterable[pb.RectificationItem], year: int) -> pb.NextStep:
    step = pb.NextStep()
    step.CopyFrom(case.problem.next_step)
    if step.step == pb.STEP_RECTIFY:
        return _rectify(case, items)
    if not step.overdue:
        step.deadline.CopyFrom(_again(case, step.deadline, year, awaited=True))
        del step.open_deadlines[:]
        step.open_deadlines.extend(open_deadlines([step.deadline]))
    return step


def _escalation_again(case: _Case, year: int) -> pb.Escalation:
    escalation = pb.Escalation()
    escalation.CopyFrom(case.problem.escalation)
    if escalation.HasField("next_deadline"):
        deadline = _again(case, escalation.next_deadline, year, awaited=True)
        escalation.next_deadline.CopyFrom(deadline)
    return escalation


DECISIONS: dict[type[Command], Callable[[_Case, Any], list[Event]]] = {
    rpc_pb.ReportProblemRequest: _report,
    rpc_pb.VerifyProblemRequest: _verify,
    rpc_pb.OrderRectificationRequest: _order,
    rpc_pb.ExtendRectificationRequest: _extend,
    rpc_pb.SubmitRectificationRequest: _submit,
    rpc_pb.ReviewRectificationRequest: _review,
    rpc_pb.AssessProblemRequest: _assess,
    rpc_pb.ReopenProblemRequest: _reopen,
    rpc_pb.EscalateProblemRequest: _escalate,
    rpc_pb.CloseProblemRequest: _close,
    rpc_pb.ExpireDeadlineRequest: _expire,
    rpc_pb.RecountDeadlinesRequest: _recount,
}


def _require_state(problem: pb.Problem, command: Command) -> None:
    states, reason = ALLOWED.get(type(command), (frozenset({problem.state}), ""))
    if problem.state in states:
        return
    found = pb.State.Name(problem.state)
    wanted = " or ".join(pb.State.Name(state) for state in sorted(states))
    raise failed_precondition(
        reason,
        f"{problem.name} is in {found}; this needs {wanted}",
        resource=problem.name,
        state=found,
    )


def _rectify(case: _Case, items: Iterable[pb.RectificationItem]) -> pb.NextStep:
    """The enterprise's move, until the first of the items falls due."""
    outstanding = [item for item in items if item.state == pb.RectificationItem.STATE_OUTSTANDING]
    first = min((item.deadline for item in outstanding), key=due)
    return pb.NextStep(
        step=pb.STEP_RECTIFY,
        party=STEPS[pb.STEP_RECTIFY][0],
        deadline=first,
        overdue=case.problem.overdue and passed(first, case.now),
        open_deadlines=open_deadlines(item.deadline for item in outstanding if is_awaited(item)),
    )


def _issued(case: _Case, legal_basis: str) -> pb.RectificationOrder:
    return pb.RectificationOrder(legal_basis=legal_basis, issuer=case.actor, issue_time=case.time)


def _date(value: date_pb2.Date, field: str) -> date:
    try:
        return date(value.year, value.month, value.day)
    except ValueError as error:
        raise invalid_argument(
            "INVALID_DATE", f"{field} is not a day: {error}", [(field, "must be a whole date")]
        ) from error


def _iso(deadline: Deadline) -> str:
    due = deadline.due_date
    return f"{due.year:04}-{due.month:02}-{due.day:02}"

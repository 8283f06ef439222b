"""When an inspection gets its code, and when that is taken back: no code, no inspection. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2
from rpc.errors import unavailable
from rules import SHANGHAI, as_date
from services.inspection.days import span
from services.inspection.inspections import counting, signing
from services.inspection.inspections.evolve import Event, evolve
from services.inspection.inspections.on_site import require_not_begun
from services.inspection.inspections.opening import Span
from services.inspection.inspections.participation import named, require_eligible, require_enough
from services.inspection.inspections.proceeding import Proceeding
from services.inspection.plans.caps import cap_of, counted_kinds

DAY = timedelta(days=1)
EXPIRED = "已过有效期，另发新码"
# What does not wait for the head (国办发〔2024〕54号: urgent ones are reported at once and made up for).
ON_THE_SPOT = frozenset({pb.Clue.SOURCE_EMERGENCY, pb.Clue.SOURCE_TIP_OFF})


def current(inspection: pb.Inspection) -> pb.Code | None:
    """The last code, if it is not revoked."""
    last = inspection.codes[-1] if inspection.codes else None
    return None if last is None or last.state == pb.Code.STATE_REVOKED else last


def approved(inspection: pb.Inspection) -> bool:
    """Whether the head approved it, before or afterwards."""
    return inspection.HasField("approval") and not inspection.approval.disapproved


def issue(p: Proceeding, command: rpc_pb.IssueCodeRequest) -> list[Event]:
    """A code for these days, instead of one that has expired."""
    spoiled: list[Event] = []
    if (last := current(p.inspection)) is not None:
        if p.now < last.to_time.ToDatetime(UTC):
            raise p.refuse("CODE_VALID", f"code {last.id} is valid: revoke it first", code=last.id)
        require_not_begun(p)
        spoiled = [ev.CodeRevoked(occurrence=p.occurrence(), code=last.id, reason=EXPIRED)]
        p = replace(p, inspection=evolve(p.inspection, spoiled[0]))
    _require_approval(p, command.on_the_spot_reason)
    days = _days(p, command)
    renewed = _inspectors(p, days)
    for event in renewed:
        p = replace(p, inspection=evolve(p.inspection, event))
    issued = ev.CodeIssued(
        occurrence=p.occurrence(pb.STATE_READY, opens=_review(p, command.on_the_spot_reason)),
        code=_code(p, command, days),
        year=days.first.year,
        ordinals=_ordinals(p, days.first),
    )
    return [*spoiled, *renewed, issued]


def revoke(p: Proceeding, command: rpc_pb.RevokeCodeRequest) -> list[Event]:
    """The code is good for nothing any more; another may be issued. Not once something was noted by it."""
    require_not_begun(p)
    return [revoked(p, command.reason)]


def revoked(p: Proceeding, reason: str) -> ev.CodeRevoked:
    """That the code was taken back: what was approved waits for another, what was not for approval."""
    state = pb.STATE_APPROVED if approved(p.inspection) else pb.STATE_ARRANGED
    occurrence = p.occurrence(state, closes=p.ids(pb.DUTY_REVIEW))
    return ev.CodeRevoked(occurrence=occurrence, code=p.inspection.codes[-1].id, reason=reason)


def _require_approval(p: Proceeding, reason: str) -> None:
    """Approved, or not to be waited for: danger or a tip-off, with the reason why."""
    if approved(p.inspection):
        if reason:
            text = "it is approved: nothing has to be done on the spot"
            raise p.refuse("NOT_ON_THE_SPOT", text)
        return
    if not reason:
        text = (
            f"{p.inspection.name} is not approved: the head of {p.lead.display_name} approves it first; an "
            "emergency or a tip-off needs no approval beforehand, but on_the_spot_reason"
        )
        raise p.refuse("NOT_APPROVED", text)
    if p.inspection.approval.disapproved:
        text = "the head found that it should not have been begun on the spot"
        raise p.refuse("DISAPPROVED", text)
    if p.inspection.kind != plan_pb2.KIND_CASE or p.inspection.clue.source not in ON_THE_SPOT:
        text = "only an emergency or a tip-off does not wait for approval"
        raise p.refuse("NOT_URGENT", text)


def _review(p: Proceeding, reason: str) -> Iterable[pb.OpenDeadline]:
    """The head looks at what was begun on the spot; once, however many codes it takes."""
    if not reason or p.ids(pb.DUTY_REVIEW):
        return []
    return [p.open(pb.DUTY_REVIEW, p.lead.department, p.today)]


def _days(p: Proceeding, command: rpc_pb.IssueCodeRequest) -> Span:
    days = Span(*span(command.from_date, command.to_date))
    first = max(as_date(p.inspection.from_date), p.today)
    last = as_date(p.inspection.to_date)
    if days.first < first or last < days.last:
        text = f"a code may be valid from {first} to {last}"
        raise p.refuse("OUTSIDE_VISIT_DAYS", text, first=str(first), last=str(last))
    if days.first.year != days.last.year:
        # It counts in one year: a visit in January would take a place of the year before.
        text = f"a code of {days.first} ends with the year: for the next one there is another code"
        raise p.refuse("CODE_ACROSS_YEARS", text)
    most = p.rules.number("inspection.code_days", p.today)
    if (days.last - days.first).days >= most:
        raise p.refuse("CODE_TOO_LONG", f"a code is valid for {most} days at most", most=str(most))
    return days


def _inspectors(p: Proceeding, days: Span) -> list[Event]:
    """That inspectors go by another certificate than when they were named: one that is valid then."""
    if not p.going:
        raise p.refuse("NOTHING_TO_INSPECT", "data answered everything: nobody needs to go")
    renewed: list[Event] = []
    for participant in p.going:
        department = participant.department
        require_enough(p, department, len(participant.inspectors))
        inspectors = [
            named(require_eligible(p, department, each.inspector, *days), days.first)
            for each in participant.inspectors
        ]
        if inspectors != list(participant.inspectors):
            event = ev.InspectorsAssigned(department=department, inspectors=inspectors)
            event.occurrence.CopyFrom(p.occurrence())
            renewed.append(event)
    return renewed


def _code(p: Proceeding, command: rpc_pb.IssueCodeRequest, days: Span) -> pb.Code:
    if p.known.mint is None:
        text = "no code can be issued: the key that signs codes is not to be had"
        raise unavailable("CODE_KEY_UNAVAILABLE", text)
    valid = signing.Validity(_midnight(days.first), _midnight(days.last + DAY))
    code = p.known.mint(signing.said(p.inspection, valid, p.going))
    code.from_time.FromDatetime(valid.from_time)
    code.to_time.FromDatetime(valid.to_time)
    code.state = pb.Code.STATE_ISSUED
    code.issue_time.CopyFrom(p.time)
    code.on_the_spot_reason = command.on_the_spot_reason
    code.external_code = command.external_code
    return code


def _midnight(day: date) -> datetime:
    """The instant at which the day begins in Shanghai, UTC."""
    return datetime.combine(day, time(), SHANGHAI).astimezone(UTC)


def _ordinals(p: Proceeding, first: date) -> list[ev.CodeIssued.Ordinal]:
    """Which visit it is for each department that goes: as before, or to be numbered as it is recorded.

    FAILED_PRECONDITION CAP_EXHAUSTED where not a single visit is allowed.
    """
    held = {each.department for each in p.going if each.visit_of_year}
    if not p.inspection.codes or counting.year_of(p.inspection) != first.year:
        held = set()
    # What is ordered from above does not count (《意见》有关问题解答, April 2025).
    ordered = p.inspection.clue.source == pb.Clue.SOURCE_ORDERED
    counts = not ordered and p.inspection.kind in counted_kinds(p.rules, p.today)
    target = p.known.target
    grade = target.grading.grade if target else p.inspection.enterprise.grade
    cap = cap_of(grade, p.rules, p.today)
    ordinals = [
        ev.CodeIssued.Ordinal(
            department=each.department,
            visit_of_year=each.visit_of_year if each.department in held else 0,
            capped_visit_of_year=(
                each.capped_visit_of_year if each.department in held else int(counts)
            ),
            cap=cap or 0,
        )
        for each in p.going
    ]
    fresh = [
        each
        for each in ordinals
        if not each.visit_of_year and counting.refusable(p.inspection, each.department)
    ]
    if cap == 0 and counts and fresh:
        raise counting.exhausted(p.inspection, fresh[0])
    return ordinals

"""What has happened to a problem, folded from its events. Pure."""

from collections.abc import Iterable
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1 import problem_pb2 as pb

# Events that say whose move it is from now on.
Moving: TypeAlias = (
    ev.ProblemReported
    | ev.ProblemVerified
    | ev.RectificationOrdered
    | ev.RectificationExtended
    | ev.RectificationSubmitted
    | ev.RectificationAccepted
    | ev.RectificationReturned
    | ev.ProblemAssessed
    | ev.ProblemReopened
    | ev.DeadlineMissed
    | ev.DeadlinesRecounted
)
Event: TypeAlias = Moving | ev.ProblemEscalated | ev.ProblemClosed


def evolve(problem: pb.Problem, event: Event) -> pb.Problem:
    """The problem after `event`. Never fails; `problem` itself is left as it was."""
    after = pb.Problem()
    after.CopyFrom(problem)
    match event:
        case ev.ProblemReported():
            _fill(after, event)
        case ev.ProblemVerified():
            after.verification.CopyFrom(event.verification)
            confirmed = event.verification.confirmed
            after.state = pb.STATE_CONFIRMED if confirmed else pb.STATE_UNFOUNDED
            if not confirmed:
                after.close_time.CopyFrom(event.verification.verify_time)
            _move_on(after, event, event.verification.verify_time)
        case ev.RectificationOrdered():
            _begin_round(after, event, 1)
        case ev.RectificationExtended():
            _set_deadlines(after, event.extensions)
            _move_on(after, event, event.extend_time)
        case ev.RectificationSubmitted():
            _take_submission(after, event)
        case ev.RectificationAccepted():
            after.state = pb.STATE_ACCEPTED
            after.reviews.append(_review(event, accepted=True))
            for item in after.items:
                item.state = pb.RectificationItem.STATE_ACCEPTED
            _move_on(after, event, event.review_time)
        case ev.RectificationReturned():
            after.state = pb.STATE_RECTIFYING
            after.reviews.append(_review(event, accepted=False))
            items = merged(after.items, event.items)
            del after.items[:]
            after.items.extend(items)
            _move_on(after, event, event.review_time)
        case ev.ProblemAssessed():
            after.assessments.append(event.assessment)
            effective = event.assessment.effective
            after.state = pb.STATE_EFFECTIVE if effective else pb.STATE_INEFFECTIVE
            _move_on(after, event, event.assessment.assess_time)
        case ev.ProblemReopened():
            after.ClearField("close_time")
            after.conclusion = ""
            _begin_round(after, event, event.round)
        case ev.DeadlineMissed():
            for item in after.items:
                item.overdue = item.overdue or item.deadline.id in event.deadline_ids
            _move_on(after, event, event.detect_time)
        case ev.ProblemEscalated():
            after.escalation.CopyFrom(event.escalation)
            after.update_time.CopyFrom(event.escalate_time)
        case ev.DeadlinesRecounted():
            _set_deadlines(after, event.items)
            if event.HasField("escalation"):
                after.escalation.CopyFrom(event.escalation)
            _move_on(after, event, event.recount_time)
        case ev.ProblemClosed():
            after.state = pb.STATE_CLOSED
            after.conclusion = event.conclusion
            after.close_time.CopyFrom(event.close_time)
            after.ClearField("next_step")
            after.overdue = False
            after.ClearField("escalation")
            after.update_time.CopyFrom(event.close_time)
    return after


def _review(
    event: ev.RectificationAccepted | ev.RectificationReturned, *, accepted: bool
) -> pb.Review:
    return pb.Review(
        accepted=accepted,
        reasons=event.reasons,
        reviewer=event.reviewer,
        review_time=event.review_time,
    )


def _fill(after: pb.Problem, event: ev.ProblemReported) -> None:
    after.state = pb.STATE_REPORTED
    after.name = event.name
    after.title = event.title
    after.description = event.description
    after.source = event.source
    after.category = event.category
    after.severity = event.severity
    after.location.CopyFrom(event.location)
    after.enterprise.CopyFrom(event.enterprise)
    after.reporter = event.reporter
    after.report_time.CopyFrom(event.report_time)
    after.origin = event.origin
    if event.HasField("complainant"):
        after.complainant.CopyFrom(event.complainant)
    _move_on(after, event, event.report_time)


def _begin_round(
    after: pb.Problem, event: ev.RectificationOrdered | ev.ProblemReopened, round_: int
) -> None:
    after.state = pb.STATE_RECTIFYING
    after.round = round_
    after.order.CopyFrom(event.order)
    del after.items[:]
    after.items.extend(event.items)
    after.ClearField("escalation")
    _move_on(after, event, event.order.issue_time)


def _take_submission(after: pb.Problem, event: ev.RectificationSubmitted) -> None:
    after.submissions.append(event.submission)
    for item in after.items:
        if item.id in event.submission.item_ids:
            item.state = pb.RectificationItem.STATE_SUBMITTED
            item.late = item.late or item.id in event.late_item_ids
    _move_on(after, event, event.submission.submit_time)
    if event.next_step.step == pb.STEP_REVIEW:
        after.state = pb.STATE_SUBMITTED
        after.ClearField("escalation")


def _move_on(after: pb.Problem, event: Moving, time: Timestamp) -> None:
    """Whose move it is from now on; unless it is overdue still, no further rung follows."""
    after.update_time.CopyFrom(time)
    after.overdue = event.next_step.overdue
    if not after.overdue and after.HasField("escalation"):
        after.escalation.ClearField("next_deadline")
        after.escalation.next_measure = ""
    if event.HasField("next_step"):
        after.next_step.CopyFrom(event.next_step)
    else:
        after.ClearField("next_step")


def _set_deadlines(
    after: pb.Problem, extensions: Iterable[ev.RectificationExtended.Extension]
) -> None:
    deadlines = {extension.item_id: extension.deadline for extension in extensions}
    for item in after.items:
        if item.id in deadlines:
            item.deadline.CopyFrom(deadlines[item.id])
            item.overdue = False


def merged(
    items: Iterable[pb.RectificationItem], changed: Iterable[pb.RectificationItem]
) -> list[pb.RectificationItem]:
    """`items`, those changed in their changed form."""
    by_id = {item.id: item for item in changed}
    return [by_id.get(item.id, item) for item in items]

"""What has happened to a plan, folded from its events. Pure."""

from typing import TypeAlias

from bihuan.inspection.v1 import plan_events_pb2 as ev
from bihuan.inspection.v1 import plan_pb2 as pb

Event: TypeAlias = (
    ev.PlanCreated
    | ev.TasksAdded
    | ev.TasksRemoved
    | ev.PlanSubmitted
    | ev.PlanReturned
    | ev.PlanApproved
    | ev.PlanPublished
    | ev.PlanWithdrawn
    | ev.PlanDeadlinePassed
    | ev.PlanDeadlineRecounted
)


def evolve(plan: pb.Plan, event: Event) -> pb.Plan:
    """The plan after `event`. Never fails; `plan` itself is left as it was. A copy of 5,000 tasks takes less
    than a millisecond.
    """
    after = pb.Plan()
    after.CopyFrom(plan)
    standing = event.occurrence.standing
    after.state, after.overdue = standing.state, standing.overdue
    after.ClearField("deadline")
    if standing.HasField("deadline"):
        after.deadline.CopyFrom(standing.deadline)
    after.update_time.CopyFrom(event.occurrence.occur_time)
    _put(after, event)
    return after


def _put(after: pb.Plan, event: Event) -> None:
    match event:
        case ev.PlanCreated():
            _create(after, event)
        case ev.TasksAdded():
            after.tasks.extend(event.tasks)
            after.task_count = len(after.tasks)
            after.last_task_number = max(task.number for task in event.tasks)
        case ev.TasksRemoved():
            removed = set(event.task_ids)
            kept = [task for task in after.tasks if task.id not in removed]
            del after.tasks[:]
            after.tasks.extend(kept)
            after.task_count = len(kept)
        case ev.PlanSubmitted():
            after.submitter = event.occurrence.actor
            after.approver = after.opinion = ""
        case ev.PlanReturned() | ev.PlanApproved():
            after.approver, after.opinion = event.occurrence.actor, event.opinion
        case ev.PlanPublished():
            after.publication = event.publication
        case ev.PlanWithdrawn():
            after.withdraw_reason = event.reason


def _create(after: pb.Plan, event: ev.PlanCreated) -> None:
    after.name, after.department = event.name, event.department
    after.district = event.district
    after.kind, after.year = event.kind, event.year
    after.title, after.purpose = event.title, event.purpose
    after.create_time.CopyFrom(event.occurrence.occur_time)

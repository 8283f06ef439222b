"""What may happen next to a plan: each command by the law and the state. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc.code_pb2 import Code

from bihuan.inspection.v1 import plan_events_pb2 as ev
from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from bihuan.types.v1.deadline_pb2 import Deadline
from rpc.errors import StatusError, already_exists, failed_precondition, invalid_argument
from rules import Rules, UnknownRule, legal_date
from services import deadlines
from services.inspection.plans import checks
from services.inspection.plans.checks import Fault, Known
from services.inspection.plans.evolve import Event

Command: TypeAlias = Any  # a request of PlanService, as in DECISIONS
State: TypeAlias = pb.PlanState.ValueType
DRAFT, SUBMITTED, RETURNED = (
    pb.PLAN_STATE_DRAFT,
    pb.PLAN_STATE_SUBMITTED,
    pb.PLAN_STATE_RETURNED,
)
APPROVED, PUBLISHED, WITHDRAWN = (
    pb.PLAN_STATE_APPROVED,
    pb.PLAN_STATE_PUBLISHED,
    pb.PLAN_STATE_WITHDRAWN,
)
# The rule that limits what a state waits for, and the word for it in the deadline's id.
LIMITS = {
    SUBMITTED: ("inspection.plan_approval", "approval"),
    APPROVED: ("inspection.plan_publication", "publication"),
}
# So many tasks a plan holds: what is folded and kept as a snapshot has to stay small.
MOST_TASKS = 20_000
# The states in which a command may come, and the reason given in any other.
ALLOWED: dict[type[Any], tuple[tuple[State, ...], str]] = {
    rpc_pb.CreatePlanRequest: ((pb.PLAN_STATE_UNSPECIFIED,), "YEARLY_PLAN_EXISTS"),
    rpc_pb.AddTasksRequest: ((DRAFT, RETURNED), "NOT_A_DRAFT"),
    rpc_pb.RemoveTasksRequest: ((DRAFT, RETURNED), "NOT_A_DRAFT"),
    rpc_pb.SubmitPlanRequest: ((DRAFT, RETURNED), "NOT_A_DRAFT"),
    rpc_pb.ReturnPlanRequest: ((SUBMITTED,), "NOT_SUBMITTED"),
    rpc_pb.ApprovePlanRequest: ((SUBMITTED,), "NOT_SUBMITTED"),
    rpc_pb.PublishPlanRequest: ((APPROVED,), "NOT_APPROVED"),
    rpc_pb.WithdrawPlanRequest: (
        (DRAFT, SUBMITTED, RETURNED, APPROVED, PUBLISHED),
        "PLAN_WITHDRAWN",
    ),
}
FULFILS = (rpc_pb.ReturnPlanRequest, rpc_pb.ApprovePlanRequest, rpc_pb.PublishPlanRequest)


@dataclass(frozen=True)
class Planning:
    """A plan at the moment of a command.

    actor: subject of the identity that acts; rules: the law of the place of the department; now: legal time,
    UTC; known: what other rooms know.
    """

    plan: pb.Plan
    actor: str
    rules: Rules
    now: datetime
    known: Known

    @property
    def today(self) -> date:
        """The legal date, Asia/Shanghai."""
        return legal_date(self.now)

    def occurrence(
        self, state: State, deadline: Deadline | None = None, overdue: bool = False
    ) -> ev.PlanOccurrence:
        """What an event says of who acted and where the plan stands after it."""
        instant = Timestamp()
        instant.FromDatetime(self.now)
        standing = ev.PlanStanding(state=state, deadline=deadline, overdue=overdue)
        return ev.PlanOccurrence(standing=standing, actor=self.actor, occur_time=instant)

    def enters(self, state: State) -> ev.PlanOccurrence:
        """The same for a plan that comes into a state today, with the deadline that begins with it."""
        if state not in LIMITS:
            return self.occurrence(state)
        rule, word = LIMITS[state]
        deadline_id = f"{word}@{self.today:%Y%m%d}"
        return self.occurrence(state, self.rules.deadline(rule, self.today, deadline_id))

    def refuse(self, reason: str, text: str, **metadata: str) -> StatusError:
        """FAILED_PRECONDITION with a stable reason, the plan and its state."""
        state = pb.PlanState.Name(self.plan.state)
        return failed_precondition(reason, text, resource=self.plan.name, state=state, **metadata)


def decide(p: Planning, command: Command) -> list[Event]:
    """What follows from `command`: no event if it changes nothing.

    `p.plan` has its name set and state UNSPECIFIED before it is made. Raises StatusError: FAILED_PRECONDITION
    for a move that the state, the law or a cap forbids, or where a place has no rule for it
    (NO_RULE_IN_FORCE); INVALID_ARGUMENT naming the field for a bad one; ALREADY_EXISTS for a second yearly
    plan. A late or doubled expiry gives no event.
    """
    _require_state(p, command)
    try:
        return [*_unseen(p, command), *DECISIONS[type(command)](p, command)]
    except UnknownRule as error:
        raise p.refuse("NO_RULE_IN_FORCE", str(error)) from error


def _require_state(p: Planning, command: Command) -> None:
    found = p.plan.state
    states, reason = ALLOWED.get(type(command), ((found,), ""))
    if found in states:
        return
    if isinstance(command, rpc_pb.CreatePlanRequest):
        text = f"{command.department} has a plan of {command.year} already: {p.plan.name}"
        raise already_exists(reason, text, resource=p.plan.name)
    wanted = " or ".join(pb.PlanState.Name(state) for state in states)
    raise p.refuse(reason, f"{p.plan.name} is in {pb.PlanState.Name(found)}; this needs {wanted}")


def _create(p: Planning, command: rpc_pb.CreatePlanRequest) -> list[Event]:
    if command.kind == pb.PLAN_KIND_SPECIAL and not command.purpose.strip():
        raise invalid_argument(
            "PURPOSE_REQUIRED",
            "a campaign says what it is for",
            [("purpose", "must say scope and limits of the campaign")],
        )
    return [
        ev.PlanCreated(
            occurrence=p.enters(DRAFT),
            name=p.plan.name,
            department=command.department,
            district=p.known.department.district,
            kind=command.kind,
            year=command.year,
            title=command.title,
            purpose=command.purpose,
        )
    ]


def _add(p: Planning, command: rpc_pb.AddTasksRequest) -> list[Event]:
    plan = p.plan
    if len(plan.tasks) + len(command.tasks) > MOST_TASKS:
        raise p.refuse("PLAN_FULL", f"{plan.name} would have over {MOST_TASKS} tasks")
    found = checks.doubles(command.tasks, {task.id for task in plan.tasks})
    found += checks.faults(command.tasks, plan.year, p.known, p.rules, p.today)
    if found:
        at = {task.id: index for index, task in enumerate(command.tasks)}
        raise checks.refuse(Code.INVALID_ARGUMENT, plan, found, lambda task: f"tasks[{at[task]}]")
    event = ev.TasksAdded(occurrence=p.occurrence(plan.state), tasks=command.tasks)
    for number, task in enumerate(event.tasks, plan.last_task_number + 1):
        target = p.known.targets[task.enterprise]
        task.number, task.district = number, target.district if target else ""
    return [event]


def _remove(p: Planning, command: rpc_pb.RemoveTasksRequest) -> list[Event]:
    has = {task.id for task in p.plan.tasks}
    if missing := [(i, id_) for i, id_ in enumerate(command.task_ids) if id_ not in has]:
        raise invalid_argument(
            "NO_SUCH_TASK",
            f"{p.plan.name} has no such tasks",
            [(f"task_ids[{index}]", f"no task {id_}") for index, id_ in missing],
        )
    return [ev.TasksRemoved(occurrence=p.occurrence(p.plan.state), task_ids=command.task_ids)]


def _submit(p: Planning, command: rpc_pb.SubmitPlanRequest) -> list[Event]:
    plan = p.plan
    if not plan.tasks:
        raise p.refuse("NO_TASKS", f"{plan.name} has no tasks")
    found = checks.faults(plan.tasks, plan.year, p.known, p.rules, p.today)
    named = {fault.task for fault in found}
    refuse_faults(plan, [*found, *(each for each in beyond_caps(p) if each.task not in named)])
    return [
        ev.PlanSubmitted(
            occurrence=p.enters(SUBMITTED),
            name=plan.name,
            department=plan.department,
            year=plan.year,
            task_count=len(plan.tasks),
        )
    ]


def beyond_caps(p: Planning) -> list[Fault]:
    """The plan's tasks beyond the caps. Raises UnknownRule, and ABORTED as checks.faults."""
    return checks.beyond_caps(p.plan.tasks, checks.kind_of(p.plan), p.known, p.rules, p.today)


def refuse_faults(plan: pb.Plan, found: list[Fault]) -> None:
    """FAILED_PRECONDITION that names the plan's tasks at fault, if there are any."""
    if found:
        raise checks.refuse(Code.FAILED_PRECONDITION, plan, found, lambda task: f'tasks["{task}"]')


def _return(p: Planning, command: rpc_pb.ReturnPlanRequest) -> list[Event]:
    return [ev.PlanReturned(occurrence=p.enters(RETURNED), opinion=command.opinion)]


def _approve(p: Planning, command: rpc_pb.ApprovePlanRequest) -> list[Event]:
    if p.actor == p.plan.submitter:
        text = f"{p.plan.name} was submitted by {p.actor}: somebody else has to approve it"
        raise p.refuse("OWN_PLAN", text)
    return [ev.PlanApproved(occurrence=p.enters(APPROVED), opinion=command.opinion)]


def _publish(p: Planning, command: rpc_pb.PublishPlanRequest) -> list[Event]:
    return [ev.PlanPublished(occurrence=p.enters(PUBLISHED), publication=command.publication)]


def _withdraw(p: Planning, command: rpc_pb.WithdrawPlanRequest) -> list[Event]:
    occurrence = p.enters(WITHDRAWN)
    return [ev.PlanWithdrawn(occurrence=occurrence, name=p.plan.name, reason=command.reason)]


def _expire(p: Planning, command: rpc_pb.ExpirePlanDeadlineRequest) -> list[Event]:
    """The plan is overdue. Nothing if what is due was done, moved, or its time has not come."""
    if moved := _recounted(p, 0):
        return moved
    return _passed(p) if p.plan.deadline.id == command.deadline_id else []


def _recount(p: Planning, command: rpc_pb.RecountPlanDeadlineRequest) -> list[Event]:
    return _recounted(p, command.calendar_year)


def _recounted(p: Planning, year: int) -> list[Event]:
    plan = p.plan
    if not plan.HasField("deadline"):
        return []
    counted = deadlines.again(plan.deadline, year, not plan.overdue, p.rules, p.now)
    if counted == plan.deadline:
        return []
    occurrence = p.occurrence(plan.state, counted, plan.overdue)
    return [ev.PlanDeadlineRecounted(occurrence=occurrence)]


def _unseen(p: Planning, command: Command) -> list[Event]:
    """That what was due is done after its time, where nobody has told yet that the time had come."""
    late = isinstance(command, FULFILS) and not _recounted(p, 0)
    return _passed(p) if late else []


def _passed(p: Planning) -> list[Event]:
    plan = p.plan
    runs = plan.HasField("deadline") and not plan.overdue
    if not runs or not deadlines.passed(plan.deadline, p.now):
        return []
    return [ev.PlanDeadlinePassed(occurrence=p.occurrence(plan.state, plan.deadline, True))]


DECISIONS: dict[type[Any], Callable[[Planning, Any], list[Event]]] = {
    rpc_pb.CreatePlanRequest: _create,
    rpc_pb.AddTasksRequest: _add,
    rpc_pb.RemoveTasksRequest: _remove,
    rpc_pb.SubmitPlanRequest: _submit,
    rpc_pb.ReturnPlanRequest: _return,
    rpc_pb.ApprovePlanRequest: _approve,
    rpc_pb.PublishPlanRequest: _publish,
    rpc_pb.WithdrawPlanRequest: _withdraw,
    rpc_pb.ExpirePlanDeadlineRequest: _expire,
    rpc_pb.RecountPlanDeadlineRequest: _recount,
}

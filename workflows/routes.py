"""Which event starts or signals which loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from temporalio.common import WorkflowIDReusePolicy

from bihuan.calendar.v1.calendar_recount_pb2 import CalendarRecount as Recount
from bihuan.calendar.v1.calendar_service_pb2 import CalendarPublished
from bihuan.feed.v1.feed_service_pb2 import Event
from bihuan.feed.v1.undelivered_event_pb2 import UndeliveredEvent as Undelivered
from bihuan.inspection.v1 import inspection_events_pb2 as inspection_ev
from bihuan.inspection.v1 import plan_events_pb2 as plan_ev
from bihuan.inspection.v1 import target_events_pb2 as target_ev
from bihuan.inspection.v1.inspection_loop_pb2 import InspectionLoop
from bihuan.inspection.v1.plan_loop_pb2 import PlanLoop
from bihuan.inspection.v1.target_loop_pb2 import TargetFact, TargetLoop
from bihuan.penalty.v1 import events_pb2 as penalty_ev
from bihuan.penalty.v1.penalty_loop_pb2 import PenaltyLoop
from bihuan.rectification.v1 import events_pb2 as ev
from bihuan.rectification.v1.problem_loop_pb2 import ProblemLoop as Loop
from services.events import read
from workflows import inspection_state, penalty_state, target_facts
from workflows.operator_view import yuan


@dataclass(frozen=True)
class Route:
    """Where an event goes: to a running workflow as `signal`, if it takes any; else it starts one.

    reuse: when a workflow that has ended gives way to a new one. bare: the workflow hears that there was
    an event, not what it says.
    """

    workflow_id: str
    workflow: str
    argument: Any
    summary: str
    signal: str | None = None
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE
    bare: bool = False


def routes(event: Event, clock: str) -> Sequence[Route]:
    """Where `event` goes: to each loop that wants it, in this order. `clock` is rules.Clock as text.

    Raises UnknownEvent, and DecodeError if the payload is not what its type says.
    """
    to = CATEGORIES.get(event.stream.partition("-")[0])
    return to(event, _messages(event), clock) if to else ()


def parked(event: Event, reason: str) -> Route:
    """Where an event goes that cannot go where it should."""
    name = event.payload.TypeName()
    return Route(
        f"undelivered/{event.id}",
        "UndeliveredEvent",
        Undelivered(
            position=event.position, id=event.id, stream=event.stream, type=name, reason=reason
        ),
        f"未送达：{name.rpartition('.')[2]}",
    )


def _problem(event: Event, messages: Sequence[Message], clock: str) -> Sequence[Route]:
    problem = event.stream.removeprefix("rectification.problem-")
    loop = Loop(problem=f"problems/{problem}", clock=clock)
    # A loop that was ended from outside is taken up again; one that came to its end is not, until the
    # problem is reopened.
    summary, reuse = f"续办 {loop.problem}", WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    for message in messages:
        match message:
            case ev.ProblemReported():
                summary = f"{message.enterprise.display_name}：{message.title}"
            case ev.ProblemReopened():
                summary, reuse = "重新整改", WorkflowIDReusePolicy.ALLOW_DUPLICATE
    to = Route(f"problem-loop/{problem}", "ProblemLoop", loop, summary, "event", reuse)
    return [to, *_facts(event, target_facts.of_problem(event, messages, loop.problem))]


def _penalty(event: Event, messages: Sequence[Message], clock: str) -> Sequence[Route]:
    """To the loop of the case, and to the loops of the plans that it concerns."""
    case = event.stream.removeprefix("penalty.case-")
    to = [_penalty_case(case, messages, clock)]
    for message in messages:
        for number in sorted(penalty_state.plan_numbers_of(message)):
            to.append(_plan(case, number, message, clock))
    return [*to, *_facts(event, target_facts.of_penalty(event, messages, f"penaltyCases/{case}"))]


def _penalty_case(case: str, messages: Sequence[Message], clock: str) -> Route:
    loop = PenaltyLoop(case=f"penaltyCases/{case}", clock=clock)
    summary, reuse = f"续办 {loop.case}", WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    for message in messages:
        match message:
            case penalty_ev.ClueRegistered():
                whose = message.respondent.display_name or "自然人"
                summary = f"{whose}：{message.violation.summary}"
            case penalty_ev.RemedyAccepted():
                # It may open a closed case again.
                summary, reuse = "复议或者诉讼受理", WorkflowIDReusePolicy.ALLOW_DUPLICATE
            case penalty_ev.OverpaymentRefunded():
                # Of an annulled case, which has ended: the party is told all the same.
                summary, reuse = "退还多缴款", WorkflowIDReusePolicy.ALLOW_DUPLICATE
    return Route(f"penalty-case/{case}", "PenaltyCaseLoop", loop, summary, "event", reuse)


def _plan(case: str, number: int, message: Message, clock: str) -> Route:
    loop = PenaltyLoop(case=f"penaltyCases/{case}", plan_number=number, clock=clock)
    summary = f"续办第{number}号缴款方案 {loop.case}"
    if isinstance(message, penalty_ev.PlanGranted) and message.plan.number == number:
        total = sum(each.amount_fen for each in message.plan.instalments)
        summary = f"第{number}号缴款方案：{len(message.plan.instalments)}期，{yuan(total)}元"
    reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    workflow_id = f"payment-plan/{case}/{number}"
    return Route(workflow_id, "InstalmentPlanLoop", loop, summary, "event", reuse)


def _inspection(event: Event, messages: Sequence[Message], clock: str) -> Sequence[Route]:
    inspection = event.stream.removeprefix("inspection.inspection-")
    loop = InspectionLoop(inspection=f"inspections/{inspection}", clock=clock)
    summary, reuse = f"续办 {loop.inspection}", WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    for message in messages:
        match message:
            case inspection_ev.InspectionOpened():
                joint = len(message.participants)
                summary = f"{message.title}（{joint}个部门）" if joint > 1 else message.title
            case inspection_ev.EntriesRecorded():
                # A device that was offline tells late of findings: an inspection that was closed has some
                # to hand over again.
                if message.occurrence.standing.state not in inspection_state.ENDED:
                    summary, reuse = "补录检查情况", WorkflowIDReusePolicy.ALLOW_DUPLICATE
    # What the enterprise thinks of the visit is not for those who read a loop's history.
    rated = any(isinstance(each, inspection_ev.InspectionRated) for each in messages)
    workflow_id = f"inspection/{inspection}"
    to = Route(workflow_id, "InspectionLoop", loop, summary, "event", reuse, bare=rated)
    return [to, *_facts(event, target_facts.of_inspection(event, messages, loop.inspection))]


def _facts(event: Event, facts: Sequence[TargetFact]) -> Sequence[Route]:
    """To the register of inspection targets."""
    summary = "检查对象信息归集"
    return [
        Route(f"target-fact/{event.id}", "TargetFact", fact, f"{summary}：{fact.source}")
        for fact in facts
    ]


def _target(event: Event, messages: Sequence[Message], clock: str) -> Sequence[Route]:
    """To the loop of the target, if it has one or is to have one: a first grade that no fact weighs in needs
    none, and nor does a fact that changes no grade.
    """
    key = event.stream.removeprefix("inspection.target-")
    for message in messages:
        match message:
            case target_ev.TargetGraded() if message.old_grade or message.grading.HasField(
                "review"
            ):
                summary = f"{message.display_name}：{message.grading.grade}级"
            case target_ev.TargetRemoved():
                summary = f"出库 {message.name}"
            case _:
                continue
        loop = TargetLoop(target=message.name, clock=clock)
        # It ends with its last fact, and begins again with the next.
        reuse = WorkflowIDReusePolicy.ALLOW_DUPLICATE
        workflow_id = f"inspection-target/{key}"
        return [Route(workflow_id, "TargetLoop", loop, summary, "event", reuse)]
    return []


def _inspection_plan(event: Event, messages: Sequence[Message], clock: str) -> Sequence[Route]:
    """To the loop of the plan, but for its tasks: they may be thousands, and change nobody's move."""
    plan = event.stream.removeprefix("inspection.plan-")
    loop = PlanLoop(plan=f"plans/{plan}", clock=clock)
    summary, reuse = f"续办 {loop.plan}", WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
    for message in messages:
        match message:
            case plan_ev.TasksAdded() | plan_ev.TasksRemoved():
                return []
            case plan_ev.PlanCreated():
                summary = message.title
            case plan_ev.PlanWithdrawn():
                # Of a published plan, whose loop has ended: people are told all the same.
                summary, reuse = "计划撤销", WorkflowIDReusePolicy.ALLOW_DUPLICATE
    workflow_id = f"inspection-plan/{plan}"
    return [Route(workflow_id, "InspectionPlanLoop", loop, summary, "event", reuse)]


def _calendar(event: Event, messages: Sequence[Message], _: str) -> Sequence[Route]:
    return [
        Route(
            f"calendar-recount/{event.id}",
            "CalendarRecount",
            Recount(year=message.year, event_id=event.id),
            f"{message.year}年节假日安排公布，重算期限",
        )
        for message in messages
        if isinstance(message, CalendarPublished)
    ]


def _messages(event: Event) -> tuple[Message, ...]:
    carried = event.payload
    return read(carried.TypeName(), carried.value, event.stream, event.version, event.position)


CATEGORIES: Mapping[str, Callable[[Event, Sequence[Message], str], Sequence[Route]]] = {
    "rectification.problem": _problem,
    "penalty.case": _penalty,
    "inspection.inspection": _inspection,
    "inspection.plan": _inspection_plan,
    "inspection.target": _target,
    "calendar.year": _calendar,
}

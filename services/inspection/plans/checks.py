"""Whether the tasks of a plan may be planned: dates, register, published items, caps. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeAlias

from google.rpc.code_pb2 import Code

from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import roster_pb2, target_pb2
from rpc.errors import StatusError, aborted
from rules import CheckItem, Rules, as_date
from services.inspection.plans.caps import (
    CountedTask,
    Limit,
    cap_of,
    counted_kinds,
    overruns,
)

MOST_NAMED = 50
# By law a campaign is an inspection of its own kind, the other plans are of daily ones.
KINDS = {
    pb.PLAN_KIND_YEARLY: pb.KIND_DAILY,
    pb.PLAN_KIND_SUPPLEMENTARY: pb.KIND_DAILY,
    pb.PLAN_KIND_SPECIAL: pb.KIND_SPECIAL,
}
Targets: TypeAlias = Mapping[str, target_pb2.Target | None]
"""Of every enterprise that was looked up what the register has, None for one that is not on it."""
Wrong: TypeAlias = tuple[str, str] | None


class Fault(NamedTuple):
    """Why a task is refused: a stable word, and what was found."""

    task: str
    reason: str
    text: str


def kind_of(plan: pb.Plan) -> pb.Kind.ValueType:
    """What kind of inspection a plan's tasks lead to."""
    return KINDS[plan.kind]


@dataclass(frozen=True)
class Known:
    """What other rooms know that tasks are checked by.

    targets: see Targets; elsewhere: of each enterprise how many visits that count the department's other
    plans of the year hold; drawn: of each draw of the department the enterprises that it chose.
    """

    department: roster_pb2.Department
    targets: Targets = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    drawn: Mapping[str, Collection[str]] = field(default_factory=dict)


def faults(
    tasks: Iterable[pb.Task], year: int, known: Known, rules: Rules, today: date
) -> list[Fault]:
    """What is wrong with tasks, one fault a task at most. `rules`: of the place of the department.

    ABORTED for an enterprise that was not looked up: tasks came in meanwhile. Raises UnknownRule.
    """
    items = rules.items(today)
    found: list[Fault] = []
    for task in tasks:
        target = _looked_up(known.targets, task.enterprise)
        wrong = (
            _dates(task, year)
            or _on_register(task, target)
            or _items(task, target, known.department.field, items)
            or _drawn(task, known.drawn)
        )
        if wrong:
            found.append(Fault(task.id, *wrong))
    return found


def beyond_caps(
    tasks: Sequence[pb.Task], kind: pb.Kind.ValueType, known: Known, rules: Rules, today: date
) -> list[Fault]:
    """The tasks beyond the caps of today. The cap is that of the place of the enterprise, which graded it;
    what counts, that of the place of the department. Raises as `faults`.
    """
    limits: dict[str, Limit] = {}
    by_grade: dict[tuple[str, str], Limit] = {}
    for uscc in {task.enterprise for task in tasks}:
        target = _looked_up(known.targets, uscc)
        grade, district = (target.grading.grade, target.district) if target else ("", "")
        if (grade, district) not in by_grade:
            place = rules.at(district) if district else rules
            by_grade[grade, district] = Limit(grade, cap_of(grade, place, today))
        limits[uscc] = by_grade[grade, district]
    visits = (CountedTask(task.id, task.enterprise, kind, task.statutory) for task in tasks)
    return [
        Fault(
            over.task,
            "CAP_EXCEEDED",
            f"{over.enterprise}, grade {over.grade or 'none'}: cap {over.cap}, found {over.found}",
        )
        for over in overruns(visits, known.elsewhere, limits, counted_kinds(rules, today))
    ]


def refuse(
    code: Code.ValueType, plan: pb.Plan, found: Sequence[Fault], path: Callable[[str], str]
) -> StatusError:
    """The refusal of all tasks at fault, the first MOST_NAMED of them by name.

    Its reason is CAP_EXCEEDED if nothing else is wrong, else TASKS_REFUSED.
    """
    reasons = {fault.reason for fault in found}
    reason = "CAP_EXCEEDED" if reasons == {"CAP_EXCEEDED"} else "TASKS_REFUSED"
    named = [(path(f.task), f"{f.reason}: {f.text}") for f in found[:MOST_NAMED]]
    told = f"{named[0][0]} {named[0][1]}"
    if more := len(found) - len(named):
        told += f"; {more} more than the {len(named)} that are named"
    return StatusError(
        code,
        reason,
        f"{plan.name}: {told}; refused in all: {len(found)}",
        {
            "resource": plan.name,
            "state": pb.PlanState.Name(plan.state),
            "refused": str(len(found)),
        },
        tuple(named),
    )


def doubles(tasks: Iterable[pb.Task], known: Collection[str]) -> list[Fault]:
    """Tasks with an id that the plan has already, or that comes twice."""
    seen, found = set(known), []
    for task in tasks:
        if task.id in seen:
            found.append(Fault(task.id, "TASK_EXISTS", f"the plan has a task {task.id} already"))
        seen.add(task.id)
    return found


def _looked_up(targets: Targets, uscc: str) -> target_pb2.Target | None:
    if uscc not in targets:
        raise aborted("TASKS_CHANGED", "tasks of the plan were changed meanwhile: send it again")
    return targets[uscc]


def _dates(task: pb.Task, year: int) -> Wrong:
    try:
        first, last = as_date(task.from_date), as_date(task.to_date)
    except ValueError as error:
        return "INVALID_DATE", f"from_date or to_date is no day: {error}"
    if last < first:
        return "INVALID_DATE", f"to_date {last} lies before from_date {first}"
    if (first.year, last.year) != (year, year):
        return "OUTSIDE_YEAR", f"{first} to {last} does not lie within {year}"
    return None


def _on_register(task: pb.Task, target: target_pb2.Target | None) -> Wrong:
    """A target monitored without visits (无感监测) is visited only where a law demands it, or on a clue."""
    if target is None or target.HasField("remove_time"):
        return "NOT_ON_REGISTER", f"{task.enterprise} is not on the register of targets"
    if target.sensorless and not task.statutory:
        return "SENSORLESS", f"{task.enterprise} is monitored without visits"
    return None


def _items(
    task: pb.Task,
    target: target_pb2.Target | None,
    own_field: str,
    published: Mapping[str, CheckItem],
) -> Wrong:
    industry = target.industry if target else ""
    for item in task.items:
        if item not in published:
            own = ", ".join(each for each, one in published.items() if one.field == own_field)
            text = f"{item} is not on the published list; of {own_field} it has {own or 'nothing'}"
            return "ITEM_NOT_PUBLISHED", text
        if published[item].field != own_field:
            return "ITEM_OF_OTHER_FIELD", f"{item} is not of the field {own_field}"
        if not published[item].concerns(industry):
            return "ITEM_NOT_FOR_INDUSTRY", f"{item} is not for industry {industry}"
    return None


def _drawn(task: pb.Task, drawn: Mapping[str, Collection[str]]) -> Wrong:
    if task.draw and task.enterprise not in drawn.get(task.draw, ()):
        return "NOT_DRAWN", f"no draw {task.draw} of the department chose {task.enterprise}"
    return None

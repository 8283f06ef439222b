"""How an inspection is opened: for tasks of published plans, or on a clue. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2, target_pb2
from rpc.errors import invalid_argument
from rules import CheckItem, as_date
from services.inspection.days import span
from services.inspection.inspections.evolve import Event
from services.inspection.inspections.merging import PlannedVisit, allowed
from services.inspection.inspections.proceeding import Proceeding, Task

Draft = rpc_pb.OpenInspectionRequest.Draft
TITLES = {
    plan_pb2.KIND_DAILY: "日常检查",
    plan_pb2.KIND_CASE: "个案检查",
    plan_pb2.KIND_SPECIAL: "专项检查",
}
JOINT = "综合查一次"
DAY = timedelta(days=1)
LAST_YEAR = 2999  # as of plans: no deadline can be counted from the last days of the year 9999


class Span(NamedTuple):
    """The days of a visit, both included, Asia/Shanghai."""

    first: date
    last: date


class _Law(NamedTuple):
    """What the law of the day says of items and days: looked up once, needed many times."""

    items: Mapping[str, CheckItem]
    merge_days: int


def open_inspection(p: Proceeding, command: rpc_pb.OpenInspectionRequest) -> list[Event]:
    """The lead takes part from the start; the others are asked."""
    days = _days(p, command)
    _require_basis(command)
    target = _target(p, command)
    law = _Law(p.rules.items(p.today), p.rules.number("inspection.merge_days", p.today))
    participants = [_participant(p, law, target, draft, days) for draft in command.participants]
    participants[0].lead, participants[0].answer = True, pb.ANSWER_ACCEPTED
    _require_kind(p, command)
    invited = participants[1:]
    if invited:
        state = pb.STATE_INVITING
        asked = [each.department for each in invited]
        opens = p.open_each(pb.DUTY_ANSWER, asked, p.today, latest=days.last - DAY)
    else:
        state = pb.STATE_ARRANGED
        opens = [p.open(pb.DUTY_VISIT, participants[0].department, p.today, due=days.last)]
    event = ev.InspectionOpened(
        occurrence=p.occurrence(state, opens=opens),
        name=p.inspection.name,
        kind=command.kind,
        title=command.title or _title(command, target),
        enterprise=_inspected(target),
        from_date=command.from_date,
        to_date=command.to_date,
        participants=participants,
    )
    if command.HasField("clue"):
        event.clue.CopyFrom(command.clue)
    return [event]


def _days(p: Proceeding, command: rpc_pb.OpenInspectionRequest) -> Span:
    first, last = span(command.from_date, command.to_date)
    if last < p.today:
        text = f"to_date {last} has passed"
        raise invalid_argument("DAYS_PASSED", text, [("to_date", "must be today or later")])
    if last.year > LAST_YEAR:
        text = f"to_date {last} lies after {LAST_YEAR}"
        raise invalid_argument("DAYS_TOO_FAR", text, [("to_date", f"must be by {LAST_YEAR}")])
    return Span(first, last)


def _require_basis(command: rpc_pb.OpenInspectionRequest) -> None:
    """A case has a clue and items, anything else has tasks. INVALID_ARGUMENT naming the field."""
    on_a_clue = command.kind == plan_pb2.KIND_CASE
    if command.HasField("clue") != on_a_clue:
        text = "is required" if on_a_clue else "is for KIND_CASE alone"
        raise invalid_argument("CLUE", f"clue {text}", [("clue", text)])
    given, other = ("items", "tasks") if on_a_clue else ("tasks", "items")
    for number, draft in enumerate(command.participants):
        if getattr(draft, other) or not getattr(draft, given):
            field = f"participants[{number}]"
            raise invalid_argument(
                "BASIS",
                f"{field}: a clue has items, a plan has tasks",
                [(f"{field}.{given}", "is required"), (f"{field}.{other}", "must be empty")],
            )
    departments = [draft.department for draft in command.participants]
    if len(set(departments)) < len(departments):
        raise invalid_argument(
            "DOUBLE_DEPARTMENT",
            "a department is named twice",
            [("participants", "must each be another department")],
        )


def _target(p: Proceeding, command: rpc_pb.OpenInspectionRequest) -> target_pb2.Target:
    target = p.known.target
    if target is None or target.HasField("remove_time"):
        raise p.refuse("NOT_ON_REGISTER", f"{command.enterprise} is not on the register")
    return target


def _require_visits(p: Proceeding, target: target_pb2.Target, tasks: Iterable[Task]) -> None:
    """Who is monitored without visits (无感监测) is visited on a clue, or where a law demands it."""
    if target.sensorless and not all(each.task.statutory for each in tasks):
        text = (
            f"{target.display_name} is monitored without visits: only a clue or a law leads there"
        )
        raise p.refuse("MONITORED_WITHOUT_VISITS", text)


def _participant(
    p: Proceeding, law: _Law, target: target_pb2.Target, draft: Draft, days: Span
) -> pb.Participant:
    department = _department(p, draft.department)
    tasks = [_task(p, law, target, draft, name, days) for name in draft.tasks]
    _require_visits(p, target, tasks)
    wanted = dict.fromkeys(draft.items)
    for each in tasks:
        wanted.update(dict.fromkeys(each.task.items))
    statutory = {item for each in tasks if each.task.statutory for item in each.task.items}
    return pb.Participant(
        department=department.name,
        display_name=department.display_name,
        nexus_endpoint=department.nexus_endpoint,
        principal=department.principal,
        tasks=draft.tasks,
        items=[
            pb.Item(
                id=item,
                display_name=_item(p, law, item, department, target).name,
                statutory=item in statutory,
            )
            for item in wanted
        ],
        answer=pb.ANSWER_PENDING,
    )


def _department(p: Proceeding, name: str) -> roster_pb2.Department:
    department = p.known.departments.get(name)
    if department is None or department.HasField("dissolve_time"):
        raise p.refuse("DEPARTMENT_NOT_REGISTERED", f"{name} is not registered", department=name)
    if department.power == roster_pb2.POWER_UNSPECIFIED:
        text = f"{department.display_name} has no power to inspect"
        raise p.refuse("DEPARTMENT_NOT_EMPOWERED", text, department=name)
    return department


def _task(
    p: Proceeding, law: _Law, target: target_pb2.Target, draft: Draft, name: str, days: Span
) -> Task:
    """A task of the department on the enterprise, which may be carried out on those days."""
    found = p.known.tasks.get(name)
    if found is None:
        raise p.refuse("TASK_NOT_OPEN", f"{name} is not published, or in an inspection", task=name)
    whose = (found.department, f"targets/{found.task.enterprise}")
    if whose != (draft.department, target.name):
        text = f"{name} is a task of {whose[0]} on {whose[1]}"
        raise p.refuse("TASK_OF_OTHERS", text, task=name)
    window = allowed(planned(found), law.merge_days, p.today)
    late = as_date(found.task.to_date) < p.today
    if not late and not (window.first <= max(days.first, p.today) and days.last <= window.last):
        text = f"{name} may be carried out from {window.first} to {window.last}"
        raise p.refuse("OUTSIDE_TASK_DAYS", text, task=name)
    return found


def planned(found: Task) -> PlannedVisit:
    """A task as merging looks at it."""
    task = found.task
    return PlannedVisit(
        name=found.name,
        department=found.department,
        enterprise=task.enterprise,
        first=as_date(task.from_date),
        last=as_date(task.to_date),
        items=tuple(task.items),
        statutory=task.statutory,
        alone=task.alone,
    )


def _item(
    p: Proceeding,
    law: _Law,
    item: str,
    department: roster_pb2.Department,
    target: target_pb2.Target,
) -> CheckItem:
    """The item of the published list, if the department may check it at the enterprise."""
    found = law.items.get(item)
    if found is None:
        raise p.refuse("ITEM_NOT_PUBLISHED", f"{item} is on no published list here", item=item)
    if found.field != department.field:
        text = f"{item} is not of {department.display_name}'s field, {department.field}"
        raise p.refuse("ITEM_OF_OTHER_FIELD", text, item=item)
    if not found.concerns(target.industry):
        text = f"{item} is not for industry {target.industry}"
        raise p.refuse("ITEM_NOT_FOR_INDUSTRY", text, item=item)
    return found


def _require_kind(p: Proceeding, command: rpc_pb.OpenInspectionRequest) -> None:
    """The kind is that of the tasks; where a campaign and a yearly plan meet, the visit is a daily one.
    A task to be made alone is the only one.
    """
    names = [name for draft in command.participants for name in draft.tasks]
    if not names:
        return
    tasks = [p.known.tasks[name] for name in names]
    if len(tasks) > 1 and any(each.task.alone for each in tasks):
        raise p.refuse("TASK_ALONE", "a task that must be made alone is in it with others")
    kind = kind_of(each.kind for each in tasks)
    if kind != command.kind:
        name = plan_pb2.Kind.Name(kind)
        raise p.refuse("KIND_OF_TASKS", f"by its tasks the inspection is {name}", kind=name)


def kind_of(kinds: Iterable[plan_pb2.Kind.ValueType]) -> plan_pb2.Kind.ValueType:
    """What kind of inspection tasks of these kinds become: a special one only if all of them are."""
    special = set(kinds) == {plan_pb2.KIND_SPECIAL}
    return plan_pb2.KIND_SPECIAL if special else plan_pb2.KIND_DAILY


def _title(command: rpc_pb.OpenInspectionRequest, target: target_pb2.Target) -> str:
    what = JOINT if len(command.participants) > 1 else TITLES[command.kind]
    return f"{what}：{target.display_name}"


def _inspected(target: target_pb2.Target) -> pb.Inspected:
    return pb.Inspected(
        uscc=target.name.removeprefix("targets/"),
        display_name=target.display_name,
        district=target.district,
        address=target.address,
        industry=target.industry,
        grade=target.grading.grade,
    )

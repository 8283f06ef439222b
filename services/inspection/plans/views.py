"""The tables that answer queries about plans and their tasks, and the claims of inspections on tasks.

`plan` and `task` are written in the transaction of the events of plans and depend on these alone;
`task_claim` depends on inspections alone, which take tasks and give them back.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from datetime import time as clock_time
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import plan_pb2 as pb
from bihuan.inspection.v1 import plan_service_pb2 as rpc_pb
from rpc.errors import StatusError, invalid_argument
from rules import SHANGHAI, as_date
from services import paging
from services.inspection.plans.checks import kind_of

SCHEMA = sa.MetaData(schema="inspection")
PLAN = sa.Table(
    "plan",
    SCHEMA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("department", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("kind", sa.SmallInteger),
    sa.Column("year", sa.SmallInteger),
    sa.Column("state", sa.SmallInteger),
    sa.Column("overdue", sa.Boolean),
    sa.Column("provisional", sa.Boolean),
    sa.Column("counted_from", sa.SmallInteger),
    sa.Column("counted_to", sa.SmallInteger),
    sa.Column("create_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)
TASK = sa.Table(
    "task",
    SCHEMA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("id", sa.Uuid),
    sa.Column("plan", sa.Uuid),
    sa.Column("number", sa.Integer),
    sa.Column("department", sa.Text),
    sa.Column("enterprise", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("kind", sa.SmallInteger),
    sa.Column("from_date", sa.Date),
    sa.Column("to_date", sa.Date),
    sa.Column("from_time", sa.DateTime(timezone=True)),
    sa.Column("items", sa.ARRAY(sa.Text)),
    sa.Column("statutory", sa.Boolean),
    sa.Column("alone", sa.Boolean),
    sa.Column("draw", sa.Text),
    sa.Column("published", sa.Boolean),
    sa.Column("resource", sa.LargeBinary),
)
TASK_CLAIM = sa.Table(
    "task_claim",
    SCHEMA,
    sa.Column("task", sa.Text, primary_key=True),
    sa.Column("inspection", sa.Text),
)
# The states in which a plan's tasks take up their place under the caps.
COUNTED = (pb.PLAN_STATE_SUBMITTED, pb.PLAN_STATE_APPROVED, pb.PLAN_STATE_PUBLISHED)


class OpenTask(NamedTuple):
    """A task of a published plan that no inspection has taken. Days are legal ones, both included."""

    name: str
    department: str
    enterprise: str
    district: str
    kind: int
    first: date
    last: date
    items: Sequence[str]
    statutory: bool
    alone: bool


def without_tasks(plan: pb.Plan) -> pb.Plan:
    """The plan as callers see it: of tasks there may be thousands."""
    seen = pb.Plan()
    seen.CopyFrom(plan)
    del seen.tasks[:]
    return seen


async def project(conn: AsyncConnection, plan: pb.Plan) -> None:
    """Write the rows of `plan` and of its tasks, of these only what differs."""
    row = _row(plan)
    statement = insert(PLAN).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
    of_plan, published = TASK.c.plan == row["id"], plan.state == pb.PLAN_STATE_PUBLISHED
    numbers = await conn.scalar(sa.select(sa.func.array_agg(TASK.c.number)).where(of_plan))
    # A task never changes, and a number is given once: what has its number is written.
    written, wanted = set(numbers or ()), {task.number for task in plan.tasks}
    if gone := written - wanted:
        await conn.execute(sa.delete(TASK).where(of_plan, _among(TASK.c.number, gone)))
    fresh = [task for task in plan.tasks if task.number not in written]
    if fresh:
        await conn.execute(sa.insert(TASK), list(_task_rows(plan, fresh)))
    if written & wanted:
        stale = TASK.c.published != published
        await conn.execute(sa.update(TASK).where(of_plan, stale).values(published=published))


async def get(conn: AsyncConnection, name: str) -> pb.Plan | None:
    """One plan by its resource name, without its tasks, or None."""
    resource = await conn.scalar(sa.select(PLAN.c.resource).where(PLAN.c.id == _id(name)))
    return None if resource is None else pb.Plan.FromString(resource)


async def page(
    conn: AsyncConnection, wanted: rpc_pb.PlanFilter, part: paging.Span
) -> tuple[list[pb.Plan], bool]:
    """A page of plans without their tasks, newest first, and whether there are more."""
    query = sa.select(PLAN).where(*_conditions(wanted))
    resources, more = await paging.read(conn, query, PLAN.c.create_time, part)
    return [pb.Plan.FromString(resource) for resource in resources], more


def key(plan: pb.Plan) -> paging.Key:
    """Where the plan stands in a listing."""
    return paging.Key(plan.create_time.ToDatetime(UTC), _id(plan.name))


async def task_page(
    conn: AsyncConnection, wanted: rpc_pb.TaskFilter, part: paging.Span
) -> tuple[list[pb.PlannedTask], bool]:
    """A page of tasks, those that begin last first, and whether there are more."""
    query = sa.select(TASK).where(*_task_conditions(wanted))
    resources, more = await paging.read(conn, query, TASK.c.from_time, part)
    return await _with_claims(conn, resources), more


def task_key(planned: pb.PlannedTask) -> paging.Key:
    """Where the task stands in a listing."""
    return paging.Key(_from_time(planned.task), _task_id(planned.name))


async def tasks(conn: AsyncConnection, names: Collection[str]) -> dict[str, pb.PlannedTask]:
    """Tasks by their resource names, those that there are."""
    query = sa.select(TASK.c.resource).where(_among(TASK.c.name, names))
    found = await _with_claims(conn, list(await conn.scalars(query)))
    return {each.name: each for each in found}


async def open_tasks(
    conn: AsyncConnection, first: date, last: date, district: str = ""
) -> list[OpenTask]:
    """Every open task with a day from `first` to `last`, on enterprises in a division: all whose code begins
    with `district` without its trailing pairs of zeros. In the order of their names.
    """
    claimed = sa.exists().where(TASK_CLAIM.c.task == TASK.c.name)
    columns = (TASK.c[name] for name in OPEN_COLUMNS)
    conditions = [
        TASK.c.published,
        TASK.c.from_date <= last,
        TASK.c.to_date >= first,
        sa.not_(claimed),
        *_within(TASK.c.district, district),
    ]
    rows = await conn.execute(sa.select(*columns).where(*conditions).order_by(TASK.c.name))
    return [OpenTask(*row) for row in rows]


OPEN_COLUMNS = (
    "name",
    "department",
    "enterprise",
    "district",
    "kind",
    "from_date",
    "to_date",
    "items",
    "statutory",
    "alone",
)


async def take(conn: AsyncConnection, tasks: Sequence[str], inspection: str) -> list[str]:
    """Claim tasks for an inspection, in the transaction that records it. Answers with those that were not
    open: unknown, not published, or taken, be it by the same inspection; if any, nothing was changed.
    """
    wanted = sorted(set(tasks))
    # The plans are held: whoever withdraws one waits, or has withdrawn it, which is seen in the row itself.
    published = (
        sa.select(TASK.c.name)
        .join(PLAN, PLAN.c.id == TASK.c.plan)
        .where(_among(TASK.c.name, wanted), PLAN.c.state == pb.PLAN_STATE_PUBLISHED)
        .order_by(TASK.c.name)
        .with_for_update(read=True, of=PLAN)
    )
    left = set(await conn.scalars(published))
    # Whoever claims the same at this moment is waited for, and has claimed it, or failed.
    statement = insert(TASK_CLAIM).on_conflict_do_nothing().returning(TASK_CLAIM.c.task)
    rows = [{"task": task, "inspection": inspection} for task in wanted if task in left]
    taken = set(await conn.scalars(statement.values(rows))) if rows else set()
    if missing := [task for task in wanted if task not in taken]:
        await _give_back(conn, taken, inspection)
    return missing


async def take_each(conn: AsyncConnection, claims: Mapping[str, str]) -> set[str]:
    """As `take`, of tasks for many inspections at once, each task with its inspection: those that were not
    open. The others are claimed.
    """
    wanted = sorted(claims)
    published = (
        sa.select(TASK.c.name)
        .join(PLAN, PLAN.c.id == TASK.c.plan)
        .where(_among(TASK.c.name, wanted), PLAN.c.state == pb.PLAN_STATE_PUBLISHED)
        .order_by(TASK.c.name)
        .with_for_update(read=True, of=PLAN)
    )
    left = set(await conn.scalars(published))
    names = [name for name in wanted if name in left]
    arrays = sa.func.unnest(
        sa.literal(names, sa.ARRAY(sa.Text)),
        sa.literal([claims[name] for name in names], sa.ARRAY(sa.Text)),
    )
    pairs = arrays.table_valued("task", "inspection").render_derived()
    statement = insert(TASK_CLAIM).from_select(["task", "inspection"], sa.select(pairs))
    taken = await conn.scalars(statement.on_conflict_do_nothing().returning(TASK_CLAIM.c.task))
    return set(claims) - set(taken)


async def release(conn: AsyncConnection, tasks: Collection[str], inspection: str) -> None:
    """Give back tasks that the inspection has taken: they are open again. Others are left alone."""
    await _give_back(conn, tasks, inspection)


async def hold(conn: AsyncConnection, tasks: Collection[str], inspection: str) -> None:
    """Let the claims of an inspection be on exactly these tasks: for its projection, which says what is, and
    checks nothing.
    """
    of_inspection = TASK_CLAIM.c.inspection == inspection
    kept = _among(TASK_CLAIM.c.task, tasks)
    await conn.execute(sa.delete(TASK_CLAIM).where(of_inspection, sa.not_(kept)))
    rows = [{"task": task, "inspection": inspection} for task in sorted(set(tasks))]
    if rows:
        statement = insert(TASK_CLAIM).values(rows)
        theirs = statement.excluded.inspection
        await conn.execute(
            statement.on_conflict_do_update(
                index_elements=["task"],
                set_={"inspection": theirs},
                where=TASK_CLAIM.c.inspection != theirs,
            )
        )


async def claimed(conn: AsyncConnection, plan: str, most: int) -> list[str]:
    """Up to so many names of tasks of the plan that inspections have taken, after the plan was locked: nobody
    takes one of them until the transaction ends.
    """
    await conn.execute(sa.select(PLAN.c.id).where(PLAN.c.id == _id(plan)).with_for_update())
    query = (
        sa.select(TASK.c.name)
        .join(TASK_CLAIM, TASK_CLAIM.c.task == TASK.c.name)
        .where(TASK.c.plan == _id(plan))
    )
    return list(await conn.scalars(query.order_by(TASK.c.name).limit(most)))


async def lock(conn: AsyncConnection, authority: str, year: int) -> None:
    """Wait for whoever submits a plan of that year in the name of that department, and hold others up until
    the transaction ends: what is read after this is what they left.
    """
    name = f"inspection.plan/{authority}/{year}"
    await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


async def elsewhere(
    conn: AsyncConnection, plan: pb.Plan, kinds: Collection[int], departments: Collection[str]
) -> Mapping[str, int]:
    """Of each enterprise how many tasks of these kinds other plans of the year hold, as far as they were
    submitted and neither returned nor withdrawn. `departments`: those whose visits count together.
    """
    query = (
        sa.select(TASK.c.enterprise, sa.func.count())
        .join(PLAN, PLAN.c.id == TASK.c.plan)
        .where(
            _among(PLAN.c.department, departments),
            PLAN.c.year == plan.year,
            PLAN.c.state.in_(COUNTED),
            PLAN.c.id != _id(plan.name),
            TASK.c.kind.in_(list(kinds)),
        )
        .group_by(TASK.c.enterprise)
    )
    return {row[0]: row[1] for row in await conn.execute(query)}


async def tasks_of(conn: AsyncConnection, plan: str) -> list[pb.Task]:
    """Every task of a plan, in the order in which they were put in."""
    query = sa.select(TASK.c.resource).where(TASK.c.plan == _id(plan)).order_by(TASK.c.number)
    return [pb.PlannedTask.FromString(resource).task for resource in await conn.scalars(query)]


async def withdrawn(conn: AsyncConnection, department: str, year: int) -> int:
    """How many yearly plans of that department and year were withdrawn."""
    query = sa.select(sa.func.count()).where(
        PLAN.c.department == department,
        PLAN.c.year == year,
        PLAN.c.kind == pb.PLAN_KIND_YEARLY,
        PLAN.c.state == pb.PLAN_STATE_WITHDRAWN,
    )
    return await conn.scalar(query) or 0


async def _with_claims(conn: AsyncConnection, resources: Iterable[bytes]) -> list[pb.PlannedTask]:
    found = [pb.PlannedTask.FromString(resource) for resource in resources]
    names = [each.name for each in found]
    rows = await conn.execute(
        sa.select(TASK_CLAIM.c.task, TASK_CLAIM.c.inspection).where(
            _among(TASK_CLAIM.c.task, names)
        )
    )
    claims = {row.task: row.inspection for row in rows}
    published = sa.select(TASK.c.name).where(_among(TASK.c.name, names), TASK.c.published)
    open_ = set(await conn.scalars(published))
    for each in found:
        each.inspection = claims.get(each.name, "")
        if each.inspection:
            each.state = pb.TASK_STATE_TAKEN
        else:
            each.state = pb.TASK_STATE_OPEN if each.name in open_ else pb.TASK_STATE_PLANNED
    return found


async def _give_back(conn: AsyncConnection, tasks: Collection[str], inspection: str) -> None:
    if tasks:
        theirs = TASK_CLAIM.c.inspection == inspection
        these = _among(TASK_CLAIM.c.task, tasks)
        await conn.execute(sa.delete(TASK_CLAIM).where(theirs, these))


def _row(plan: pb.Plan) -> dict[str, Any]:
    runs, deadline = plan.HasField("deadline"), plan.deadline
    return {
        "id": _id(plan.name),
        "department": plan.department,
        "district": plan.district,
        "kind": plan.kind,
        "year": plan.year,
        "state": plan.state,
        "overdue": plan.overdue,
        "provisional": deadline.provisional,
        "counted_from": deadline.origin_date.year if runs else 0,
        "counted_to": deadline.due_date.year if runs else 0,
        "create_time": key(plan).time,
        "resource": without_tasks(plan).SerializeToString(deterministic=True),
    }


def _task_rows(plan: pb.Plan, fresh: Iterable[pb.Task]) -> Iterable[dict[str, Any]]:
    id_, kind = _id(plan.name), kind_of(plan)
    for task in fresh:
        name = f"{plan.name}/tasks/{task.id}"
        planned = pb.PlannedTask(name=name, department=plan.department, kind=kind, task=task)
        yield {
            "name": name,
            "id": _task_id(name),
            "plan": id_,
            "number": task.number,
            "department": plan.department,
            "enterprise": task.enterprise,
            "district": task.district,
            "kind": kind,
            "from_date": as_date(task.from_date),
            "to_date": as_date(task.to_date),
            "from_time": _from_time(task),
            "items": list(task.items),
            "statutory": task.statutory,
            "alone": task.alone,
            "draw": task.draw,
            "published": plan.state == pb.PLAN_STATE_PUBLISHED,
            "resource": planned.SerializeToString(deterministic=True),
        }


def _conditions(wanted: rpc_pb.PlanFilter) -> list[sa.ColumnElement[bool]]:
    conditions = _within(PLAN.c.district, wanted.district)
    if wanted.department:
        conditions.append(PLAN.c.department == wanted.department)
    if wanted.year:
        conditions.append(PLAN.c.year == wanted.year)
    if wanted.kinds:
        conditions.append(PLAN.c.kind.in_(wanted.kinds))
    if wanted.states:
        conditions.append(PLAN.c.state.in_(wanted.states))
    if wanted.overdue:
        conditions.append(PLAN.c.overdue)
    if year := wanted.counted_year:
        counted = sa.and_(PLAN.c.counted_from <= year, PLAN.c.counted_to >= year)
        conditions.append(PLAN.c.counted_to > 0)
        conditions.append(sa.or_(PLAN.c.provisional, counted))
    return conditions


def _task_conditions(wanted: rpc_pb.TaskFilter) -> list[sa.ColumnElement[bool]]:
    conditions = _within(TASK.c.district, wanted.district)
    if wanted.plan:
        conditions.append(TASK.c.plan == _id(wanted.plan))
    for column in ("department", "enterprise", "draw"):
        if value := getattr(wanted, column):
            conditions.append(TASK.c[column] == value)
    if wanted.HasField("from_date"):
        conditions.append(TASK.c.to_date >= _day(wanted, "from_date"))
    if wanted.HasField("to_date"):
        conditions.append(TASK.c.from_date <= _day(wanted, "to_date"))
    taken = sa.exists().where(TASK_CLAIM.c.task == TASK.c.name)
    match wanted.state:
        case pb.TASK_STATE_TAKEN:
            conditions.append(taken)
        case pb.TASK_STATE_OPEN:
            conditions += [TASK.c.published, sa.not_(taken)]
        case pb.TASK_STATE_PLANNED:
            conditions += [sa.not_(TASK.c.published), sa.not_(taken)]
    return conditions


def _among(column: sa.Column[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """As IN, with one parameter however many values there are."""
    return column == sa.any_(sa.literal(list(values), sa.ARRAY(column.type)))


def _within(column: sa.Column[Any], district: str) -> list[sa.ColumnElement[bool]]:
    within = re.sub("(00)+$", "", district)
    return [column.startswith(within, autoescape=True)] if within else []


def _day(wanted: rpc_pb.TaskFilter, field: str) -> date:
    try:
        return as_date(getattr(wanted, field))
    except ValueError as error:
        raise _no_day(field, error) from error


def _no_day(field: str, error: ValueError) -> StatusError:
    path = f"filter.{field}"
    return invalid_argument("INVALID_DATE", f"{path} is not a day: {error}", [(path, "no day")])


def _from_time(task: pb.Task) -> datetime:
    return datetime.combine(as_date(task.from_date), clock_time(), SHANGHAI)


def _task_id(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"bihuan:{name}")


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])

"""The tables that answer queries about inspections, written in the transaction of their events."""

import re
from collections.abc import Sequence
from datetime import UTC
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from services import paging
from services.inspection.inspections import counting
from services.inspection.inspections.proceeding import going
from services.inspection.inspections.sight import knows
from services.inspection.plans.views import hold
from services.inspection.statistics import tally

METADATA = sa.MetaData(schema="inspection")
INSPECTION = sa.Table(
    "inspection",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.SmallInteger),
    sa.Column("enterprise", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("started", sa.Boolean),
    sa.Column("joint", sa.Boolean),
    sa.Column("overdue", sa.Boolean),
    sa.Column("provisional", sa.Boolean),
    sa.Column("counted_from", sa.SmallInteger),
    sa.Column("counted_to", sa.SmallInteger),
    sa.Column("due_time", sa.DateTime(timezone=True)),
    sa.Column("open_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)
INSPECTION_DEPARTMENT = sa.Table(
    "inspection_department",
    METADATA,
    sa.Column("inspection", sa.Uuid, primary_key=True),
    sa.Column("department", sa.Text, primary_key=True),
)
CODE = sa.Table(
    "code",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("inspection", sa.Uuid),
)
# Every department that went has said what it found, whatever is still to follow from it.
RECORDED = (pb.STATE_RECORDED, pb.STATE_REPORTED, pb.STATE_CLOSED)
TABLES = (INSPECTION, INSPECTION_DEPARTMENT, CODE, counting.COUNTED_VISIT)


async def project(conn: AsyncConnection, inspection: pb.Inspection) -> None:
    """Write what queries need of `inspection`, and its claims on tasks."""
    await write(conn, [inspection])
    if any(participant.tasks for participant in inspection.participants):
        await hold(conn, held(inspection), inspection.name)


async def write(conn: AsyncConnection, inspections: Sequence[pb.Inspection]) -> None:
    """As `project`, of many at once, each named once, without claims on tasks."""
    if not inspections:
        return
    names = {column.name for column in INSPECTION.columns} - {"id"}
    rows = insert(INSPECTION)
    upsert = rows.on_conflict_do_update(
        index_elements=["id"], set_={name: rows.excluded[name] for name in names}
    )
    await conn.execute(upsert, [_row(each) for each in inspections])
    await tally.write(conn, inspections)
    departments = [
        {"inspection": id_of(each.name), "department": participant.department}
        for each in inspections
        for participant in each.participants
    ]
    await conn.execute(insert(INSPECTION_DEPARTMENT).on_conflict_do_nothing(), departments)
    codes = [
        {"id": code.id, "inspection": id_of(each.name)}
        for each in inspections
        for code in each.codes
    ]
    if codes:
        await conn.execute(insert(CODE).on_conflict_do_nothing(), codes)
    for each in inspections:
        if each.codes:
            await counting.keep(conn, each)


def held(inspection: pb.Inspection) -> list[str]:
    """The tasks that it has taken: those of whoever does not take part are open again, and all of them once
    it is cancelled. What data answered is done.
    """
    if inspection.standing.state == pb.STATE_CANCELLED:
        return []
    return [
        task
        for each in inspection.participants
        if each.answer in (pb.ANSWER_PENDING, pb.ANSWER_ACCEPTED)
        for task in each.tasks
    ]


async def get(conn: AsyncConnection, name: str) -> pb.Inspection | None:
    """One inspection by its resource name, or None."""
    query = sa.select(INSPECTION.c.resource).where(INSPECTION.c.id == id_of(name))
    resource = await conn.scalar(query)
    return None if resource is None else pb.Inspection.FromString(resource)


async def of_code(conn: AsyncConnection, code: str) -> pb.Inspection | None:
    """The inspection that a code was issued for, or None for one that never was."""
    query = (
        sa.select(INSPECTION.c.resource)
        .join(CODE, CODE.c.inspection == INSPECTION.c.id)
        .where(CODE.c.id == code)
    )
    resource = await conn.scalar(query)
    return None if resource is None else pb.Inspection.FromString(resource)


async def earlier(conn: AsyncConnection, inspection: pb.Inspection) -> tuple[pb.Inspection, ...]:
    """The last inspections of the same enterprise whose results are recorded, newest first; at most 50."""
    query = (
        sa.select(INSPECTION.c.resource)
        .where(
            INSPECTION.c.enterprise == inspection.enterprise.uscc,
            INSPECTION.c.state.in_(RECORDED),
            INSPECTION.c.id != id_of(inspection.name),
        )
        .order_by(INSPECTION.c.open_time.desc(), INSPECTION.c.id.desc())
        .limit(50)
    )
    return tuple(pb.Inspection.FromString(each) for each in await conn.scalars(query))


async def page(
    conn: AsyncConnection, wanted: rpc_pb.InspectionFilter, own: str, part: paging.Span
) -> tuple[list[pb.Inspection], bool]:
    """A page of inspections, newest first, and whether there are more.

    `own` is the enterprise that asks, which finds only what it knows of; else empty.
    """
    query = sa.select(INSPECTION).where(*_conditions(wanted))
    if own:
        query = query.where(INSPECTION.c.enterprise == own, INSPECTION.c.started)
    resources, more = await paging.read(conn, query, INSPECTION.c.open_time, part)
    return [pb.Inspection.FromString(resource) for resource in resources], more


def key(inspection: pb.Inspection) -> paging.Key:
    """Where the inspection stands in a listing."""
    return paging.Key(inspection.open_time.ToDatetime(UTC), id_of(inspection.name))


def id_of(name: str) -> UUID:
    """The UUID in a resource name."""
    return UUID(name.rpartition("/")[2])


def _row(inspection: pb.Inspection) -> dict[str, Any]:
    standing = inspection.standing
    deadlines = [each.deadline for each in standing.deadlines]
    return {
        "id": id_of(inspection.name),
        "state": standing.state,
        "enterprise": inspection.enterprise.uscc,
        "district": inspection.enterprise.district,
        "started": knows(inspection),
        "joint": len(going(inspection)) > 1,
        "overdue": bool(standing.overdue),
        "provisional": any(each.provisional for each in deadlines),
        "counted_from": min((each.origin_date.year for each in deadlines), default=0),
        "counted_to": max((each.due_date.year for each in deadlines), default=0),
        "due_time": deadlines[0].due_time.ToDatetime(UTC) if deadlines else None,
        "open_time": key(inspection).time,
        "resource": inspection.SerializeToString(deterministic=True),
    }


def _conditions(wanted: rpc_pb.InspectionFilter) -> list[sa.ColumnElement[bool]]:
    table = INSPECTION.c
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(table.state.in_(wanted.states))
    if wanted.enterprise:
        conditions.append(table.enterprise == wanted.enterprise)
    if wanted.department:
        of_department = sa.select(INSPECTION_DEPARTMENT.c.inspection).where(
            INSPECTION_DEPARTMENT.c.department == wanted.department
        )
        conditions.append(table.id.in_(of_department))
    if wanted.district:
        within = re.sub("(00)+$", "", wanted.district)
        conditions.append(table.district.startswith(within, autoescape=True))
    if wanted.HasField("due_before"):
        conditions.append(table.due_time < wanted.due_before.ToDatetime(UTC))
    if year := wanted.counted_into_year:
        counted = sa.and_(table.counted_from <= year, table.counted_to >= year)
        conditions.append(sa.or_(table.provisional, counted))
    flags = (
        (wanted.overdue, table.overdue),
        (wanted.provisional, table.provisional),
        (wanted.joint, table.joint),
    )
    conditions += [column for asked, column in flags if asked]
    return conditions

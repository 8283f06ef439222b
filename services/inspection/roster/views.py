"""The tables that answer queries about the roster, written in the transaction of their events."""

import re
from datetime import UTC, date
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import roster_pb2 as pb
from bihuan.inspection.v1 import roster_service_pb2 as rpc_pb
from rules import as_date
from services import paging
from services.inspection.days import whole_date
from services.inspection.roster.model import ACTIVE, state_of

SCHEMA = sa.MetaData(schema="inspection")
DEPARTMENT = sa.Table(
    "department",
    SCHEMA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("field", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("principal", sa.Text),
    sa.Column("active", sa.Boolean),
    sa.Column("register_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)
INSPECTOR = sa.Table(
    "inspector",
    SCHEMA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("subject", sa.Text),
    sa.Column("department", sa.Text),
    sa.Column("active", sa.Boolean),
    sa.Column("certified", pg.DATEMULTIRANGE),
    sa.Column("absent", pg.DATEMULTIRANGE),
    sa.Column("recused", pg.ARRAY(sa.Text)),
    sa.Column("register_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)


def department_key(name: str) -> UUID:
    """The UUID by which a department is kept: its name has none."""
    return uuid5(NAMESPACE_URL, f"bihuan:{name}")


async def project_department(conn: AsyncConnection, department: pb.Department) -> None:
    """Write the row of `department`."""
    row = {
        "id": department_key(department.name),
        "field": department.field,
        "district": department.district,
        "principal": department.principal,
        "active": state_of(department) == ACTIVE,
        "register_time": department.register_time.ToDatetime(UTC),
        "resource": department.SerializeToString(deterministic=True),
    }
    await _write(conn, DEPARTMENT, row)


async def project_inspector(conn: AsyncConnection, inspector: pb.Inspector) -> None:
    """Write the row of `inspector`. IntegrityError if another active one has its subject."""
    row = {
        "id": _id(inspector.name),
        "subject": inspector.subject,
        "department": inspector.department,
        "active": state_of(inspector) == ACTIVE,
        "certified": [_days(each) for each in inspector.certificates],
        "absent": [_days(each) for each in inspector.absences],
        "recused": sorted(each.enterprise for each in inspector.recusals),
        "register_time": inspector.register_time.ToDatetime(UTC),
        "resource": inspector.SerializeToString(deterministic=True),
    }
    await _write(conn, INSPECTOR, row)


async def department(conn: AsyncConnection, name: str) -> pb.Department | None:
    """One department by its resource name, dissolved or not, or None."""
    query = sa.select(DEPARTMENT.c.resource).where(DEPARTMENT.c.id == department_key(name))
    resource = await conn.scalar(query)
    return None if resource is None else pb.Department.FromString(resource)


async def inspector(conn: AsyncConnection, name: str) -> pb.Inspector | None:
    """One inspector by resource name, whether or not they have left, or None."""
    query = sa.select(INSPECTOR.c.resource).where(INSPECTOR.c.id == _id(name))
    resource = await conn.scalar(query)
    return None if resource is None else pb.Inspector.FromString(resource)


async def inspectors_of(conn: AsyncConnection, department: str) -> list[pb.Inspector]:
    """The active inspectors of a department (a resource name), by name."""
    query = (
        sa.select(INSPECTOR.c.resource)
        .where(INSPECTOR.c.department == department, INSPECTOR.c.active)
        .order_by(INSPECTOR.c.id)
    )
    return [pb.Inspector.FromString(resource) for resource in await conn.scalars(query)]


async def dependants(conn: AsyncConnection, name: str) -> tuple[int, int]:
    """How many active inspectors a department has, and how many active ones inspect in its name."""
    count = sa.select(sa.func.count())
    inspectors = count.where(INSPECTOR.c.department == name, INSPECTOR.c.active)
    entrusted = count.where(DEPARTMENT.c.principal == name, DEPARTMENT.c.active)
    return await conn.scalar(inspectors) or 0, await conn.scalar(entrusted) or 0


def authority_of(department: pb.Department) -> str:
    """In whose name the department inspects: its principal's, or its own."""
    return department.principal or department.name


async def in_name_of(conn: AsyncConnection, authority: str) -> list[str]:
    """Every department that inspects in the name of that one, itself the first, dissolved ones included."""
    query = sa.select(DEPARTMENT.c.resource).where(DEPARTMENT.c.principal == authority)
    found = [pb.Department.FromString(each).name for each in await conn.scalars(query)]
    return [authority, *sorted(found)]


async def departments_page(
    conn: AsyncConnection, wanted: rpc_pb.DepartmentFilter, part: paging.Span
) -> tuple[list[pb.Department], bool]:
    """A page of departments, newest first, and whether there are more."""
    query = sa.select(DEPARTMENT).where(sa.true())
    if not wanted.dissolved:
        query = query.where(DEPARTMENT.c.active)
    if wanted.field:
        query = query.where(DEPARTMENT.c.field == wanted.field)
    if wanted.district:
        within = re.sub("(00)+$", "", wanted.district)
        query = query.where(DEPARTMENT.c.district.startswith(within, autoescape=True))
    if wanted.principal:
        query = query.where(DEPARTMENT.c.principal == wanted.principal)
    resources, more = await paging.read(conn, query, DEPARTMENT.c.register_time, part)
    return [pb.Department.FromString(resource) for resource in resources], more


async def inspectors_page(
    conn: AsyncConnection, wanted: rpc_pb.InspectorFilter, part: paging.Span
) -> tuple[list[pb.Inspector], bool]:
    """A page of inspectors, newest first, and whether there are more. INVALID_ARGUMENT for what is no day."""
    query = sa.select(INSPECTOR).where(*_conditions(wanted))
    resources, more = await paging.read(conn, query, INSPECTOR.c.register_time, part)
    return [pb.Inspector.FromString(resource) for resource in resources], more


def key(resource: pb.Department | pb.Inspector) -> paging.Key:
    """Where a department or an inspector stands in its listing."""
    registered = resource.register_time.ToDatetime(UTC)
    if isinstance(resource, pb.Department):
        return paging.Key(registered, department_key(resource.name))
    return paging.Key(registered, _id(resource.name))


def _conditions(wanted: rpc_pb.InspectorFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if not wanted.left:
        conditions.append(INSPECTOR.c.active)
    if wanted.department:
        conditions.append(INSPECTOR.c.department == wanted.department)
    if wanted.HasField("certified_on"):
        day = whole_date(wanted.certified_on, "filter.certified_on")
        conditions.append(INSPECTOR.c.certified.contains(sa.literal(day, sa.Date)))
    if wanted.HasField("available_from"):
        first = whole_date(wanted.available_from, "filter.available_from")
        last = whole_date(wanted.available_to, "filter.available_to")
        days = sa.func.daterange(sa.literal(first), sa.literal(max(first, last)), "[]")
        conditions.append(sa.not_(INSPECTOR.c.absent.op("&&", is_comparison=True)(days)))
    if wanted.not_recused_for:
        enterprise = sa.literal(wanted.not_recused_for)
        conditions.append(enterprise != sa.all_(INSPECTOR.c.recused))
    return conditions


def _days(part: pb.Certificate | pb.Absence) -> pg.Range[date]:
    return pg.Range(as_date(part.from_date), as_date(part.to_date), bounds="[]")


async def _write(conn: AsyncConnection, table: sa.Table, row: dict[str, Any]) -> None:
    statement = insert(table).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])

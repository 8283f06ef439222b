"""The table that answers queries about visits that are no inspections, written with their events."""

from datetime import UTC, date
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import visit_pb2 as pb
from bihuan.inspection.v1 import visit_service_pb2 as rpc_pb
from rules import as_date
from services import paging
from services.inspection.days import whole_date
from services.inspection.statistics import tally
from services.inspection.visits import numbers

VISIT = sa.Table(
    "visit",
    sa.MetaData(schema="inspection"),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.SmallInteger),
    sa.Column("department", sa.Text),
    sa.Column("target", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("purpose", sa.SmallInteger),
    sa.Column("date", sa.Date),
    sa.Column("danger_seen", sa.Boolean),
    sa.Column("make_time", sa.DateTime(timezone=True)),
    sa.Column("register_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)


async def project(conn: AsyncConnection, visit: pb.Visit) -> None:
    """Write the row of `visit`, and its number."""
    row = _row(visit)
    statement = insert(VISIT).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
    await numbers.keep(conn, visit)


async def get(conn: AsyncConnection, name: str) -> pb.Visit | None:
    """One visit by its resource name, or None."""
    resource = await conn.scalar(sa.select(VISIT.c.resource).where(VISIT.c.id == _id(name)))
    return None if resource is None else pb.Visit.FromString(resource)


async def page(
    conn: AsyncConnection, wanted: rpc_pb.VisitFilter, part: paging.Span
) -> tuple[list[pb.Visit], bool]:
    """A page of visits, the last registered first, and whether there are more. INVALID_ARGUMENT for a filter
    whose days are none.
    """
    query = sa.select(VISIT).where(*_conditions(wanted))
    resources, more = await paging.read(conn, query, VISIT.c.register_time, part)
    return [pb.Visit.FromString(resource) for resource in resources], more


def key(visit: pb.Visit) -> paging.Key:
    """Where the visit stands in a listing."""
    return paging.Key(visit.register_time.ToDatetime(UTC), _id(visit.name))


def _row(visit: pb.Visit) -> dict[str, Any]:
    made = visit.HasField("make_time")
    return {
        "id": _id(visit.name),
        "state": visit.state,
        "department": visit.department,
        "target": visit.target,
        "district": visit.district,
        "purpose": visit.purpose,
        "date": as_date(visit.date),
        "danger_seen": visit.danger_seen,
        "make_time": visit.make_time.ToDatetime(UTC) if made else None,
        "register_time": key(visit).time,
        "resource": visit.SerializeToString(deterministic=True),
    }


def _conditions(wanted: rpc_pb.VisitFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.department:
        conditions.append(VISIT.c.department == wanted.department)
    if wanted.target:
        conditions.append(VISIT.c.target == wanted.target)
    if wanted.purposes:
        conditions.append(VISIT.c.purpose.in_(wanted.purposes))
    if wanted.states:
        conditions.append(VISIT.c.state.in_(wanted.states))
    if wanted.HasField("from_date"):
        conditions.append(VISIT.c.date >= _day(wanted, "from_date"))
    if wanted.HasField("to_date"):
        conditions.append(VISIT.c.date <= _day(wanted, "to_date"))
    if wanted.danger_unfollowed:
        followed = tally.clue_since(VISIT.c.target, VISIT.c.make_time)
        conditions.append(VISIT.c.danger_seen & ~followed)
    return conditions


def _day(wanted: rpc_pb.VisitFilter, field: str) -> date:
    return whole_date(getattr(wanted, field), f"filter.{field}")


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])

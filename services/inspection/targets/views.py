"""The table that answers queries about inspection targets, written in the transaction of their events."""

import re
from collections.abc import Collection
from datetime import UTC
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import target_pb2 as pb
from bihuan.inspection.v1 import target_service_pb2 as rpc_pb
from services import paging
from services.inspection.targets.model import LISTED, state_of

TARGET = sa.Table(
    "target",
    sa.MetaData(schema="inspection"),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("district", sa.Text),
    sa.Column("grade", sa.Text),
    sa.Column("industry", sa.Text),
    sa.Column("key_unit", sa.Boolean),
    sa.Column("listed", sa.Boolean),
    sa.Column("register_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)


def key_of(name: str) -> UUID:
    """The UUID by which a target is kept: its name has none."""
    return uuid5(NAMESPACE_URL, f"bihuan:{name}")


async def project(conn: AsyncConnection, target: pb.Target) -> None:
    """Write the row of `target`."""
    row = _row(target)
    statement = insert(TARGET).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))


async def target(conn: AsyncConnection, name_or_uscc: str) -> pb.Target | None:
    """One target by its resource name or its credit code, or None if it never was on the register. One that
    was taken off says so in its remove_time.
    """
    query = sa.select(TARGET.c.resource).where(TARGET.c.id == key_of(_name(name_or_uscc)))
    resource = await conn.scalar(query)
    return None if resource is None else pb.Target.FromString(resource)


async def targets(conn: AsyncConnection, usccs: Collection[str]) -> dict[str, pb.Target]:
    """As `target`, for many credit codes at once; those that never were on the register are left out."""
    ids = sa.literal([key_of(_name(uscc)) for uscc in usccs], sa.ARRAY(sa.Uuid))
    query = sa.select(TARGET.c.resource).where(TARGET.c.id == sa.any_(ids))
    found = [pb.Target.FromString(resource) for resource in await conn.scalars(query)]
    return {each.name.removeprefix("targets/"): each for each in found}


async def page(
    conn: AsyncConnection, wanted: rpc_pb.TargetFilter, part: paging.Span
) -> tuple[list[pb.Target], bool]:
    """A page of targets, newest first, and whether there are more."""
    query = sa.select(TARGET).where(*_conditions(wanted))
    resources, more = await paging.read(conn, query, TARGET.c.register_time, part)
    return [pb.Target.FromString(resource) for resource in resources], more


async def counts(conn: AsyncConnection, wanted: rpc_pb.TargetFilter) -> rpc_pb.CountTargetsResponse:
    """Counts by grade."""
    query = (
        sa.select(
            TARGET.c.grade,
            sa.func.count().label("number"),
            sa.func.count().filter(TARGET.c.key_unit).label("key_units"),
        )
        .where(*_conditions(wanted))
        .group_by(TARGET.c.grade)
        .order_by(TARGET.c.grade)
    )
    found = [
        rpc_pb.CountTargetsResponse.Count(
            grade=row.grade, count=row.number, key_unit_count=row.key_units
        )
        for row in await conn.execute(query)
    ]
    return rpc_pb.CountTargetsResponse(counts=found, total_count=sum(each.count for each in found))


def key(target: pb.Target) -> paging.Key:
    """Where the target stands in a listing."""
    return paging.Key(target.register_time.ToDatetime(UTC), key_of(target.name))


def _row(target: pb.Target) -> dict[str, Any]:
    return {
        "id": key_of(target.name),
        "district": target.district,
        "grade": target.grading.grade,
        "industry": target.industry,
        "key_unit": target.key_unit,
        "listed": state_of(target) == LISTED,
        "register_time": key(target).time,
        "resource": target.SerializeToString(deterministic=True),
    }


def _conditions(wanted: rpc_pb.TargetFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if not wanted.removed:
        conditions.append(TARGET.c.listed)
    if wanted.district:
        within = re.sub("(00)+$", "", wanted.district)
        conditions.append(TARGET.c.district.startswith(within, autoescape=True))
    if wanted.grades:
        conditions.append(TARGET.c.grade.in_(wanted.grades))
    if wanted.industry:
        conditions.append(TARGET.c.industry.startswith(wanted.industry, autoescape=True))
    if wanted.key_unit:
        conditions.append(TARGET.c.key_unit)
    return conditions


def _name(name_or_uscc: str) -> str:
    return f"targets/{name_or_uscc.removeprefix('targets/')}"

"""The tables that list draws and what they chose, written in the transaction of their events. A draw in full
is in the log.
"""

from datetime import UTC
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import draw_pb2 as pb
from bihuan.inspection.v1 import draw_service_pb2 as rpc_pb
from services import paging

SCHEMA = sa.MetaData(schema="inspection")
DRAW = sa.Table(
    "draw",
    SCHEMA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("department", sa.Text),
    sa.Column("state", sa.SmallInteger),
    sa.Column("commit_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)

LOT = sa.Table(
    "lot",
    SCHEMA,
    sa.Column("draw", sa.Uuid, primary_key=True),
    sa.Column("enterprise", sa.Text, primary_key=True),
    sa.Column("inspectors", sa.ARRAY(sa.Text)),
)


async def project(conn: AsyncConnection, draw: pb.Draw) -> None:
    """Write the row of `draw`, and those of its lots."""
    row: dict[str, Any] = {
        "id": _id(draw.name),
        "department": draw.department,
        "state": draw.state,
        "commit_time": key(draw).time,
        "resource": _listed(draw).SerializeToString(deterministic=True),
    }
    statement = insert(DRAW).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
    lots = [
        {"draw": row["id"], "enterprise": lot.enterprise, "inspectors": list(lot.inspectors)}
        for lot in draw.lots
    ]
    if lots:
        await conn.execute(insert(LOT).on_conflict_do_nothing(), lots)


async def chosen(conn: AsyncConnection, name: str, enterprise: str) -> list[str]:
    """Resource names of the inspectors whom the draw chose for the enterprise; none if it did not draw it."""
    query = sa.select(LOT.c.inspectors).where(
        LOT.c.draw == _id(name), LOT.c.enterprise == enterprise
    )
    return list(await conn.scalar(query) or ())


async def get(conn: AsyncConnection, name: str) -> pb.Draw | None:
    """One draw by its resource name, as it is listed, or None."""
    resource = await conn.scalar(sa.select(DRAW.c.resource).where(DRAW.c.id == _id(name)))
    return None if resource is None else pb.Draw.FromString(resource)


async def page(
    conn: AsyncConnection, wanted: rpc_pb.DrawFilter, part: paging.Span
) -> tuple[list[pb.Draw], bool]:
    """A page of draws as they are listed, newest first, and whether there are more."""
    query = sa.select(DRAW)
    if wanted.department:
        query = query.where(DRAW.c.department == wanted.department)
    if wanted.states:
        query = query.where(DRAW.c.state.in_(wanted.states))
    resources, more = await paging.read(conn, query, DRAW.c.commit_time, part)
    return [pb.Draw.FromString(resource) for resource in resources], more


def key(draw: pb.Draw) -> paging.Key:
    """Where the draw stands in a listing."""
    return paging.Key(draw.commit_time.ToDatetime(UTC), _id(draw.name))


def _listed(draw: pb.Draw) -> pb.Draw:
    small = pb.Draw()
    small.CopyFrom(draw)
    del small.candidates[:], small.inspectors[:], small.lots[:]
    return small


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])

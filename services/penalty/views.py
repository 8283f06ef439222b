"""The table that answers queries about penalty cases, written in the transaction of their events."""

import re
from datetime import UTC
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.penalty.v1 import penalty_case_pb2 as pb
from bihuan.penalty.v1 import penalty_case_service_pb2 as rpc_pb
from services import paging
from services.penalty import numbers
from services.penalty.sight import knows

CASE = sa.Table(
    "penalty_case",
    sa.MetaData(schema="penalty"),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.SmallInteger),
    sa.Column("uscc", sa.Text),
    sa.Column("party", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("origin", sa.Text),
    sa.Column("notified", sa.Boolean),
    sa.Column("violated", sa.Boolean),
    sa.Column("overdue", sa.Boolean),
    sa.Column("provisional", sa.Boolean),
    sa.Column("counted_from", sa.SmallInteger),
    sa.Column("counted_to", sa.SmallInteger),
    sa.Column("due_time", sa.DateTime(timezone=True)),
    sa.Column("register_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)


async def project(conn: AsyncConnection, case: pb.PenaltyCase) -> None:
    """Write the row of `case`, and the serials of its documents."""
    row = _row(case)
    statement = insert(CASE).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
    await numbers.keep(conn, case.documents)


async def get(conn: AsyncConnection, name: str) -> pb.PenaltyCase | None:
    """One case by its resource name, or None."""
    resource = await conn.scalar(sa.select(CASE.c.resource).where(CASE.c.id == _id(name)))
    return None if resource is None else pb.PenaltyCase.FromString(resource)


async def page(
    conn: AsyncConnection, wanted: rpc_pb.CaseFilter, own: str, part: paging.Span
) -> tuple[list[pb.PenaltyCase], bool]:
    """A page of cases, newest first, and whether there are more.

    `own` is the enterprise that asks, which finds only what it knows of; else empty.
    """
    query = sa.select(CASE).where(*_conditions(wanted))
    if own:
        query = query.where(CASE.c.uscc == own, CASE.c.notified)
    resources, more = await paging.read(conn, query, CASE.c.register_time, part)
    return [pb.PenaltyCase.FromString(resource) for resource in resources], more


async def earlier(conn: AsyncConnection, case: pb.PenaltyCase) -> int:
    """How many other cases found that its party broke the law."""
    query = sa.select(sa.func.count()).where(
        CASE.c.party == party(case.respondent), CASE.c.violated, CASE.c.id != _id(case.name)
    )
    return await conn.scalar(query) or 0


def key(case: pb.PenaltyCase) -> paging.Key:
    """Where the case stands in a listing."""
    return paging.Key(case.register_time.ToDatetime(UTC), _id(case.name))


def party(respondent: pb.Respondent) -> str:
    """Who it is, by credit code, or by the id that stands for a person."""
    return respondent.uscc or respondent.person.id


def violated(case: pb.PenaltyCase) -> bool:
    """Whether it was decided that the party broke the law, and that stands."""
    decided = case.decision.kind != pb.Decision.KIND_UNSPECIFIED
    withdrawn = case.standing.state == pb.STATE_WITHDRAWN
    return decided and not withdrawn and case.decision.ground != pb.Decision.GROUND_NO_FAULT


def _row(case: pb.PenaltyCase) -> dict[str, Any]:
    standing = case.standing
    deadlines = [each.deadline for each in standing.deadlines]
    return {
        "id": _id(case.name),
        "state": standing.state,
        "uscc": case.respondent.uscc,
        "party": party(case.respondent),
        "district": case.violation.district,
        "origin": case.origin.resource,
        "notified": knows(case),
        "violated": violated(case),
        "overdue": bool(standing.overdue),
        "provisional": any(each.provisional for each in deadlines),
        "counted_from": min((each.origin_date.year for each in deadlines), default=0),
        "counted_to": max((each.due_date.year for each in deadlines), default=0),
        "due_time": deadlines[0].due_time.ToDatetime(UTC) if deadlines else None,
        "register_time": key(case).time,
        "resource": case.SerializeToString(deterministic=True),
    }


def _conditions(wanted: rpc_pb.CaseFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(CASE.c.state.in_(wanted.states))
    if wanted.uscc:
        conditions.append(CASE.c.uscc == wanted.uscc)
    if wanted.district:
        within = re.sub("(00)+$", "", wanted.district)
        conditions.append(CASE.c.district.startswith(within, autoescape=True))
    if wanted.overdue:
        conditions.append(CASE.c.overdue)
    if year := wanted.counted_year:
        counted = sa.and_(CASE.c.counted_from <= year, CASE.c.counted_to >= year)
        conditions.append(sa.or_(CASE.c.provisional, counted))
    if wanted.origin:
        conditions.append(CASE.c.origin == wanted.origin)
    return conditions


def _id(name: str) -> UUID:
    return UUID(name.rpartition("/")[2])

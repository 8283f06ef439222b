"""The table that answers queries about problems, written in the transaction of their events."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.rectification.v1 import problem_pb2 as pb
from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from rules import SHANGHAI, legal_date
from services import paging
from services.rectification.deadlines import movable
from services.rectification.sight import concerns_enterprise

PROBLEM = sa.Table(
    "problem",
    sa.MetaData(schema="rectification"),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.SmallInteger),
    sa.Column("enterprise", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("origin", sa.Text),
    sa.Column("disclosed", sa.Boolean),
    sa.Column("overdue", sa.Boolean),
    sa.Column("provisional", sa.Boolean),
    sa.Column("counted_from", sa.SmallInteger),
    sa.Column("counted_to", sa.SmallInteger),
    sa.Column("due_time", sa.DateTime(timezone=True)),
    sa.Column("report_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)
# Ages in days since the report, the last without an upper bound.
AGES = ((0, 7), (8, 30), (31, 90), (91, 0))


async def project(conn: AsyncConnection, problem: pb.Problem) -> None:
    """Write the row of `problem`."""
    row = _row(problem)
    statement = insert(PROBLEM).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))


async def get(conn: AsyncConnection, name: str) -> pb.Problem | None:
    """One problem by its resource name, or None."""
    query = sa.select(PROBLEM.c.resource).where(PROBLEM.c.id == UUID(name.rpartition("/")[2]))
    resource = await conn.scalar(query)
    return None if resource is None else pb.Problem.FromString(resource)


async def page(
    conn: AsyncConnection, wanted: rpc_pb.ProblemFilter, own: str, part: paging.Span
) -> tuple[list[pb.Problem], bool]:
    """A page of problems, newest report first, and whether there are more.

    Here and below `own` is the enterprise that asks, which finds only what it knows of; else empty.
    """
    query = sa.select(PROBLEM).where(*_conditions(wanted), *_known_to(own))
    resources, more = await paging.read(conn, query, PROBLEM.c.report_time, part)
    return [pb.Problem.FromString(resource) for resource in resources], more


def key(problem: pb.Problem) -> paging.Key:
    """Where the problem stands in a listing."""
    return paging.Key(problem.report_time.ToDatetime(UTC), UUID(problem.name.rpartition("/")[2]))


async def counts(
    conn: AsyncConnection, wanted: rpc_pb.ProblemFilter, own: str, now: datetime
) -> rpc_pb.CountProblemsResponse:
    """Counts by state and age at `now` (legal time, UTC)."""
    today = legal_date(now)
    bounds = [_midnight(today - timedelta(days=first - 1)) for first, _ in AGES]
    age = sa.case(
        *[
            (PROBLEM.c.report_time < bound, index)
            for index, bound in reversed(list(enumerate(bounds[1:], 1)))
        ],
        else_=0,
    )
    query = (
        sa.select(
            PROBLEM.c.state,
            age.label("age"),
            sa.func.count().label("number"),
            sa.func.count().filter(PROBLEM.c.overdue).label("late"),
        )
        .where(*_conditions(wanted), *_known_to(own))
        .group_by(PROBLEM.c.state, sa.text("age"))
        .order_by(PROBLEM.c.state, sa.text("age"))
    )
    found = [
        rpc_pb.CountProblemsResponse.Count(
            state=row.state,
            min_age_days=AGES[row.age][0],
            max_age_days=AGES[row.age][1],
            count=row.number,
            overdue_count=row.late,
        )
        for row in await conn.execute(query)
    ]
    return rpc_pb.CountProblemsResponse(
        counts=found, total_count=sum(count.count for count in found)
    )


async def totals(conn: AsyncConnection, enterprise: str, own: str) -> tuple[int, int, int]:
    """Of an enterprise: problems not unfounded, of these closed, of these overdue now."""
    query = sa.select(
        sa.func.count(),
        sa.func.count().filter(PROBLEM.c.state == pb.STATE_CLOSED),
        sa.func.count().filter(PROBLEM.c.overdue),
    ).where(
        PROBLEM.c.enterprise == enterprise,
        PROBLEM.c.state != pb.STATE_UNFOUNDED,
        *_known_to(own),
    )
    every, closed, overdue = (await conn.execute(query)).one()
    return every, closed, overdue


def _row(problem: pb.Problem) -> dict[str, Any]:
    pending, deadlines = problem.HasField("next_step"), movable(problem)
    return {
        "id": key(problem).id,
        "state": problem.state,
        "enterprise": problem.enterprise.uscc,
        "district": problem.location.district,
        "origin": problem.origin,
        "disclosed": concerns_enterprise(problem),
        "overdue": problem.overdue,
        "provisional": any(deadline.provisional for deadline in deadlines),
        "counted_from": min((each.origin_date.year for each in deadlines), default=0),
        "counted_to": max((each.due_date.year for each in deadlines), default=0),
        "due_time": problem.next_step.deadline.due_time.ToDatetime(UTC) if pending else None,
        "report_time": key(problem).time,
        "resource": problem.SerializeToString(deterministic=True),
    }


def _conditions(wanted: rpc_pb.ProblemFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.states:
        conditions.append(PROBLEM.c.state.in_(wanted.states))
    if wanted.enterprise:
        conditions.append(PROBLEM.c.enterprise == wanted.enterprise)
    if wanted.district:
        conditions.append(PROBLEM.c.district.startswith(wanted.district))
    if wanted.origin:
        conditions.append(PROBLEM.c.origin == wanted.origin)
    if wanted.overdue:
        conditions.append(PROBLEM.c.overdue)
    if wanted.HasField("due_before"):
        conditions.append(PROBLEM.c.due_time < wanted.due_before.ToDatetime(UTC))
    if wanted.provisional:
        conditions.append(PROBLEM.c.provisional)
    if year := wanted.counted_into_year:
        counted = sa.and_(PROBLEM.c.counted_from <= year, PROBLEM.c.counted_to >= year)
        conditions.append(sa.or_(PROBLEM.c.provisional, counted))
    return conditions


def _known_to(own: str) -> list[sa.ColumnElement[bool]]:
    return [PROBLEM.c.enterprise == own, PROBLEM.c.disclosed] if own else []


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)

"""The sums over a year that figures are made of, read from narrow tables."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import visit_pb2
from services.inspection.statistics.figures import Flag, Sums
from services.inspection.statistics.tally import TALLY
from services.inspection.visits.views import VISIT

T = TALLY.c
BEGAN = T.start_date.is_not(None)
HIT = T.findings > 0
OFF_SITE = T.state == pb.STATE_OFF_SITE
WENT = sa.func.cardinality(T.went)


class Scope(NamedTuple):
    """Which inspections and visits are summed up: of a year, a division and a department; empty is all."""

    year: int
    district: str = ""
    department: str = ""


async def sums(conn: AsyncConnection, scope: Scope, flags: Sequence[Flag]) -> Sums:
    """What the year adds up to."""
    of_year = _conditions(scope)
    began = [*of_year, BEGAN]
    if scope.department:
        began.append(sa.literal(scope.department) == sa.any_(T.went))
    groups = await _groups(conn, began)
    frequencies, flagged = await _visits(conn, began, flags)
    return Sums(
        totals=await _totals(conn, of_year, began),
        kinds=_added(groups, "kind"),
        grades={
            grade: (count, _added(groups, "grade", "hits")[grade])
            for grade, count in _added(groups, "grade").items()
        },
        frequencies=frequencies,
        scores={score: n for score, n in _added(groups, "score").items() if score is not None},
        purposes=await _purposes(conn, scope),
        flagged=flagged,
    )


async def _totals(
    conn: AsyncConnection,
    of_year: list[sa.ColumnElement[bool]],
    began: list[sa.ColumnElement[bool]],
) -> dict[str, int]:
    """Everything that is a sum over all rows, in one pass."""
    here = sa.and_(*began)
    answered = here | OFF_SITE
    columns = {
        "inspections": sa.func.count().filter(here),
        "joint": sa.func.count().filter(here, WENT > 1),
        "off_site": sa.func.count().filter(OFF_SITE),
        "hits": sa.func.count().filter(here, HIT),
        "alone": sa.func.sum(WENT).filter(here),
        "capped": sa.func.sum(T.capped).filter(here),
        "late_results": sa.func.sum(T.late_results).filter(here),
        "items": sa.func.sum(T["items"]).filter(answered),
        "off_site_items": sa.func.sum(T.off_site_items).filter(answered),
        "off_site_visits": sa.func.sum(T.off_site_visits).filter(answered),
        **{name: sa.func.sum(T[name]) for name in ("codes", "on_the_spot", "revoked")},
    }
    query = sa.select(*(column.label(name) for name, column in columns.items())).where(*of_year)
    (found,) = (await conn.execute(query)).mappings()
    return {name: int(value or 0) for name, value in found.items()}


async def _groups(
    conn: AsyncConnection, began: list[sa.ColumnElement[bool]]
) -> Sequence[sa.RowMapping]:
    """Inspections and hits for each kind, grade and score: few rows, whatever there was."""
    columns = (T.kind, T.grade, T.score)
    hits = sa.func.count().filter(HIT).label("hits")
    query = sa.select(*columns, sa.func.count().label("inspections"), hits)
    return (await conn.execute(query.where(*began).group_by(*columns))).mappings().all()


def _added(groups: Sequence[sa.RowMapping], by: str, what: str = "inspections") -> dict[Any, int]:
    added: dict[Any, int] = {}
    for group in groups:
        added[group[by]] = added.get(group[by], 0) + group[what]
    return added


async def _visits(
    conn: AsyncConnection, began: list[sa.ColumnElement[bool]], flags: Sequence[Flag]
) -> tuple[dict[int, int], tuple[int, ...]]:
    """How many enterprises were inspected how often, and how many of them each flag meets.

    An enterprise has more than `most` inspections on so many days in a row where the one `most` before
    another lies less than so many days before it.
    """
    met = [
        (T.start_date - _earlier(flag.most) < flag.days).label(f"f{n}")
        for n, flag in enumerate(flags)
    ]
    each = sa.select(T.enterprise, *met).where(*began).subquery("each")
    ever = [sa.func.bool_or(each.c[column.name]).label(column.name) for column in met]
    times = sa.func.count().label("times")
    of_one = sa.select(times, *ever).group_by(each.c.enterprise).subquery("of_one")
    count = sa.func.count()
    query = sa.select(of_one.c.times, count, *(count.filter(of_one.c[one.name]) for one in met))
    rows = (await conn.execute(query.group_by(of_one.c.times))).all()
    flagged = tuple(sum(row[2 + n] for row in rows) for n in range(len(flags)))
    return {row[0]: row[1] for row in rows}, flagged


def _earlier(number: int) -> sa.ColumnElement[date]:
    """When the inspection began that lies so many before this one of the same enterprise."""
    began = sa.func.lag(T.start_date, number)
    return began.over(partition_by=T.enterprise, order_by=T.start_date)


async def _purposes(conn: AsyncConnection, scope: Scope) -> dict[int, int]:
    year = max(1, scope.year)
    of_year = VISIT.c.date.between(date(year, 1, 1), date(year, 12, 31))
    conditions = [VISIT.c.state == visit_pb2.VISIT_STATE_MADE, of_year]
    if scope.department:
        conditions.append(VISIT.c.department == scope.department)
    if scope.district:
        conditions.append(_within(VISIT.c.district, scope.district))
    query = sa.select(VISIT.c.purpose, sa.func.count()).where(*conditions)
    return {row[0]: row[1] for row in await conn.execute(query.group_by(VISIT.c.purpose))}


def _conditions(scope: Scope) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [T.year == scope.year]
    if scope.district:
        conditions.append(_within(T.district, scope.district))
    if scope.department:
        conditions.append(sa.literal(scope.department) == sa.any_(T.departments))
    return conditions


def _within(column: sa.Column[str], district: str) -> sa.ColumnElement[bool]:
    return column.startswith(re.sub("(00)+$", "", district), autoescape=True)

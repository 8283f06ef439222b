"""What statistics need of each inspection, one row each, written in the transaction of its events.

A year's figures are then sums over narrow rows, whatever an inspection holds besides. The row follows from
the inspection alone, so that the table can be made again from the log.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import plan_pb2
from rules import as_date, legal_date
from services.inspection.inspections.proceeding import going

TALLY = sa.Table(
    "tally",
    sa.MetaData(schema="inspection"),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("year", sa.SmallInteger),
    sa.Column("state", sa.SmallInteger),
    sa.Column("kind", sa.SmallInteger),
    sa.Column("enterprise", sa.Text),
    sa.Column("district", sa.Text),
    sa.Column("grade", sa.Text),
    sa.Column("open_time", sa.DateTime(timezone=True)),
    sa.Column("start_date", sa.Date),
    sa.Column("busy_from", sa.Date),
    sa.Column("busy_to", sa.Date),
    sa.Column("departments", ARRAY(sa.Text)),
    sa.Column("went", ARRAY(sa.Text)),
    sa.Column("capped", sa.SmallInteger),
    sa.Column("items", sa.SmallInteger),
    sa.Column("off_site_items", sa.SmallInteger),
    sa.Column("off_site_visits", sa.SmallInteger),
    sa.Column("findings", sa.SmallInteger),
    sa.Column("score", sa.SmallInteger),
    sa.Column("codes", sa.SmallInteger),
    sa.Column("on_the_spot", sa.SmallInteger),
    sa.Column("revoked", sa.SmallInteger),
    sa.Column("late_results", sa.SmallInteger),
)
# As the ids of deadlines begin: services/inspection/inspections/proceeding.py.
RESULT = "result-"


async def write(conn: AsyncConnection, inspections: Sequence[pb.Inspection]) -> None:
    """Write the rows of `inspections`, each named once; for the `project` of their aggregate."""
    names = {column.name for column in TALLY.columns} - {"id"}
    rows = insert(TALLY)
    upsert = rows.on_conflict_do_update(
        index_elements=["id"], set_={name: rows.excluded[name] for name in names}
    )
    await conn.execute(upsert, [row(each) for each in inspections])


def row(inspection: pb.Inspection) -> dict[str, Any]:
    """The row of `inspection`. It counts in the year in which it began; before, in that of its first day."""
    enterprise, codes = inspection.enterprise, inspection.codes
    start = _day(inspection.start.device_time) if inspection.HasField("start") else None
    taking_part = [each for each in inspection.participants if each.answer == pb.ANSWER_ACCEPTED]
    goes = going(inspection)
    went = goes if start else []
    items = [item for each in taking_part for item in each.items]
    busy_from, busy_to = busy(inspection) or (None, None)
    return {
        "id": UUID(inspection.name.rpartition("/")[2]),
        "year": (start or as_date(inspection.from_date)).year,
        "state": inspection.standing.state,
        "kind": inspection.kind,
        "enterprise": enterprise.uscc,
        "district": enterprise.district,
        "grade": enterprise.grade,
        "open_time": inspection.open_time.ToDatetime(UTC),
        "start_date": start,
        "busy_from": busy_from,
        "busy_to": busy_to,
        "departments": [each.department for each in taking_part],
        "went": [each.department for each in went],
        "capped": sum(each.capped_visit_of_year > 0 for each in went),
        "items": len(items),
        "off_site_items": sum(bool(item.answered_by) for item in items),
        "off_site_visits": len(taking_part) - len(goes),
        "findings": len(inspection.findings),
        "score": inspection.rating.score or None,
        "codes": len(codes),
        "on_the_spot": sum(bool(each.on_the_spot_reason) for each in codes),
        "revoked": sum(each.state == pb.Code.STATE_REVOKED for each in codes),
        "late_results": sum(each.startswith(RESULT) for each in inspection.missed),
    }


def busy(inspection: pb.Inspection) -> tuple[date, date] | None:
    """First and last day on which it is carried out, as far as is settled: the days of its code, from the
    start until the last result. None before there is a code, and where it was called off.
    """
    live = [code for code in inspection.codes if code.state != pb.Code.STATE_REVOKED]
    if not live or inspection.standing.state == pb.STATE_CANCELLED:
        return None
    first, last = live[-1].from_time, live[-1].to_time.ToNanoseconds() - 1
    until = legal_date(datetime.fromtimestamp(last // 10**9, UTC))
    if not inspection.HasField("start"):
        return _day(first), until
    began = _day(inspection.start.device_time)
    results = [each.result_time for each in going(inspection)]
    if all(result.ToNanoseconds() for result in results):
        until = max((_day(result) for result in results), default=began)
    return began, max(began, until)


async def inspects(conn: AsyncConnection, department: str, target: str, day: date) -> bool:
    """Whether the department carries out an inspection of the target on that day, as far as is settled."""
    query = sa.select(sa.literal(1)).where(
        TALLY.c.enterprise == target.removeprefix("targets/"),
        TALLY.c.busy_from <= day,
        TALLY.c.busy_to >= day,
        sa.literal(department) == sa.any_(TALLY.c.departments),
    )
    return await conn.scalar(query.limit(1)) is not None


def clue_since(
    target: sa.ColumnElement[str], time: sa.ColumnElement[datetime]
) -> sa.ColumnElement[bool]:
    """Whether an inspection of the target on a clue was opened at that time or later and not called off."""
    opened = sa.select(sa.literal(1)).where(
        TALLY.c.enterprise == sa.func.substr(target, len("targets/") + 1),
        TALLY.c.kind == plan_pb2.KIND_CASE,
        TALLY.c.open_time >= time,
        TALLY.c.state != pb.STATE_CANCELLED,
    )
    return opened.exists()


def _day(instant: Timestamp) -> date:
    return legal_date(instant.ToDatetime(UTC))

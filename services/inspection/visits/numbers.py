"""Which visit of the year it is: counted for each department and enterprise, without gaps or doubles.

The next number is taken under a row lock in the transaction that records the visit, and given back with
it. What was given last is what the visits say, so that the table can be made again from the log.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import visit_events_pb2 as ev
from bihuan.inspection.v1 import visit_pb2 as pb

VISIT_NUMBER = sa.Table(
    "visit_number",
    sa.MetaData(schema="inspection"),
    sa.Column("department", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("year", sa.SmallInteger, primary_key=True),
    sa.Column("last", sa.Integer),
)
KEY = ("department", "target", "year")


async def stamp(
    conn: AsyncConnection, visit: pb.Visit, events: Sequence[Message]
) -> Sequence[Message]:
    """The events, a visit that was made with its number; for the transaction that records them."""
    for event in events:
        if isinstance(event, ev.VisitMade) and not event.visit_of_year:
            last = VISIT_NUMBER.c.last
            event.visit_of_year = await _write(conn, _whose(visit), 1, last + 1)
    return events


async def keep(conn: AsyncConnection, visit: pb.Visit) -> None:
    """Make the table say at least what `visit` says; as a rule it does, and nothing is written."""
    if not visit.visit_of_year:
        return
    whose = _whose(visit)
    of_whose = sa.and_(*(VISIT_NUMBER.c[name] == value for name, value in whose.items()))
    # Looked at first: an upsert would hold the row, which others need, even where it changes nothing.
    known = await conn.scalar(sa.select(VISIT_NUMBER.c.last).where(of_whose))
    if (known or 0) < (number := visit.visit_of_year):
        await _write(conn, whose, number, sa.func.greatest(VISIT_NUMBER.c.last, number))


def _whose(visit: pb.Visit) -> dict[str, object]:
    return {"department": visit.department, "target": visit.target, "year": visit.date.year}


async def _write(
    conn: AsyncConnection, whose: dict[str, object], first: int, later: sa.ColumnElement[int]
) -> int:
    row = insert(VISIT_NUMBER).values(**whose, last=first)
    upsert = row.on_conflict_do_update(index_elements=list(KEY), set_={"last": later})
    return int(await conn.scalar(upsert.returning(VISIT_NUMBER.c.last)) or 0)

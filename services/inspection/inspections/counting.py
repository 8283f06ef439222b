"""Which visit of the year it is: all visits of an enterprise by an authority, and those under the cap.

Whoever is entrusted inspects in the name of its principal (国办发〔2024〕54号), so the visits of both count
together: the authority (行政机关) is the principal, or else the department itself.

A visit counts from its code on, for each department that goes, in the year of the code's first day; one
that is cancelled did not take place and counts no more. A further code of the same visit takes no further
place. What counts is a row, and a row is what the inspection says, so that the table can be made again
from the log. Numbers are taken under a lock of the enterprise: of two who want the last place one gets it.
"""

from collections.abc import Mapping
from datetime import UTC
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import plan_pb2
from rpc.errors import StatusError, failed_precondition
from rules import legal_date
from services.inspection.inspections.proceeding import going

COUNTED_VISIT = sa.Table(
    "counted_visit",
    sa.MetaData(schema="inspection"),
    sa.Column("inspection", sa.Uuid, primary_key=True),
    sa.Column("department", sa.Text, primary_key=True),
    sa.Column("enterprise", sa.Text),
    sa.Column("year", sa.SmallInteger),
    sa.Column("capped", sa.Boolean),
)
LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:whose, 0))")


class Taken(NamedTuple):
    """How many other visits of an enterprise by an authority count in a year, and under the cap."""

    visits: int = 0
    capped: int = 0


def counted(inspection: pb.Inspection) -> dict[str, bool]:
    """The authorities whose visit counts, and whether under the cap. Pure."""
    found: dict[str, bool] = {}
    if not inspection.codes or inspection.standing.state == pb.STATE_CANCELLED:
        return found
    for each in going(inspection):
        if each.visit_of_year:
            name = authority(each)
            found[name] = found.get(name, False) or each.capped_visit_of_year > 0
    return found


def authority(participant: pb.Participant) -> str:
    """In whose name the department inspects, "departments/…". Pure."""
    return participant.principal or participant.department


def year_of(inspection: pb.Inspection) -> int:
    """The year in which it counts: that of the first day of its last code. ValueError without one."""
    if not inspection.codes:
        raise ValueError(f"{inspection.name} has no code")
    return legal_date(inspection.codes[-1].from_time.ToDatetime(UTC)).year


def number(inspection: pb.Inspection, event: ev.CodeIssued, taken: Mapping[str, Taken]) -> None:
    """Complete the ordinals that have no number yet, those marked 1 as counting under the cap too. Pure.

    taken: by authority. FAILED_PRECONDITION CAP_EXHAUSTED where a visit would go over the cap; one on a
    clue or that a law demands counts and is never refused.
    """
    of = {each.department: authority(each) for each in inspection.participants}
    for ordinal in event.ordinals:
        if ordinal.visit_of_year:
            continue
        others = taken.get(of[ordinal.department], Taken())
        ordinal.visit_of_year = others.visits + 1
        if not ordinal.capped_visit_of_year:
            continue
        ordinal.capped_visit_of_year = others.capped + 1
        may_be = refusable(inspection, ordinal.department)
        if may_be and 0 < ordinal.cap < others.capped + 1:
            raise exhausted(inspection, ordinal)


def refusable(inspection: pb.Inspection, department: str) -> bool:
    """Whether a cap can keep the department from going: not on a clue, nor where a law demands it. Pure."""
    return inspection.kind != plan_pb2.KIND_CASE and not any(
        item.statutory
        for each in inspection.participants
        if each.department == department
        for item in each.items
    )


def exhausted(inspection: pb.Inspection, ordinal: ev.CodeIssued.Ordinal) -> StatusError:
    """FAILED_PRECONDITION: the department may not visit the enterprise once more in the year."""
    return failed_precondition(
        "CAP_EXHAUSTED",
        f"{ordinal.department} may visit the enterprise {ordinal.cap} times in the year, and has",
        resource=inspection.name,
        state=pb.State.Name(inspection.standing.state),
        department=ordinal.department,
        cap=str(ordinal.cap),
    )


async def stamp(conn: AsyncConnection, inspection: pb.Inspection, event: ev.CodeIssued) -> None:
    """Number the visit, in the transaction that records the event. Raises as `number`."""
    whose = f"bihuan.inspection/{inspection.enterprise.uscc}/{event.year}"
    # The lock first: the statement after it sees what whoever held it has written.
    await conn.execute(LOCK, {"whose": whose})
    table = COUNTED_VISIT.c
    query = sa.select(
        table.department, sa.func.count(), sa.func.count().filter(table.capped)
    ).where(
        table.enterprise == inspection.enterprise.uscc,
        table.year == event.year,
        table.inspection != _id(inspection),
    )
    rows = await conn.execute(query.group_by(table.department))
    number(inspection, event, {row[0]: Taken(row[1], row[2]) for row in rows})


async def keep(conn: AsyncConnection, inspection: pb.Inspection) -> None:
    """Make the rows of an inspection with a code say what it says."""
    found = counted(inspection)
    gone = sa.delete(COUNTED_VISIT).where(
        COUNTED_VISIT.c.inspection == _id(inspection), COUNTED_VISIT.c.department.not_in(found)
    )
    await conn.execute(gone)
    if not found:
        return
    rows = insert(COUNTED_VISIT)
    upsert = rows.on_conflict_do_update(
        index_elements=["inspection", "department"],
        set_={"year": rows.excluded.year, "capped": rows.excluded.capped},
    )
    of_all = {
        "inspection": _id(inspection),
        "enterprise": inspection.enterprise.uscc,
        "year": year_of(inspection),
    }
    values = [{**of_all, "department": each, "capped": capped} for each, capped in found.items()]
    await conn.execute(upsert, values)


def _id(inspection: pb.Inspection) -> UUID:
    return UUID(inspection.name.rpartition("/")[2])

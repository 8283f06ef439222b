"""What only the transaction that records an event can give or refuse: tasks, numbers of visits, codes."""

from collections.abc import Sequence

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from rpc.errors import failed_precondition
from services.inspection.inspections import counting, views
from services.inspection.plans.views import take


async def stamp(
    conn: AsyncConnection, inspection: pb.Inspection, events: Sequence[Message]
) -> Sequence[Message]:
    """The events on `inspection`: its tasks taken, a visit that gets its code numbered, the code entered.

    FAILED_PRECONDITION TASK_NOT_OPEN for a task that another took meanwhile, CAP_EXHAUSTED.
    """
    for event in events:
        if isinstance(event, ev.InspectionOpened):
            await _take(conn, event)
        elif isinstance(event, ev.CodeIssued):
            await counting.stamp(conn, inspection, event)
            # By the unique key: no code is ever issued twice.
            entry = {"id": event.code.id, "inspection": views.id_of(inspection.name)}
            await conn.execute(sa.insert(views.CODE).values(entry))
    return events


async def _take(conn: AsyncConnection, event: ev.InspectionOpened) -> None:
    tasks = [name for each in event.participants for name in each.tasks]
    if tasks and (missing := await take(conn, tasks, event.name)):
        raise failed_precondition(
            "TASK_NOT_OPEN",
            f"{missing[0]} is not published, or in an inspection",
            resource=event.name,
            state=pb.State.Name(pb.STATE_UNSPECIFIED),
            task=missing[0],
        )

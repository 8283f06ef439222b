"""What only the transaction that records an event can give or refuse: tasks, numbers of visits, codes."""

from collections.abc import Sequence

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_events_pb2 as ev
from bihuan.inspection.v1 import inspection_pb2 as pb
from services.inspection.inspections import counting, views


async def stamp(
    conn: AsyncConnection, inspection: pb.Inspection, events: Sequence[Message]
) -> Sequence[Message]:
    """The events on `inspection`, a visit that gets its code numbered, the code entered as new."""
    for event in events:
        if isinstance(event, ev.CodeIssued):
            await counting.stamp(conn, inspection, event)
            # By the unique key: no code is ever issued twice.
            entry = {"id": event.code.id, "inspection": views.id_of(inspection.name)}
            await conn.execute(sa.insert(views.CODE).values(entry))
    return events

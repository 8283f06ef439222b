"""The table that lists inboxes, written in the transaction of the notices' events."""

from datetime import UTC
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.notification.v1 import notice_pb2 as pb
from services import paging

NOTICE = sa.Table(
    "notice",
    sa.MetaData(schema="notification"),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("recipient", sa.Text),
    sa.Column("subject", sa.Text),
    sa.Column("unread", sa.Boolean),
    sa.Column("send_time", sa.DateTime(timezone=True)),
    sa.Column("resource", sa.LargeBinary),
)


async def project(conn: AsyncConnection, notice: pb.Notice) -> None:
    """Write the row of `notice`."""
    row = {
        "id": key(notice).id,
        "recipient": notice.recipient,
        "subject": notice.subject,
        "unread": notice.state == pb.Notice.STATE_SENT,
        "send_time": key(notice).time,
        "resource": notice.SerializeToString(deterministic=True),
    }
    statement = insert(NOTICE).values(row)
    await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))


async def get(conn: AsyncConnection, name: str) -> pb.Notice | None:
    """One notice by its resource name, or None."""
    query = sa.select(NOTICE.c.resource).where(NOTICE.c.id == UUID(name.rpartition("/")[2]))
    resource = await conn.scalar(query)
    return None if resource is None else pb.Notice.FromString(resource)


async def page(
    conn: AsyncConnection, request: pb.ListNoticesRequest
) -> tuple[list[pb.Notice], bool]:
    """A page of an inbox, newest first, and whether there are more. INVALID_ARGUMENT as paging.span."""
    query = sa.select(NOTICE).where(NOTICE.c.recipient == request.recipient)
    if request.subject:
        query = query.where(NOTICE.c.subject == request.subject)
    if request.unread:
        query = query.where(NOTICE.c.unread)
    resources, more = await paging.read(conn, query, NOTICE.c.send_time, paging.span(request))
    return [pb.Notice.FromString(resource) for resource in resources], more


def key(notice: pb.Notice) -> paging.Key:
    """Where the notice stands in its inbox."""
    return paging.Key(notice.send_time.ToDatetime(UTC), UUID(notice.name.rpartition("/")[2]))

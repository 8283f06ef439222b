"""The table that lists inboxes, written in the transaction of the notices' events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.notification.v1 import notice_pb2 as pb

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
        "id": UUID(notice.name.rpartition("/")[2]),
        "recipient": notice.recipient,
        "subject": notice.subject,
        "unread": notice.state == pb.Notice.STATE_SENT,
        "send_time": notice.send_time.ToDatetime(UTC),
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
    conn: AsyncConnection,
    request: pb.ListNoticesRequest,
    size: int,
    after: Sequence[str] | None,
) -> tuple[list[pb.Notice], list[str] | None]:
    """Up to `size` notices of an inbox, newest first, and the key to go on after; None at the end."""
    query = (
        sa.select(NOTICE.c.id, NOTICE.c.send_time, NOTICE.c.resource)
        .where(NOTICE.c.recipient == request.recipient)
        .order_by(NOTICE.c.send_time.desc(), NOTICE.c.id.desc())
        .limit(size + 1)
    )
    if request.subject:
        query = query.where(NOTICE.c.subject == request.subject)
    if request.unread:
        query = query.where(NOTICE.c.unread)
    if after:
        key = sa.tuple_(NOTICE.c.send_time, NOTICE.c.id)
        query = query.where(key < (datetime.fromisoformat(after[0]), UUID(after[1])))
    rows = (await conn.execute(query)).all()
    notices = [pb.Notice.FromString(row.resource) for row in rows[:size]]
    if len(rows) <= size:
        return notices, None
    last = rows[size - 1]
    return notices, [last.send_time.isoformat(), str(last.id)]

"""What a command on an inspection needs to know of other rooms, read before it is decided."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_pb2 as pb
from services.inspection.inspections.proceeding import Known

Load: TypeAlias = Callable[[AsyncConnection, pb.Inspection, Any], Awaitable[Known]]
"""What is known for a command on the inspection; the blank one for a command that opens it."""


async def nothing(conn: AsyncConnection, inspection: pb.Inspection, command: Any) -> Known:
    """For a command that needs nothing of other rooms."""
    return Known()


# A command that is not here needs nothing.
LOADS: dict[type[Any], Load] = {}


async def known(conn: AsyncConnection, inspection: pb.Inspection, command: Any) -> Known:
    """What `command` needs to know of other rooms."""
    return await LOADS.get(type(command), nothing)(conn, inspection, command)


def assigned(inspection: pb.Inspection) -> Iterable[str]:
    """Names of all inspectors of an inspection."""
    return (each.inspector for one in inspection.participants for each in one.inspectors)

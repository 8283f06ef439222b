"""What a command on an inspection needs to know of other rooms, read before it is decided."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncConnection

from bihuan.inspection.v1 import inspection_pb2 as pb
from bihuan.inspection.v1 import inspection_service_pb2 as rpc_pb
from bihuan.inspection.v1 import plan_pb2, roster_pb2
from services.inspection.draws import views as draws
from services.inspection.inspections import views
from services.inspection.inspections.proceeding import Known, Task, assigned
from services.inspection.plans.views import tasks as tasks_of
from services.inspection.roster import views as roster
from services.inspection.targets.views import targets

Load: TypeAlias = Callable[[AsyncConnection, pb.Inspection, Any], Awaitable[Known]]
"""What is known for a command on the inspection; the blank one for a command that opens it."""


async def nothing(conn: AsyncConnection, inspection: pb.Inspection, command: Any) -> Known:
    """For a command that needs nothing of other rooms."""
    return Known()


async def for_opening(
    conn: AsyncConnection, inspection: pb.Inspection, command: rpc_pb.OpenInspectionRequest
) -> Known:
    """The enterprise, the departments, and their tasks as far as they are open."""
    names = [name for draft in command.participants for name in draft.tasks]
    found = await tasks_of(conn, names) if names else {}
    departments = {}
    for draft in command.participants:
        department = await roster.department(conn, draft.department)
        if department is not None:
            departments[department.name] = department
    return Known(
        target=(await targets(conn, [command.enterprise])).get(command.enterprise),
        departments=departments,
        tasks={
            name: Task(name, each.department, each.kind, each.task)
            for name, each in found.items()
            if each.state == plan_pb2.TASK_STATE_OPEN
        },
    )


async def inspectors_named(conn: AsyncConnection, inspection: pb.Inspection, command: Any) -> Known:
    """The inspectors that the command names, and those that a draw chose for its department."""
    return Known(
        inspectors=await _inspectors(conn, command.inspectors),
        drawn=await _drawn(conn, inspection, command.department),
    )


async def inspectors_assigned(
    conn: AsyncConnection, inspection: pb.Inspection, command: Any
) -> Known:
    """The inspectors of the inspection."""
    return Known(inspectors=await _inspectors(conn, assigned(inspection)))


async def for_a_code(conn: AsyncConnection, inspection: pb.Inspection, command: Any) -> Known:
    """The inspectors of the inspection, and the enterprise with its grade of today."""
    uscc = inspection.enterprise.uscc
    return Known(
        target=(await targets(conn, [uscc])).get(uscc),
        inspectors=await _inspectors(conn, assigned(inspection)),
    )


async def for_a_look_at_data(
    conn: AsyncConnection, inspection: pb.Inspection, command: Any
) -> Known:
    """The enterprise with what is known of it, and its earlier inspections."""
    uscc = inspection.enterprise.uscc
    return Known(
        target=(await targets(conn, [uscc])).get(uscc),
        earlier=await views.earlier(conn, inspection),
    )


# A command that is not here needs nothing.
LOADS: dict[type[Any], Load] = {
    rpc_pb.OpenInspectionRequest: for_opening,
    rpc_pb.AnswerInvitationRequest: inspectors_named,
    rpc_pb.AssignInspectorsRequest: inspectors_named,
    rpc_pb.ApproveInspectionRequest: inspectors_assigned,
    rpc_pb.IssueCodeRequest: for_a_code,
    rpc_pb.StartInspectionRequest: inspectors_assigned,
    rpc_pb.PrecheckInspectionRequest: for_a_look_at_data,
}


async def known(conn: AsyncConnection, inspection: pb.Inspection, command: Any) -> Known:
    """What `command` needs to know of other rooms."""
    return await LOADS.get(type(command), nothing)(conn, inspection, command)


async def _drawn(
    conn: AsyncConnection, inspection: pb.Inspection, department: str
) -> tuple[str, ...]:
    names = [
        task
        for each in inspection.participants
        if each.department == department
        for task in each.tasks
    ]
    planned = await tasks_of(conn, names) if names else {}
    chosen: dict[str, None] = {}
    for draw in sorted({each.task.draw for each in planned.values() if each.task.draw}):
        found = await draws.chosen(conn, draw, inspection.enterprise.uscc)
        chosen.update(dict.fromkeys(found))
    return tuple(chosen)


async def _inspectors(
    conn: AsyncConnection, names: Iterable[str]
) -> dict[str, roster_pb2.Inspector]:
    found = {}
    for name in dict.fromkeys(names):
        inspector = await roster.inspector(conn, name)
        if inspector is not None:
            found[name] = inspector
    return found

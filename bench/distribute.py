"""A city's yearly plans merged and opened as inspections, beside the floor: bare appends of the same events.

Everything that DistributeTasks does but the way over gRPC: tasks read, merged, each inspection decided,
recorded with its tasks and views. `make bench`; BENCH_CITY is how many enterprises the city has.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

from bench.server import fresh, running
from bihuan.inspection.v1 import plan_pb2, roster_pb2, target_pb2
from bihuan.inspection.v1.inspection_service_pb2 import DistributeTasksRequest
from eventstore import EventStore, Metadata, NewEvent, NewStream, engine_for
from ops import garbage
from ops.city import assumptions as given
from ops.city.generator import City, populate
from ops.city.plans import past_plan
from rpc.identity import Identity, acting_as
from rules import Clock, RuleBook, Rules, WorkingCalendar
from rules.deadline import as_message
from services.app import migrate
from services.calendar.shelf import CalendarShelf
from services.evidence.files import EvidenceFiles
from services.inspection.inspections.desk import InspectionDesk
from services.inspection.inspections.distribution import AT_ONCE, distribute
from services.inspection.inspections.merging import PlannedVisit
from services.inspection.inspections.signing import CodeKeys
from services.inspection.plans import views as plans
from services.inspection.roster import views as roster
from services.inspection.targets import views as targets

CITY_SIZE = int(os.environ.get("BENCH_CITY", str(given.ENTERPRISES)))
ALLOWED_SECONDS = 10.0
NEW_YEAR, NEW_YEARS_EVE = date(given.YEAR, 1, 1), date(given.YEAR, 12, 31)
TIME = Timestamp(seconds=1)
say, out = Console(stderr=True, highlight=False), Console()


class NewYear(Clock):
    """It is the first working day of the city's year all the time."""

    def now(self) -> datetime:
        """09:00 Asia/Shanghai."""
        return datetime(given.YEAR, 1, 4, 1, tzinfo=UTC)


async def populated(store: EventStore, city: City, tasks: list[PlannedVisit]) -> None:
    """What the services would have written of departments, targets and published plans."""
    async with store.engine.begin() as conn:
        for each in city.enterprises.values():
            target = target_pb2.Target(
                name=f"targets/{each.uscc}",
                display_name=each.display_name,
                district=each.district,
                industry=each.industry,
                register_time=TIME,
            )
            await targets.project(conn, target)
        for department in city.departments.values():
            registered = roster_pb2.Department(
                name=department.name,
                display_name=department.display_name,
                field=department.field,
                district=given.CITY,
                power=roster_pb2.POWER_STATUTORY,
                register_time=TIME,
            )
            await roster.project_department(conn, registered)
        for plan in _plans(city, tasks):
            await plans.project(conn, plan)


async def opened(store: EventStore, only_say: bool) -> tuple[float, Any]:
    """Seconds that it took, and what came of it."""
    shelf = CalendarShelf(store, RuleBook.load())
    with tempfile.TemporaryDirectory(prefix="bihuan-bench-") as folder:
        keys = CodeKeys.create(Path(folder) / "code.key")
        files = EvidenceFiles(Path(folder).as_uri(), 1 << 20)
        desk = InspectionDesk(store, shelf, files, NewYear(), keys)
        request = DistributeTasksRequest(
            request_id=str(uuid4()),
            district=given.CITY,
            from_date=as_message(NEW_YEAR),
            to_date=as_message(NEW_YEARS_EVE),
            validate_only=only_say,
        )
        began = time.perf_counter()
        with acting_as(Identity("planner")):
            answers = [answer async for answer in distribute(desk, request)]
        return time.perf_counter() - began, answers[-1]


async def floor(source: EventStore, url: str) -> float:
    """Seconds to append the same events to an empty log, as many to a transaction."""
    async with source.engine.connect() as conn:
        read = await conn.exec_driver_sql(
            "SELECT type, data FROM eventstore.event WHERE stream LIKE 'inspection.inspection-%'"
        )
        events = [NewEvent(row.type, bytes(row.data)) for row in read]
    store = EventStore(engine_for(url, "bihuan_inspection"))
    began = time.perf_counter()
    for first in range(0, len(events), AT_ONCE):
        streams = [
            NewStream(f"inspection.inspection-{uuid4()}", [event], Metadata("bench", uuid4()))
            for event in events[first : first + AT_ONCE]
        ]
        async with store.engine.begin() as conn:
            await store.append_new(conn, streams)
    took = time.perf_counter() - began
    await store.close()
    await store.engine.dispose()
    return took


def _plans(city: City, tasks: list[PlannedVisit]) -> list[plan_pb2.Plan]:
    by_plan: defaultdict[str, list[PlannedVisit]] = defaultdict(list)
    for task in tasks:
        by_plan[task.name.partition("/tasks/")[0]].append(task)
    return [
        plan_pb2.Plan(
            name=name,
            department=planned[0].department,
            kind=plan_pb2.PLAN_KIND_YEARLY,
            year=given.YEAR,
            state=plan_pb2.PLAN_STATE_PUBLISHED,
            district=given.CITY,
            create_time=TIME,
            tasks=[_task(city, number, task) for number, task in enumerate(planned, 1)],
        )
        for name, planned in by_plan.items()
    ]


def _task(city: City, number: int, planned: PlannedVisit) -> plan_pb2.Task:
    return plan_pb2.Task(
        id=planned.name.rpartition("/")[2],
        number=number,
        enterprise=planned.enterprise,
        district=city.enterprises[planned.enterprise].district,
        items=planned.items,
        from_date=as_message(planned.first),
        to_date=as_message(planned.last),
        statutory=planned.statutory,
        alone=planned.alone,
    )


async def main() -> None:
    garbage.settle()
    rules = Rules(RuleBook.load(), WorkingCalendar.load(), given.CITY)
    city = populate(1, rules, CITY_SIZE)
    tasks = past_plan(city, given.YEAR)
    async with running() as (_, url):
        await migrate(url)
        store = EventStore(engine_for(url, "bihuan_inspection"))
        say.print(f"{len(tasks):,} tasks of {CITY_SIZE:,} enterprises …")
        await populated(store, city, tasks)
        merged, answer = await opened(store, only_say=True)
        took, answer = await opened(store, only_say=False)
        empty = await fresh(url, "floor")
        await migrate(empty)
        bare = await floor(EventStore(engine_for(url)), empty)
        await store.close()
        await store.engine.dispose()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    table = Table(
        "step",
        "seconds",
        title=f"{answer.task_count:,} tasks, {answer.visit_count:,} visits, "
        f"{answer.opened_count:,} opened, {answer.joint_count:,} joint; {memory} MiB",
    )
    table.add_row("merged, and only told", f"{merged:.2f}")
    table.add_row("merged, opened and recorded", f"{took:.2f}")
    table.add_row("floor: the same events appended, nothing else", f"{bare:.2f}")
    table.add_row("ratio to the floor", f"{took / bare:.1f}")
    table.add_row("allowed", f"{ALLOWED_SECONDS:.0f}")
    out.print(table)
    sys.exit(took > ALLOWED_SECONDS or answer.opened_count != answer.visit_count)


if __name__ == "__main__":
    asyncio.run(main())

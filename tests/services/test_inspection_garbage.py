"""Every request of the services of inspection at random: refused with a reason that says what was wrong."""

import os
import random
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from sqlalchemy import text

from bihuan.inspection.v1 import (
    code_service_pb2,
    draw_service_pb2,
    inspection_service_pb2,
    plan_service_pb2,
    roster_service_pb2,
    statistics_service_pb2,
    target_service_pb2,
    visit_service_pb2,
)
from eventstore import EventStore
from rpc.client import status_of
from rpc.errors import StatusError
from tests.services import inspections as req
from tests.services import plans, rosters
from tests.services.garbage import Garbage
from tests.services.inspections import ECOLOGY, FIRE, FIRM
from tests.services.test_inspections import (  # noqa: F401  # the fixture
    MORNING,
    OTHER,
    WATCHED,
    Town,
    planned,
    town,
)

SERVICES = {
    "roster": roster_service_pb2,
    "targets": target_service_pb2,
    "plans": plan_service_pb2,
    "draws": draw_service_pb2,
    "inspections": inspection_service_pb2,
    "codes": code_service_pb2,
    "visits": visit_service_pb2,
    "statistics": statistics_service_pb2,
}
METHODS: list[tuple[str, MethodDescriptor]] = [
    (name, method)
    for name, module in SERVICES.items()
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
# They would leave nothing to go wrong with.
ENDINGS = ("Remove", "Dissolve", "Cancel", "Withdraw", "Revoke", "Void")
REFUSALS = frozenset(
    {
        code_pb2.INVALID_ARGUMENT,
        code_pb2.FAILED_PRECONDITION,
        code_pb2.NOT_FOUND,
        code_pb2.ALREADY_EXISTS,
        code_pb2.ABORTED,
    }
)
REQUESTS, SEED = int(os.environ.get("REQUESTS", "400")), int(os.environ.get("SEED", "1"))
HEAD = text("SELECT coalesce(sum(version), 0) FROM eventstore.stream")


@pytest.fixture
async def pool(town: Town) -> dict[str, list[Any]]:  # noqa: F811
    """Values that are right in this town."""
    for department in (ECOLOGY, FIRE):
        await town.publish(department, planned(4, department))
    found = [await town.approved((ECOLOGY, n), (FIRE, n)) for n in range(2)]
    found = [await town.lead(each, req.code()) for each in found]
    found.append(await town.call(town.opening((ECOLOGY, 2), (FIRE, 2))))
    plan = await town.planner.plans.CreatePlan(plans.plan())
    return {
        "roster": [ECOLOGY, *town.teams[ECOLOGY]],
        "targets": [f"targets/{FIRM}", f"targets/{OTHER}"],
        "plans": [plan.name, town.tasks[ECOLOGY][0].partition("/tasks")[0]],
        "inspections": [each.name for each in found],
        "department": [ECOLOGY, FIRE],
        "principal": ["", ECOLOGY],
        "enterprise": [FIRM, OTHER, WATCHED],
        "uscc": [FIRM, rosters.uscc(50)],
        "target": [f"targets/{FIRM}"],
        "district": ["321000", "321003"],
        "field": ["ecology"],
        "industry": ["C2614"],
        "items": [req.ITEMS[ECOLOGY]],
        "item": [req.ITEMS[ECOLOGY]],
        "inspectors": town.teams[ECOLOGY],
        "tasks": town.tasks[ECOLOGY],
        "code": [code.id for each in found for code in each.codes],
        "level": ["general"],
        "stratum": ["B"],
        "grades": ["B"],
        "answers": ["permit_report"],
        "calendar_year": [0, 2026],
        "year": [2026, 2025, 0],
        "on_the_spot_reason": ["", "x"],
        "draw": [""],
        "accepted": [True, False],
        "finding": ["1"],
        "handed_over_to": ["problems/0198c6d2-0000-7000-8000-000000000001"],
        "evidence": [],
    }


def _faults(status: StatusError, recorded: int) -> list[str]:
    """What is wrong with a refusal."""
    known = status.code in REFUSALS or status.reason == "CALENDAR_UNKNOWN"
    named = status.code != code_pb2.INVALID_ARGUMENT or status.violations
    wrong = {"a fault of ours": not known, "names no field": not named, "recorded": recorded}
    return [name for name, found in wrong.items() if found or not status.reason]


async def test_whatever_is_sent_is_answered_or_refused_with_a_reason_and_then_changes_nothing(
    town: Town,  # noqa: F811
    pool: dict[str, list[Any]],
    store: EventStore,
) -> None:
    roles = ("supervisor", "planner", "officer", "scan_page", "loop", "decider")
    client = town.open.client(*roles, subject="ecology-0")
    pick, garbage = random.Random(SEED), Garbage(SEED, pool)

    async def head() -> int:
        async with store.engine.connect() as conn:
            return int(await conn.scalar(HEAD) or 0)

    before, answered = await head(), 0
    for _ in range(REQUESTS):
        room, method = pick.choice(METHODS)
        if method.name.startswith(ENDINGS) and pick.random() < 0.9:
            continue
        pool["name"] = pool.get(room, [])
        request = garbage.request(GetMessageClass(method.input_type))
        try:
            call = getattr(getattr(client, room), method.name)(request)
            await (call.read() if method.server_streaming else call)
        except grpc.aio.AioRpcError as error:
            status = status_of(error)
            faults = _faults(status, await head() - before)
            if faults:
                raise AssertionError(f"{method.name}: {faults}: {status}: {request}") from error
        else:
            answered += 1
            before = await head()
    assert answered > REQUESTS / 20

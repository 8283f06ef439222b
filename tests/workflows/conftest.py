"""The time-skipping server, where months pass in a moment, and a real one for what only that does."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.penalty_town import PenaltyTown, penalty_town
from tests.workflows.plan_town import PlanTown, plan_town
from tests.workflows.relayed import Relayed, relayed_by
from tests.workflows.target_town import TargetTown, target_town
from tests.workflows.town import Town, town
from workflows.search_attributes import KEYS, SEARCH_ATTRIBUTES

TEST_SERVER = Path(sys.executable).with_name("temporal-test-server")
DEV_SERVER = Path(sys.executable).with_name("temporal")
# A history this long is to be continued as new; a production server waits for thousands of events.
LONG_HISTORY = 100


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(TEST_SERVER)
    ) as env:
        await env.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=env.client.namespace,
                search_attributes={
                    name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{kind.upper()}")
                    for name, kind in SEARCH_ATTRIBUTES.items()
                },
            )
        )
        yield env


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[Client]:
    """A client of a real server."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(DEV_SERVER),
        search_attributes=KEYS,
        dev_server_extra_args=[
            "--dynamic-config-value",
            f"limit.historyCount.suggestContinueAsNew={LONG_HISTORY}",
        ],
    ) as env:
        yield env.client


@pytest.fixture
async def place(skipping: WorkflowEnvironment) -> AsyncIterator[Town]:
    async with town(skipping) as open_:
        yield open_


@pytest.fixture
async def court(skipping: WorkflowEnvironment) -> AsyncIterator[PenaltyTown]:
    async with penalty_town(skipping) as open_:
        yield open_


@pytest.fixture
async def register(skipping: WorkflowEnvironment) -> AsyncIterator[TargetTown]:
    async with target_town(skipping) as open_:
        yield open_


@pytest.fixture
async def planning(skipping: WorkflowEnvironment) -> AsyncIterator[PlanTown]:
    async with plan_town(skipping) as open_:
        yield open_


@pytest.fixture
async def relayed(server: Client) -> AsyncIterator[Relayed]:
    open_ = relayed_by(server)
    async with open_.working():
        yield open_

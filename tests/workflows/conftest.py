"""The time-skipping server, where months pass in a moment, and a real one for what only that does."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    CreateNexusEndpointRequest,
)
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from examples.department.worker import TASK_QUEUE as FIRE_QUEUE
from tests.workflows.inspection_town import (
    FIRE_ENDPOINT,
    FIRE_NAMESPACE,
    LONG_HISTORY,
    InspectionTown,
    inspection_town,
)
from tests.workflows.penalty_town import PenaltyTown, penalty_town
from tests.workflows.place import RealTime
from tests.workflows.plan_town import PlanTown, plan_town
from tests.workflows.relayed import Relayed, relayed_by
from tests.workflows.target_town import TargetTown, target_town
from tests.workflows.town import Town, town
from workflows.search_attributes import KEYS, SEARCH_ATTRIBUTES

TEST_SERVER = Path(sys.executable).with_name("temporal-test-server")
DEV_SERVER = Path(sys.executable).with_name("temporal")


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
async def joint(skipping: WorkflowEnvironment) -> AsyncIterator[InspectionTown]:
    async with inspection_town(skipping) as open_:
        yield open_


@pytest.fixture(scope="session")
async def fire(server: Client) -> Client:
    """The fire service's own namespace on the real server, with the Nexus endpoint that leads there."""
    await server.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=FIRE_NAMESPACE, workflow_execution_retention_period=Duration(seconds=86400)
        )
    )
    endpoint = CreateNexusEndpointRequest()
    endpoint.spec.name = FIRE_ENDPOINT
    endpoint.spec.target.worker.namespace = FIRE_NAMESPACE
    endpoint.spec.target.worker.task_queue = FIRE_QUEUE
    await server.operator_service.create_nexus_endpoint(endpoint)
    return await Client.connect(server.service_client.config.target_host, namespace=FIRE_NAMESPACE)


@pytest.fixture
async def with_fire(server: Client, fire: Client) -> AsyncIterator[InspectionTown]:
    async with inspection_town(RealTime(server), fire) as open_:
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

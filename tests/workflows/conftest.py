"""The time-skipping server: months pass in a moment."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.town import Town, town
from workflows.search_attributes import SEARCH_ATTRIBUTES

TEST_SERVER = Path(sys.executable).with_name("temporal-test-server")


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


@pytest.fixture
async def place(skipping: WorkflowEnvironment) -> AsyncIterator[Town]:
    async with town(skipping) as open_:
        yield open_

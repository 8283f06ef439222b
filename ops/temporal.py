"""Runs a Temporal dev server of our own, and makes any Temporal server know our search attributes."""

from collections.abc import Mapping
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError

from ops.part import Part, beside_python

HOST = "127.0.0.1"


def part(
    home: Path, port: int, ui_port: int, namespace: str, search_attributes: Mapping[str, str]
) -> Part:
    """The dev server, with its history in home/temporal.db and the Web UI on `ui_port`.

    search_attributes: name → type as `temporal operator search-attribute create` spells it.
    """
    attributes = [f"--search-attribute={name}={kind}" for name, kind in search_attributes.items()]
    address = f"{HOST}:{port}"
    return Part(
        name="temporal",
        command=(
            *(beside_python("temporal"), "server", "start-dev", "--ip", HOST),
            *("--port", str(port), "--ui-port", str(ui_port), "--namespace", namespace),
            *("--db-filename", str(home / "temporal.db"), "--log-level", "error"),
            *attributes,
        ),
        address=address,
        ready=lambda _pid: is_ready(address, namespace, search_attributes),
    )


async def is_ready(address: str, namespace: str, search_attributes: Mapping[str, str]) -> bool:
    """Whether the server answers, has the namespace and knows the search attributes."""
    try:
        client = await Client.connect(address, namespace=namespace)
        return not await _missing(client, search_attributes)
    except (RPCError, RuntimeError):  # the client reports a refused connection as RuntimeError
        return False


async def register(address: str, namespace: str, search_attributes: Mapping[str, str]) -> list[str]:
    """Add the attributes that a server of somebody else's lacks; returns their names.

    Raises RuntimeError when the server cannot be reached and RPCError when it refuses.
    """
    client = await Client.connect(address, namespace=namespace)
    missing = await _missing(client, search_attributes)
    if missing:
        request = AddSearchAttributesRequest(namespace=namespace)
        for name in missing:
            request.search_attributes[name] = _value_type(search_attributes[name])
        await client.operator_service.add_search_attributes(request)
    return missing


async def _missing(client: Client, wanted: Mapping[str, str]) -> list[str]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    known = await client.operator_service.list_search_attributes(request)
    return [name for name in wanted if name not in known.custom_attributes]


def _value_type(name: str) -> "IndexedValueType.ValueType":
    spelled = "KEYWORD_LIST" if name == "KeywordList" else name.upper()
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{spelled}")

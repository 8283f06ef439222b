"""The connection to Temporal that worker and relay share."""

from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor

TASK_QUEUE = "bihuan"


async def connect(address: str, namespace: str) -> Client:
    """A client that carries traces. RuntimeError naming the address if nobody answers there."""
    return await Client.connect(address, namespace=namespace, interceptors=[TracingInterceptor()])

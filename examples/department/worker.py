"""Runs the desk of a department: `python -m examples.department.worker --namespace fire`."""

import argparse
import asyncio

from temporalio.client import Client
from temporalio.worker import Worker

from examples.department.desk import InvitationDesk, ParticipationHandler

TASK_QUEUE = "joint-inspections"


def worker(client: Client, task_queue: str = TASK_QUEUE) -> Worker:
    """A worker for the department's Nexus service and the workflows behind it."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[InvitationDesk],
        nexus_service_handlers=[ParticipationHandler()],
    )


async def run(address: str, namespace: str, task_queue: str) -> None:
    """Work until it is stopped."""
    client = await Client.connect(address, namespace=namespace)
    async with worker(client, task_queue):
        print(f"{namespace}: joint inspections by task queue {task_queue}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1:7233", help="of the Temporal server")
    parser.add_argument("--namespace", required=True, help="the department's own")
    parser.add_argument("--task-queue", default=TASK_QUEUE, help="as the Nexus endpoint names it")
    chosen = parser.parse_args()
    try:
        asyncio.run(run(chosen.address, chosen.namespace, chosen.task_queue))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()

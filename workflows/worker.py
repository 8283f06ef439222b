"""Runs loops and their activities against one Temporal server and one service."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import grpc.aio
from temporalio.client import Client
from temporalio.worker import Worker

from rpc.client import connect as connect_services
from workflows.activities import Activities
from workflows.calendar_recount import CalendarRecount
from workflows.department_invitation import DepartmentInvitationLoop
from workflows.inspection_activities import InspectionActivities
from workflows.inspection_loop import InspectionLoop
from workflows.inspection_plan_loop import InspectionPlanLoop
from workflows.instalment_loop import InstalmentPlanLoop
from workflows.penalty_loop import PenaltyCaseLoop
from workflows.problem_loop import ProblemLoop
from workflows.target_fact import TargetFact
from workflows.target_loop import TargetLoop
from workflows.temporal_client import TASK_QUEUE, connect
from workflows.undelivered_event import UndeliveredEvent

WORKFLOWS = [
    ProblemLoop,
    PenaltyCaseLoop,
    InstalmentPlanLoop,
    InspectionLoop,
    DepartmentInvitationLoop,
    InspectionPlanLoop,
    TargetFact,
    TargetLoop,
    CalendarRecount,
    UndeliveredEvent,
]


@dataclass(frozen=True)
class WorkerOptions:
    """Where to work and for whom; `token` gives a current token with the role `loop`."""

    temporal_address: str
    namespace: str
    grpc_target: str
    token: Callable[[], str]


def worker(client: Client, channel: grpc.aio.Channel) -> Worker:
    """A worker for every loop; its activities call the services over `channel`."""
    return Worker(
        client,
        task_queue=TASK_QUEUE,
        workflows=WORKFLOWS,
        activities=[*Activities(channel).all(), *InspectionActivities(channel).all()],
        # How long a loop waits for the worker that had it before another takes it.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=timedelta(seconds=10),
    )


async def run(options: WorkerOptions, ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Work until `stop` is set; lets activities under way finish."""
    client = await connect(options.temporal_address, options.namespace)
    async with (
        connect_services(options.grpc_target, options.token) as channel,
        worker(client, channel),
    ):
        ready()
        await stop.wait()

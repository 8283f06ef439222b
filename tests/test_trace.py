"""One trace from a report over its event, the relay and the loop to the notice that the loop sends."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from bihuan.rectification.v1 import problem_service_pb2 as rpc_pb
from eventstore import EventStore, Filter, RecordedEvent
from rpc.client import connect as connect_services
from rpc.identity import Identity
from rpc.telemetry import configure
from tests.bureau import bureau, report
from tests.services.persons import PERSON, clear, complain
from workflows import search_attributes as sa
from workflows.relay import Relay
from workflows.temporal_client import connect
from workflows.worker import worker

TEMPORAL = Path(sys.executable).with_name("temporal")
SECONDS = 20
PROBLEMS = "/bihuan.rectification.v1.ProblemService"
NOTICES = "/bihuan.notification.v1.NotificationService"
# From cause to effect, each the child of the one before.
CHAIN = [
    ("a reporter", "INTERNAL"),
    (f"{PROBLEMS}/ReportProblem", "CLIENT"),
    (f"{PROBLEMS}/ReportProblem", "SERVER"),
    ("relay ProblemReported", "INTERNAL"),
    ("StartActivity:send_notice", "CLIENT"),
    ("RunActivity:send_notice", "SERVER"),
    (f"{NOTICES}/SendNotice", "CLIENT"),
    (f"{NOTICES}/SendNotice", "SERVER"),
]


@pytest.fixture(scope="module")
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans of this process; its provider can be set once, by whichever test comes first."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = configure("tests")
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    yield memory
    memory.shutdown()


@pytest.fixture
async def temporal() -> AsyncIterator[Client]:
    """A client of a real server, made as worker and relay make theirs."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(TEMPORAL), search_attributes=sa.KEYS
    ) as env:
        yield await connect(env.client.service_client.config.target_host, env.client.namespace)


async def first(store: EventStore, event: str) -> RecordedEvent:
    """The first event of a type, as soon as it is there."""
    async with asyncio.timeout(SECONDS):
        return await anext(store.follow(0, Filter(types=(event,))))


def name_and_kind(span: ReadableSpan) -> tuple[str, str]:
    return span.name, span.kind.name


async def test_a_report_and_the_notice_that_follows_from_it_are_one_trace(
    database_url: str,
    tmp_path: Path,
    store: EventStore,
    temporal: Client,
    spans: InMemorySpanExporter,
) -> None:
    spans.clear()
    async with bureau(database_url, tmp_path) as open_:
        token = open_.issuer.issue(Identity(subject="loop", roles=frozenset({"loop"})))
        async with (
            connect_services(open_.target, token) as channel,
            worker(temporal, channel),
        ):
            with trace.get_tracer("test").start_as_current_span("a reporter"):
                await open_.client("reporter").problems.ReportProblem(report())
            reported = await first(store, "bihuan.rectification.v1.ProblemReported")
            await Relay(temporal, clock="").deliver(reported)
            sent = await first(store, "bihuan.notification.v1.NoticeSent")
    finished = spans.get_finished_spans()
    by_id = {span.context.span_id: span for span in finished}
    by_name = {name_and_kind(span): span for span in finished}
    assert {span.context.trace_id for span in finished} == {by_name[CHAIN[0]].context.trace_id}
    span, chain = by_name[CHAIN[-1]], [CHAIN[-1]]
    while span.parent:
        span = by_id[span.parent.span_id]
        chain.insert(0, name_and_kind(span))
    assert chain == CHAIN
    # The SDK marks the run and the signal by spans beside the chain, so that none lasts for months.
    assert {
        ("SignalWithStartWorkflow:ProblemLoop", "CLIENT"),
        ("RunWorkflow:ProblemLoop", "SERVER"),
        ("HandleSignal:event", "SERVER"),
    } <= set(by_name)
    # What is stored is where the relay goes on from, and what the next loop would.
    for event, span in ((reported, by_name[CHAIN[2]]), (sent, by_name[CHAIN[-1]])):
        assert event.metadata.traceparent.split("-")[1:3] == [
            trace.format_trace_id(span.context.trace_id),
            trace.format_span_id(span.context.span_id),
        ]
    assert sent.metadata.causation_id == reported.id


async def test_what_follows_from_a_later_command_is_in_the_trace_of_that_command(
    database_url: str, tmp_path: Path, store: EventStore, temporal: Client
) -> None:
    async with bureau(database_url, tmp_path) as open_:
        token = open_.issuer.issue(Identity(subject="loop", roles=frozenset({"loop"})))
        async with (
            connect_services(open_.target, token) as channel,
            worker(temporal, channel),
        ):
            relay = Relay(temporal, clock="")
            problem = await open_.client("reporter").problems.ReportProblem(report())
            await relay.deliver(await first(store, "bihuan.rectification.v1.ProblemReported"))
            await first(store, "bihuan.notification.v1.NoticeSent")
            request = rpc_pb.VerifyProblemRequest(
                request_id=str(uuid4()),
                name=problem.name,
                result=rpc_pb.VerifyProblemRequest.RESULT_CONFIRMED,
                reasons="属实",
            )
            await open_.client("verifier").problems.VerifyProblem(request)
            verified = await first(store, "bihuan.rectification.v1.ProblemVerified")
            await relay.deliver(verified)
            events = store.follow(verified.position or 0)
            async with asyncio.timeout(SECONDS):
                told = await anext(events)
    assert told.type == "bihuan.notification.v1.NoticeSent"
    assert told.metadata.causation_id == verified.id
    assert trace_id(told) == trace_id(verified)


async def test_who_complained_is_in_clear_in_no_span_and_in_no_history_of_the_loop(
    database_url: str,
    tmp_path: Path,
    store: EventStore,
    temporal: Client,
    spans: InMemorySpanExporter,
) -> None:
    spans.clear()
    async with bureau(database_url, tmp_path) as open_:
        token = open_.issuer.issue(Identity(subject="loop", roles=frozenset({"loop"})))
        async with (
            connect_services(open_.target, token) as channel,
            worker(temporal, channel),
        ):
            problem = await complain(open_, "reporter")
            await Relay(temporal, "").deliver(
                await first(store, "bihuan.rectification.v1.ProblemReported")
            )
            await first(store, "bihuan.notification.v1.NoticeSent")
            loop = temporal.get_workflow_handle(f"problem-loop/{problem.name.partition('/')[2]}")
            history = await loop.fetch_history()
    told = [event.SerializeToString() for event in history.events]
    told += [span.to_json().encode() for span in spans.get_finished_spans()]
    assert PERSON.encode() in b"".join(told), "nothing was looked at"
    assert clear(b"".join(told)) == []


def trace_id(event: RecordedEvent) -> str:
    return event.metadata.traceparent.split("-")[1]

"""One trace spans caller, service and what the service passes on."""

import grpc
import pytest
from echo_service import echo_pb2, echo_pb2_grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rpc.telemetry import configure, context_from, current_trace_id, current_traceparent

Request = echo_pb2.EchoRequest
ROOT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = ROOT.split("-")[1]


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Spans of this process; the provider can be set once, by whichever test comes first."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = configure("tests")
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return memory


@pytest.fixture
def spans(exporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


def test_a_traceparent_is_continued(spans):
    with trace.get_tracer("t").start_as_current_span("event", context_from(ROOT)) as span:
        assert current_trace_id() == TRACE_ID
        assert current_traceparent().split("-")[1:3] == [
            TRACE_ID,
            trace.format_span_id(span.get_span_context().span_id),
        ]
    assert trace.format_span_id(spans.get_finished_spans()[0].parent.span_id) == ROOT.split("-")[2]


@pytest.mark.parametrize("text", ["", "garbage"])
def test_no_traceparent_starts_a_trace_of_its_own(spans, text):
    with trace.get_tracer("t").start_as_current_span("outer"):
        outer = current_trace_id()
        with trace.get_tracer("t").start_as_current_span("event", context_from(text)):
            assert current_trace_id() not in {TRACE_ID, outer}


def test_without_a_span_there_is_no_traceparent():
    assert current_traceparent() == ""


async def drive(stub: echo_pb2_grpc.EchoServiceStub, method: str) -> str:
    """The traceparent that the handler saw."""
    if method == "Echo":
        return (await stub.Echo(Request(title="x"))).traceparent
    if method == "Repeat":
        return [reply.traceparent async for reply in stub.Repeat(Request(title="x"))][-1]
    return (await stub.Gather(iter([Request(title="x")]))).traceparent


@pytest.mark.parametrize("method", ["Echo", "Repeat", "Gather"])
async def test_one_trace_spans_caller_and_service(spans, stub, method):
    with trace.get_tracer("t").start_as_current_span("caller", context_from(ROOT)):
        seen = await drive(stub, method)
    ours = [s for s in spans.get_finished_spans() if s.context.trace_id == int(TRACE_ID, 16)]
    by_kind = {span.kind.name: span for span in ours}
    assert sorted(by_kind) == ["CLIENT", "INTERNAL", "SERVER"]
    assert by_kind["CLIENT"].parent.span_id == by_kind["INTERNAL"].context.span_id
    assert by_kind["SERVER"].parent.span_id == by_kind["CLIENT"].context.span_id
    assert seen.split("-")[2] == trace.format_span_id(by_kind["SERVER"].context.span_id)


async def test_a_refused_call_is_a_span_with_its_code(spans, served):
    async with grpc.aio.insecure_channel(served.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await echo_pb2_grpc.EchoServiceStub(channel).Echo(Request(title="x"))
    [span] = [span for span in spans.get_finished_spans() if span.kind.name == "SERVER"]
    assert span.attributes["rpc.grpc.status_code"] == grpc.StatusCode.UNAUTHENTICATED.value[0]

"""Traces: one per command, carried from call to event to loop as a W3C traceparent."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


def configure(service_name: str, endpoint: str | None = None) -> TracerProvider:
    """Makes every call a span of this service; once a process, before any server or channel.

    endpoint: an OTLP/gRPC collector such as http://localhost:4317; without one spans go nowhere but
    trace ids still travel. The provider flushes at exit, or when its `shutdown` is called.
    """
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service_name}))
    if endpoint:
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    return provider


def current_traceparent() -> str:
    """The current span as a traceparent, empty when there is none."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


def current_trace_id() -> str:
    """The current trace's id in hexadecimal, 32 zeros when there is none."""
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


def context_from(traceparent: str) -> Context:
    """The context in which a span continues that trace; an empty one for an empty traceparent."""
    return _propagator.extract({"traceparent": traceparent}, context=Context())


@contextmanager
def within_trace(traceparent: str) -> Iterator[None]:
    """Within the block, spans continue that trace; an empty traceparent changes nothing."""
    token = context.attach(_propagator.extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        context.detach(token)

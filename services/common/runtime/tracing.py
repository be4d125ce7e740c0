"""Traces: one tree of spans for a request, from HTTP over NATS to the engine.

OpenTelemetry's API and W3C Trace Context (https://www.w3.org/TR/trace-context). Without OTEL_EXPORTER_OTLP_ENDPOINT
nothing is recorded or sent, and what is below costs next to nothing. No span holds a text or a voice.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_TRACER: Final = trace.get_tracer("voice-cloning-pipeline")
_CARRIER: Final = TraceContextTextMapPropagator()
Attribute = str | int | float | bool


def configure_tracing(service: str) -> None:
    """Export this process's spans by OTLP over HTTP, if configured (the OTEL_* variables of OpenTelemetry)."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    # Imported here: nothing else needs them.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    # flushed at the end of the process
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


@contextmanager
def span(
    name: str, carrier: Mapping[str, str] | None = None, **attributes: Attribute
) -> Iterator[Span]:
    """Record a span while the block runs: in the carrier's trace if it names one, else in the current one."""
    parent = (
        None
        if carrier is None
        else _CARRIER.extract({key.lower(): value for key, value in carrier.items()})
    )
    with _TRACER.start_as_current_span(
        name, parent, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        yield span


def mark(event: str) -> None:
    """Add an event to the current span."""
    trace.get_current_span().add_event(event)


def fail(code: str) -> None:
    """Mark the current span as failed, with the reason."""
    span = trace.get_current_span()
    span.set_attribute("failure", code)
    span.set_status(Status(StatusCode.ERROR))


def carried() -> dict[str, str]:
    """Return the headers that name the current span; empty if nothing is recorded."""
    headers: dict[str, str] = {}
    _CARRIER.inject(headers)
    return headers

"""Traces by OpenTelemetry: where the time of a request went. Imported only if traces are asked for.

FastAPI makes the span of a request, and goes on with the trace of a client that sends ``traceparent``. Below
it stand ``queue``, the wait for the first batch, and ``encode``. A batch belongs to many requests and so to
none of their traces: it has a trace of its own, with a link to each, and the waits have a link to it.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    SpanContext,
    get_current_span,
    set_span_in_context,
)

import synth
from synth.serving.telemetry import Share


class Tracer:
    """Makes spans of what is over. For any thread; times are of ``time.monotonic``."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._tracer = provider.get_tracer("synth", synth.__version__)

    def here(self) -> SpanContext | None:
        """The current span, if it is recorded."""
        context = get_current_span().get_span_context()
        return context if context.is_valid and context.trace_flags.sampled else None

    def trace_id(self) -> str | None:
        """Of the current trace, recorded or not, in hexadecimal digits."""
        context = get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else None

    def batch(self, samples: int, began: float, ended: float, shares: Sequence[Share]) -> None:
        """Spans of a batch, and of the waits that ended with it; none if no request in it is traced."""
        links: list[SpanContext] = [share.trace for share in shares if share.trace is not None]
        if not links:
            return
        batch = self._span("batch", None, began, ended, {"synth.samples": samples}, links)
        for share in shares:
            if share.trace is not None and share.since is not None:
                self._span("queue", share.trace, share.since, began, {}, [batch])

    def encoding(self, form: str, began: float, ended: float) -> None:
        """The span of an encoding, below the current one."""
        here = self.here()
        if here is not None:
            self._span("encode", here, began, ended, {"synth.form": form})

    def shut_down(self) -> None:
        """Send what has not been sent; blocks for some seconds at most."""
        self.provider.shutdown()

    def _span(
        self,
        name: str,
        parent: SpanContext | None,
        began: float,
        ended: float,
        attributes: Mapping[str, str | int],
        links: Sequence[SpanContext] = (),
    ) -> SpanContext:
        """One span, below ``parent`` or at the root of a trace of its own."""
        above = INVALID_SPAN if parent is None else NonRecordingSpan(parent)
        span = self._tracer.start_span(
            name,
            set_span_in_context(above),
            attributes=dict(attributes),
            links=[Link(context) for context in links],
            start_time=_nanoseconds(began),
        )
        span.end(_nanoseconds(ended))
        return span.get_span_context()


def open_tracer() -> Tracer:
    """A tracer that sends to ``OTEL_EXPORTER_OTLP_ENDPOINT``; the other ``OTEL_*`` variables hold as well.

    Raises ImportError if the exporter is not installed.
    """
    # By name, since it belongs to an extra that type checkers do not have.
    exporter = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "synth"}
    resource = Resource.create({**named, "service.version": synth.__version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter.OTLPSpanExporter()))
    return Tracer(provider)


def _nanoseconds(moment: float) -> int:
    """Of the time of day, which spans have."""
    return time.time_ns() - int((time.monotonic() - moment) * 1e9)

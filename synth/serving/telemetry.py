"""What engine and delivery tell of their work: to the metrics, and to the traces if there are any."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi.telemetry import TelemetryConfig
from torch import Tensor

from synth.batch import Batch
from synth.data.provenance import PIPELINE
from synth.errors import ConfigError
from synth.serving.drift import DriftMonitor
from synth.serving.metrics import Metrics

if TYPE_CHECKING:
    from synth.serving.tracing import Tracer

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

Trace = Any
"""The place of a request in its trace (an OpenTelemetry SpanContext), for the tracer alone."""


@dataclass(frozen=True)
class Share:
    """What one request had of a batch."""

    trace: Trace | None
    since: float | None
    """When the request began to wait, by the monotonic clock; None if earlier batches had of it as well."""


class Telemetry:
    """One for each application. Its methods are for any thread; times are of ``time.monotonic``."""

    def __init__(self, metrics: Metrics | None = None, tracer: Tracer | None = None) -> None:
        self.metrics = metrics or Metrics()
        self.tracer = tracer
        self.drift: DriftMonitor | None = None
        """Set by an application that compares images with those that its models were trained on."""

    def here(self) -> Trace | None:
        """The trace of the request that calls this; None without tracing."""
        return None if self.tracer is None else self.tracer.here()

    def batch(self, samples: int, began: float, ended: float, shares: Sequence[Share]) -> None:
        """A batch was computed, in which these requests had a share."""
        self.metrics.batch(samples)
        for share in shares:
            if share.since is not None:
                self.metrics.waited(began - share.since)
        if self.tracer is not None:
            self.tracer.batch(samples, began, ended, shares)

    @contextmanager
    def encoding(self, form: str) -> Iterator[None]:
        """Around the encoding of an answer, in the context of its request."""
        began = time.monotonic()
        yield
        ended = time.monotonic()
        self.metrics.encoded(form, ended - began)
        if self.tracer is not None:
            self.tracer.encoding(form, began, ended)

    def made(self, batch: Batch) -> None:
        """These images are on their way to a client."""
        # What a pipeline changes has nothing to be compared with.
        if self.drift is not None and not batch.fingerprint.model.startswith(PIPELINE):
            self.drift.seen("made", batch.fingerprint.model, batch.images, batch.labels)

    def sent(self, model: str, images: Tensor) -> None:
        """These images, in the shape of the model NAME@VERSION, came from a client."""
        if self.drift is not None:
            self.drift.seen("sent", model, images)

    async def shut_down(self) -> None:
        """Send what has not been sent."""
        if self.drift is not None:
            await asyncio.to_thread(self.drift.close)
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.shut_down)


def open_telemetry(tracing: bool | None) -> Telemetry:
    """Metrics, and traces if ``tracing`` says so; None: if the environment says where they are to be sent.

    Raises ConfigError if traces are asked for and OpenTelemetry is not installed.
    """
    if tracing is False or (tracing is None and not any(map(os.environ.get, _ENDPOINTS))):
        return Telemetry()
    try:
        from synth.serving.tracing import open_tracer

        return Telemetry(tracer=open_tracer())
    except ImportError as error:
        asked = "SYNTH_TRACING is set" if tracing else f"There is {' or '.join(_ENDPOINTS)}"
        raise ConfigError(
            f"{asked}, but OpenTelemetry is not installed ({error}). Install it with pip install "
            "'synth-service[otel]', or set SYNTH_TRACING=0."
        ) from None


def fastapi_telemetry(telemetry: Telemetry) -> TelemetryConfig:
    """What FastAPI has to do of it: the spans of requests, and nothing else."""
    config: TelemetryConfig = {
        "tracing": telemetry.tracer is not None,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
    }
    if telemetry.tracer is not None:
        config["tracer_provider"] = telemetry.tracer.provider
    return config

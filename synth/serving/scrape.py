"""``/metrics``: what the server counts, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from synth.errors import SynthError
from synth.serving.metrics import Metrics
from synth.serving.services import InjectedServices, Services

router = APIRouter(tags=["health"])

_EXAMPLE = """# HELP synth_queue_samples Samples that wait for the device.
# TYPE synth_queue_samples gauge
synth_queue_samples 128.0
"""
_ANSWER: dict[str, Any] = {
    "description": "In Prometheus' text format.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
}


@router.get("/metrics", response_class=Response, responses={200: _ANSWER})
async def metrics(services: InjectedServices) -> Response:
    """What the server counts, for Prometheus: queue, batches, device time, images, problems, models."""
    # In a thread: what is read may take a moment, such as a count in a data base.
    text = await asyncio.to_thread(services.telemetry.metrics.text)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def watch(metrics: Metrics, services: Services) -> None:
    """Show what engine, memory and registry know whenever the metrics are asked for."""
    engine, memory, registry = services.engine, services.memory, services.registry
    counters = engine.counters
    read = metrics.read
    read("gauge", "synth_queue_samples", "Samples that wait for the device.", lambda: engine.waiting_rows)
    read("gauge", "synth_queue_requests", "Requests that wait or run.", lambda: engine.waiting_requests)
    read(
        "gauge",
        "synth_backlog_seconds",
        "Predicted device time of all that waits or runs.",
        lambda: engine.backlog_seconds,
    )
    read(
        "counter",
        "synth_device_seconds",
        "Time that batches took on the device.",
        lambda: counters.device_seconds,
    )
    read("counter", "synth_images", "Images that were made.", lambda: counters.rows)
    read(
        "counter",
        "synth_images_for_nobody",
        "Of those made: their clients had gone by then.",
        lambda: counters.rows_for_nobody,
    )
    read(
        "counter",
        "synth_images_cancelled",
        "Images that were asked for and never made, since their clients had gone.",
        lambda: counters.rows_dropped,
    )
    read(
        "gauge",
        "synth_augment_requests",
        "Requests for augmentation that wait or run.",
        lambda: services.augmenter.requests,
    )
    read("gauge", "synth_bytes_in_flight", "Memory that answers on their way hold.", lambda: memory.used)
    read("gauge", "synth_bytes_in_flight_limit", "The most that they may hold.", lambda: memory.limit)
    read("gauge", "synth_jobs", "Jobs by state.", lambda: _jobs(services), label="state")
    read("gauge", "synth_models_loaded", "Models in memory.", lambda: len(registry.loaded))
    read("gauge", "synth_model_bytes", "Memory of a loaded model.", lambda: registry.loaded, label="model")
    drift = services.telemetry.drift
    if drift is not None:
        read(
            "gauge",
            "synth_drift",
            "Population stability index of images made or sent against those that the model was trained on.",
            drift.drift,
            label=("model", "what", "statistic"),
        )
        read(
            "gauge",
            "synth_drift_images",
            "Images that the drift was measured on.",
            drift.images,
            label=("model", "what"),
        )


def _jobs(services: Services) -> Mapping[str, float]:
    try:
        return services.jobs.counts()
    except SynthError:  # it must not hide all else, and whoever asks for a job is told
        return {}

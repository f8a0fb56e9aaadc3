"""The application: routes, middleware and the life of the engine, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
from fastapi import FastAPI

import synth
from synth.artifacts import Store
from synth.sampling import Sampler, resolve_device, resolve_precision
from synth.serving import (
    augmentations,
    datasets,
    generations,
    health,
    job_events,
    jobs,
    models,
    pipelines_api,
    reports,
    scrape,
    stream,
    translations,
    welcome,
)
from synth.serving.access_log import AccessLog
from synth.serving.admission import AdmissionMiddleware
from synth.serving.answers import AugmentationAnswer, GenerationAnswer
from synth.serving.augment_threads import Augmenter
from synth.serving.body_limit import BodyLimitMiddleware
from synth.serving.crew import Crew
from synth.serving.decoding import Decoder
from synth.serving.device import device_threads
from synth.serving.documentation import describe
from synth.serving.drift import DriftMonitor
from synth.serving.engine import Engine
from synth.serving.job_views import body_types
from synth.serving.loader import OpenGenerator
from synth.serving.memory import Memory
from synth.serving.observation import ObservationMiddleware
from synth.serving.pipelines import Pipelines, read_folder
from synth.serving.problems import Problem, install_problem_handlers
from synth.serving.rates import Rates
from synth.serving.registry import Registry
from synth.serving.request_id import RequestIdMiddleware
from synth.serving.requests import GenerationRequest
from synth.serving.residency import default_model_bytes
from synth.serving.security import PROBES, UNCOUNTED, add_security
from synth.serving.services import Services
from synth.serving.settings import ServerSettings, listed
from synth.serving.telemetry import Telemetry, fastapi_telemetry, open_telemetry

_DESCRIPTION = """Synthetic images from trained generators.

An image is decided by model version, seed and index: ask again with the same, and you get the same.
Every error is `application/problem+json` (RFC 9457); its `detail` says what to do."""


def create_app(
    settings: ServerSettings,
    *,
    open_generator: OpenGenerator | None = None,
    telemetry: Telemetry | None = None,
) -> FastAPI:
    """The server as an ASGI application. It must run its lifespan: that is what starts the engine.

    Args:
        settings: see ServerSettings; ``host`` and ``port`` are of no use here.
        open_generator: loads an artifact, on the engine's thread; by default as a Sampler, in processes of
            its own on a CPU.
        telemetry: by default as the settings say.

    Raises DeviceError if the device or precision is not to be had, ConfigError if traces are not.
    """
    telemetry = telemetry or open_telemetry(settings.tracing)
    device = resolve_device(settings.device)  # now, so that a server for one that is not there does not start
    crew = None if open_generator is not None else _crew(settings, device)
    threads = device_threads(device) if crew is None else crew.count
    engine = Engine(queue_limit=settings.queue_limit, threads=threads, telemetry=telemetry)
    open_generator = open_generator or (_sampler_opener(settings, device) if crew is None else crew.open)
    store = Store(settings.store)
    registry = Registry(
        store,
        telemetry.metrics.counting_loads(open_generator),
        engine.call,
        max_bytes=settings.max_model_bytes or default_model_bytes(device),
        watch_seconds=settings.watch_seconds,
        preload=listed(settings.preload),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if crew is not None:
            crew.start()
        engine.start()
        registry.start()
        yield
        await engine.shut_down(settings.drain_seconds)
        if crew is not None:
            await asyncio.to_thread(crew.end)
        await registry.stop()
        decoder.close()
        augmenter.close()
        queue.database.close()
        await telemetry.shut_down()

    app = FastAPI(
        title="synth",
        version=synth.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        telemetry=fastapi_telemetry(telemetry),
    )
    rates = Rates(rate=settings.rate, quota=settings.quota)
    memory = Memory(settings.max_bytes_in_flight)
    decoder = Decoder(
        image_pixels=settings.max_image_pixels, upload_pixels=settings.max_upload_pixels, memory=memory
    )
    queue = settings.queue()
    augmenter = Augmenter(memory, telemetry.metrics, limit=settings.queue_limit)
    pipelines = Pipelines(
        store,
        read_folder(settings.pipelines, store),
        most_passes=(settings.max_attack_steps, settings.max_attack_queries),
    )
    services = app.state.services = Services(
        settings, registry, engine, memory, rates, telemetry, decoder, queue, pipelines, augmenter
    )
    if settings.drift_share > 0.0:
        telemetry.drift = DriftMonitor(registry.find, share=settings.drift_share)
    scrape.watch(telemetry.metrics, services)
    # Routes are tried in this order.
    made = (jobs, job_events, datasets, reports)
    images = (generations, translations, augmentations, stream)
    routed = (*images, pipelines_api, welcome, health, scrape, models, *made)
    for module in routed:
        app.include_router(module.router)
    install_problem_handlers(app)
    describe(
        app,
        Problem,
        GenerationAnswer,
        AugmentationAnswer,
        GenerationRequest,
        *body_types(),
        public=PROBES,
        free=UNCOUNTED,
    )
    app.add_middleware(
        BodyLimitMiddleware,
        limit=settings.max_body_bytes,
        paths=dict.fromkeys((translations.PATH, augmentations.PATH), settings.max_upload_bytes),
    )
    image_paths = [f"/v1/images/{kind}" for kind in ("generations", "translations")] + ["/v1/stream"]
    app.add_middleware(AdmissionMiddleware, engine=engine, settings=settings, paths=image_paths)
    add_security(app, settings, rates)
    app.add_middleware(ObservationMiddleware, telemetry=telemetry, log=AccessLog())
    app.add_middleware(RequestIdMiddleware)  # outermost: whatever answers, the answer has an id
    return app


def _crew(settings: ServerSettings, device: torch.device) -> Crew | None:
    """Processes that compute on a CPU; an accelerator is computed on by this one."""
    count = device_threads(device) if settings.processes is None else settings.processes
    if device.type != "cpu" or not count:
        return None
    return Crew(count, resolve_precision(settings.precision, device))


def _sampler_opener(settings: ServerSettings, device: torch.device) -> OpenGenerator:
    precision = resolve_precision(settings.precision, device)
    return lambda artifact: Sampler(artifact, device=str(device), precision=precision)

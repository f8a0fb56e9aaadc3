"""The application: routes, middleware and the life of the engine, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import synth
from synth.artifacts import Artifact, Store
from synth.batch import Batch
from synth.sampling import Generator, Sampler, resolve_device, resolve_precision
from synth.serving import datasets, generations, health, job_events, jobs, models, welcome
from synth.serving.answers import GenerationAnswer
from synth.serving.body_limit import BodyLimitMiddleware
from synth.serving.documentation import describe
from synth.serving.engine import Engine, Generation
from synth.serving.job_views import body_types
from synth.serving.memory import Memory
from synth.serving.problems import Problem, install_problem_handlers
from synth.serving.rates import Rates
from synth.serving.registry import OpenGenerator, Registry
from synth.serving.request_id import RequestIdMiddleware
from synth.serving.security import add_security
from synth.serving.services import Services
from synth.serving.settings import ServerSettings

_DESCRIPTION = """Synthetic images from trained generators.

An image is decided by model version, seed and index: ask again with the same, and you get the same.
Every error is `application/problem+json` (RFC 9457); its `detail` says what to do."""


def create_app(settings: ServerSettings, *, open_generator: OpenGenerator | None = None) -> FastAPI:
    """The server as an ASGI application. It must run its lifespan: that is what starts the engine.

    Args:
        settings: see ServerSettings; ``host`` and ``port`` are of no use here.
        open_generator: loads an artifact, on the engine's thread; by default as a Sampler.

    Raises DeviceError if the device or precision is not to be had.
    """
    registry = Registry(
        Store(settings.store),
        open_generator or _sampler_opener(settings),
        max_loaded=settings.max_loaded_models,
    )

    def run(work: Generation) -> Batch:
        return registry.generator(work.artifact).generate(
            work.count,
            labels=work.labels,
            seed=work.seed,
            start=work.start,
            mode=work.mode,
            **work.parameters,
        )

    engine = Engine(run, queue_limit=settings.queue_limit)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.start()
        yield
        await engine.shut_down(settings.drain_seconds)
        queue.database.close()

    app = FastAPI(title="synth", version=synth.__version__, description=_DESCRIPTION, lifespan=lifespan)
    queue = settings.queue()
    rates = Rates(rate=settings.rate, quota=settings.quota)
    app.state.services = Services(settings, registry, engine, Memory(settings.max_bytes_in_flight), rates, queue)
    for module in (welcome, health, models, generations, jobs, job_events, datasets):
        app.include_router(module.router)
    install_problem_handlers(app)
    describe(app, Problem, GenerationAnswer, *body_types())
    app.add_middleware(BodyLimitMiddleware, limit=settings.max_body_bytes)
    add_security(app, settings, rates)
    app.add_middleware(RequestIdMiddleware)  # outermost: whatever answers, the answer has an id
    return app


def _sampler_opener(settings: ServerSettings) -> OpenGenerator:
    # Now, so that a server for a device that is not there does not start.
    device = resolve_device(settings.device)
    precision = resolve_precision(settings.precision, device)

    def open_sampler(artifact: Artifact) -> Generator:
        return Sampler(artifact, device=str(device), precision=precision)

    return open_sampler

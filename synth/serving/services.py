"""What the routes work with: one of each for a whole application."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from synth.jobs import Queue
from synth.serving.augment_threads import Augmenter
from synth.serving.decoding import Decoder
from synth.serving.engine import Engine
from synth.serving.memory import Memory
from synth.serving.pipelines import Pipelines
from synth.serving.rates import Rates
from synth.serving.registry import Registry
from synth.serving.settings import ServerSettings
from synth.serving.telemetry import Telemetry

_MOST_WATCHERS = 256


@dataclass(frozen=True)
class Services:
    """Kept in ``app.state.services``."""

    settings: ServerSettings
    registry: Registry
    engine: Engine
    memory: Memory
    rates: Rates
    telemetry: Telemetry
    decoder: Decoder
    jobs: Queue
    pipelines: Pipelines
    augmenter: Augmenter
    watchers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_WATCHERS))
    """Streams of events that may be open at once: each asks the data base twice a second."""


def services_of(request: Request) -> Services:
    """The services of the application that answers ``request``."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


async def _injected(request: Request) -> Services:
    # Asynchronous, though it waits for nothing: FastAPI calls anything else in a thread.
    return services_of(request)


InjectedServices = Annotated[Services, Depends(_injected)]
"""Type of a route's parameter that FastAPI fills in."""

"""``/livez``: the process answers. ``/readyz``: it takes work."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from synth.errors import OverloadError
from synth.serving.documentation import problems
from synth.serving.services import InjectedServices

router = APIRouter(tags=["health"])


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """The server takes work."""

    status: Literal["ready"] = "ready"
    models: int
    """Versions in the store that can be asked for."""
    damaged: int
    """Versions in the store that cannot."""


@router.get("/livez")
async def livez() -> Liveness:
    """Whether the process answers; also while it starts and shuts down."""
    return Liveness()


@router.get("/readyz", responses=problems(503, 507))
async def readyz(services: InjectedServices) -> Readiness:
    """Whether work is taken: 503 while the server starts, loads what it is to have loaded, or shuts down."""
    if services.engine.state != "ready":
        raise OverloadError(f"The server is not ready: its engine is {services.engine.state}.")
    if services.engine.trouble is not None:
        raise OverloadError(f"The server is not ready. {services.engine.trouble}")
    if cold := services.registry.cold:
        reasons = "; ".join(f"{reference}: {reason}" for reference, reason in cold.items())
        raise OverloadError(f"The server is not ready, since models are not loaded yet. {reasons}")
    entries = await asyncio.to_thread(services.registry.entries)
    damaged = sum(entry.error is not None for entry in entries)
    return Readiness(models=len(entries) - damaged, damaged=damaged)

"""The middleware that decides who gets in, put together in its order."""

from __future__ import annotations

import ipaddress

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from synth.serving.authentication import AuthenticationMiddleware, Doorkeeper
from synth.serving.guard import GuardMiddleware
from synth.serving.keys import KeyFile
from synth.serving.rates import RateMiddleware, Rates
from synth.serving.settings import ServerSettings, listed

PROBES = ("/livez", "/readyz")
"""Paths that need no key."""
UNCOUNTED = (*PROBES, "/metrics")
"""Paths that no rate holds for."""


def add_security(app: FastAPI, settings: ServerSettings, rates: Rates) -> None:
    """From the outside in: host and origin, cross-origin answers, key, rate. The last is added first."""
    doorkeeper = Doorkeeper(KeyFile(settings.keys))
    origins = listed(settings.allowed_origins)
    app.add_middleware(RateMiddleware, rates=rates, free=UNCOUNTED)
    public = UNCOUNTED if settings.open_metrics else PROBES
    app.add_middleware(AuthenticationMiddleware, doorkeeper=doorkeeper, public=public)
    if origins:  # a preflight carries no key, so that this stands before the keys
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(
        GuardMiddleware,
        keyless=lambda: not doorkeeper.required,
        hosts=listed(settings.allowed_hosts) if _is_loopback(settings.host) else None,
        origins=origins,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"

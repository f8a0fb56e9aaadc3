"""What is measured on a running server, and on the sampler core alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contest.check import check_answers
from contest.contenders import Contender, Settings, Site
from contest.processes import Server, run_module

MIXED = (1, 16)
"""Fewest and most images of a request in the load that is compared with naive FastAPI."""
_DEADLINE_SECONDS = 1.0
_OVERLOAD = 2.0
_OVERLOAD_CONNECTIONS = 256
_HANG_UP_SHARE = 0.5
_HANG_UP_IMAGES = 64
"""Of one request: so many that work for those who leave could be stopped."""

METRICS = {
    "for_nobody": "synth_images_for_nobody_total",
    "cancelled": "synth_images_cancelled_total",
}
"""Names in /metrics: samples computed after their clients had gone, and samples that were not, for that."""


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    clients: tuple[int, ...]
    """Of the closed loops; 16 images a request."""
    mixed_clients: tuple[int, ...]
    seconds: float
    """Of each load."""
    long_seconds: float
    """Of overload, of hang-ups and of idleness."""


def measure(
    contender: Contender, site: Site, settings: Settings, extent: Extent, number: int
) -> dict[str, Any]:
    """Round ``number`` of one server: a fresh process, the check of its answers, its loads, and its end."""
    ours, seed = contender.name == "ours", number
    with contender.server(site, settings) as server:
        worst = check_answers(contender, site, server)
        server.load(clients=8, seconds=extent.seconds, settle_seconds=0.0)
        found: dict[str, Any] = {
            "largest_difference": worst,
            "single": asdict(server.load(clients=1, counts=(1, 1), seconds=extent.seconds, seed=seed)),
            "closed": {
                clients: asdict(server.load(clients=clients, seconds=extent.seconds, seed=seed))
                for clients in extent.clients
            },
        }
        if ours or contender.name.startswith("naive"):
            found["mixed"] = {
                clients: asdict(server.load(clients=clients, counts=MIXED, seconds=extent.seconds, seed=seed))
                for clients in extent.mixed_clients
            }
        if ours or contender.name == "litserve tuned":
            capacity = max(figures["images_per_second"] for figures in found["closed"].values())
            found["overload"] = overload(server, capacity, extent.long_seconds, seed)
        if ours:
            found["hang_ups"] = hang_ups(server, max(extent.clients), extent.long_seconds, seed)
        if ours or number == 0:
            found["idle_cpu"] = server.cpu_share(extent.long_seconds)
    return found


def overload(server: Server, capacity: float, seconds: float, seed: int) -> dict[str, Any]:
    """Requests arrive at twice the capacity, each with a deadline of a second."""
    figures = server.load(
        clients=_OVERLOAD_CONNECTIONS,
        rate=_OVERLOAD * capacity / 16,
        seconds=seconds,
        settle_seconds=2.0,
        deadline_seconds=_DEADLINE_SECONDS,
        seed=seed,
    )
    return {"capacity": capacity, "goodput_to_capacity": figures.in_time_per_second / capacity} | asdict(
        figures
    )


def hang_ups(server: Server, clients: int, seconds: float, seed: int) -> dict[str, Any]:
    """Half of the clients go away, each at some moment of the time that an answer takes."""
    images = (_HANG_UP_IMAGES, _HANG_UP_IMAGES)
    calm = server.load(clients=clients, counts=images, seconds=seconds / 2, seed=seed)
    before = server.metrics()
    figures = server.load(
        clients=clients,
        counts=images,
        seconds=seconds,
        hang_up=_HANG_UP_SHARE,
        patience_seconds=(calm.p50_ms or 1000.0) / 1000,
        seed=seed,
    )
    after = server.metrics()
    found: dict[str, Any] = {"patience_ms": calm.p50_ms, **asdict(figures)}
    for name, metric in METRICS.items():
        found[name] = after[metric] - before.get(metric, 0.0) if metric in after else None
    if found["for_nobody"] is not None and figures.abandoned_images:
        found["for_nobody_to_abandoned"] = found["for_nobody"] / figures.abandoned_images
    return found


def core_alone(site: Site, settings: Settings, seconds: float, client_cpu: float) -> Mapping[str, float]:
    """The sampler core without a server: by itself, and beside a process as busy as the clients were."""
    environment = {name: str(value) for name, value in settings.items() if name.isupper()}
    arguments = ("--artifact", str(site.artifact), "--device", site.device, "--seconds", str(seconds))
    return run_module(
        "contest.core",
        *arguments,
        "--neighbour",
        f"{client_cpu:.3f}",
        environment={**environment, "SYNTH_HOME": str(site.home)},
    )

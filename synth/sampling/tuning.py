"""Choosing how to run a network, by measurement at warm-up: the method, the buckets and what each costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict

from synth.sampling.backends import Backend
from synth.sampling.execution import Engine, Inputs, Layout, Method

BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_REFERENCE = 32
"""The bucket on which methods are compared."""
COMPILE_SECONDS = 60.0
"""Least warm-up budget in which compiled code is tried: compiling takes 5 to 40 seconds on two cores."""
_LEAST_GAIN = 0.05
"""A larger bucket must be so much faster per sample to be worth its memory and its wait."""


class Trial(BaseModel):
    """One method's measurement at the reference bucket."""

    model_config = ConfigDict(frozen=True)

    engine: Engine
    layout: Layout
    images_per_second: float
    prepare_seconds: float


class Tuning(BaseModel):
    """What warm-up found: plain data, kept in the cache and told by ``explain``."""

    model_config = ConfigDict(frozen=True)

    engine: Engine
    layout: Layout
    seconds: dict[int, float]
    """Measured seconds by bucket."""
    bytes: dict[int, int]
    """Estimated bytes of activations by bucket."""
    trials: list[Trial]
    warmup_seconds: float

    @property
    def method(self) -> Method:
        """The fastest method that was tried."""
        return Method(self.engine, self.layout)


@dataclass(frozen=True)
class Candidate:
    """A method and how to make the backend that runs it."""

    method: Method
    make: Callable[[], Backend]


def tune(
    candidates: Sequence[Candidate],
    inputs: Callable[[int], Inputs],
    *,
    bytes_per_sample: int,
    most_bytes: int,
    budget_seconds: float,
) -> tuple[Tuning, Backend]:
    """Measure the candidates within the budget, then the buckets of the best one.

    Args:
        candidates: cheapest to prepare first; the first is always tried.
        inputs: sample inputs for a bucket size.
        bytes_per_sample: activations of one sample.
        most_bytes: larger buckets than fit into this are not offered.
        budget_seconds: when it is used up, what has been measured decides.
    """
    began = time.monotonic()
    buckets = [size for size in BUCKETS if size == 1 or size * bytes_per_sample <= most_bytes]
    reference = max(size for size in buckets if size <= _REFERENCE)
    best: tuple[float, Backend] | None = None
    trials = []
    for candidate in candidates:
        left = budget_seconds - (time.monotonic() - began)
        needed = 0.5 * COMPILE_SECONDS if candidate.method.engine == "inductor" else 0.0
        if best is not None and left < needed:
            continue
        backend = candidate.make()
        start = time.monotonic()
        backend.prepare(inputs(reference))
        prepared = time.monotonic() - start
        rate = reference / measure(backend, inputs(reference), budget_seconds / 10)
        trials.append(
            Trial(
                engine=candidate.method.engine,
                layout=candidate.method.layout,
                images_per_second=rate,
                prepare_seconds=prepared,
            )
        )
        if best is None or rate > best[0]:
            best = (rate, backend)
    assert best is not None
    backend = best[1]
    seconds = _measure_buckets(backend, inputs, buckets, reference, began + budget_seconds)
    tuning = Tuning(
        engine=backend.method.engine,
        layout=backend.method.layout,
        seconds=seconds,
        bytes={size: size * bytes_per_sample for size in seconds},
        trials=trials,
        warmup_seconds=time.monotonic() - began,
    )
    return tuning, backend


def measure(backend: Backend, inputs: Inputs, seconds: float) -> float:
    """Least seconds of a run of the bucket, out of two or more within about ``seconds``."""
    best = float("inf")
    end = time.monotonic() + seconds
    runs = 0
    while runs < 2 or (time.monotonic() < end and runs < 20):
        start = time.perf_counter()
        _finish(backend.run(inputs))
        best = min(best, time.perf_counter() - start)
        runs += 1
    return best


def _measure_buckets(
    backend: Backend, inputs: Callable[[int], Inputs], buckets: list[int], reference: int, end: float
) -> dict[int, float]:
    """Seconds by bucket: outwards from the reference, while time remains and larger ones still gain."""
    seconds: dict[int, float] = {}
    smaller = [size for size in reversed(buckets) if size <= reference]
    larger = [size for size in buckets if size > reference]
    for size in (*smaller, *larger):
        late = time.monotonic() > end and size not in (1, reference)
        if late or (size > reference and max(seconds) != _previous(size, buckets)):
            continue
        backend.prepare(inputs(size))
        seconds[size] = measure(backend, inputs(size), max(0.0, (end - time.monotonic()) / len(buckets)))
        if size > reference and not _gains(size, seconds, buckets):
            del seconds[size]
    return dict(sorted(seconds.items()))


def _previous(size: int, buckets: list[int]) -> int:
    return buckets[buckets.index(size) - 1]


def _gains(size: int, seconds: dict[int, float], buckets: list[int]) -> bool:
    before = _previous(size, buckets)
    return seconds[size] / size < (1.0 - _LEAST_GAIN) * seconds[before] / before


def _finish(pixels: torch.Tensor) -> None:
    if pixels.is_cuda:
        torch.cuda.synchronize(pixels.device)

"""Choosing how to run a network, by measurement at warm-up: the method, the buckets and what each costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict

from synth.batch import Parameters
from synth.sampling.backends import Backend
from synth.sampling.execution import Engine, Layout, Method
from synth.sampling.rows import Rows

BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_REFERENCE = 32
"""The bucket on which methods are compared."""
COMPILE_SECONDS = 60.0
"""Least warm-up budget in which compiled code is tried: compiling takes 5 to 40 seconds on two cores."""
_LEAST_GAIN = 0.05
"""A larger bucket must be so much faster per sample to be worth its memory and its wait; and so must a
method that takes longer to prepare than another."""
_MOST_BYTES = 2 * 2**30
"""Most bytes of activations that one bucket may take."""
_EXACT_BUCKET = 32
"""Largest bucket of mode ``exact``: nearly as fast as any, and small enough to fill."""
_EXACT_BYTES = {"cpu": 128 * 2**20, "cuda": 2**30}
"""Most bytes of activations in that bucket, by device: large networks fill a device with few samples."""

MakeInputs = Callable[[int], tuple[Rows, Parameters]]
"""Sample rows and parameters for a bucket size."""


def exact_bucket(bytes_per_sample: int, device: torch.device) -> int:
    """The one bucket of mode ``exact``: by rule and never by measurement, so that bytes cannot vary."""
    fitting = _EXACT_BYTES[device.type] // bytes_per_sample
    return max([size for size in BUCKETS if size <= min(fitting, _EXACT_BUCKET)], default=1)


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
    exact_seconds: float
    """Measured seconds of the bucket of mode ``exact``."""
    trials: list[Trial]
    warmup_seconds: float
    steps: int = 1
    """Of the program, in what was measured."""

    @property
    def method(self) -> Method:
        """The fastest method that was tried."""
        return Method(self.engine, self.layout)

    def up_to(self, largest: int) -> dict[int, float]:
        """Seconds of the buckets of at most ``largest`` samples."""
        return {size: seconds for size, seconds in self.seconds.items() if size <= largest}


@dataclass(frozen=True)
class Candidate:
    """A method and how to make the backend that runs it."""

    method: Method
    make: Callable[[], Backend]


def tune(
    candidates: Sequence[Candidate],
    inputs: MakeInputs,
    *,
    exact: tuple[Backend, int],
    bytes_per_sample: int,
    steps: int,
    budget_seconds: float,
) -> tuple[Tuning, Backend]:
    """Measure the candidates within the budget, then the buckets of the best one.

    Args:
        candidates: cheapest to prepare first; the first is always tried.
        inputs: see ``MakeInputs``.
        exact: backend and bucket of mode ``exact``, whose cost is measured too.
        bytes_per_sample: activations of one sample; buckets of more than 2 GiB are not offered.
        steps: of the program with these inputs.
        budget_seconds: when it is used up, what has been measured decides.
    """
    began = time.monotonic()
    end = began + budget_seconds
    buckets = [size for size in BUCKETS if size == 1 or size * bytes_per_sample <= _MOST_BYTES]
    reference = max(size for size in buckets if size <= _REFERENCE)
    prepared = _prepare(candidates, inputs(reference), end)
    seconds = _compare([backend for backend, _ in prepared], inputs(reference), budget_seconds / 4)
    backend = prepared[_choose(seconds)][0]
    exact[0].prepare(*inputs(exact[1]))
    by_bucket = _measure_buckets(backend, inputs, buckets, reference, end)
    tuning = Tuning(
        engine=backend.method.engine,
        layout=backend.method.layout,
        seconds=by_bucket,
        bytes={size: size * bytes_per_sample for size in by_bucket},
        exact_seconds=measure(exact[0], inputs(exact[1]), 0.05 * budget_seconds),
        trials=[
            Trial(
                engine=tried.method.engine,
                layout=tried.method.layout,
                images_per_second=reference / least,
                prepare_seconds=took,
            )
            for (tried, took), least in zip(prepared, seconds, strict=True)
        ],
        warmup_seconds=time.monotonic() - began,
        steps=steps,
    )
    return tuning, backend


def _prepare(
    candidates: Sequence[Candidate], inputs: tuple[Rows, Parameters], end: float
) -> list[tuple[Backend, float]]:
    """Backends that are ready for the reference bucket, with the seconds that each took to become so."""
    prepared: list[tuple[Backend, float]] = []
    for candidate in candidates:
        start = time.monotonic()
        needed = 0.5 * COMPILE_SECONDS if candidate.method.engine == "inductor" else 0.0
        if prepared and end - start < needed:
            continue
        backend = candidate.make()
        backend.prepare(*inputs)
        prepared.append((backend, time.monotonic() - start))
    return prepared


def _compare(
    backends: Sequence[Backend], inputs: tuple[Rows, Parameters], budget_seconds: float
) -> list[float]:
    """Least seconds of each, run in turns: a machine whose speed drifts is unjust to none."""
    least = [float("inf")] * len(backends)
    end = time.monotonic() + budget_seconds
    rounds = 0
    while rounds < 2 or (time.monotonic() < end and rounds < 20):
        for number, backend in enumerate(backends):
            least[number] = min(least[number], measure(backend, inputs, 0.0, least_runs=1))
        rounds += 1
    return least


def _choose(seconds: Sequence[float]) -> int:
    """The fastest; of those that are nearly as fast, the first."""
    return next(n for n, one in enumerate(seconds) if one <= min(seconds) / (1.0 - _LEAST_GAIN))


def measure(
    backend: Backend, inputs: tuple[Rows, Parameters], seconds: float, *, least_runs: int = 2
) -> float:
    """Least seconds of a run of the bucket, out of ``least_runs`` or more within about ``seconds``."""
    best = float("inf")
    end = time.monotonic() + seconds
    runs = 0
    while runs < least_runs or (time.monotonic() < end and runs < 20):
        start = time.perf_counter()
        _finish(backend.run(*inputs))
        best = min(best, time.perf_counter() - start)
        runs += 1
    return best


def _measure_buckets(
    backend: Backend, inputs: MakeInputs, buckets: list[int], reference: int, end: float
) -> dict[int, float]:
    """Seconds by bucket: outwards from the reference, while time remains and larger ones still gain."""
    seconds: dict[int, float] = {}
    smaller = [size for size in reversed(buckets) if size <= reference]
    larger = [size for size in buckets if size > reference]
    for size in (*smaller, *larger):
        late = time.monotonic() > end and size not in (1, reference)
        if late or (size > reference and max(seconds) != _previous(size, buckets)):
            continue
        backend.prepare(*inputs(size))
        seconds[size] = measure(backend, inputs(size), max(0.0, (end - time.monotonic()) / len(buckets)))
        if size > reference and not _gains(size, seconds, buckets):
            del seconds[size]
            backend.forget(size)
    return dict(sorted(seconds.items()))


def _previous(size: int, buckets: list[int]) -> int:
    return buckets[buckets.index(size) - 1]


def _gains(size: int, seconds: dict[int, float], buckets: list[int]) -> bool:
    before = _previous(size, buckets)
    return seconds[size] / size < (1.0 - _LEAST_GAIN) * seconds[before] / before


def _finish(pixels: torch.Tensor) -> None:
    if pixels.is_cuda:
        torch.cuda.synchronize(pixels.device)

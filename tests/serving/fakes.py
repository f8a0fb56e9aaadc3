"""A sampler that the engine can run: the pixel of each sample is its index."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from synth.batch import Mode
from synth.sampling.rows import Rows, Wanted, Work


class IndexSampler:
    """Remembers the batches that it ran, as lists of (seed, index); ``before`` is called first."""

    concurrent = True

    def __init__(
        self, before: Callable[[], object] = lambda: None, *, bucket: int = 8, seconds: float = 0.0
    ) -> None:
        """``seconds``: predicted for each sample."""
        self.before, self.bucket, self.seconds = before, bucket, seconds
        self.batches: list[list[tuple[int, int]]] = []
        self.wanted: list[list[bool] | None] = []
        self.threads: set[str] = set()

    @property
    def made(self) -> list[tuple[int, int]]:
        return [key for batch in self.batches for key in batch]

    def run(self, rows: Rows, mode: Mode, parameters: object, *, wanted: Wanted) -> Tensor:
        self.threads.add(threading.current_thread().name)
        self.batches.append(list(zip(rows.seed.tolist(), rows.index.tolist(), strict=True)))
        self.before()
        asked = wanted()
        self.wanted.append(None if asked is None else asked.tolist())
        return (rows.index + 100 * rows.seed).to(torch.uint8).reshape(-1, 1, 1, 1)

    def cost(self, count: int, mode: Mode = "fast", parameters: object = None, shape: object = None) -> float:
        return count * self.seconds

    def best_bucket(self, mode: Mode = "fast", shape: object = None) -> int:
        return self.bucket


def work(count: int, *, seed: int = 0, start: int = 0, mode: Mode = "fast", **parameters: float) -> Work:
    return Work(Rows.of(seed, torch.arange(start, start + count)), seed, mode, parameters)


def values(count: int, *, seed: int = 0, start: int = 0) -> list[int]:
    """The pixels that an IndexSampler makes of ``work`` with the same arguments."""
    return [index + 100 * seed for index in range(start, start + count)]

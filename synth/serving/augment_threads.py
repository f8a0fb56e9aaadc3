"""The threads that augment images for the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from synth.augment import Samples
from synth.errors import OverloadError
from synth.machine import worker_threads
from synth.serving.augment_plan import Augmentation, Part
from synth.serving.memory import Memory
from synth.serving.metrics import Metrics
from synth.serving.problems import DeadlineError, TooLargeError

_MOST_THREADS = 4
_BYTES_PER_VALUE = 32
"""That changing one may take: some copies in floating point, and where it comes from."""


@dataclass
class _Watch:
    """Whether anybody still waits for what a thread does."""

    until: float
    gone: bool = False

    def check(self) -> None:
        """Raise DeadlineError where nobody does."""
        if self.gone or time.monotonic() > self.until:
            raise DeadlineError("The deadline passed before the images were augmented.")


class Augmenter:
    """Changes images in a few threads that all requests share, in turns."""

    def __init__(self, memory: Memory, metrics: Metrics, *, limit: int) -> None:
        """
        Args:
            memory: what the images that are being changed are counted in.
            limit: requests that wait or run; further ones are refused.
        """
        self._memory, self._metrics, self._limit = memory, metrics, limit
        self.threads = min(_MOST_THREADS, worker_threads())
        # The threads are as many as the processors, so that none of them needs helpers.
        self._pool = ThreadPoolExecutor(
            self.threads, "augment", initializer=torch.set_num_threads, initargs=(1,)
        )
        self.requests = 0
        """That wait or run."""

    @contextlib.contextmanager
    def accept(self) -> Iterator[None]:
        """Around the work of one request; raises OverloadError where there are too many."""
        if self.requests >= self._limit:
            raise OverloadError(
                f"The queue is full: {self._limit} requests for augmentation are waiting or running. Try "
                "again later."
            )
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    async def run(self, work: Augmentation, part: Part, *, deadline: float) -> Samples:
        """What the pipeline makes of a part. If the caller is cancelled, that is told once it ended.

        Raises what ``Pipeline.run`` raises, OverloadError or TooLargeError for want of memory, and
        DeadlineError where ``deadline``, of the loop's clock, passes before the pipeline's last operation.
        """
        needed = _BYTES_PER_VALUE * len(part.samples) * work.largest(part.samples)
        if needed > self._memory.limit:
            raise TooLargeError(
                f"The pipeline may take {needed:,} bytes for one image, and all requests together may have "
                f"{self._memory.limit:,}. Send smaller images, or crop and pad less."
            )
        with self._memory.reserve(needed):
            left = deadline - asyncio.get_running_loop().time()
            watch = _Watch(time.monotonic() + left)
            begun = self._pool.submit(self._run, work, part, watch)
            running = asyncio.wrap_future(begun)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                # A thread stops before its next operation, and until then what it holds in memory counts.
                watch.gone = True
                if not begun.cancel():
                    await asyncio.wait([running])
                raise

    def _run(self, work: Augmentation, part: Part, watch: _Watch) -> Samples:
        began = time.monotonic()
        made = work.pipeline.run(part.samples, part.epoch, work.partners, check=watch.check)
        self._metrics.augmented(len(made), time.monotonic() - began)
        return made

    def close(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

"""The threads that own the device, and what waits for them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from synth.batch import Mode, Parameters
from synth.errors import DeviceError
from synth.machine import worker_threads
from synth.sampling.planner import Planner
from synth.sampling.rows import Shape
from synth.serving.lanes import Bucket, Lanes
from synth.serving.problems import DeviceFailureError
from synth.serving.telemetry import Telemetry
from synth.serving.tickets import Ticket

Landed = Callable[[Bucket, Tensor | None, Exception | None], None]
"""Is given a batch that has come back, with its pixels or with what went wrong; on a thread of the device."""

_MOST_CPU_THREADS = 8


@dataclass
class Counters:
    """What has been done since the start."""

    rows: int = 0
    """Samples computed."""
    rows_for_nobody: int = 0
    """Of these, samples whose clients had gone when they were finished."""
    rows_dropped: int = 0
    """Samples that were never computed because their clients had gone."""
    device_seconds: float = 0.0


def device_threads(device: torch.device) -> int:
    """How many threads compute at once: one for an accelerator, up to eight for a CPU.

    Two batches side by side, each on a core of its own, are finished sooner than one after the other on both:
    the operations of small networks are too short to be shared.
    """
    return min(worker_threads(), _MOST_CPU_THREADS) if device.type == "cpu" else 1


class DeviceThreads:
    """Computes what waits, lane by lane. Methods are for any thread."""

    def __init__(self, count: int, landed: Landed, telemetry: Telemetry) -> None:
        """``count``: of threads, which share the CPUs."""
        self.count = count
        self.counters = Counters()
        self.trouble: str | None = None
        """Why nothing can be computed any more, if that is so."""
        self._landed, self._telemetry = landed, telemetry
        self._lanes = Lanes()
        self._calls: deque[Callable[[], None]] = deque()
        self._grown = threading.Condition()
        self._ended = False
        self._running: dict[int, float] = {}
        """Predicted seconds of the batches that are being computed, by thread."""
        self._alone = threading.Lock()
        """Held while a sampler runs that belongs to one thread at a time."""
        self.threads = [
            threading.Thread(target=self._work, name=f"synth-engine-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        """Let the threads end when they have finished what they are at."""
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    @property
    def rows(self) -> int:
        """Samples that wait."""
        with self._grown:
            return self._lanes.rows

    @property
    def seconds(self) -> float:
        """Predicted time until all that waits or runs is computed."""
        with self._grown:
            return (self._lanes.seconds + sum(self._running.values())) / self.count

    def predict(
        self, sampler: Planner, count: int, mode: Mode, parameters: Parameters, shape: Shape | None = None
    ) -> float:
        """Seconds that ``count`` samples take by themselves; ``shape``: of the images to translate."""
        with self._grown:
            least = min(count, sampler.best_bucket(mode, shape))
            one = self._lanes.predict(sampler, least, mode, parameters, shape)
            return max(one, self._lanes.predict(sampler, count, mode, parameters, shape) / self.count)

    def add(self, ticket: Ticket) -> None:
        """Let a ticket wait."""
        with self._grown:
            self._lanes.add(ticket)
            self._grown.notify(self.count)

    def drop(self, ticket: Ticket) -> None:
        """Abandon a ticket: what no batch has taken of it is never computed."""
        with self._grown:
            self.counters.rows_dropped += self._lanes.drop(ticket)

    def call(self, function: Callable[[], None]) -> None:
        """Have ``function`` called on a thread of the device, before further batches."""
        with self._grown:
            self._calls.append(function)
            self._grown.notify()

    def _work(self) -> None:
        if self.count > 1:
            torch.set_num_threads(max(1, worker_threads() // self.count))
        while True:
            with self._grown:
                self._grown.wait_for(lambda: self._calls or self._lanes.rows or self._ended)
                call = self._calls.popleft() if self._calls else None
                bucket = None if call is not None else self._lanes.next()
                if bucket is not None:
                    self._running[threading.get_ident()] = bucket.lane.seconds(len(bucket))
                elif call is None and self._ended:
                    return
            if call is not None:
                call()
            elif bucket is not None:
                self._compute(bucket)
            # Nothing is kept while the next is awaited: it may be what a model lives by.
            del call, bucket

    def _compute(self, bucket: Bucket) -> None:
        began = time.monotonic()
        pixels: Tensor | None = None
        failure: Exception | None = None
        try:
            pixels = self._run(bucket)
        except DeviceError as error:
            failure = DeviceFailureError(str(error))
            if isinstance(error.__cause__, torch.AcceleratorError):  # nothing on it can be trusted any more
                self.trouble = str(error)
        except Exception as error:  # handed to those who wait for it, whatever it is
            failure = error
        ended = time.monotonic()
        with self._grown:
            del self._running[threading.get_ident()]
            self._lanes.measured(bucket, ended - began)
            self.counters.device_seconds += ended - began
            if failure is None:
                self.counters.rows += len(bucket)
            else:  # now, since the next batch would take more of them
                for piece in bucket.pieces:
                    self.counters.rows_dropped += self._lanes.drop(piece.ticket)
        self._landed(bucket, pixels, failure)
        self._telemetry.batch(len(bucket), began, ended, [piece.share for piece in bucket.pieces])

    def _run(self, bucket: Bucket) -> Tensor:
        lane = bucket.lane
        with contextlib.nullcontext() if lane.sampler.concurrent else self._alone:
            return lane.sampler.run(bucket.rows, lane.mode, lane.parameters, wanted=lambda: _wanted(bucket))


def _wanted(bucket: Bucket) -> Tensor | None:
    """bool [N], which samples somebody still waits for; None for all."""
    if not any(piece.ticket.abandoned for piece in bucket.pieces):
        return None
    return torch.cat([torch.full((len(piece),), not piece.ticket.abandoned) for piece in bucket.pieces])

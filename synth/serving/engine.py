"""The engine: the one thread that owns the device, and what it computes for whom."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from synth.batch import Mode
from synth.errors import DeviceError, OverloadError
from synth.sampling import Sampler
from synth.sampling.rows import Work
from synth.serving.lanes import Bucket, Lanes
from synth.serving.problems import DeadlineError, DeviceFailureError
from synth.serving.telemetry import Telemetry
from synth.serving.tickets import Ticket

EngineState = Literal["new", "ready", "draining", "stopped"]
T = TypeVar("T")

_LONGEST_RETRY_SECONDS = 60
_TIMELY = 0.8
"""Of the time until a deadline that is planned with: predictions err, and answers have to be sent, too."""


@dataclass
class Counters:
    """What the engine has done since it started."""

    rows: int = 0
    """Samples computed."""
    rows_for_nobody: int = 0
    """Of these, samples whose clients had gone when they were finished."""
    rows_dropped: int = 0
    """Samples that were never computed because their clients had gone."""
    device_seconds: float = 0.0


def _nothing() -> None: ...


class Engine:
    """Computes samples of many requests together, on a thread of its own.

    The unit is the sample: large requests are cut, small ones share batches. The device never waits for a
    batch to fill; while it is busy, what arrives makes the next batches larger by itself. All methods are
    called on one event loop; everything that touches the device runs on the engine's thread.
    """

    def __init__(self, *, queue_limit: int, telemetry: Telemetry | None = None) -> None:
        """``queue_limit``: how many requests may wait or run at once."""
        self._telemetry = telemetry or Telemetry()
        self._limit = queue_limit
        self._lanes = Lanes()
        self._calls: deque[Callable[[], None] | None] = deque()
        self._grown = threading.Condition()
        self._held: set[Ticket] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._state: EngineState = "new"
        self._running_seconds = 0.0
        self.counters = Counters()
        self.trouble: str | None = None
        """Why nothing can be computed any more, if that is so."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="synth-engine", daemon=True)

    @property
    def state(self) -> EngineState:
        """``ready`` takes work; ``draining`` finishes what it has."""
        return self._state

    @property
    def waiting_rows(self) -> int:
        """Samples that wait for the device."""
        with self._grown:
            return self._lanes.rows

    @property
    def waiting_requests(self) -> int:
        """Requests that wait or run."""
        return len(self._held)

    @property
    def backlog_seconds(self) -> float:
        """Predicted device time of all that waits, and of the batch that is running."""
        with self._grown:
            return self._lanes.seconds + self._running_seconds

    def start(self) -> None:
        """Start the thread. To be called once, on the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._state = "ready"

    async def call(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, called on the engine's thread before the next batch."""
        if self._state == "stopped" or self._loop is None:
            raise OverloadError("The server is shutting down; ask another, or try again later.")
        loop = self._loop
        answer: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            settle: Callable[[], None]
            try:
                result = function()
            except Exception as error:  # handed to the one who waits for it, whatever it is
                settle = partial(_settle, answer, error=error)
            else:
                settle = partial(_settle, answer, result=result)
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(settle)

        self._push(run)
        return await answer

    def predict(self, sampler: Sampler, count: int, mode: Mode) -> float:
        """Seconds of device time that ``count`` samples take by themselves."""
        with self._grown:
            return self._lanes.predict(sampler, count, mode)

    def check(self, deadline: float | None, seconds: float = 0.0) -> None:
        """Raise OverloadError if work of ``seconds`` of device time would not be accepted now."""
        self._check_open()
        backlog = self.backlog_seconds
        retry = min(max(math.ceil(backlog), 1), _LONGEST_RETRY_SECONDS)
        if len(self._held) >= self._limit:
            raise OverloadError(
                f"The queue is full: {self._limit} requests are waiting or running. Try again later.",
                retry_after_seconds=retry,
            )
        assert self._loop is not None
        needed = backlog + seconds
        left = math.inf if deadline is None else deadline - self._loop.time()
        if needed > _TIMELY * left:
            raise OverloadError(
                f"This would take about {needed:.1f} s, and its deadline is in {max(left, 0.0):.1f} s. Try "
                "again later, ask for fewer images, or make it a job: POST /v1/jobs.",
                retry_after_seconds=retry,
            )

    def _check_open(self) -> None:
        if self._state != "ready":
            raise OverloadError("The server is shutting down; ask another, or try again later.")

    @contextlib.contextmanager
    def accept(
        self,
        sampler: Sampler,
        work: Work,
        *,
        client: str = "anonymous",
        deadline: float | None = None,
        release: Callable[[], None] = _nothing,
        continued: bool = False,
    ) -> Iterator[Ticket]:
        """A ticket that gives the samples of ``work`` as they are made; at its end the rest is given up.

        Args:
            sampler: belongs to the engine's thread.
            client: those who wait take turns.
            deadline: by the event loop's clock.
            release: called once the sampler is not needed any more; also if the work is refused.
            continued: part of something that was accepted earlier: refused only at the end of the engine.

        Raises OverloadError: the queue is full, the deadline cannot be kept, or the engine is shut down.
        Reading the ticket raises DeadlineError once the deadline has passed, and what computing raises.
        """
        try:
            if continued:
                self._check_open()
            else:
                self.check(deadline, self.predict(sampler, len(work), work.mode))
        except OverloadError:
            release()
            raise
        assert self._loop is not None
        ticket = Ticket(sampler, work, client, release, self._telemetry.here())
        self._held.add(ticket)
        self._idle.clear()
        with self._grown:
            self._lanes.add(ticket)
            self._grown.notify()
        timer = None if deadline is None else self._loop.call_at(deadline, self._expire, ticket)
        try:
            yield ticket
        finally:
            self._abandon(ticket)
            if timer is not None:
                timer.cancel()

    async def submit(self, sampler: Sampler, work: Work, **options: Any) -> Tensor:
        """uint8 [N, C, H, W]: all samples of ``work``; arguments and errors are those of ``accept``."""
        parts: list[Tensor] = []
        with self.accept(sampler, work, **options) as ticket:
            while sum(map(len, parts)) < len(work):
                parts.append(await ticket.get())
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    async def shut_down(self, seconds: float) -> None:
        """Refuse new work, finish what was accepted for up to ``seconds``, and refuse the rest."""
        if self._state != "ready":
            return
        self._state = "draining"
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            self.abandon()
        self._state = "stopped"
        self._push(None)

    def abandon(self) -> None:
        """Give up everything that is not finished; those who wait for it are told."""
        for ticket in list(self._held):
            with self._grown:
                self._lanes.drop(ticket)
            ticket.fail(OverloadError("The server stopped before this was finished."))
            self._let_go(ticket)

    def _push(self, call: Callable[[], None] | None) -> None:
        with self._grown:
            self._calls.append(call)
            self._grown.notify()

    def _expire(self, ticket: Ticket) -> None:
        if ticket.landed < len(ticket.work) and not ticket.failed:
            ticket.fail(DeadlineError("The deadline passed before the images were made."))
            self._abandon(ticket)

    def _abandon(self, ticket: Ticket) -> None:
        with self._grown:
            self.counters.rows_dropped += self._lanes.drop(ticket)
        if ticket.settled:
            self._let_go(ticket)

    def _let_go(self, ticket: Ticket) -> None:
        if ticket in self._held:
            self._held.discard(ticket)
            ticket.release()
        if not self._held:
            self._idle.set()

    def _landed(self, bucket: Bucket, pixels: Tensor | None, error: Exception | None) -> None:
        """A batch has come back; on the event loop."""
        at = 0
        for piece in bucket.pieces:
            ticket = piece.ticket
            ticket.landed += len(piece)
            if pixels is None:
                ticket.fail(error or AssertionError("a batch came back without pixels"))
            elif ticket.abandoned:
                self.counters.rows_for_nobody += len(piece)
            else:
                ticket.put(_own(pixels, at, at + len(piece)))
            at += len(piece)
            if ticket.settled:
                self._let_go(ticket)

    def _work(self) -> None:
        """The engine's thread."""
        while True:
            with self._grown:
                self._grown.wait_for(lambda: self._calls or self._lanes.rows)
                call = self._calls.popleft() if self._calls else _compute
                bucket = self._lanes.next() if call is _compute else None
                if bucket is not None:
                    self._running_seconds = bucket.lane.seconds(len(bucket))
            if call is None:
                return
            if bucket is not None:
                self._compute(bucket)
            else:
                call()
            # Nothing is kept while the next is awaited: it may be what a model lives by.
            del call, bucket

    def _compute(self, bucket: Bucket) -> None:
        began, lane = time.monotonic(), bucket.lane
        pixels: Tensor | None = None
        failure: Exception | None = None
        try:
            pixels = lane.sampler.run(bucket.rows, lane.mode, lane.parameters, wanted=lambda: _wanted(bucket))
        except DeviceError as error:
            failure = DeviceFailureError(str(error))
            if isinstance(error.__cause__, torch.AcceleratorError):  # nothing on it can be trusted any more
                self.trouble = str(error)
        except Exception as error:  # handed to those who wait for it, whatever it is
            failure = error
        ended = time.monotonic()
        seconds = ended - began
        if pixels is not None:
            self.counters.rows += len(bucket)
        self.counters.device_seconds += seconds
        with self._grown:
            self._running_seconds = 0.0
            self._lanes.measured(bucket, seconds)
            if failure is not None:  # now, since the next batch would take more of them
                for piece in bucket.pieces:
                    self._lanes.drop(piece.ticket)
        assert self._loop is not None
        # The loop is closed if the server gave up waiting for this one.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._landed, bucket, pixels, failure)
        self._telemetry.batch(len(bucket), began, ended, [piece.share for piece in bucket.pieces])


def _compute() -> None:
    """Stands for the next batch, where there are no calls."""


def _wanted(bucket: Bucket) -> Tensor | None:
    """bool [N], which samples somebody still waits for; None for all."""
    if not any(piece.ticket.abandoned for piece in bucket.pieces):
        return None
    return torch.cat([torch.full((len(piece),), not piece.ticket.abandoned) for piece in bucket.pieces])


def _own(pixels: Tensor, start: int, stop: int) -> Tensor:
    """A ticket's samples of a batch: copied if they are few, so that they do not keep all of it in memory."""
    own = pixels[start:stop]
    return own.clone() if 2 * len(own) < len(pixels) else own


def _settle(answer: asyncio.Future[T], *, result: T | None = None, error: Exception | None = None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)  # type: ignore[arg-type]  # None where T is None

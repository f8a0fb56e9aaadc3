"""The engine: the one thread that owns the device, and what it computes for whom."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from synth.errors import OverloadError, SynthError
from synth.sampling.planner import Planner
from synth.sampling.rows import Work
from synth.serving.device import Counters, DeviceThreads
from synth.serving.lanes import Bucket
from synth.serving.problems import DeadlineError
from synth.serving.telemetry import Telemetry
from synth.serving.tickets import Ticket

EngineState = Literal["new", "ready", "draining", "stopped"]
T = TypeVar("T")

_LONGEST_RETRY_SECONDS = 60
_TIMELY = 0.8
"""Of the time until a deadline that is planned with: predictions err, and answers have to be sent, too."""


def _nothing() -> None: ...


class Engine:
    """Computes samples of many requests together, on threads of its own.

    The unit is the sample: large requests are cut, small ones share batches. The device never waits for a
    batch to fill; while it is busy, what arrives makes the next batches larger by itself. All methods are
    called on one event loop; everything that touches the device runs on the engine's threads.
    """

    def __init__(self, *, queue_limit: int, threads: int = 1, telemetry: Telemetry | None = None) -> None:
        """
        Args:
            queue_limit: how many requests may wait or run at once.
            threads: that compute at once; see ``device_threads``.
        """
        self._telemetry = telemetry or Telemetry()
        self._limit = queue_limit
        self._device = DeviceThreads(threads, self._came_back, self._telemetry)
        self._held: set[Ticket] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._state: EngineState = "new"
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def state(self) -> EngineState:
        """``ready`` takes work; ``draining`` finishes what it has."""
        return self._state

    @property
    def counters(self) -> Counters:
        """What has been done since the start."""
        return self._device.counters

    @property
    def trouble(self) -> str | None:
        """Why nothing can be computed any more, if that is so."""
        return self._device.trouble

    @property
    def waiting_rows(self) -> int:
        """Samples that wait for the device."""
        return self._device.rows

    @property
    def waiting_requests(self) -> int:
        """Requests that wait or run."""
        return len(self._held)

    @property
    def backlog_seconds(self) -> float:
        """Predicted time until all that waits or runs is computed."""
        return self._device.seconds

    def start(self) -> None:
        """Start the threads. To be called once, on the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._device.start()
        self._state = "ready"

    async def call(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, called on one of the engine's threads before its next batch."""
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

        self._device.call(run)
        return await answer

    def predict(self, sampler: Planner, work: Work) -> float:
        """Seconds of device time that work takes by itself."""
        return self._device.predict(sampler, len(work), work.mode, work.parameters, work.rows.shape)

    def check(self, deadline: float | None, seconds: float = 0.0) -> None:
        """Raise OverloadError if work of ``seconds`` would not be accepted now, DeadlineError if too late."""
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
        if left <= 0:
            raise DeadlineError("The deadline passed before the images could be begun.")
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
        sampler: Planner,
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

        Raises OverloadError: the queue is full, the deadline cannot be kept, or the engine is shut down; and
        DeadlineError: it has passed.
        Reading the ticket raises DeadlineError once the deadline has passed, and what computing raises.
        """
        try:
            if continued:
                self._check_open()
            else:
                self.check(deadline, self.predict(sampler, work))
        except SynthError:
            release()
            raise
        assert self._loop is not None
        ticket = Ticket(sampler, work, client, release, self._telemetry.here())
        self._held.add(ticket)
        self._idle.clear()
        self._device.add(ticket)
        timer = None if deadline is None else self._loop.call_at(deadline, self._expire, ticket)
        try:
            yield ticket
        finally:
            self._abandon(ticket)
            if timer is not None:
                timer.cancel()

    async def submit(self, sampler: Planner, work: Work, **options: Any) -> Tensor:
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
        self._device.end()

    def abandon(self) -> None:
        """Give up everything that is not finished; those who wait for it are told."""
        for ticket in list(self._held):
            self._device.drop(ticket)
            ticket.fail(OverloadError("The server stopped before this was finished."))
            self._let_go(ticket)

    def _expire(self, ticket: Ticket) -> None:
        if ticket.landed < len(ticket.work) and not ticket.failed:
            ticket.fail(DeadlineError("The deadline passed before the images were made."))
            self._abandon(ticket)

    def _abandon(self, ticket: Ticket) -> None:
        self._device.drop(ticket)
        if ticket.settled:
            self._let_go(ticket)

    def _let_go(self, ticket: Ticket) -> None:
        if ticket in self._held:
            self._held.discard(ticket)
            ticket.release()
        if not self._held:
            self._idle.set()

    def _came_back(self, bucket: Bucket, pixels: Tensor | None, error: Exception | None) -> None:
        """A batch has come back; on a thread of the device."""
        assert self._loop is not None
        # The loop is closed if the server gave up waiting for this one.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._landed, bucket, pixels, error)

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
                ticket.put(piece.rows.start, _own(pixels, at, at + len(piece)))
            at += len(piece)
            if ticket.settled:
                self._let_go(ticket)


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

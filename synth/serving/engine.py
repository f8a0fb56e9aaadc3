"""The engine: the one thread that owns the device, and the bounded queue before it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from synth.artifacts import Artifact
from synth.batch import Batch, Mode
from synth.errors import OverloadError
from synth.labels import Labels
from synth.serving.telemetry import Share, Telemetry, Trace

EngineState = Literal["new", "ready", "draining", "stopped"]

_LONGEST_RETRY_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Generation:
    """An accepted request: the samples of keys (seed, start) to (seed, start + count - 1)."""

    artifact: Artifact
    count: int
    labels: Labels
    seed: int
    start: int
    mode: Mode
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Counters:
    """What the engine has done since it started."""

    rows: int = 0
    rows_for_nobody: int = 0
    rows_dropped: int = 0
    device_seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class _Ticket:
    work: Generation
    answer: asyncio.Future[Batch]
    trace: Trace | None
    submitted: float = field(default_factory=time.monotonic)


class _Line:
    """Those whose turn has not come, first come, first served. For any thread."""

    def __init__(self) -> None:
        self._tickets: deque[_Ticket | None] = deque()
        self._grown = threading.Condition()

    def join(self, ticket: _Ticket | None) -> None:
        """Stand at the end; None tells ``next`` that nobody follows."""
        with self._grown:
            self._tickets.append(ticket)
            self._grown.notify()

    def leave(self, ticket: _Ticket) -> bool:
        """Whether it still stood there."""
        with self._grown:
            if ticket in self._tickets:
                self._tickets.remove(ticket)
                return True
            return False

    def next(self) -> _Ticket | None:
        """Take the first, once there is one."""
        with self._grown:
            self._grown.wait_for(lambda: self._tickets)
            return self._tickets.popleft()


class Engine:
    """Runs generations one after the other on a thread of its own.

    All methods are called on one event loop. ``run`` is called on the engine's thread alone, which may
    therefore own a device and everything loaded on it.
    """

    def __init__(
        self, run: Callable[[Generation], Batch], *, queue_limit: int, telemetry: Telemetry | None = None
    ) -> None:
        """``queue_limit``: how many generations may wait or run at once."""
        self._telemetry = telemetry or Telemetry()
        self.counters = Counters()
        self._run = run
        self._limit = queue_limit
        self._line = _Line()
        self._held: set[_Ticket] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._state: EngineState = "new"
        self._mean_seconds = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="synth-engine", daemon=True)

    @property
    def state(self) -> EngineState:
        """``ready`` takes work; ``draining`` finishes what it has."""
        return self._state

    @property
    def waiting_rows(self) -> int:
        """Samples that wait for the device."""
        return sum(ticket.work.count for ticket in self._held)

    @property
    def waiting_requests(self) -> int:
        """Requests that wait or run."""
        return len(self._held)

    @property
    def backlog_seconds(self) -> float:
        """Predicted device time of all that waits."""
        return self._mean_seconds * len(self._held)

    def start(self) -> None:
        """Start the thread. To be called once, on the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._state = "ready"

    async def submit(self, work: Generation) -> Batch:
        """Run ``work`` when its turn comes. If the caller is cancelled before that, it is never run, and its
        place is free at once.

        Raises:
            OverloadError: the queue is full, or the engine is being shut down.
        """
        if self._state != "ready":
            raise OverloadError("The server is shutting down; ask another, or try again later.")
        if len(self._held) >= self._limit:
            raise OverloadError(
                f"The queue is full: {self._limit} requests are waiting or running. Try again later.",
                retry_after_seconds=self._retry_after_seconds(),
            )
        assert self._loop is not None
        ticket = _Ticket(work, self._loop.create_future(), self._telemetry.here())
        self._held.add(ticket)
        self._idle.clear()
        self._line.join(ticket)
        try:
            return await ticket.answer
        except asyncio.CancelledError:
            if self._line.leave(ticket):
                self.counters.rows_dropped += ticket.work.count
                self._let_go(ticket)
            raise

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
        self._line.join(None)

    def abandon(self) -> None:
        """Give up everything that is not finished; those who wait for it are told."""
        for ticket in self._held:
            if not ticket.answer.done():
                ticket.answer.set_exception(OverloadError("The server stopped before this was finished."))
        self._held.clear()
        self._idle.set()

    def _retry_after_seconds(self) -> int:
        backlog = math.ceil(self._mean_seconds * len(self._held))
        return min(max(backlog, 1), _LONGEST_RETRY_SECONDS)

    def _finish(self, ticket: _Ticket, result: Batch | Exception, seconds: float) -> None:
        self._mean_seconds += 0.2 * (seconds - self._mean_seconds)
        self._let_go(ticket)
        if ticket.answer.done():  # cancelled or abandoned meanwhile
            self.counters.rows_for_nobody += ticket.work.count
            return
        if isinstance(result, Exception):
            ticket.answer.set_exception(result)
        else:
            ticket.answer.set_result(result)

    def _let_go(self, ticket: _Ticket) -> None:
        self._held.discard(ticket)
        if not self._held:
            self._idle.set()

    def _work(self) -> None:
        """The engine's thread."""
        while self._process(self._line.next()):
            pass

    def _process(self, ticket: _Ticket | None) -> bool:
        """Run one piece of work; False at the end of all. Nothing of it is kept while the next is awaited."""
        if ticket is None:
            return False
        began = time.monotonic()
        result = self._result(ticket)
        ended = time.monotonic()
        if isinstance(result, Batch):
            self.counters.rows += ticket.work.count
            self.counters.device_seconds += ended - began
        assert self._loop is not None
        # The loop is closed if the server gave up waiting for this one.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._finish, ticket, result, ended - began)
        self._telemetry.batch(ticket.work.count, began, ended, [Share(ticket.trace, ticket.submitted)])
        return True

    def _result(self, ticket: _Ticket) -> Batch | Exception:
        if ticket.answer.done():
            return OverloadError("Nobody waits for this any more.")
        try:
            return self._run(ticket.work)
        except Exception as error:  # handed to the one who waits for it, whatever it is
            return error

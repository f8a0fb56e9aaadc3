"""The clients, in a process of their own: reads a Load as JSON from its argument, prints Figures as JSON.

Closed loop: each of so many clients sends its next request when it has the answer to the last. Open loop:
requests arrive by a Poisson process, whether earlier ones are answered or not.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

import uvloop

from contest.wire import Connection, request_bytes

_LAST_ANSWERS_SECONDS = 5.0
"""How long answers are awaited once nothing is sent any more."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What to ask a server for."""

    port: int
    path: str
    image_bytes: int
    clients: int
    """In an open loop: connections that are opened beforehand."""
    rate: float | None = None
    """Requests per second of an open loop; None: a closed one."""
    counts: tuple[int, int] = (16, 16)
    """Fewest and most images of a request."""
    seconds: float
    settle_seconds: float = 0.5
    """Before these, which are not measured."""
    deadline_seconds: float | None = None
    """Sent with each request; answers that come later are counted as late."""
    hang_up: float = 0.0
    """Share of the requests whose clients go away, at a moment from 0 to ``patience_seconds``."""
    patience_seconds: float = 0.0
    seed: int = 0


@dataclass
class Figures:
    """What came of it. Milliseconds are from sending a request to the last byte of the answer."""

    images_per_second: float = 0.0
    in_time_per_second: float = 0.0
    """Images of the answers before the deadline."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    refusal_p99_ms: float | None = None
    late: int = 0
    """Answers with images after their deadline."""
    unanswered: int = 0
    wrong_length: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    client_cpu: float = 0.0
    """Share of one processor that the clients took."""
    lag_p99_ms: float | None = None
    """Open loop: how late the clients sent."""
    delivered_images: int = 0
    """In the whole run, as are the next."""
    abandoned_images: int = 0


class Clients:
    """All clients of one load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._random = random.Random(load.seed)
        self._headers = {"Accept": "application/octet-stream"}
        if load.deadline_seconds is not None:
            self._headers["X-Synth-Deadline-Seconds"] = f"{load.deadline_seconds:g}"
        self._idle: list[Connection] = []
        self._calls: dict[Connection, tuple[float, int]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._next_index = self._random.randrange(2**30)
        self._stopping = False
        self._answers: list[tuple[float, float, int, int]] = []
        self._lags: list[float] = []
        self.figures = Figures()

    async def run(self) -> Figures:
        """Run the load."""
        self._loop = asyncio.get_running_loop()
        await asyncio.gather(*(self._open() for _ in range(self._load.clients)))
        self._begin = time.perf_counter() + self._load.settle_seconds
        self._end = self._begin + self._load.seconds
        if self._load.rate is None:
            for connection in self._idle:
                self._ask(connection)
            self._idle.clear()
        else:
            self._arrive(time.perf_counter())
        await asyncio.sleep(self._load.settle_seconds)
        cpu = time.process_time()
        await asyncio.sleep(self._end - time.perf_counter())
        self.figures.client_cpu = (time.process_time() - cpu) / self._load.seconds
        self._stopping = True
        last = time.perf_counter() + _LAST_ANSWERS_SECONDS
        while self._calls and time.perf_counter() < last:
            await asyncio.sleep(0.01)
        for connection in self._calls:
            connection.hang_up()
        self._sum_up()
        return self.figures

    async def _open(self) -> None:
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._answered), "127.0.0.1", self._load.port
        )
        self._idle.append(connection)

    def _arrive(self, due: float) -> None:
        """Open loop: send what is due, and come back for the next."""
        assert self._load.rate is not None
        while not self._stopping and due <= time.perf_counter():
            self._spawn(self._arrived(due))
            due += self._random.expovariate(self._load.rate)
        if not self._stopping:
            self._loop.call_later(due - time.perf_counter(), self._arrive, due)

    async def _arrived(self, due: float) -> None:
        while self._idle and not self._idle[-1].usable:
            self._idle.pop()
        if not self._idle:
            await self._open()
        self._lags.append(time.perf_counter() - due)
        self._ask(self._idle.pop())

    async def _reopen(self) -> None:
        await self._open()
        self._ask(self._idle.pop())

    def _spawn(self, work: object) -> None:
        task = self._loop.create_task(work)  # type: ignore[arg-type]
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _ask(self, connection: Connection) -> None:
        """Send the next request; every one asks for other samples."""
        count = self._random.randint(*self._load.counts)
        body = f'{{"count":{count},"seed":{self._load.seed},"start":{self._next_index}}}'
        self._next_index += count
        self._calls[connection] = time.perf_counter(), count
        connection.send(request_bytes(self._load.path, self._headers, body))
        if self._load.hang_up and self._random.random() < self._load.hang_up:
            seconds = self._random.uniform(0.0, self._load.patience_seconds)
            self._loop.call_later(seconds, self._hang_up, connection, self._calls[connection])

    def _hang_up(self, connection: Connection, call: tuple[float, int]) -> None:
        if self._calls.get(connection) is not call:
            return  # the answer was faster
        del self._calls[connection]
        connection.hang_up()
        self.figures.abandoned_images += call[1]
        if not self._stopping:
            self._spawn(self._reopen())

    def _answered(self, connection: Connection, status: int, body: bytes) -> None:
        now = time.perf_counter()
        began, count = self._calls.pop(connection)
        if status == 200:
            self.figures.delivered_images += count
            self.figures.wrong_length += connection.received != count * self._load.image_bytes
        self._answers.append((began, now, status, count))
        if self._load.rate is not None:
            self._idle.append(connection)
        elif not self._stopping:
            if connection.usable:
                self._ask(connection)
            else:
                self._spawn(self._reopen())

    def _sum_up(self) -> None:
        """Throughput counts answers that came, in an open loop requests sent, while it was measured."""
        figures, load = self.figures, self._load
        chosen = 1 if load.rate is None else 0
        answers = [answer for answer in self._answers if self._begin <= answer[chosen] < self._end]
        good = [answer for answer in answers if answer[2] == 200]
        limit = load.deadline_seconds or float("inf")
        in_time = [answer for answer in good if answer[1] - answer[0] <= limit]
        figures.images_per_second = sum(answer[3] for answer in good) / load.seconds
        figures.in_time_per_second = sum(answer[3] for answer in in_time) / load.seconds
        figures.late = len(good) - len(in_time)
        figures.unanswered = sum(began >= self._begin for began, _ in self._calls.values())
        figures.statuses = {str(status): n for status, n in Counter(answer[2] for answer in answers).items()}
        latencies = [1e3 * (done - began) for began, done, _, _ in good]
        figures.p50_ms, figures.p95_ms, figures.p99_ms = (
            quantile(latencies, share) for share in (0.5, 0.95, 0.99)
        )
        refusals = [1e3 * (done - began) for began, done, status, _ in answers if status in (429, 503)]
        figures.refusal_p99_ms = quantile(refusals, 0.99)
        figures.lag_p99_ms = quantile([1e3 * lag for lag in self._lags], 0.99)


def quantile(values: list[float], share: float) -> float | None:
    """The nearest rank; None of nothing."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else None


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(Clients(Load(**json.loads(sys.argv[1]))).run()))))

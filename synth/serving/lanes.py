"""What waits for the device: samples of many requests, in lanes of those that can share a batch.

Lanes take turns by deficit round-robin in seconds of device time (Shreedhar and Varghese, "Efficient fair
queueing using deficit round robin", SIGCOMM 1995), and so do the clients within a lane, whose samples all
cost the same. A client with one huge request therefore delays the others by no more than a batch or two.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from synth.batch import Mode, Parameters
from synth.sampling.planner import Planner
from synth.sampling.rows import Rows, Shape
from synth.serving.telemetry import Share
from synth.serving.tickets import LaneKey, Ticket

_QUANTUM_SECONDS = 0.02
"""Of device time that a lane is credited with at each turn."""
_QUANTUM_ROWS = 16
"""Samples that a client gives to a batch before the next client has its turn."""
_SMOOTHING = 0.2
_UNMEASURED_SECONDS = 1e-4
"""For each sample, at first, of a model that no warm-up has measured."""


@dataclass(frozen=True)
class Piece:
    """Samples ``rows`` of one ticket, within a batch."""

    ticket: Ticket
    rows: slice

    def __len__(self) -> int:
        return int(self.rows.stop - self.rows.start)

    @property
    def share(self) -> Share:
        """For telemetry."""
        return Share(self.ticket.trace, self.ticket.since if self.rows.start == 0 else None)


@dataclass(frozen=True)
class Bucket:
    """What the device is to compute at once."""

    lane: Lane
    pieces: list[Piece]

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.pieces)

    @property
    def rows(self) -> Rows:
        """All samples, in order of the pieces."""
        return Rows.join([piece.ticket.work.rows[piece.rows] for piece in self.pieces])


@dataclass(eq=False)
class Lane:
    """Samples of one model, operation, mode, set of parameters and shape of the images to translate."""

    key: LaneKey
    sampler: Planner
    mode: Mode
    parameters: Parameters
    size: int
    """Samples per batch."""
    scale: float
    """By which batches take longer here than warm-up measured."""
    shape: Shape | None = None
    """Of the images to translate; None where images are made from nothing."""
    rows: int = 0
    """Samples that wait."""
    credit: float = 0.0
    clients: dict[str, deque[Ticket]] = field(default_factory=dict)

    def seconds(self, rows: int) -> float:
        """Predicted device time of one batch."""
        return self.scale * self._expected(rows)

    @property
    def waiting_seconds(self) -> float:
        """Predicted device time of all that waits."""
        return self.rows * self.seconds(self.size) / self.size

    def measured(self, seconds: float, rows: int) -> None:
        """Learn from what a batch took."""
        self.scale += _SMOOTHING * (seconds / self._expected(rows) - self.scale)

    def _expected(self, rows: int) -> float:
        cost = self.sampler.cost(rows, self.mode, self.parameters, self.shape)
        return cost or rows * _UNMEASURED_SECONDS

    def take(self) -> list[Piece]:
        """A batch of what waits: ``size`` samples if there are so many. Clients give in turns."""
        taken: dict[Ticket, slice] = {}
        room = self.size
        while room and self.rows:
            client = next(iter(self.clients))
            room -= self._take_from(client, min(_QUANTUM_ROWS, room), taken)
        return [Piece(ticket, rows) for ticket, rows in taken.items()]

    def _take_from(self, client: str, most: int, taken: dict[Ticket, slice]) -> int:
        """One client's turn; afterwards it is the last in line, or not in it if nothing of it waits."""
        queue = self.clients.pop(client)
        left = most
        while queue and left:
            ticket = queue[0]
            count = min(ticket.waiting, left)
            if count:
                begin = taken[ticket].start if ticket in taken else ticket.taken
                ticket.taken += count
                taken[ticket] = slice(begin, ticket.taken)
                left -= count
            if not ticket.waiting:
                queue.popleft()
        if queue:
            self.clients[client] = queue
        self.rows -= most - left
        return most - left


class Lanes:
    """The queue before the device. Not for several threads at once: the engine holds a lock."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._scales: WeakKeyDictionary[Planner, float] = WeakKeyDictionary()
        """What was learnt of models whose lanes have ended."""

    @property
    def rows(self) -> int:
        """Samples that wait."""
        return sum(lane.rows for lane in self._lanes.values())

    @property
    def seconds(self) -> float:
        """Predicted device time of all that waits."""
        return sum(lane.waiting_seconds for lane in self._lanes.values())

    def predict(
        self, sampler: Planner, rows: int, mode: Mode, parameters: Parameters, shape: Shape | None = None
    ) -> float:
        """Device time of ``rows`` samples by themselves."""
        return self._scales.get(sampler, 1.0) * sampler.cost(rows, mode, parameters, shape)

    def add(self, ticket: Ticket) -> None:
        """Let a ticket wait."""
        lane = self._lanes.get(ticket.lane)
        if lane is None:
            lane = self._lanes[ticket.lane] = self._open(ticket)
        lane.clients.setdefault(ticket.client, deque()).append(ticket)
        lane.rows += ticket.waiting

    def measured(self, bucket: Bucket, seconds: float) -> None:
        """Learn from what a batch took."""
        bucket.lane.measured(seconds, len(bucket))
        self._scales[bucket.lane.sampler] = bucket.lane.scale

    def drop(self, ticket: Ticket) -> int:
        """Abandon a ticket; returns how many of its samples waited, and now never will be computed.

        What is left of it in the queue is passed over when its turn comes.
        """
        waited = ticket.waiting
        ticket.abandoned = True
        lane = self._lanes.get(ticket.lane)
        if lane is not None:
            lane.rows -= waited
            if not lane.rows:
                del self._lanes[ticket.lane]
        return waited

    def next(self) -> Bucket | None:
        """What to compute next; None if nothing waits. A lane goes on until its credit is used up."""
        while self._lanes:
            key, lane = next(iter(self._lanes.items()))
            if lane.credit <= 0:
                # To the end of the line, with new credit for its next turn.
                lane.credit += _QUANTUM_SECONDS
                self._lanes[key] = self._lanes.pop(key)
                continue
            pieces = lane.take()
            bucket = Bucket(lane, pieces)
            lane.credit -= lane.seconds(len(bucket))
            if not lane.rows:
                del self._lanes[key]  # and its credit: what was not asked for cannot be saved up
            return bucket
        return None

    def _open(self, ticket: Ticket) -> Lane:
        sampler, work = ticket.sampler, ticket.work
        shape = work.rows.shape
        size, scale = sampler.best_bucket(work.mode, shape), self._scales.get(sampler, 1.0)
        return Lane(ticket.lane, sampler, work.mode, work.parameters, size, scale, shape)

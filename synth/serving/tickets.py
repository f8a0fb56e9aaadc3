"""A ticket: one accepted request, and its samples as they are made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from torch import Tensor

from synth.batch import Mode
from synth.sampling.planner import Planner
from synth.sampling.rows import Shape, Work
from synth.serving.telemetry import Trace

LaneKey = tuple[int, str, Mode, tuple[tuple[str, float | str], ...], Shape | None]


class Ticket:
    """One accepted request; its samples may come from several batches, computed side by side.

    ``taken`` and ``abandoned`` are changed under the engine's lock, the rest on its event loop.
    """

    def __init__(
        self,
        sampler: Planner,
        work: Work,
        client: str,
        release: Callable[[], None],
        trace: Trace | None = None,
    ) -> None:
        """``release``: for the engine to call when no batch will come back for it any more."""
        self.sampler, self.work, self.client, self.release = sampler, work, client, release
        self.trace = trace
        self.since = time.monotonic()
        self.taken = 0
        """Samples that have been given to batches."""
        self.landed = 0
        """Samples whose batches have come back."""
        self.abandoned = False
        """Nobody waits for it any more."""
        self._pixels: dict[int, Tensor] = {}
        """By the first of their rows."""
        self._given = 0
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        shape = work.rows.shape
        kind = "generate" if work.rows.images is None else "translate"
        self.lane: LaneKey = (id(sampler), kind, work.mode, tuple(sorted(work.parameters.items())), shape)
        """Requests of one lane can share a batch."""

    @property
    def waiting(self) -> int:
        """Samples that no batch has taken yet."""
        return 0 if self.abandoned else len(self.work) - self.taken

    @property
    def settled(self) -> bool:
        """No batch will come back for it any more."""
        return self.landed == (self.taken if self.abandoned else len(self.work))

    @property
    def failed(self) -> bool:
        """Whoever reads it gets an error."""
        return self._error is not None

    def put(self, start: int, pixels: Tensor) -> None:
        """Samples from row ``start`` on, for ``get``; batches come back in any order."""
        self._pixels[start] = pixels
        self._wake()

    def fail(self, error: Exception) -> None:
        """Let ``get`` raise ``error``; what is there already is dropped. Only the first error counts."""
        if self._error is None:
            self._error = error
            self._pixels.clear()
            self._wake()

    async def get(self) -> Tensor:
        """uint8 [N, C, H, W]: the next samples, in order, as many as came together.

        To be called until it has given as many samples as were asked for. Raises what ``fail`` was given.
        """
        while True:
            if self._error is not None:
                raise self._error
            if self._given in self._pixels:
                pixels = self._pixels.pop(self._given)
                self._given += len(pixels)
                return pixels
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

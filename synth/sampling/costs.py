"""What a request costs: the buckets that it is computed in, and their predicted time."""

from __future__ import annotations

from dataclasses import dataclass

from synth.batch import Mode
from synth.sampling.split import split
from synth.sampling.tuning import Tuning

_MOST_EXACT = 4
"""Largest bucket of mode ``exact`` for images of other sizes, of which there are few at a time."""
_MOST = 256
"""The same of mode ``fast``."""


@dataclass(frozen=True)
class Costs:
    """For one model on one device, by what its warm-up measured; plain data.

    ``load``: how much work a sample is beside those that were measured, where its size is another: for such
    samples nothing was prepared. None: it is as those were.
    """

    exact_bucket: int
    """The one bucket of mode ``exact``, and of a model that no warm-up has measured."""
    tuning: Tuning | None

    def buckets(self, count: int, mode: Mode, load: float | None = None) -> list[int]:
        """The sizes that ``count`` samples are computed in."""
        if load is not None:
            size = self.best_bucket(mode, load)
            # In mode exact all are of one size, whatever the request; otherwise nothing is computed in vain.
            return [size] * -(-count // size) if mode == "exact" else in_parts(count, size)
        if mode == "exact" or self.tuning is None:
            return [self.exact_bucket] * -(-count // self.exact_bucket)
        return split(count, self.tuning.seconds)

    def seconds(self, count: int, mode: Mode, steps: int | None = None, load: float | None = None) -> float:
        """Predicted seconds of device time for ``count`` samples; 0.0 where nothing was measured.

        It grows with the ``steps`` of the program; None: as many as were measured.
        """
        if self.tuning is None:
            return 0.0
        more = 1.0 if steps is None else steps / self.tuning.steps
        buckets = self.buckets(count, mode, load)
        if load is not None:
            one = min(seconds / size for size, seconds in self.tuning.seconds.items())
            return more * load * sum(buckets) * one
        if mode == "exact":
            return more * len(buckets) * self.tuning.exact_seconds
        return more * sum(self.tuning.seconds[size] for size in buckets)

    def best_bucket(self, mode: Mode, load: float | None = None) -> int:
        """How many samples at once take the least time for each."""
        best = self.exact_bucket
        if mode != "exact" and self.tuning is not None:
            seconds = self.tuning.seconds
            best = min(seconds, key=lambda size: seconds[size] / size)
        if load is None:
            return best
        return max(1, min(int(best / load), _MOST_EXACT if mode == "exact" else _MOST))


def in_parts(count: int, size: int) -> list[int]:
    """``count`` as parts of ``size``, of which the last may be smaller."""
    return [size] * (count // size) + ([count % size] if count % size else [])

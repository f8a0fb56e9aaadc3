"""What a request costs: the buckets that it is computed in, and their predicted time."""

from __future__ import annotations

from dataclasses import dataclass

from synth.batch import Mode
from synth.sampling.split import split
from synth.sampling.tuning import Tuning


@dataclass(frozen=True)
class Costs:
    """For one model on one device, by what its warm-up measured; plain data."""

    exact_bucket: int
    """The one bucket of mode ``exact``, and of a model that no warm-up has measured."""
    tuning: Tuning | None

    def buckets(self, count: int, mode: Mode) -> list[int]:
        """The sizes that ``count`` samples are computed in."""
        if mode == "exact" or self.tuning is None:
            return [self.exact_bucket] * -(-count // self.exact_bucket)
        return split(count, self.tuning.seconds)

    def seconds(self, count: int, mode: Mode, steps: int | None = None) -> float:
        """Predicted seconds of device time for ``count`` samples; 0.0 where nothing was measured.

        It grows with the ``steps`` of the program; None: as many as were measured.
        """
        if self.tuning is None:
            return 0.0
        buckets = self.buckets(count, mode)
        more = 1.0 if steps is None else steps / self.tuning.steps
        if mode == "exact":
            return more * len(buckets) * self.tuning.exact_seconds
        return more * sum(self.tuning.seconds[size] for size in buckets)

    def best_bucket(self, mode: Mode) -> int:
        """How many samples at once take the least time for each."""
        if mode == "exact" or self.tuning is None:
            return self.exact_bucket
        seconds = self.tuning.seconds
        return min(seconds, key=lambda size: seconds[size] / size)

"""Who makes which batch: the slots of an epoch are cut into batches, dealt out to ranks and workers in turn.

Batch g of an epoch is that of rank ``g mod world``, so that the step s of all ranks together holds the slots
from ``s * world * batch_size`` on, however many ranks share them. What the workers of a loader make in turn
comes out in the same order for any number of them.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch.distributed

from synth.errors import UsageError


@dataclass(frozen=True)
class Turns:
    """The batches of one rank.

    Attributes:
        count: slots of an epoch, of all ranks together.
        batch_size: slots of a batch.
        rank, world: which of how many ranks.
        drop_last: leave out what does not fill a batch on every rank, so that all ranks have equally many.
    """

    count: int
    batch_size: int
    rank: int = 0
    world: int = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("batch_size", 1), ("world", 1), ("rank", 0)):
            check_whole(name, getattr(self, name), least)
        if self.rank >= self.world:
            raise UsageError(f"rank {self.rank} is none of {self.world} (0 to {self.world - 1}).")
        if not self._end:
            raise UsageError(
                f"{self.count} samples do not fill a batch of {self.batch_size} on each of {self.world} "
                "ranks: take a smaller batch_size, or drop_last=False."
            )

    @property
    def _end(self) -> int:
        step = self.batch_size * self.world
        return self.count // step * step if self.drop_last else self.count

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        batches = -(-self._end // self.batch_size)
        return max(0, -(-(batches - self.rank) // self.world))

    def spans(
        self, *, start: int = 0, worker: int = 0, workers: int = 1, taken: int = 0
    ) -> Iterator[tuple[int, int]]:
        """First slot, and the one after the last, of each batch of one worker of this rank.

        Args:
            start: slots of the epoch that all ranks together have done before.
            worker, workers: which of how many workers of this rank.
            taken: batches that this worker has made since ``start``.
        """
        first = start + (self.rank + (worker + taken * workers) * self.world) * self.batch_size
        for slot in range(first, self._end, self.batch_size * self.world * workers):
            yield slot, min(slot + self.batch_size, self._end)


def find_rank(rank: int | None, world: int | None) -> tuple[int, int]:
    """Which of how many ranks this process is: as told, by torch.distributed, or by the environment."""
    if (rank is None) != (world is None):
        raise UsageError("Give both rank and world, or neither.")
    if rank is not None and world is not None:
        return rank, world
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        # A data set is often made before init_process_group is called.
        try:
            return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        except ValueError:
            raise UsageError(
                f"The environment's RANK ({os.environ['RANK']}) and WORLD_SIZE ({os.environ['WORLD_SIZE']}) "
                "are no whole numbers: give rank and world."
            ) from None
    return 0, 1


def check_whole(name: str, value: object, least: int) -> int:
    """``value`` if it is a whole number from ``least``; UsageError otherwise."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise UsageError(f"{name} is a whole number from {least}, not {value!r}.")
    return number

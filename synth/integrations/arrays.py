"""Batches as arrays of numpy with channels last, for frameworks that want them so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
from torch import Tensor

from synth.augment import Pipeline
from synth.integrations.augmenter import Augmenter, collate
from synth.integrations.order import order_of
from synth.integrations.originals import Classes, Data, Ids, originals_of
from synth.integrations.turns import Turns, find_rank
from synth.randomness import check_seed


class ArrayBatches:
    """The batches of a data set, augmented: those of ``as_stream`` with the same arguments.

    Images are uint8 [N, H, W, C], or pairs of these and their targets, see ``collate``.
    """

    def __init__(
        self,
        data: Data,
        pipeline: Pipeline,
        *,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world: int | None = None,
        drop_last: bool = False,
        ids: Ids = "content",
        classes: Classes = None,
        channels: int | None = None,
    ) -> None:
        self._augmenter = Augmenter(originals_of(data, ids, classes), pipeline, channels)
        count = len(self._augmenter.originals)
        self._turns = Turns(count, batch_size, *find_rank(rank, world), drop_last)
        self._shuffle, self._seed = shuffle, check_seed(seed)
        self._turn = Lock()

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        return len(self._turns)

    def order(self, epoch: int) -> np.ndarray:
        """int64 [N]: the position that each slot of an epoch has."""
        count = self._turns.count
        return order_of(self._seed, epoch, count) if self._shuffle else np.arange(count)

    def spans(self, batches_done: int = 0) -> Iterator[tuple[int, int]]:
        """The slots of each batch of this rank after the first ``batches_done``."""
        return self._turns.spans(taken=batches_done)

    def at(self, positions: Sequence[int], epoch: int) -> Any:
        """The images at these positions as a batch; threads take turns, as sources are for one at a time."""
        with self._turn:
            items = self._augmenter.at(positions, epoch)
        return as_arrays(collate(items))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_turn"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = {**state, "_turn": Lock()}


def as_arrays(batch: Any) -> Any:
    """What ``collate`` made, as arrays; images with channels last."""
    if isinstance(batch, tuple):
        images, targets = batch
        return _last(images), _plain(targets)
    return _last(batch)


def _last(images: Tensor) -> np.ndarray:
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Tensor):
        return value.numpy()
    return [_plain(one) for one in value] if isinstance(value, list) else value

"""The order in which training sees its images: a pure function of seed and position."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from synth.data import ImageSet
from synth.randomness import permutation, stream_id

_ORDER = stream_id("training/order")


class TrainingBatch(NamedTuple):
    """``images`` uint8 [B, C, H, W]; ``labels`` int64 [B] or None; ``position`` int64 [B].

    ``position`` counts all images of the run and is, with the recipe's seed, the key of each one's noise.
    """

    images: Tensor
    labels: Tensor | None
    position: Tensor


class KeyedBatches(IterableDataset[TrainingBatch]):
    """Batches without end from ``start`` on, as if all epochs were one long row.

    Epoch e shows the images in the order ``permutation(seed, e)``. Nothing is remembered between batches, so
    that a resumed run goes on exactly where it was. ``share`` are the rows of each batch that are given: with
    several devices, each process takes its own of the same batches.
    """

    def __init__(
        self, images: ImageSet, batch_size: int, seed: int, start: int, share: slice = slice(None)
    ) -> None:
        self.images, self.batch_size, self.seed, self.start = images, batch_size, seed, start
        self.share = share

    def __iter__(self) -> Iterator[TrainingBatch]:
        count, position = len(self.images), self.start
        epoch, order = -1, np.empty(0, dtype=np.int64)
        while True:
            rows: list[np.ndarray] = []
            missing = self.batch_size
            while missing:
                if (position // count) != epoch:
                    epoch = position // count
                    order = permutation(self.seed, epoch, _ORDER, count)
                within = position % count
                rows.append(order[within : within + missing])
                missing -= len(rows[-1])
                position += len(rows[-1])
            chosen = torch.from_numpy(np.concatenate(rows)[self.share])
            labels = self.images.labels
            yield TrainingBatch(
                images=self.images.images[chosen],
                labels=None if labels is None else labels[chosen],
                position=torch.arange(position - self.batch_size, position)[self.share],
            )

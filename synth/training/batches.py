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
_TARGET_ORDER = stream_id("training/order/target")


class TrainingBatch(NamedTuple):
    """``images`` uint8 [B, C, H, W]; ``labels`` int64 [B] or None; ``position`` int64 [B].

    Labels are shares of classes, float32 [B, K], where the images have such.

    ``position`` counts all images of the run and is, with the recipe's seed, the key of each one's noise.
    ``target`` holds as many images of the other domain, uint8 [B, C, H, W], where there is one.
    """

    images: Tensor
    labels: Tensor | None
    position: Tensor
    target: Tensor | None = None

    @property
    def floats(self) -> Tensor:
        """float32 [B, C, H, W] in [-1, 1]; with a target [2 B, C, H, W], the images and then the target's."""
        both = self.images if self.target is None else torch.cat([self.images, self.target])
        return both.to(torch.float32) / 127.5 - 1.0


class KeyedBatches(IterableDataset[TrainingBatch]):
    """Batches without end from ``start`` on, as if all epochs were one long row.

    Epoch e shows the images in the order ``permutation(seed, e)``. Nothing is remembered between batches, so
    that a resumed run goes on exactly where it was. ``share`` are the rows of each batch that are given: with
    several devices, each process takes its own of the same batches. Images of a ``target`` domain go along in
    an order of their own, so that no image is ever paired with another one on purpose.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        seed: int,
        start: int,
        share: slice = slice(None),
        target: ImageSet | None = None,
    ) -> None:
        self.images, self.batch_size, self.seed, self.start = images, batch_size, seed, start
        self.share, self.target = share, target

    def __iter__(self) -> Iterator[TrainingBatch]:
        position = self.start
        rows = self._rows(len(self.images), _ORDER)
        others = None if self.target is None else self._rows(len(self.target), _TARGET_ORDER)
        labels = self.images.labels if self.images.shares is None else self.images.shares
        while True:
            chosen = next(rows)
            yield TrainingBatch(
                images=self.images.images[chosen],
                labels=None if labels is None else labels[chosen],
                position=torch.arange(position, position + self.batch_size)[self.share],
                target=None if self.target is None or others is None else self.target.images[next(others)],
            )
            position += self.batch_size

    def _rows(self, count: int, stream: int) -> Iterator[Tensor]:
        """int64 [B]: which of ``count`` images each batch holds."""
        position, epoch, order = self.start, -1, np.empty(0, dtype=np.int64)
        while True:
            rows: list[np.ndarray] = []
            missing = self.batch_size
            while missing:
                if (position // count) != epoch:
                    epoch = position // count
                    order = permutation(self.seed, epoch, stream, count)
                within = position % count
                rows.append(order[within : within + missing])
                missing -= len(rows[-1])
                position += len(rows[-1])
            yield torch.from_numpy(np.concatenate(rows)[self.share])

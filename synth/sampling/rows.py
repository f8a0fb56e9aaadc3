"""What the core computes, row by row: samples of one request or of many, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth.batch import Mode, Parameters
from synth.randomness import seed_word

Wanted = Callable[[], Tensor | None]
"""Asked between steps: bool [N], which rows somebody still waits for; None for all."""

Shape = tuple[int, ...]
"""Channels, height and width of images."""


@dataclass(frozen=True)
class Rows:
    """N samples to be made. Rows are independent: whose they are and what stands beside them is of no effect.

    Attributes:
        seed: int64 [N], the 64 bits of each row's seed (see ``synth.randomness.seed_word``).
        index: int64 [N]; with the seed, the key of a sample.
        labels: int64 [N], or None for a model without classes.
        images: uint8 [N, C, H, W] to translate, or None to generate.
        given: float32 [N, D], what the model made of the pictures that came with the requests, or None.
    """

    seed: Tensor
    index: Tensor
    labels: Tensor | None = None
    images: Tensor | None = None
    given: Tensor | None = None

    @staticmethod
    def of(
        seed: int,
        index: Tensor,
        labels: Tensor | None = None,
        images: Tensor | None = None,
        given: Tensor | None = None,
    ) -> Rows:
        """Rows that share a seed of 0 to 2**64 - 1, and ``given``, float32 [D]."""
        shared = None if given is None else given.expand(len(index), -1)
        return Rows(torch.full_like(index, seed_word(seed)), index, labels, images, shared)

    @staticmethod
    def join(parts: Sequence[Rows]) -> Rows:
        """The rows of all parts, in order; one or more, alike in which tensors they have."""
        if len(parts) == 1:
            return parts[0]
        labels = [part.labels for part in parts if part.labels is not None]
        images = [part.images for part in parts if part.images is not None]
        given = [part.given for part in parts if part.given is not None]
        return Rows(
            torch.cat([part.seed for part in parts]),
            torch.cat([part.index for part in parts]),
            torch.cat(labels) if labels else None,
            torch.cat(images) if images else None,
            torch.cat(given) if given else None,
        )

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> Shape | None:
        """Channels, height and width of the images; None without."""
        return None if self.images is None else tuple(self.images.shape[1:])

    def __getitem__(self, rows: slice) -> Rows:
        return self._each(lambda tensor: tensor[rows])

    def of_places(self, places: Tensor) -> Rows:
        """The rows at these positions, int64 [n]."""
        return self._each(lambda tensor: tensor[places])

    def repeated(self, count: int) -> Rows:
        """The one row that there is, ``count`` times."""
        return self._each(lambda one: one.expand(count, *one.shape[1:]))

    def with_images(self, images: Tensor) -> Rows:
        """The same rows with other images, uint8 [N, C, H, W]."""
        return replace(self, images=images)

    def padded(self, size: int) -> Rows:
        """``size`` rows, the last one repeated."""
        missing = size - len(self)
        if not missing:
            return self
        return self._each(lambda one: torch.cat([one, one[-1:].expand(missing, *one.shape[1:])]))

    def to(self, device: torch.device) -> Rows:
        """The rows on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Rows:
        return Rows(
            change(self.seed),
            change(self.index),
            None if self.labels is None else change(self.labels),
            None if self.images is None else change(self.images),
            None if self.given is None else change(self.given),
        )


@dataclass(frozen=True)
class Work:
    """A request whose values have all been found good: what ``Sampler.plan`` makes of it."""

    rows: Rows
    seed: int
    mode: Mode
    parameters: Parameters
    """Every sampling parameter of the model by name, defaults filled in."""

    def __len__(self) -> int:
        return len(self.rows)

"""Objects whose pixels are known: those of boxes with masks or, without such, each class of a mask."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth.augment.kernels.noise import halves
from synth.augment.samples import Samples
from synth.errors import SourceError

BACKGROUND = 0
"""The class of masks that is no object."""
_COUNTED = 65_536
"""Classes up to here are found by counting, ten times as fast as by sorting."""


@dataclass(frozen=True, eq=False)
class Objects:
    """All objects of N samples, M of them.

    Attributes:
        masks: bool [M, H, W], the pixels of each one, at least one each.
        rows: int64 [M], in which sample each one is, ascending.
        classes: int64 [M], or None where boxes have no labels.
        boxes: int64 [M], which of the boxes each one is; None for classes of masks.
    """

    masks: Tensor
    rows: Tensor
    classes: Tensor | None
    boxes: Tensor | None

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(
        self, keys: np.ndarray, share: np.ndarray, classes: Collection[int] | None = None, *, least: int = 0
    ) -> Tensor:
        """bool [M]: which ones a sample's key, int64 [N], chooses.

        Args:
            share: of the objects, float [N]; each is chosen or not by itself.
            classes: only objects of these; all by default.
            least: so many of each sample are chosen in any case, where there are so many.

        Raises SourceError where classes are asked for and those of objects are not known.
        """
        if not len(self):
            return torch.zeros(0, dtype=torch.bool)
        eligible = torch.ones(len(self), dtype=torch.bool)
        if classes is not None:
            if self.classes is None:
                raise SourceError("Objects are chosen by their classes here, and these boxes have no labels.")
            eligible = torch.isin(self.classes, torch.tensor(sorted(classes)))
        counts = torch.bincount(self.rows, minlength=len(keys))
        starts = counts.cumsum(0) - counts
        place = torch.arange(len(self)) - starts[self.rows]
        draws = torch.from_numpy(halves(keys, int(counts.max())))[self.rows, place]
        draws[~eligible] = 65536
        limits = torch.from_numpy(np.round(share * 65536).astype(np.int64))
        wanted = eligible & (draws < limits[self.rows])
        if least:
            first = torch.argsort(self.rows * 2**17 + draws, stable=True)
            rank = torch.empty_like(first).index_copy_(0, first, torch.arange(len(self)))
            wanted |= eligible & (rank - starts[self.rows] < least)
        return wanted

    def shown(self, chosen: Tensor, count: int) -> Tensor:
        """bool [count, H, W]: the pixels of those chosen, in each of ``count`` samples."""
        result = torch.zeros((count, *self.masks.shape[1:]), dtype=torch.bool, device=self.masks.device)
        for row, mask in zip(self.rows[chosen].tolist(), self.masks[chosen], strict=True):
            result[row] |= mask
        return result


def has_objects(samples: Samples) -> bool:
    """Whether it is known which pixels objects have, and be it that there are none."""
    boxes = samples.boxes
    if boxes is None:
        return samples.masks is not None
    return boxes.masks is not None or not len(boxes)


def objects_of(samples: Samples) -> Objects:
    """The objects of samples for which ``has_objects``."""
    boxes, masks = samples.boxes, samples.masks
    parts, rows, classes = [torch.zeros((0, *samples.size), dtype=torch.bool)], [], []
    if boxes is not None:
        # Whether there are masks too must not decide, as it may differ among the batches of a sample.
        own = parts[0] if boxes.masks is None else boxes.masks
        known = own.flatten(1).any(1).nonzero()[:, 0]
        labels = None if boxes.labels is None else boxes.labels[known]
        return Objects(own[known], boxes.rows[known], labels, known)
    for row, mask in enumerate(masks if masks is not None else ()):
        there = [value for value in _values(mask) if value != BACKGROUND]
        parts.append(mask == torch.tensor(there, dtype=mask.dtype)[:, None, None])
        rows += [row] * len(there)
        classes += there
    return Objects(
        torch.cat(parts),
        torch.tensor(rows, dtype=torch.int64),
        torch.tensor(classes, dtype=torch.int64),
        None,
    )


def _values(mask: Tensor) -> list[int]:
    """All classes in a mask, ascending."""
    least, most = (int(end) for end in mask.aminmax())
    if least < 0 or most >= _COUNTED:
        return [int(value) for value in np.unique(mask.cpu().numpy())]
    return [int(value) for value in torch.bincount(mask.flatten().long()).nonzero()[:, 0]]

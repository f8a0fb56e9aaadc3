"""What the images of each class look like on average."""

from __future__ import annotations

import torch
from torch import Tensor

from synth.data import ImageSet

_CHUNK = 256


def mean_images(images: ImageSet, classes: int) -> Tensor:
    """float32 [classes + 1, C, H, W] in [-1, 1]: of each class and, last, of all.

    A class without images has the mean of all.
    """
    sums = torch.zeros(classes + 1, *images.images.shape[1:], dtype=torch.float64)
    counts = torch.zeros(classes + 1, 1, 1, 1, dtype=torch.float64)
    for at in range(0, len(images), _CHUNK):
        real = images.images[at : at + _CHUNK].double()
        rows = torch.full((len(real),), classes)
        if images.labels is not None and classes:
            rows = images.labels[at : at + _CHUNK]
        sums.index_add_(0, rows, real)
        counts.index_add_(0, rows, torch.ones(len(real), 1, 1, 1, dtype=torch.float64))
    sums[-1], counts[-1] = sums.sum(0), counts.sum(0)
    every = sums[-1] / counts[-1]
    return (torch.where(counts > 0, sums / counts.clamp(min=1), every) / 127.5 - 1.0).float()

"""What a network says of images: probabilities, how often they are right, and a picture to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from PIL import Image
from torch import Tensor, nn

from synth.artifacts import Metric
from synth.data import ImageSet
from synth.data.grid import grid
from synth.evaluation.classifiers import pixels_of
from synth.evaluation.metrics.intervals import wilson
from synth.text import plural

_CHUNK = 500
_COLUMNS, _ROWS = 10, 10
_NOTHING = 255
"""Grey level of a place without an image."""


def has_norms(network: nn.Module) -> bool:
    """Whether it has statistics of batch normalisation."""
    return any(isinstance(one, (nn.BatchNorm1d, nn.BatchNorm2d)) for one in network.modules())


@torch.no_grad()
def settle_norms(network: nn.Module, images: Tensor, device: torch.device) -> None:
    """Give batch normalisation the means and variances of its maps on uint8 [N, C, H, W], N from 2.

    Images are to be mixed: the variance over batches of one class each would be that within classes alone.

    Those that it keeps in training are of weights that have moved on, and of all domains that passed.
    """
    norms = [one for one in network.modules() if isinstance(one, (nn.BatchNorm1d, nn.BatchNorm2d))]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
    network.train()
    for part in images.chunk(max(1, len(images) // _CHUNK)):
        network(pixels_of(part, device))
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def share_of(right: Tensor, how: str) -> Metric:
    """The share of bool [N], with N and its 95 % interval (Wilson)."""
    value = float(right.double().mean())
    low, high = wilson(float(right.sum()), len(right))
    return Metric(value=value, how=f"of {plural(len(right), 'image')} ({low:.4f} to {high:.4f}); {how}")


def labels_as(images: ImageSet, classes: Sequence[str] | None) -> Tensor | None:
    """The labels of images as numbers of ``classes``, int64 [N]; None without, or with other names."""
    if images.labels is None or images.classes is None or classes is None:
        return None
    if not set(images.classes) <= set(classes):
        return None
    return torch.tensor([list(classes).index(name) for name in images.classes])[images.labels]


def by_class(images: Tensor, probabilities: Tensor) -> Image.Image:
    """A row for each of up to 10 classes: images taken for it, from the most to the least certain."""
    certainty, taken = probabilities.max(dim=1)
    rows = min(probabilities.shape[1], _ROWS)
    sheet = torch.full((rows * _COLUMNS, *images.shape[1:]), _NOTHING, dtype=torch.uint8)
    for row in range(rows):
        there = (taken == row).nonzero()[:, 0]
        ordered = there[certainty[there].argsort(descending=True, stable=True)]
        count = min(len(ordered), _COLUMNS)
        # Evenly over the whole order: the sure ones on the left, the doubtful ones on the right.
        places = torch.linspace(0, max(len(ordered) - 1, 0), max(count, 1)).round().long()[:count]
        sheet[row * _COLUMNS : row * _COLUMNS + count] = images[ordered[places]]
    return grid(sheet, _COLUMNS)


def alternating(first: ImageSet, second: ImageSet, most: int) -> ImageSet:
    """Some images of both, in turns, ``most`` in all: every batch of them holds both domains alike."""
    count = min(len(first), len(second), most // 2)
    pixels = torch.stack([one.sample(count).images for one in (first, second)], dim=1).flatten(0, 1)
    return replace(first, images=pixels, labels=None, classes=None, ids=("",) * len(pixels))

"""How much larger things are in the images of one domain than in those of another."""

from __future__ import annotations

import torch
from torch import Tensor

from synth.data.scratch import chunk_of

_LEAST, _MOST = 0.5, 2.0
_NOTHING = 0.05
"""Deviations from 1 that are not worth a resampling."""


def zoom_between(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Factors, down and across, by which the contents of ``second`` spread further than those of ``first``.

    Of uint8 [N, C, H, W] each. Contents are where images differ from each other, which the margin of a scan
    does not. Their spread is that of the variance over the images about the centre. Of pictures that are
    filled to the edges in both domains the factors are 1.
    """
    spreads = zip(_spread(first), _spread(second), strict=True)
    down, across = (_factor(one, other) for one, other in spreads)
    return down, across


def _factor(one: float, other: float) -> float:
    if one <= 0.0 or other <= 0.0:  # images that are all alike have no contents
        return 1.0
    factor = min(max(other / one, _LEAST), _MOST)
    return factor if abs(factor - 1.0) > _NOTHING else 1.0


def _spread(images: Tensor) -> tuple[float, float]:
    """Root mean square distance from the centre of where images vary, as a share of the sides."""
    step = chunk_of(images)
    sums = torch.zeros(images.shape[1:], dtype=torch.float64)
    both = torch.zeros_like(sums)
    for at in range(0, len(images), step):
        part = images[at : at + step].double()
        sums += part.sum(dim=0)
        both += part.square().sum(dim=0)
    variance = (both / len(images) - (sums / len(images)).square()).clamp(min=0.0).sum(dim=0)
    total = float(variance.sum())
    if total <= 0.0:
        return 0.0, 0.0
    found = []
    for dim in (0, 1):
        size = variance.shape[dim]
        place = (torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5
        squares = float((variance.sum(dim=1 - dim) * place.square()).sum())
        found.append((squares / total) ** 0.5)
    return found[0], found[1]

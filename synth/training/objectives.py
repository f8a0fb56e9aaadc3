"""What two views of the same images should have in common: the objectives of self-supervised learning.

Each takes the projections of two views, float32 [N, D], row by row of the same image, and returns a loss
without dimensions. All three keep features from collapsing, each in its own way: by other images, by the
correlation of features, or by their variance.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_OFF_DIAGONAL = 5e-3
_SMALL = 1e-4


def simclr(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent (Chen et al., arXiv 2002.05709, equation 1): of all 2N - 1 others, which is the same image?"""
    count = len(first)
    both = F.normalize(torch.cat([first, second]), dim=1)
    logits = both @ both.T / temperature
    logits.fill_diagonal_(float("-inf"))
    partner = torch.arange(2 * count, device=first.device).roll(count)
    return F.cross_entropy(logits, partner)


def barlow(first: Tensor, second: Tensor) -> Tensor:
    """Barlow Twins (Zbontar et al., arXiv 2103.03230): the cross-correlation of features is the identity.

    Divided by D, so that the rate of learning does not depend on the width of the projection.
    """
    correlation = _standardised(first).T @ _standardised(second) / len(first)
    diagonal = torch.diagonal(correlation)
    on = (diagonal - 1.0).square().sum()
    off = correlation.square().sum() - diagonal.square().sum()
    return (on + _OFF_DIAGONAL * off) / len(diagonal)


def vicreg(first: Tensor, second: Tensor) -> Tensor:
    """VICReg (Bardes et al., arXiv 2105.04906): 25 (invariance + variance) + covariance, divided by 25."""
    invariance = F.mse_loss(first, second)
    variance = 0.5 * (_variance_hinge(first) + _variance_hinge(second))
    covariance = _covariance(first) + _covariance(second)
    return invariance + variance + covariance / 25.0


def _standardised(rows: Tensor) -> Tensor:
    return (rows - rows.mean(dim=0)) / (rows.std(dim=0, correction=0) + _SMALL)


def _variance_hinge(rows: Tensor) -> Tensor:
    """How far the standard deviation of each feature falls short of 1, on average."""
    return F.relu(1.0 - torch.sqrt(rows.var(dim=0) + _SMALL)).mean()


def _covariance(rows: Tensor) -> Tensor:
    """The squared covariances of different features, summed, over D."""
    centred = rows - rows.mean(dim=0)
    covariance = centred.T @ centred / max(len(rows) - 1, 1)
    return (covariance.square().sum() - torch.diagonal(covariance).square().sum()) / rows.shape[1]

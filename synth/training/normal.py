"""A normal distribution fitted to few points of many dimensions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_LEAST_VARIANCE = 1e-6
"""Of the mean variance, that every direction has: rounding must not make one negative."""


class Normal(NamedTuple):
    """Mean float32 [D], and the lower triangular factor float32 [D, D] of the covariance."""

    mean: Tensor
    factor: Tensor
    shrinkage: float
    """How far the covariance was moved towards a round one, 0 to 1."""


def fit_normal(points: Tensor) -> Normal:
    """Mean and covariance of float [N, D], N from 2.

    The covariance is shrunk towards a multiple of the identity, as far as N is too small for it (Ledoit and
    Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004).
    """
    from sklearn.covariance import ledoit_wolf

    rows = points.double()
    covariance, shrinkage = ledoit_wolf(rows.numpy())
    shrunk = torch.from_numpy(covariance)
    least = _LEAST_VARIANCE * shrunk.diagonal().mean().clamp(min=1e-12)
    factor = torch.linalg.cholesky(shrunk + least * torch.eye(len(shrunk), dtype=torch.float64))
    return Normal(rows.mean(dim=0).float(), factor.float(), float(shrinkage))

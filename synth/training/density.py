"""Fitting the density that a variational autoencoder's latents are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.mixture import GaussianMixture

_LEAST_PER_COMPONENT = 8
"""Samples per component, in multiples of the dimension: a covariance takes several times D samples."""


@dataclass(frozen=True)
class MixtureFit:
    """float32 arrays ``weights`` [K, M], ``means`` [K, M, D] and Cholesky ``factors`` [K, M, D, D]."""

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray


def fit_mixture(
    latents: np.ndarray, labels: np.ndarray | None, *, classes: int, components: int, seed: int
) -> MixtureFit:
    """A Gaussian mixture for each class.

    Args:
        latents: float64 [N, D].
        labels: int64 [N], or None for one class.
        classes: K, 1 or more.
        components: most components of a class; classes with few samples get fewer.
        seed: of the initialisation.
    """
    dimensions = latents.shape[1]
    weights = np.zeros((classes, components), dtype=np.float32)
    means = np.zeros((classes, components, dimensions), dtype=np.float32)
    factors = np.tile(np.eye(dimensions, dtype=np.float32), (classes, components, 1, 1))
    for number in range(classes):
        rows = latents if labels is None else latents[labels == number]
        if not len(rows):
            # A class without training images: the best guess is what all classes share.
            rows = latents
        fitted = _fit_one(
            rows, min(components, max(1, len(rows) // (_LEAST_PER_COMPONENT * dimensions))), seed
        )
        count = len(fitted.weights_)
        weights[number, :count] = fitted.weights_
        means[number, :count] = fitted.means_
        factors[number, :count] = np.linalg.cholesky(_shrink(fitted, rows))
    return MixtureFit(weights, means, factors)


def _fit_one(rows: np.ndarray, components: int, seed: int) -> GaussianMixture:
    mixture = GaussianMixture(
        components, covariance_type="full", reg_covar=1e-4, max_iter=60, tol=1e-2, random_state=seed % 2**32
    )
    if len(rows) == 1:
        rows = np.repeat(rows, 2, axis=0)
    return mixture.fit(rows)


def _shrink(fitted: GaussianMixture, rows: np.ndarray) -> np.ndarray:
    """Covariances [M, D, D], drawn towards their diagonals where samples are few.

    The weight D / (D + n) of the diagonal is that of a prior worth as many samples as there are dimensions.
    """
    dimensions = rows.shape[1]
    counts = np.maximum(fitted.weights_ * len(rows), 1.0)[:, None, None]
    share = dimensions / (dimensions + counts)
    diagonal = fitted.covariances_ * np.eye(dimensions)
    shrunk: np.ndarray = (1.0 - share) * fitted.covariances_ + share * diagonal
    return shrunk

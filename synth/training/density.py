"""Fitting the density that a variational autoencoder's latents are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from synth.errors import NonFiniteError
from synth.randomness import permutation, stream_id
from synth.training.em import FLOOR as _FLOOR
from synth.training.em import fit_by_em

_LEAST_PER_COMPONENT = 8
"""Samples per component, in multiples of the dimension: a covariance takes several times D samples."""
_MOST_ROWS = 20_000
"""More samples of a class than this make the fit slower and not better."""
_STREAM = stream_id("training/density")


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

    Raises:
        NonFiniteError: a latent is NaN or infinite.
    """
    if not np.isfinite(latents).all():
        raise NonFiniteError(
            "The network's latents became NaN or infinite: train again with a lower --set learning_rate=..., "
            "or with --precision 32."
        )
    dimensions = latents.shape[1]
    weights = np.zeros((classes, components), dtype=np.float32)
    means = np.zeros((classes, components, dimensions), dtype=np.float32)
    factors = np.tile(np.eye(dimensions, dtype=np.float32), (classes, components, 1, 1))
    for number in range(classes):
        rows = latents if labels is None else latents[labels == number]
        if not len(rows):
            # A class without training images: the best guess is what all classes share.
            rows = latents
        most = min(components, max(1, len(rows) // (_LEAST_PER_COMPONENT * dimensions)))
        shares, centres, covariances = _fit_one(rows, most, seed)
        count = len(shares)
        weights[number, :count] = shares
        means[number, :count] = centres
        factors[number, :count] = np.linalg.cholesky(_shrink(covariances, shares * len(rows)))
    return MixtureFit(weights, means, factors)


def _fit_one(rows: np.ndarray, components: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [M], means [M, D] and covariances [M, D, D] of at most so many components."""
    if components > 1:
        # More components than different points would leave some of them empty.
        components = min(components, len(np.unique(rows, axis=0)))
    if components == 1:
        centre = rows.mean(axis=0)
        away = rows - centre
        covariance = away.T @ away / len(rows) + _FLOOR * np.eye(rows.shape[1])
        return np.ones(1), centre[None], covariance[None]
    if len(rows) > _MOST_ROWS:
        rows = rows[np.sort(permutation(seed, 0, _STREAM, len(rows))[:_MOST_ROWS])]
    fitted = fit_by_em(torch.from_numpy(rows.astype(np.float32)), components, seed)
    shares, centres, covariances = (part.double().numpy() for part in fitted)
    return shares, centres, covariances


def _shrink(covariances: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Covariances [M, D, D], drawn towards their diagonals where samples (``counts`` [M]) are few.

    The weight D / (D + n) of the diagonal is that of a prior worth as many samples as there are dimensions.
    """
    dimensions = covariances.shape[-1]
    share = (dimensions / (dimensions + np.maximum(counts, 1.0)))[:, None, None]
    diagonal = covariances * np.eye(dimensions)
    shrunk: np.ndarray = (1.0 - share) * covariances + share * diagonal
    return shrunk

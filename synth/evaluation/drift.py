"""How far two histograms over the same bins are apart: PSI, Kolmogorov-Smirnov, Jensen-Shannon.

All take counts [B] of two sets, return a ``Figure``, and merge bins where samples are few, so that each
holds some ten on average. ``floor`` is what equal distributions give at these counts by chance alone; without
``interval`` the ends of it are the value, which is quicker.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from synth.errors import UsageError
from synth.evaluation.figures import Estimate, Figure, NotMeasured
from synth.randomness import normals, stream_id

LEAST = 50
"""Samples that each set needs."""
_PER_BIN = 10
_RESAMPLES = 200
_STREAM = stream_id("evaluation/drift")

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def stability_index(
    reference: np.ndarray, current: np.ndarray, *, seed: int = 0, interval: bool = True
) -> Figure:
    """Population stability index: the sum of (q - p) ln(q / p) over shares p and q, 0 or more.

    By the usual rule of thumb below 0.1 nothing has changed, and above 0.25 much. Half a sample is added to
    each bin, so that empty ones give no infinity.
    """
    return _measure(
        reference, current, _psi, "population stability index", lambda b, s: (b - 1) * s, seed, interval
    )


def kolmogorov_smirnov(
    reference: np.ndarray, current: np.ndarray, *, seed: int = 0, interval: bool = True
) -> Figure:
    """The largest difference of the two cumulative distributions at the edges of the bins, 0 to 1."""

    def floor(_: int, noise: float) -> float:
        return min(1.0, 0.8687 * math.sqrt(noise))  # mean of Kolmogorov's distribution: sqrt(pi / 2) ln 2

    return _measure(reference, current, _ks, "Kolmogorov-Smirnov distance", floor, seed, interval)


def jensen_shannon(
    reference: np.ndarray, current: np.ndarray, *, seed: int = 0, interval: bool = True
) -> Figure:
    """Jensen-Shannon divergence in bits, 0 to 1 (Lin, IEEE Transactions on Information Theory 37, 1991)."""

    def floor(bins: int, noise: float) -> float:
        return min(1.0, (bins - 1) * noise / (8.0 * math.log(2.0)))

    return _measure(reference, current, _js, "Jensen-Shannon divergence, bits", floor, seed, interval)


def _measure(
    reference: np.ndarray,
    current: np.ndarray,
    distance: Distance,
    name: str,
    floor: Callable[[int, float], float],
    seed: int,
    interval: bool,
) -> Figure:
    ours, theirs = _counts(reference), _counts(current)
    if ours.shape != theirs.shape:
        raise UsageError(
            f"The histograms have {len(ours)} and {len(theirs)} bins; count both in the same ones."
        )
    few = min(ours.sum(), theirs.sum())
    if few < LEAST:
        return NotMeasured(
            reason=f"needs at least {LEAST} images in each set; there are {ours.sum():,.0f} and "
            f"{theirs.sum():,.0f}"
        )
    ours, theirs = _merge(ours, theirs, int(few) // _PER_BIN)
    value = float(distance(ours, theirs))
    low = high = value
    how = f"{name} over {len(ours)} bins; {theirs.sum():,.0f} images against {ours.sum():,.0f}"
    if interval:
        resampled = distance(_resampled(ours, seed, 0), _resampled(theirs, seed, 1))
        low, high = (float(end) for end in np.quantile(resampled, (0.025, 0.975)))
        how += f", {_RESAMPLES} Poisson resamples"
    noise = 1.0 / float(ours.sum()) + 1.0 / float(theirs.sum())
    return Estimate(
        value=value,
        # Resampled sets are further apart than those that were drawn.
        low=min(value, low),
        high=max(value, high),
        floor=float(floor(len(ours), noise)),
        how=how,
    )


def _counts(counts: np.ndarray) -> np.ndarray:
    """float64 [B]; UsageError where it is no histogram."""
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 1 or not len(counts) or not np.isfinite(counts).all() or (counts < 0).any():
        raise UsageError(
            f"A histogram is a row of finite counts from 0, and this is not (shape {[*counts.shape]})."
        )
    return counts


def _merge(ours: np.ndarray, theirs: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring bins put together, so that at most so many are left, of about equal shares of ``ours``."""
    if len(ours) <= most:
        return ours, theirs
    middle = (np.cumsum(ours) - ours / 2) / ours.sum()
    _, group = np.unique(np.minimum((middle * most).astype(np.int64), most - 1), return_inverse=True)
    return np.bincount(group, ours), np.bincount(group, theirs)


def _resampled(counts: np.ndarray, seed: int, which: int) -> np.ndarray:
    """float64 [R, B]: other sets that might have been drawn, Poisson counts by their normal approximation."""
    index = np.arange(which * _RESAMPLES, (which + 1) * _RESAMPLES)
    noise = normals(seed, index, _STREAM, len(counts)).astype(np.float64)
    drawn = np.maximum(counts + np.sqrt(counts) * noise, 0.0)
    # A set of nothing cannot be drawn.
    kept: np.ndarray = np.where(drawn.sum(axis=-1, keepdims=True) > 0, drawn, counts)
    return kept


def _smooth(counts: np.ndarray) -> np.ndarray:
    shares: np.ndarray = (counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True)
    return shares


def _psi(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    p, q = _smooth(ours), _smooth(theirs)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


def _ks(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    first, second = (np.cumsum(one, axis=-1) / one.sum(axis=-1, keepdims=True) for one in (ours, theirs))
    return np.asarray(np.abs(first - second).max(axis=-1))


def _js(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    p, q = (one / one.sum(axis=-1, keepdims=True) for one in (ours, theirs))
    middle = (p + q) / 2
    return np.asarray((_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2)


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log2(ratio)).sum(axis=-1))

"""95 % intervals: of shares, of means, and of whatever can be measured again without a part of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from synth.evaluation.figures import Estimate
from synth.randomness import bits

Z = 1.959964
"""The 97.5 % quantile of the standard normal distribution."""

_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The same of Student's t for 1 to 9 degrees of freedom."""

_RESAMPLES = 500
_WORDS = 2_000_000


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """The interval of a share (Wilson, JASA 1927): within [0, 1], and sensible at 0, at 1 and for few trials.

    Args:
        successes: 0 to ``trials``; a half for what is tied.
        trials: at least 1.
    """
    share = successes / trials
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    width = Z / (1 + Z**2 / trials) * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    # Exactly 0 and 1 are in the interval, whatever the rounding.
    return min(max(0.0, centre - width), share), max(min(1.0, centre + width), share)


def share(hits: Tensor, how: str) -> Estimate:
    """The share that is true of bool [N] (or float, a half for what is tied), N from 1, with its interval."""
    successes = float(hits.double().sum())
    low, high = wilson(successes, len(hits))
    return Estimate(value=successes / len(hits), low=low, high=high, how=how)


def bootstrap_mean(values: Tensor, *, seed: int, stream: int) -> tuple[float, float]:
    """The bootstrap interval of a mean (Efron 1979; percentiles of 500 resamples), of float [N], N from 1."""
    array = values.double().numpy()
    count = len(array)
    means = np.empty(_RESAMPLES)
    step = max(1, _WORDS // count)
    for at in range(0, _RESAMPLES, step):
        numbers = np.arange(at, min(at + step, _RESAMPLES), dtype=np.int64)
        # 32 random bits scaled to a row: the rows differ in their chance by less than N / 2**32.
        rows = (bits(seed, numbers, stream, count) * count) >> 32
        means[numbers] = array[rows].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def jackknife(value: float, without: Sequence[float]) -> tuple[float, float]:
    """The interval of a figure by the delete-a-group jackknife (Tukey 1958; Kott, J. Off. Stat. 2001).

    Args:
        value: the figure of all data.
        without: the figure without each of 2 to 10 equal groups in turn.
    """
    groups = len(without)
    variance = (groups - 1) / groups * sum((other - value) ** 2 for other in without)
    width = _T[groups - 2] * math.sqrt(variance)
    return value - width, value + width

"""How far two samples of a statistic are apart, by ranks: outliers and scales do not matter."""

from __future__ import annotations

import math

import numpy as np

from synth.evaluation.integrity.findings import Record, Spread

LEAST = 10
"""Fewer values on one side say nothing."""
LARGE = 0.474
"""From here on the literature calls Cliff's delta large (Romano et al. 2006)."""


class Effect(Record):
    """A statistic in two sets of images."""

    statistic: str
    here: Spread
    there: Spread
    delta: float
    """Cliff's delta, -1 to 1: how much likelier a value here is above one there than below."""
    low: float
    """Lower end of the 95 % interval."""
    high: float

    def stands_out(self, threshold: float) -> bool:
        """Whether the whole interval lies beyond the threshold, on one side."""
        return self.low >= threshold or self.high <= -threshold


def spread(values: np.ndarray) -> Spread:
    """Median and quartiles of float [N], N >= 1."""
    low, median, high = (float(value) for value in np.quantile(values.astype(np.float64), [0.25, 0.5, 0.75]))
    return Spread(count=len(values), median=median, low=low, high=high)


def effect(statistic: str, here: np.ndarray, there: np.ndarray) -> Effect:
    """Cliff's delta of two sets of values, float [N] and [M], with its asymptotic interval (Cliff 1993)."""
    ordered = np.sort(there)
    # For each value here: the share of those there below it, less the share above.
    below = np.searchsorted(ordered, here, side="left") / len(there)
    above = 1.0 - np.searchsorted(ordered, here, side="right") / len(there)
    lead = below - above
    delta = float(lead.mean())
    turned = np.sort(here)
    lag = 1.0 - np.searchsorted(turned, there, side="right") / len(here)
    lag -= np.searchsorted(turned, there, side="left") / len(here)
    variance = 0.0
    if len(here) > 1 and len(there) > 1:
        variance = float(lead.var(ddof=1)) / len(here) + float(lag.var(ddof=1)) / len(there)
    # Without any overlap the variance is 0, which so few values do not prove.
    reach = 1.96 * max(math.sqrt(variance), 1.0 / min(len(here), len(there)))
    return Effect(
        statistic=statistic,
        here=spread(here),
        there=spread(there),
        delta=delta,
        low=max(-1.0, delta - reach),
        high=min(1.0, delta + reach),
    )

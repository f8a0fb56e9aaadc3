"""The 95 % interval of what was measured with several seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from synth.evaluation.figures import Estimate
from synth.text import plural

_QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
"""Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom."""
_NORMAL = 1.96


def over_seeds(
    values: Sequence[float],
    *,
    images: int,
    deviation: float,
    how: str,
    floor: float | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """The mean over seeds with its 95 % interval (Student's t).

    One seed says nothing of how seeds differ; then the interval is that of a mean over ``images`` test images
    with the standard ``deviation``, and ``how`` says so.

    Args:
        values: one for each seed, at least one.
        bounds: what the figure cannot leave; the interval is cut there.
    """
    mean = statistics.fmean(values)
    if len(values) == 1:
        half = _NORMAL * deviation / math.sqrt(max(images, 1))
        how = f"{how}; one seed: the interval is of the test images alone"
    else:
        quantile = _QUANTILES[min(len(values) - 1, len(_QUANTILES)) - 1]
        half = quantile * statistics.stdev(values) / math.sqrt(len(values))
        how = f"{how}; {plural(len(values), 'seed')}"
    low, high = max(bounds[0], mean - half), min(bounds[1], mean + half)
    return Estimate(value=mean, low=low, high=high, floor=floor, how=how)

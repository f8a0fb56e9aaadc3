"""Splitting a request over buckets: the sizes for which the network is ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache


def split(count: int, seconds: Mapping[int, float]) -> list[int]:
    """Buckets, largest first, that together hold ``count`` samples at the least predicted cost.

    A bucket always costs its whole time, also when it is not filled, so that 65 samples may be cheaper as one
    bucket of 128 than as 64 + 1, or the other way round: what has been measured decides.

    Args:
        count: samples, 1 or more.
        seconds: measured seconds by bucket size, at least one.

    Returns:
        Sizes whose sum is at least ``count``; without the last one it is less.
    """
    return list(_split(count, tuple(seconds.items())))


@lru_cache(maxsize=4096)
def _split(count: int, measured: tuple[tuple[int, float], ...]) -> tuple[int, ...]:
    """Servers split the same few counts all the time."""
    seconds = dict(measured)
    largest = max(seconds)
    # The cheapest bucket per sample carries whatever is far more than one bucket holds.
    bulk = min(seconds, key=lambda size: (seconds[size] / size, -size))
    repeats = max(0, (count - 2 * largest) // bulk)
    return tuple(sorted([bulk] * repeats + _cheapest(count - repeats * bulk, seconds), reverse=True))


def _cheapest(count: int, seconds: Mapping[int, float]) -> list[int]:
    """The exact optimum by dynamic programming over the number of samples still to be placed."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for missing in range(1, count + 1):
        best.append(min((cost + best[max(missing - size, 0)][0], -size) for size, cost in seconds.items()))
    sizes = []
    while count > 0:
        sizes.append(-best[count][1])
        count -= sizes[-1]
    return sizes

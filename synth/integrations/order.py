"""The order of an epoch, by key."""

from __future__ import annotations

import numpy as np

from synth.randomness import permutation, stream_id

_ORDER = stream_id("integrations:order")


def order_of(seed: int, epoch: int, count: int) -> np.ndarray:
    """int64 [count]: the position that each slot of an epoch has."""
    return permutation(seed, epoch, _ORDER, count)

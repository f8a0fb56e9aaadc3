"""How much each of several pictures counts, as a request writes it."""

from __future__ import annotations

import math

from synth.errors import UsageError


def picture_weights(mix: str, count: int) -> list[float]:
    """Shares that add up to 1 of ``count`` pictures: equal for an empty text, else as ``3,1`` says.

    Raises UsageError where there is not one number from 0 for each, or all are 0.
    """
    if not mix.strip():
        return [1.0 / count] * count
    try:
        shares = [float(part) for part in mix.split(",")]
    except ValueError:
        shares = []
    total = math.fsum(shares)
    if len(shares) != count or min(shares) < 0.0 or not 0.0 < total < math.inf:
        raise UsageError(
            f"mix must give a share from 0 for each of the {count} pictures, as {','.join(['1'] * count)}, "
            f"and not all 0; it is {mix!r}."
        )
    return [share / total for share in shares]

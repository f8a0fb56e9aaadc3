"""Whether features have collapsed: the failure of self-supervised learning that no loss shows."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_LEAST_RANK = 3.0
_LEAST_SPREAD = 0.01


class Spread(NamedTuple):
    """How much of their space features fill.

    ``effective_rank``: the exponential of the entropy of the spectrum of their covariance (Roy and Vetterli,
    EUSIPCO 2007), 1 to D; 0 where all are equal. ``relative``: the root mean square distance from their mean,
    over the root mean square length.
    """

    effective_rank: float
    relative: float

    @property
    def problem(self) -> str | None:
        """What to tell the user, or None where all is well."""
        if self.relative < _LEAST_SPREAD:
            found = f"all images have nearly the same features (spread {self.relative:.2g} of their length)"
        elif self.effective_rank < _LEAST_RANK:
            found = f"features vary in {self.effective_rank:.1f} directions only"
        else:
            return None
        return (
            f"The encoder has collapsed: {found}, and distances between them mean little. Are the images "
            "different? If so, train longer, with another --set objective=..., or with a lower "
            "--set learning_rate=..."
        )


def spread_of(features: Tensor) -> Spread:
    """The spread of finite features, float [N, D], N from 1."""
    rows = features.double()
    centred = rows - rows.mean(dim=0)
    variance = float(centred.square().sum(dim=1).mean())
    length = float(rows.square().sum(dim=1).mean())
    if variance <= 1e-12 * length or length == 0.0:
        return Spread(0.0, 0.0)
    shares = torch.linalg.eigvalsh(centred.T @ centred / len(rows)).clamp(min=0.0)
    shares = shares[shares > 0] / shares.sum()
    return Spread(float(torch.exp(-(shares * shares.log()).sum())), math.sqrt(variance / length))

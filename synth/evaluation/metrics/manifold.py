"""Precision, recall, density and coverage: is what was made like the real, and is all that is real made?

Each image stands for the ball around it that reaches to its k-th nearest neighbour in its own set. Precision
and recall: Kynkäänniemi et al., NeurIPS 2019 (arXiv 1904.06991). Density and coverage: Naeem et al., ICML
2020 (arXiv 2002.09797). Balls are closed, as in the first of these: an equal image lies in a ball of radius
0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synth.errors import UsageError
from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.distances import nearest, squared_blocks
from synth.evaluation.metrics.intervals import bootstrap_mean, share
from synth.randomness import stream_id

_STREAM = stream_id("evaluation/density")


@dataclass(frozen=True)
class Manifold:
    """Fidelity (precision, density) and diversity (recall, coverage)."""

    precision: Figure
    """Share of synthetic images in the ball of any real one: 1 is best. Outliers among the real raise it."""
    recall: Figure
    """Share of real images in the ball of any synthetic one: 1 is best. Synthetic outliers raise it."""
    density: Figure
    """Mean number of real balls that a synthetic image lies in, by k: about 1 where the sets are alike."""
    coverage: Figure
    """Share of real balls that hold a synthetic image: about 1 - 2 ** -k where the sets are alike."""


def manifold(real: Tensor, synthetic: Tensor, *, neighbours: int = 5, seed: int = 0) -> Manifold:
    """All four, in one pass over the distances of all pairs, in double precision.

    Args:
        real: float [N, D]; synthetic: float [M, D]. All four depend somewhat on N and M: compare figures of
            sets of the same sizes.
        neighbours: k, from 1. There must be 10 k images in each set.
        seed: of the bootstrap interval of density. The intervals of the others are Wilson's. They hold for
            the images that the share is of, with the balls as they are.

    Raises:
        UsageError: unlike dimensions, or ``neighbours`` below 1; SourceError: features that are not finite.
    """
    if neighbours < 1:
        raise UsageError(f"neighbours must be at least 1, not {neighbours}.")
    check_features(real=real, synthetic=synthetic)
    missing = too_few(10 * neighbours, real=real, synthetic=synthetic)
    if missing is not None:
        return Manifold(missing, missing, missing, missing)
    real_radii = nearest(real, real, neighbours, same=True)[0][:, -1].square()
    synthetic_radii = nearest(synthetic, synthetic, neighbours, same=True)[0][:, -1].square()
    balls = torch.zeros(len(synthetic), dtype=torch.int64)
    covered = torch.zeros(len(real), dtype=torch.bool)
    recalled = torch.zeros(len(real), dtype=torch.bool)
    for block, squared, slack in squared_blocks(synthetic, real):
        squared -= slack
        inside = squared <= real_radii
        balls[block] = inside.sum(dim=1)
        covered |= inside.any(dim=0)
        recalled |= (squared <= synthetic_radii[block, None]).any(dim=0)
    how = f"{len(real):,} real and {len(synthetic):,} synthetic images, {neighbours} neighbours"
    density = balls.double() / neighbours
    low, high = bootstrap_mean(density, seed=seed, stream=_STREAM)
    return Manifold(
        precision=share(balls > 0, how),
        recall=share(recalled, how),
        density=Estimate(value=float(density.mean()), low=low, high=high, how=how),
        coverage=share(covered, how),
    )

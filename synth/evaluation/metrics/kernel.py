"""Kernel distance: unbiased at any number of images, exact over all pairs.

The squared maximum mean discrepancy (Gretton et al., JMLR 13, 2012) under the cubic polynomial kernel of the
kernel inception distance (Bińkowski et al., ICLR 2018, arXiv 1801.01401).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.metrics.checks import check_features, too_few
from synth.evaluation.metrics.distances import row_blocks
from synth.evaluation.metrics.intervals import Z

LEAST = 10


def kernel_distance(real: Tensor, synthetic: Tensor, *, seed: int = 0) -> Figure:
    """Squared MMD between two sets under ``(x . y / D + 1) ** 3``: 0 where they are alike, larger is worse.

    Being unbiased it comes out below 0 about as often as above where the sets are alike. The interval is that
    of the normal distribution with the variance of this statistic, first and second order.

    Args:
        real: float [N, D]; synthetic: float [M, D]; N and M may differ.
        seed: not used, as nothing is drawn; all figures of two sets are asked for alike.

    Raises:
        UsageError: unlike dimensions; SourceError: features that are not finite.
    """
    check_features(real=real, synthetic=synthetic)
    missing = too_few(LEAST, real=real, synthetic=synthetic)
    if missing is not None:
        return missing
    x, y = real.double() / math.sqrt(real.shape[1]), synthetic.double() / math.sqrt(real.shape[1])
    xx, yy, xy = _within(x), _within(y), _between(x, y)
    value = xx.mean + yy.mean - 2 * xy.mean
    width = Z * math.sqrt(_variance(xx, yy, xy))
    return Estimate(
        value=value,
        low=value - width,
        high=value + width,
        how=f"unbiased, all pairs of {len(real):,} real and {len(synthetic):,} synthetic images; "
        "interval from the variance of the U-statistic",
    )


@dataclass(frozen=True)
class _Sums:
    """Of a kernel matrix, without its diagonal where it is of one set: means, and spread of its parts."""

    mean: float
    rows: Tensor
    """float64 [N]: mean of each row."""
    columns: Tensor
    """float64 [M]: mean of each column."""
    second: float
    """Variance of what is left of an entry without the means of its row and column: the second order."""


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """float64 [N, M]: (x . y + 1) ** 3, of rows that are divided by the root of D already."""
    product = torch.addmm(torch.ones((), dtype=x.dtype), x, y.T)
    return product.square().mul_(product)


def _within(x: Tensor) -> _Sums:
    count = len(x)
    sums, squares = torch.zeros(count, dtype=torch.float64), 0.0
    for block in row_blocks(count, count):
        # The matrix is symmetric: what lies right of the block's own square is used for both of its sides.
        kernel = _kernel(x[block], x[block.start :])
        own = block.stop - block.start
        kernel[:, :own].fill_diagonal_(0)
        sums[block] += kernel.sum(dim=1)
        sums[block.stop :] += kernel[:, own:].sum(dim=0)
        squares += float(kernel[:, :own].square().sum()) + 2 * float(kernel[:, own:].square().sum())
    pairs = count * (count - 1)
    mean, rows = float(sums.sum()) / pairs, sums / (count - 1)
    spread = squares / pairs - mean**2 - 2 * float((rows - mean).square().mean()) * (count - 1) / (count - 2)
    return _Sums(mean, rows, rows, max(0.0, spread * (count - 1) / (count - 3)))


def _between(x: Tensor, y: Tensor) -> _Sums:
    rows, columns, squares = torch.empty(len(x), dtype=torch.float64), torch.zeros(len(y)).double(), 0.0
    for block in row_blocks(len(x), len(y)):
        kernel = _kernel(x[block], y)
        rows[block] = kernel.mean(dim=1)
        columns += kernel.sum(dim=0)
        squares += float(kernel.square().sum())
    columns /= len(x)
    mean, pairs = float(rows.mean()), len(x) * len(y)
    spread = squares / pairs - mean**2
    spread -= float((rows - mean).square().mean()) + float((columns - mean).square().mean())
    return _Sums(mean, rows, columns, max(0.0, spread * pairs / ((len(x) - 1) * (len(y) - 1))))


def _variance(xx: _Sums, yy: _Sums, xy: _Sums) -> float:
    """Variance of the statistic by Hoeffding's decomposition, whose parts are uncorrelated.

    The first order vanishes where the sets are alike, and only the second is left (compare Sutherland et al.,
    ICLR 2017, arXiv 1611.04488). The means of rows, which the first order is estimated from, vary by the
    second order as well; that part is taken off.
    """
    n, m = len(xx.rows), len(yy.rows)
    first_x = float((xx.rows - xy.rows).var()) - xx.second / (n - 1) - xy.second / m
    first_y = float((yy.rows - xy.columns).var()) - yy.second / (m - 1) - xy.second / n
    first = 4 * max(0.0, first_x) / n + 4 * max(0.0, first_y) / m
    second = 2 * xx.second / (n * (n - 1)) + 2 * yy.second / (m * (m - 1)) + 4 * xy.second / (n * m)
    return first + second

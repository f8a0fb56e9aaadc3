"""Euclidean distances between many rows, in blocks: all pairs are looked at, and never all held."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_BLOCK = 4_000_000
"""Pairs in a block: 16 MB in float32, 32 MB in float64."""

_SPARE = 4
"""Neighbours looked at beyond those asked for, so that float32 may err in their order."""


def row_blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of ``range(rows)`` that make blocks of bounded size with ``columns`` columns."""
    step = max(1, _BLOCK // max(columns, 1))
    for at in range(0, rows, step):
        yield slice(at, min(at + step, rows))


def squared_blocks(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Squared distances in double precision, a block of rows at a time.

    Args:
        rows: float [N, D]; columns: float [M, D], M from 1.

    Yields:
        The block's slice of the rows, float64 [n, M] squared distances, and float64 [n, M] bounds on what
        rounding did to them: distances that differ by less are tied.
    """
    centre = columns.double().mean(dim=0)  # what all have in common would only cancel, at the cost of digits
    right = columns.double() - centre
    right_norms = right.square().sum(dim=1)
    for block in row_blocks(len(rows), len(columns)):
        left = rows[block].double() - centre
        norms = left.square().sum(dim=1, keepdim=True) + right_norms
        yield block, torch.addmm(norms, left, right.T, alpha=-2).clamp_(min=0), norms.mul_(1e-13)


def nearest(queries: Tensor, reference: Tensor, count: int, *, same: bool = False) -> tuple[Tensor, Tensor]:
    """The nearest rows of a reference, which is searched as a whole.

    float32 finds them, and their distances are then computed from the differences in double precision: two
    equal rows are at a distance of exactly 0.

    Args:
        queries: float [N, D]; reference: float [M, D].
        count: how many; fewer come back where the reference has fewer.
        same: the two are one set, and no row counts as its own neighbour.

    Returns:
        float64 [N, count], ascending; int64 [N, count], their rows in the reference.
    """
    count = min(count, len(reference) - same)
    if count < 1:
        return torch.zeros(len(queries), 0, dtype=torch.float64), torch.zeros(len(queries), 0).long()
    centre = reference.double().mean(dim=0)
    right = (reference - centre).float()
    scale = max(float(right.abs().max()), torch.finfo(torch.float32).tiny)
    right /= scale  # no square can overflow
    norms = right.square().sum(dim=1)
    wanted = min(count + _SPARE, len(reference) - same)
    distances = torch.empty(len(queries), count, dtype=torch.float64)
    indices = torch.empty(len(queries), count, dtype=torch.int64)
    for block in row_blocks(len(queries), len(reference)):
        left = ((queries[block] - centre) / scale).float()
        near = torch.addmm(norms, left, right.T, alpha=-2)  # but for the query's own norm
        if same:
            own = torch.arange(block.start, block.stop)
            near[own - block.start, own] = torch.inf
        found = near.topk(wanted, dim=1, largest=False).indices
        exact = _exact(queries[block], reference, found)
        order = exact.argsort(dim=1, stable=True)[:, :count]
        distances[block] = exact.gather(1, order)
        indices[block] = found.gather(1, order)
    return distances, indices


def _exact(queries: Tensor, reference: Tensor, found: Tensor) -> Tensor:
    """float64 [N, k]: the distance of each query to its k rows of the reference, one neighbour at a time."""
    left = queries.double()
    columns = [
        torch.linalg.vector_norm(left - reference[rows].double(), dim=1) for rows in found.unbind(dim=1)
    ]
    return torch.stack(columns, dim=1)

"""Fewer samples that stand for all: diverse, and balanced between classes.

Both choices are greedy, deterministic, and hold no more than a band of similarities. k-center (Sener and
Savarese, arXiv 1708.00489, algorithm 1) leaves no sample far from a chosen one, and so takes outliers too.
Facility location (Nemhauser et al. 1978; within 1 - 1/e of the best) is near to all on average, and so takes
what is typical of each region.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from synth.errors import ConfigError, SourceError, UsageError
from synth.evaluation.similarity import bands, directions
from synth.text import plural

Method = Literal["k-center", "facility-location"]
_TRIED = 64
"""Candidates whose gain is computed anew at a time."""


def diverse_subset(features: Tensor, count: int, *, method: Method = "k-center") -> Tensor:
    """``count`` rows of float [N, D] that stand for all: int64 [count], in the order of choice.

    Any beginning of the result is the choice for that count.

    Raises UsageError for a count that there are not so many rows for, ConfigError for an unknown method.
    """
    if method not in _METHODS:
        raise ConfigError(f"There is no method {method!r}; use {' or '.join(_METHODS)}.")
    rows = directions(features, "features")
    if not 0 <= count <= len(rows):
        raise UsageError(f"{count} of {plural(len(rows), 'sample')} cannot be chosen.")
    if count == 0:
        return torch.empty(0, dtype=torch.int64)
    return _METHODS[method](rows, count)


def balanced_subset(
    features: Tensor,
    labels: Tensor,
    quotas: int | Mapping[int, int] | Sequence[int],
    *,
    method: Method = "k-center",
) -> Tensor:
    """A diverse choice of each class: int64, ascending.

    Args:
        features: float [N, D].
        labels: int64 [N], class numbers.
        quotas: how many of each class: one number for all that occur, or by class number.

    Raises:
        SourceError: a class has fewer samples than its quota; all such are named.
        UsageError: as ``diverse_subset``, or labels of another length.
    """
    if labels.shape != (len(features),):
        raise UsageError(f"{len(features)} samples need as many labels, not {list(labels.shape)}.")
    there = {number: (labels == number).nonzero()[:, 0] for number in sorted(set(labels.tolist()))}
    if isinstance(quotas, int):
        wanted = dict.fromkeys(there, quotas)
    else:
        wanted = dict(quotas.items() if isinstance(quotas, Mapping) else enumerate(quotas))
    short = [
        f"class {number} has {len(there.get(number, ()))} of {quota}"
        for number, quota in wanted.items()
        if quota > len(there.get(number, ()))
    ]
    if short:
        raise SourceError(f"Too few samples for the quotas: {'; '.join(short)}. Ask for fewer, or add some.")
    chosen = [
        there[number][diverse_subset(features[there[number]], quota, method=method)]
        for number, quota in wanted.items()
        if quota
    ]
    return torch.cat(chosen).sort().values if chosen else torch.empty(0, dtype=torch.int64)


def _k_center(rows: Tensor, count: int) -> Tensor:
    """Begin with the most typical row; then always take the row that is farthest from all chosen ones."""
    chosen = [int((rows @ rows.mean(dim=0)).argmax())]
    nearest = rows @ rows[chosen[0]]
    while len(chosen) < count:
        nearest[chosen[-1]] = float("inf")  # never again
        chosen.append(int(nearest.argmin()))
        torch.maximum(nearest, rows @ rows[chosen[-1]], out=nearest)
    return torch.tensor(chosen)


def _facility_location(rows: Tensor, count: int) -> Tensor:
    """Maximise the mean similarity of rows to the nearest chosen one, lazily (Minoux 1978).

    A gain never grows as more is chosen, so that a candidate whose old gain is below another's new one need
    not be looked at.
    """
    covered = torch.full((len(rows),), -1.0)
    gains = torch.cat([(band + 1.0).sum(dim=1) for _, band in bands(rows, rows)])
    chosen: list[int] = []
    while len(chosen) < count:
        best, best_gain = -1, -1.0
        order = torch.argsort(gains, descending=True, stable=True)
        for tried in torch.split(order, _TRIED):
            if best >= 0 and float(gains[tried[0]]) <= best_gain:
                break
            gains[tried] = (rows[tried] @ rows.T - covered).clamp(min=0.0).sum(dim=1)
            place = int(gains[tried].argmax())
            if float(gains[tried[place]]) > best_gain:
                best, best_gain = int(tried[place]), float(gains[tried[place]])
        chosen.append(best)
        torch.maximum(covered, rows @ rows[best], out=covered)
        gains[chosen] = -2.0
    return torch.tensor(chosen)


_METHODS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "k-center": _k_center,
    "facility-location": _facility_location,
}

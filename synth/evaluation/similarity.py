"""Cosines between features, a band at a time, so that N x M of them are never held at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from synth.errors import SourceError, UsageError

_BAND = 1 << 24
"""Similarities held at once: 64 MiB."""


def bands(ours: Tensor, theirs: Tensor, *, without_own: bool = False) -> Iterator[tuple[int, Tensor]]:
    """First row, and similarities [rows, M] from it on; with ``without_own`` the diagonal is -2."""
    height = max(1, _BAND // max(len(theirs), 1))
    for start in range(0, len(ours), height):
        similarity = ours[start : start + height] @ theirs.T
        if without_own:
            rows = torch.arange(len(similarity))
            similarity[rows, rows + start] = -2.0
        yield start, similarity


def directions(features: Tensor, what: str) -> Tensor:
    """Rows of length 1, float32 on the CPU; a row of zeros stays one.

    Raises UsageError where features are no matrix, SourceError where they are not finite.
    """
    if features.ndim != 2 or not features.shape[1]:
        raise UsageError(f"{what} must be [N, D], not {list(features.shape)}.")
    if not bool(torch.isfinite(features).all()):
        bad = int((~torch.isfinite(features).all(dim=1)).sum())
        raise SourceError(f"{bad} of {len(features)} rows of {what} hold NaN or infinite values.")
    return F.normalize(features.detach().cpu().float(), dim=1)


def check_alike(ours: Tensor, theirs: Tensor) -> None:
    """Raise UsageError where two sets of features have different dimensions."""
    if ours.shape[1] != theirs.shape[1]:
        raise UsageError(
            f"Features of {ours.shape[1]} and of {theirs.shape[1]} dimensions cannot be compared: use one "
            "extractor for both."
        )

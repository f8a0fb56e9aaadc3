"""What every metric asks of its features, and what it says when there are too few."""

from __future__ import annotations

from torch import Tensor

from synth.errors import SourceError, UsageError
from synth.evaluation.figures import NotMeasured
from synth.text import plural

LARGEST = 1e12
"""The largest feature: its sixth power, which kernels need the sums of, is far from overflow."""


def check_features(**sets: Tensor) -> None:
    """Refuse features that no figure can be made of; the names of the arguments are used in messages.

    Args:
        sets: floating-point [N, D] each, N from 0.

    Raises:
        UsageError: not floating-point [N, D] with D from 1, or D that differs between the sets.
        SourceError: features that are NaN, infinite or beyond 1e12.
    """
    widths: dict[str, int] = {}
    for name, features in sets.items():
        if features.ndim != 2 or not features.is_floating_point() or not features.shape[1]:
            raise UsageError(
                f"The {name} features must be floating-point [images, dimensions], not {features.dtype} "
                f"{list(features.shape)}. Give what an extractor's `features` returns."
            )
        widths[name] = features.shape[1]
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise UsageError(
            f"The features differ in their dimensions ({listed}). Take them all from the same extractor."
        )
    for name, features in sets.items():
        # NaN is passed on by the largest, and is not below anything: one pass for the usual case.
        if len(features) and not float(features.abs().max()) <= LARGEST:
            bad = (~(features.abs() <= LARGEST)).any(dim=1).nonzero()[:, 0]
            raise SourceError(
                f"{len(bad):,} of {plural(len(features), f'{name} image')} have features that are NaN, "
                f"infinite or beyond {LARGEST:g}, the first in row {int(bad[0])}. Look at these images, and "
                "at the weights of the extractor."
            )


def too_few(least: int, **sets: Tensor) -> NotMeasured | None:
    """Why nothing can be measured, where a set has fewer than ``least`` rows; None where all have enough."""
    short = {name: len(features) for name, features in sets.items() if len(features) < least}
    if not short:
        return None
    there = " and ".join(plural(count, f"{name} image") for name, count in short.items())
    each = "" if len(sets) == 1 else " in each set"
    return NotMeasured(reason=f"needs at least {plural(least, 'image')}{each}; there are {there}")

"""What several seeds say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synth.evaluation.intervals import over_seeds


def interval(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and its 95 % interval over seeds (Student's t); one seed has no interval.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    estimate = over_seeds(values, images=1, deviation=0.0, how="")
    alone = len(values) == 1
    return {
        "mean": estimate.value,
        "low": None if alone else estimate.low,
        "high": None if alone else estimate.high,
    }


def intervals(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """``interval`` of each of these figures over the rows, and how many there are."""
    found: dict[str, Any] = {name: interval([row[name] for row in rows]) for name in names}
    return {"seeds": len(rows), **found}


def told(figure: Mapping[str, float | None], digits: int = 3, scale: float = 1.0) -> str:
    """``0.914 ± 0.006``, or the mean alone of a single seed."""
    mean, high = figure["mean"], figure["high"]
    assert mean is not None
    text = f"{mean * scale:.{digits}f}"
    return text if high is None else f"{text} ± {(high - mean) * scale:.{digits}f}"

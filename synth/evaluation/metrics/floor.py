"""The floor of a figure: the same figure between two disjoint real sets."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from synth.evaluation.figures import Estimate, NotMeasured
from synth.randomness import permutation, stream_id

_STREAM = stream_id("evaluation/halves")

_Measured_co = TypeVar("_Measured_co", covariant=True)
_Measured = TypeVar("_Measured")


class Measure(Protocol[_Measured_co]):
    """A metric of two sets of features: a figure, or a dataclass of figures."""

    def __call__(self, real: Tensor, synthetic: Tensor, /, *, seed: int) -> _Measured_co: ...


def halves(real: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
    """Two disjoint random halves of the rows; where their number is odd, one is left out."""
    order = torch.from_numpy(permutation(seed, 0, _STREAM, len(real)))
    half = len(real) // 2
    return real[order[:half]], real[order[half : 2 * half]]


def with_floor(
    measure: Measure[_Measured],
    real: Tensor,
    synthetic: Tensor,
    *,
    seed: int,
    other: Tensor | None = None,
) -> _Measured:
    """Measure the synthetic set, with the floor beside each figure: what two real sets give.

    Args:
        measure: a metric of two sets, such as ``kernel_distance`` or ``manifold``.
        real: float [N, D]; synthetic: float [M, D].
        other: float [K, D], real images that are not in ``real``, which is then not halved: with K close to
            M the floor is of the same sizes as the figure.
    """
    first, second = halves(real, seed=seed) if other is None else (real, other)
    measured = measure(real, synthetic, seed=seed)
    floor = measure(first, second, seed=seed)
    joined: _Measured = _join(measured, floor, f"{len(first):,} and {len(second):,} real images")
    return joined


def _join(measured: Any, floor: Any, sizes: str) -> Any:
    if isinstance(measured, Estimate):
        if isinstance(floor, NotMeasured):
            return measured.model_copy(update={"how": f"{measured.how}; no floor, which {floor.reason}"})
        return measured.model_copy(
            update={"floor": floor.value, "how": f"{measured.how}; floor between {sizes}"}
        )
    if dataclasses.is_dataclass(measured) and not isinstance(measured, type):
        fields = [field.name for field in dataclasses.fields(measured)]
        joined = {name: _join(getattr(measured, name), getattr(floor, name), sizes) for name in fields}
        return dataclasses.replace(measured, **joined)
    return measured

"""Sections 3, 4 and 6: what the features of one extractor say of fidelity, diversity and novelty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synth.evaluation.figures import Estimate, Figure, NotMeasured
from synth.evaluation.metrics.distances import nearest
from synth.evaluation.metrics.floor import with_floor
from synth.evaluation.metrics.frechet import frechet_extrapolated
from synth.evaluation.metrics.kernel import kernel_distance
from synth.evaluation.metrics.manifold import Manifold, manifold
from synth.evaluation.metrics.per_class import per_class
from synth.evaluation.metrics.repetition import duplicates_within
from synth.evaluation.metrics.two_sample import two_sample_test
from synth.evaluation.metrics.vendi import vendi_ratio
from synth.evaluation.report.model import (
    ClassDiversity,
    DiversityPart,
    FidelityPart,
    Histogram,
    ProjectionPoints,
)
from synth.evaluation.report.pictures import sample_grid
from synth.evaluation.report.sets import Sets
from synth.randomness import permutation, stream_id

_POINTS = stream_id("evaluation/points")
_CUT = stream_id("evaluation/cut")
MOST = 20_000
"""Real images that fidelity and diversity are measured with; novelty takes all of them."""
_SHOWN = 500
_BINS = 40
_LEAST_FOR_PROJECTION = 3


@dataclass(frozen=True)
class Features:
    """float32 [N, D] of each set."""

    real: Tensor
    synthetic: Tensor
    holdout: Tensor | None


def reference(features: Features, *, seed: int) -> tuple[Tensor, Tensor | None, Tensor]:
    """Rows of the real features to measure with, the other real set of the floor, and the rows' numbers."""
    rows = torch.from_numpy(permutation(seed, 0, _CUT, len(features.real))[:MOST]).sort().values
    real = features.real[rows]
    other = features.holdout
    # A holdout much smaller than the real set would give the floor of another size than the figure has.
    usable = other is not None and 2 * len(other) >= min(len(real), len(features.synthetic))
    return real, other if usable else None, rows


def measure_manifold(features: Features, *, seed: int) -> Manifold:
    """Precision and density for fidelity, recall and coverage for diversity, measured at once."""
    real, other, _ = reference(features, seed=seed)
    return with_floor(manifold, real, features.synthetic, seed=seed, other=other)


def fidelity_part(sets: Sets, features: Features, near: Manifold, *, seed: int) -> FidelityPart:
    """Section 3."""
    real, other, _ = reference(features, seed=seed)
    synthetic = features.synthetic
    told = with_floor(two_sample_test, real, synthetic, seed=seed, other=other)
    return FidelityPart(
        kernel_distance=with_floor(kernel_distance, real, synthetic, seed=seed, other=other),
        frechet_distance=with_floor(frechet_extrapolated, real, synthetic, seed=seed, other=other),
        precision=near.precision,
        density=near.density,
        two_sample_accuracy=told.accuracy,
        two_sample_p=told.p_value,
        samples=[
            sample_grid(
                one.images, one.labels, classes=len(sets.classes or ()), seed=seed, about=f"{name} images"
            )
            for name, one in (("real", sets.real), ("synthetic", sets.synthetic))
        ],
        projection=_project(features, seed=seed),
    )


def diversity_part(sets: Sets, features: Features, near: Manifold, *, seed: int) -> DiversityPart:
    """Section 4."""
    real, other, rows = reference(features, seed=seed)
    classes: list[ClassDiversity] = []
    if sets.classes is not None and sets.real.labels is not None and sets.synthetic.labels is not None:
        pairs = (real, sets.real.labels[rows]), (features.synthetic, sets.synthetic.labels)
        count = len(sets.classes)
        nears = per_class(manifold, *pairs, classes=count, seed=seed, floor=True)
        ratios = per_class(vendi_ratio, *pairs, classes=count, seed=seed, floor=True)
        classes = [
            ClassDiversity(name=name, recall=one.recall, coverage=one.coverage, vendi_ratio=ratio)
            for name, one, ratio in zip(sets.classes, nears, ratios, strict=True)
        ]
    within = duplicates_within(features.synthetic, reference=real)
    among_real = duplicates_within(real, reference=real)
    return DiversityPart(
        recall=near.recall,
        coverage=near.coverage,
        vendi_ratio=with_floor(vendi_ratio, real, features.synthetic, seed=seed, other=other),
        duplicates=_beside(within, among_real),
        per_class=classes,
    )


def distances(training: Tensor, others: dict[str, Tensor]) -> Histogram | None:
    """How near each set comes to the training features; None for fewer than two images."""
    if len(training) < 2 or "holdout" not in others:
        return None
    found = {name: nearest(one, training, 1)[0][:, 0].double() for name, one in others.items()}
    every = torch.cat(list(found.values()))
    high = float(torch.quantile(every[: 10**7].float(), 0.995))
    if not high > 0.0:
        return None
    edges = torch.linspace(0.0, high, _BINS + 1, dtype=torch.float64)
    shares = {}
    for name, values in found.items():
        counts = torch.histogram(values.clamp(max=high), edges).hist
        shares[name] = [float(value) for value in counts / max(len(values), 1)]
    return Histogram(
        edges=[round(float(edge), 6) for edge in edges],
        synthetic=shares["synthetic"],
        holdout=shares["holdout"],
    )


def _beside(figure: Figure, floor: Figure) -> Figure:
    if isinstance(figure, Estimate) and isinstance(floor, Estimate):
        return figure.model_copy(update={"floor": floor.value})
    return figure


def _project(features: Features, *, seed: int) -> ProjectionPoints | None:
    """Principal components of the real features; both sets in their plane."""
    real, synthetic = features.real, features.synthetic
    if min(len(real), len(synthetic)) < _LEAST_FOR_PROJECTION or real.shape[1] < 2:
        return None
    mean = real.mean(dim=0)
    centred = (real - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(real))
    plane = vectors[:, [-1, -2]]
    total = float(values.clamp(min=0).sum())
    if not total > 0.0:
        return None

    def points(rows: Tensor) -> list[tuple[float, float]]:
        chosen = torch.from_numpy(permutation(seed, 0, _POINTS, len(rows))[:_SHOWN])
        return [(round(x, 4), round(y, 4)) for x, y in ((rows[chosen] - mean).double() @ plane).tolist()]

    explained = min(1.0, float(values[-2:].clamp(min=0).sum()) / total)
    return ProjectionPoints(real=points(real), synthetic=points(synthetic), explained=explained)


def unmeasured(reason: str) -> tuple[FidelityPart, DiversityPart]:
    """Sections 3 and 4 where nothing may be measured."""
    missing = NotMeasured(reason=reason)
    return (
        FidelityPart(
            kernel_distance=missing, frechet_distance=missing, precision=missing, density=missing,
            two_sample_accuracy=missing, two_sample_p=missing, samples=[], projection=None,
        ),
        DiversityPart(
            recall=missing, coverage=missing, vendi_ratio=missing, duplicates=missing, per_class=[]
        ),
    )  # fmt: skip

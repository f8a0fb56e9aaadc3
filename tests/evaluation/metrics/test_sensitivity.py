"""Each figure moves the right way, and in order, as what is wrong grows over five strengths."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from torch import Tensor

from synth.evaluation.metrics import (
    duplicates_within,
    frechet_extrapolated,
    kernel_distance,
    manifold,
    novelty,
    two_sample_test,
    vendi_ratio,
)

METRICS: dict[str, Callable[[Any, Tensor], float]] = {
    "kernel": lambda real, made: kernel_distance(real.features["training"], made).value,
    "frechet": lambda real, made: frechet_extrapolated(real.features["training"], made).value,
    "accuracy": lambda real, made: two_sample_test(real.features["training"], made).accuracy.value,
    "precision": lambda real, made: manifold(real.features["training"], made).precision.value,
    "recall": lambda real, made: manifold(real.features["training"], made).recall.value,
    "density": lambda real, made: manifold(real.features["training"], made).density.value,
    "coverage": lambda real, made: manifold(real.features["training"], made).coverage.value,
    "vendi": lambda real, made: vendi_ratio(real.features["training"], made).value,
    "duplicates": lambda real, made: duplicates_within(made, reference=real.features["training"]).value,
    "copies": lambda real, made: measure_novelty(real, made).copies.value,
    "nearer": lambda real, made: measure_novelty(real, made).nearer_to_training.value,
}


def measure_novelty(real: Any, made: Tensor) -> Any:
    return novelty(real.features["training"], real.features["holdout"], made)


@pytest.mark.parametrize(
    ("fault", "metric", "direction", "slack"),
    [
        ("blur", "kernel", 1, 0.0),
        ("blur", "frechet", 1, 0.0),
        ("blur", "accuracy", 1, 0.0),
        ("blur", "precision", -1, 0.01),
        ("blur", "coverage", -1, 0.0),
        ("noise", "kernel", 1, 0.0005),
        ("noise", "frechet", 1, 0.0),
        ("noise", "accuracy", 1, 0.0),
        ("noise", "precision", -1, 0.015),
        ("noise", "density", -1, 0.0),
        ("noise", "coverage", -1, 0.0),
        ("dropped", "kernel", 1, 0.0015),
        ("dropped", "frechet", 1, 0.0),
        ("dropped", "accuracy", 1, 0.0),
        ("dropped", "recall", -1, 0.1),
        ("dropped", "coverage", -1, 0.0),
        ("dropped", "vendi", -1, 0.05),
        ("repeated", "kernel", 1, 0.0),
        ("repeated", "frechet", 1, 0.0),
        ("repeated", "coverage", -1, 0.0),
        ("repeated", "vendi", -1, 0.0),
        ("repeated", "duplicates", 1, 0.0),
        ("copied", "copies", 1, 0.0),
        ("copied", "nearer", 1, 0.0),
    ],
)
def test_a_figure_moves_the_right_way_and_in_order(real, faulty, fault, metric, direction, slack):
    values = [direction * METRICS[metric](real, made) for made in faulty(fault)]
    assert all(after > before - slack for before, after in pairwise(values)), values
    assert values[-1] > values[0] + max(0.005, slack), values


def test_copies_and_repeated_images_are_counted_as_many_as_there_are(real, faulty):
    for strength, (copied, repeated) in enumerate(zip(faulty("copied"), faulty("repeated"), strict=True)):
        assert METRICS["copies"](real, copied) == pytest.approx(0.16 * strength, abs=0.015)
        assert METRICS["nearer"](real, copied) == pytest.approx(0.5 + 0.08 * strength, abs=0.05)
        assert METRICS["duplicates"](real, repeated) == pytest.approx(0.16 * strength)


def test_copies_improve_what_cannot_see_them(real, faulty):
    """Why figures of fidelity are never enough."""
    honest, copied = faulty("copied")[0], faulty("copied")[-1]
    for metric in ("kernel", "frechet", "accuracy"):
        assert METRICS[metric](real, copied) < METRICS[metric](real, honest)

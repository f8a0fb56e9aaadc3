"""What every metric does with features that nothing can be measured of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from synth.errors import SourceError, UsageError
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.metrics import (
    duplicates_within,
    frechet_distance,
    frechet_extrapolated,
    kernel_distance,
    manifold,
    novelty,
    two_sample_test,
    vendi_ratio,
)

MEASURES: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "duplicates": lambda a, b: duplicates_within(a, reference=b),
    "frechet": frechet_extrapolated,
    "kernel": kernel_distance,
    "manifold": manifold,
    "novelty": lambda a, b: novelty(a, a.flip(0), b),
    "two-sample": two_sample_test,
    "vendi": vendi_ratio,
}


def figures(measured: Any) -> list[Estimate | NotMeasured]:
    if isinstance(measured, (Estimate, NotMeasured)):
        return [measured]
    return [value for value in vars(measured).values() if isinstance(value, (Estimate, NotMeasured))]


def some(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e20])
def test_features_that_are_not_finite_are_refused_by_row(measure, bad):
    broken = some(120)
    broken[17, 2] = bad
    with pytest.raises(SourceError, match=r"1 of 120 \w+ images have features .* row 17\. Look at"):
        measure(some(120, 1), broken)


@pytest.mark.parametrize("measure", [*MEASURES.values(), frechet_distance], ids=[*MEASURES, "distance"])
def test_features_of_two_extractors_are_refused(measure):
    with pytest.raises(UsageError, match=r"differ in their dimensions .* 4, .* 5"):
        measure(some(120), torch.zeros(120, 5))
    with pytest.raises(UsageError, match=r"must be floating-point \[images, dimensions\], not torch.uint8"):
        measure(torch.zeros(120, 4, dtype=torch.uint8), torch.zeros(120, 4, dtype=torch.uint8))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@pytest.mark.parametrize("count", [0, 1, 2, 9, 19, 50, 120])
def test_any_number_of_images_gives_finite_figures_or_says_what_is_needed(measure, count):
    for first, second in [
        (some(count), some(count, 1)),
        (some(count), some(130, 1)),
        (some(130), some(count)),
    ]:
        found = figures(measure(first, second))
        assert found
        for figure in found:
            if isinstance(figure, Estimate):
                assert figure.low <= figure.value <= figure.high
            else:
                assert "needs at least" in figure.reason
                assert f"there are {count}" in figure.reason


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_equal_images_give_finite_figures(measure):
    for value in (0.0, 0.1):
        equal = torch.full((120, 4), value)
        for first, second in [(equal, equal), (some(120), equal), (equal, some(120))]:
            assert all(isinstance(figure, Estimate) for figure in figures(measure(first, second)))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_a_set_is_measured_as_much_like_itself_whatever_the_scale_of_its_features(measure):
    first, second = some(120), some(130, 1)
    for scale in (1e-6, 1e6):
        for figure in figures(measure(first * scale, second * scale)):
            assert isinstance(figure, Estimate)


def test_the_kind_of_float_does_not_matter():
    assert frechet_distance(some(50).half(), some(50).half()) == pytest.approx(0, abs=1e-9)
    assert kernel_distance(some(50).double(), some(60, 1)).kind == "estimate"


def test_two_sets_of_one_image_have_no_frechet_distance():
    with pytest.raises(SourceError, match="at least 2 images in each set, not 1 and 50"):
        frechet_distance(some(1), some(50))

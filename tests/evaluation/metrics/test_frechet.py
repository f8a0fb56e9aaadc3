from __future__ import annotations

import torch

from synth.evaluation.figures import Estimate
from synth.evaluation.metrics import frechet_distance, frechet_extrapolated


def normal(count: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)) * scale + shift


def test_extrapolation_takes_off_the_bias_of_few_images():
    for shift, scale in ((0.0, 1.0), (0.2, 1.2)):
        truth = 16 * (shift**2 + (scale - 1) ** 2)
        plain, extrapolated = [], []
        for number in range(30):
            first, second = normal(120, 2 * number), normal(200, 2 * number + 1, shift, scale)
            plain.append(frechet_distance(first, second))
            extrapolated.append(frechet_extrapolated(first, second, seed=number).value)
        assert sum(plain) / 30 > truth + 0.4
        assert abs(sum(extrapolated) / 30 - truth) < 0.15


def test_the_interval_holds_the_truth():
    held = 0
    for number in range(20):
        figure = frechet_extrapolated(normal(150, 2 * number), normal(150, 2 * number + 1, 0.3), seed=number)
        held += figure.low <= 16 * 0.3**2 <= figure.high
    assert held >= 17


def test_the_seed_decides_the_parts():
    first, second = normal(150, 0), normal(150, 1)
    one, again, other = (frechet_extrapolated(first, second, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_what_is_needed_grows_with_the_dimensions():
    wide = torch.randn(200, 80, generator=torch.Generator().manual_seed(0))
    assert (
        "at least 240 images in each set; there are 200 real images"
        in frechet_extrapolated(wide, wide).reason
    )
    assert "(3 for each of 80 dimensions, and no less than 100)" in frechet_extrapolated(wide, wide).reason
    assert isinstance(frechet_extrapolated(wide[:, :60], wide[:, :60]), Estimate)


def test_features_of_low_rank_are_measured():
    flat = normal(200, 0) * (torch.arange(16) < 3)
    assert frechet_distance(flat, flat) < 1e-6
    assert abs(frechet_distance(flat, flat + 1.0) - 16) < 1e-6

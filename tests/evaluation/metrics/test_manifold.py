from __future__ import annotations

import pytest
import torch

from synth.errors import UsageError
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.metrics import manifold
from synth.evaluation.metrics.manifold import Manifold


def values(measured: Manifold) -> tuple[float, ...]:
    found = (measured.precision, measured.recall, measured.density, measured.coverage)
    assert all(isinstance(figure, Estimate) for figure in found)
    return tuple(figure.value for figure in found)


def by_definition(real: torch.Tensor, synthetic: torch.Tensor, k: int) -> tuple[float, ...]:
    """The formulas of the two papers, with all pairs at once."""
    real, synthetic = real.double(), synthetic.double()

    def distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a[:, None] - b[None]).square().sum(dim=2).sqrt()

    radii = distances(real, real).sort(dim=1).values[:, k]
    made_radii = distances(synthetic, synthetic).sort(dim=1).values[:, k]
    inside = distances(synthetic, real) <= radii
    return (
        float(inside.any(dim=1).double().mean()),
        float((distances(real, synthetic) <= made_radii).any(dim=1).double().mean()),
        float(inside.double().sum() / (k * len(synthetic))),
        float((distances(real, synthetic).amin(dim=1) <= radii).double().mean()),
    )


@pytest.mark.parametrize(("k", "shift"), [(1, 0.0), (3, 0.5), (5, 1.5)])
def test_they_are_what_the_papers_define(k, shift):
    random = torch.Generator().manual_seed(k)
    real, synthetic = torch.randn(90, 5, generator=random), torch.randn(70, 5, generator=random) + shift
    assert values(manifold(real, synthetic, neighbours=k)) == pytest.approx(by_definition(real, synthetic, k))


def test_points_on_a_line_give_the_figures_that_one_counts_by_hand():
    # Real 0 to 9, radius 1 each; synthetic five times 0.5 and five times 20, radius 0 each.
    real = torch.arange(10.0).reshape(-1, 1)
    synthetic = torch.tensor([0.5] * 5 + [20.0] * 5).reshape(-1, 1)
    # 0.5 lies in the balls around 0 and 1: half of the images are in 2 balls, and 2 of 10 balls are covered.
    assert values(manifold(real, synthetic, neighbours=1)) == pytest.approx((0.5, 0.0, 1.0, 0.2))


def test_ties_are_inside_wherever_the_origin_is():
    # Real 0 to 9 with radius 1, and synthetic 10: just within the last ball.
    for origin in (0.0, 1e4):
        real = torch.arange(10.0).reshape(-1, 1) + origin
        synthetic = torch.full((10, 1), 10.0) + origin
        assert values(manifold(real, synthetic, neighbours=1)) == pytest.approx((1.0, 0.0, 1.0, 0.1))


def test_a_set_is_all_precise_and_all_covered_by_itself():
    same = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    precision, recall, _, coverage = values(manifold(same, same))
    assert (precision, recall, coverage) == (1.0, 1.0, 1.0)


def test_alike_sets_have_a_density_of_one_and_the_coverage_that_theory_gives():
    random = torch.Generator().manual_seed(0)
    real, synthetic = torch.randn(1_500, 8, generator=random), torch.randn(1_500, 8, generator=random)
    _, _, density, coverage = values(manifold(real, synthetic, neighbours=3))
    assert density == pytest.approx(1, abs=0.06)
    assert coverage == pytest.approx(1 - 2**-3, abs=0.03)


def test_far_apart_sets_have_nothing_in_common():
    real = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert values(manifold(real, real + 1e3)) == (0.0, 0.0, 0.0, 0.0)


def test_few_images_or_no_neighbours():
    few = torch.randn(12, 3)
    measured = manifold(torch.randn(100, 3), few)
    reason = NotMeasured(reason="needs at least 50 images in each set; there are 12 synthetic images")
    assert measured == Manifold(reason, reason, reason, reason)
    assert isinstance(manifold(few, few, neighbours=1).recall, Estimate)
    with pytest.raises(UsageError, match="neighbours must be at least 1, not 0"):
        manifold(few, few, neighbours=0)

from __future__ import annotations

import torch

from synth.evaluation.metrics import duplicates_within


def normal(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed))


def test_equal_and_nearly_equal_images_are_counted_and_no_others():
    features = normal(100)
    assert duplicates_within(features).value == 0
    features[10] = features[11]
    features[20] = features[21] + 1e-3
    features[30:40] = features[40]
    for reference in (None, normal(80, 1)):
        assert duplicates_within(features, reference=reference).value == 0.15


def test_a_set_of_one_image_is_all_duplicates():
    assert duplicates_within(torch.full((12, 4), 0.3)).value == 1
    assert duplicates_within(torch.zeros(12, 4), reference=torch.zeros(12, 4)).value == 1


def test_near_duplicates_count_by_the_distances_of_the_reference():
    features = normal(1).repeat(50, 1) + 1e-3 * normal(50, 2)
    assert duplicates_within(features).value == 0
    assert duplicates_within(features, reference=normal(50, 1)).value == 1

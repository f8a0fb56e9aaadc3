"""Copies put in on purpose are found, in every way that they are altered."""

from __future__ import annotations

import pytest
import torch

from synth.errors import UsageError
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.metrics import CopyDetector, Look, novelty, planted_copy_power
from synth.evaluation.metrics.pictures import aligned_distances, shrink
from synth.evaluation.metrics.planted import KINDS


@pytest.fixture(scope="module")
def detector(real) -> CopyDetector:
    return CopyDetector(
        Look(real.features["training"], real.images["training"]),
        Look(real.features["holdout"], real.images["holdout"]),
    )


def plant(real, detector, **options):
    features = real.features["training"], real.features["holdout"]
    images = real.images["training"], real.images["holdout"]
    return planted_copy_power(*features, images, real.extractor, detector=detector, **options)


def test_at_least_95_of_100_copies_are_found_at_one_false_alarm_in_100(real, detector):
    found = plant(real, detector, count=3_000)
    assert [(power.share, power.planted) for power in found] == [(0.01, 30), (0.05, 150), (0.1, 300)]
    for power in found:
        assert power.recall.value >= 0.95
        assert power.false_alarms.value <= 0.01
        assert set(power.by_kind) == {"exact", "noise", "shift", "brightness", "jpeg"}
    assert found == plant(real, detector, count=3_000)


def test_what_planted_copies_are_found_by_is_what_novelty_counts(real, detector):
    other = real.images["other"][:200].clone()
    for number, alter in enumerate(KINDS.values()):
        rows = slice(20 * number, 20 * number + 10)
        other[rows] = alter(real.images["training"][rows], 3)
    sets = real.images["training"], real.images["holdout"], other
    features = real.features["training"], real.features["holdout"], real.extractor.features(other)
    found = novelty(*features, images=sets)
    assert found == novelty(*features, images=sets, detector=detector)
    assert found.copies.value == pytest.approx(0.25, abs=0.025)
    assert all(pair.synthetic % 20 < 10 for pair in found.pairs)
    by_features = novelty(*features)
    assert by_features.copies.value < found.copies.value - 0.03, "pixels find what features miss"


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 13), (3, 70, 50)])
@pytest.mark.parametrize("kind", KINDS)
def test_an_altered_image_is_an_image_that_is_still_alike(kind, shape):
    random = torch.Generator().manual_seed(0)
    coarse = torch.randint(30, 220, (9, shape[0], 4, 4), generator=random).float()
    images = torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear").to(torch.uint8)
    altered = KINDS[kind](images, 1)
    assert altered.shape == images.shape
    assert altered.dtype == torch.uint8
    assert torch.equal(altered, images) == (kind == "exact")
    rows = torch.arange(9).repeat(9, 1)
    distances = aligned_distances(shrink(altered), shrink(images), rows)
    assert torch.equal(distances.argmin(dim=1), torch.arange(9))
    assert float(distances.diagonal().max()) < 0.5
    if kind in ("exact", "shift") and max(shape) <= 32:
        assert float(distances.diagonal().max()) < 1e-3


def test_flat_pictures_are_alike_and_unlike_others():
    pictures = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    pictures[1] = 200
    pictures[2, 0, :4] = 90
    distances = aligned_distances(pictures, pictures, torch.arange(3).repeat(3, 1))
    assert distances[0].tolist() == pytest.approx([0, 0, 2**0.5], abs=1e-3)
    assert distances[2, 2] == pytest.approx(0, abs=1e-3)


def test_too_few_images_to_plant_or_to_calibrate_are_said(real, detector):
    few = plant(real, detector, count=100)
    assert few[0].recall == NotMeasured(reason="needs at least 5 planted copies; 1% of the images are 1")
    assert isinstance(few[2].recall, Estimate)
    small = CopyDetector(
        Look(real.features["training"], real.images["training"]),
        Look(real.features["holdout"][:60], real.images["holdout"][:60]),
    )
    alarms = plant(real, small, count=1_000)[0].false_alarms
    assert alarms == NotMeasured(reason="needs at least 200 holdout images; there are 60")


@pytest.mark.parametrize("shares", [(), (0.0,), (0.1, 1.5), (float("nan"),)])
def test_shares_that_are_none_are_refused(real, detector, shares):
    with pytest.raises(UsageError, match="must lie above 0 and up to 1"):
        plant(real, detector, count=100, shares=shares)

from __future__ import annotations

import pytest
import torch

from synth.errors import UsageError
from synth.evaluation.figures import Estimate, NotMeasured
from synth.evaluation.metrics import CopyDetector, Look, novelty
from synth.evaluation.metrics.copies import Matches, calibrate, match


def normal(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_new_images_are_as_near_to_training_as_to_holdout_whatever_their_counts():
    for training, holdout in ((400, 400), (2_000, 200), (200, 2_000)):
        figure = novelty(normal(training), normal(holdout, 1), normal(1_500, 2)).nearer_to_training
        assert isinstance(figure, Estimate)
        assert figure.value == pytest.approx(0.5, abs=0.12)
        assert figure.low < 0.5 < figure.high


@pytest.mark.parametrize(("training", "holdout"), [(400, 400), (2_000, 200)])
def test_a_share_of_copies_raises_the_figure_by_half_of_it_whatever_the_counts(training, holdout):
    known = normal(training)
    made = torch.cat([normal(1_200, 2), known[:300]])
    figure = novelty(known, normal(holdout, 1), made).nearer_to_training
    assert figure.value == pytest.approx(0.6, abs=0.1)
    assert figure.low > 0.5


def test_training_images_are_all_copies_and_holdout_images_are_none():
    training, holdout = normal(300), normal(300, 1)
    same = novelty(training, holdout, training)
    assert same.copies.value == 1
    assert same.nearer_to_training.value == 1
    assert len(same.pairs) == 20
    assert all(pair.synthetic == pair.training and pair.distance == 0 == pair.ratio for pair in same.pairs)
    other = novelty(training, holdout, holdout)
    assert other.nearer_to_training.value == 0
    assert other.copies.value <= 0.01


def test_where_an_image_is_in_training_and_holdout_it_is_tied():
    both = normal(100)
    assert novelty(both, both, both).nearer_to_training.value == pytest.approx(0.5)


def test_the_closest_pairs_are_named_by_their_rows_closest_first():
    training = normal(200)
    made = normal(50, 2) + 5
    made[7], made[3] = training[150] + 1e-3, training[11] + 1e-2
    pairs = novelty(training, normal(200, 1), made).pairs
    assert [(pair.synthetic, pair.training) for pair in pairs[:2]] == [(7, 150), (3, 11)]
    assert pairs[0].distance == pytest.approx(6**0.5 * 1e-3, rel=1e-2)
    assert pairs[0].ratio < 0.05
    assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in pairs)


def test_copies_are_found_though_training_has_duplicates_of_them():
    training = normal(300)
    training[1] = training[0] + 1e-4
    detector = CopyDetector(Look(training), Look(normal(400, 1)))
    assert detector.rule.flags(match(Look(training[:1] + 2e-4), detector.training)).all()


def test_a_small_holdout_leaves_equal_images_and_the_ratio():
    training = normal(300)
    made = torch.cat([training[:5], training[5:10] + 1e-4, normal(90, 2)])
    found = novelty(training, normal(30, 1), made)
    assert found.copies.value == pytest.approx(0.1)
    assert found.copies.floor is None
    assert "not calibrated, which needs 100 holdout images" in found.copies.how


def test_without_a_holdout_copies_are_still_found():
    found = novelty(normal(300), normal(0), normal(300))
    assert found.copies.value == 1
    assert found.nearer_to_training == NotMeasured(
        reason="needs at least 20 images in each set; there are 0 holdout images"
    )


def test_one_training_image_is_too_few():
    found = novelty(normal(1), normal(50), normal(50))
    assert found.copies == NotMeasured(reason="needs at least 2 images; there are 1 training image")
    assert found.pairs == []
    with pytest.raises(UsageError, match="at least 2 training images; there are 1"):
        CopyDetector(Look(normal(1)), Look(normal(50)))


def test_images_must_be_those_of_the_features():
    with pytest.raises(UsageError, match="are not those of the features"):
        Look(normal(5), torch.zeros(4, 1, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize(("count", "alarms"), [(100, 0), (400, 0), (1_000, 4), (5_000, 38)])
def test_the_rule_leaves_room_for_chance_among_the_holdout_images(count, alarms):
    distance = torch.arange(1, count + 1).double()
    holdout = Matches(distance.long(), distance, distance * (1 + distance), distance, distance < 0)
    flagged = int(calibrate(holdout).flags(holdout).sum())
    assert flagged == alarms


def test_false_alarms_are_counted_on_images_that_the_rule_has_not_seen():
    detector = CopyDetector(Look(normal(2_000)), Look(normal(4_000, 1)))
    assert float(detector.false_alarms().double().mean()) <= 0.01

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synth.data import load_images, open_source
from synth.errors import NotFoundError, SourceError
from synth.evaluation import score_classifier, train_classifier
from synth.evaluation.utility import predict_classifier


def bars(count: int, classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey 12 x 12 images with a bright row whose place tells the class, under noise."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = torch.randint(0, 60, (count, 1, 12, 12), generator=random, dtype=torch.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * int(label) + 1] = 220
    return images, labels


def test_a_classifier_learns_what_the_labels_say_and_nothing_from_wrong_ones():
    images, labels = bars(300)
    test, truth = bars(90, seed=1)
    good = score_classifier(train_classifier(images, labels, 3, seed=0, images_seen=6_000), test, truth)
    assert good.accuracy > 0.95
    assert min(good.per_class) > 0.9
    wrong = train_classifier(images, (labels + 1) % 3, 3, seed=0, images_seen=6_000)
    assert score_classifier(wrong, test, truth).accuracy < 0.1


def test_the_same_seed_trains_the_same_classifier_and_leaves_torch_alone():
    images, labels = bars(60)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (
        train_classifier(images, labels, 3, seed=seed, images_seen=512) for seed in (1, 1, 2)
    )
    assert torch.rand(1) == expected
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_a_class_that_the_test_set_lacks_has_no_recall():
    images, labels = bars(30)
    scores = score_classifier(train_classifier(images, labels, 4, seed=0, images_seen=256), images, labels)
    assert math.isnan(scores.per_class[3])
    assert 0 <= scores.accuracy <= 1


def test_colour_images_of_any_shape_are_taken():
    images = torch.randint(0, 255, (16, 3, 50, 70), dtype=torch.uint8)
    network = train_classifier(images, torch.arange(16) % 2, 2, seed=0, images_seen=128)
    assert len(score_classifier(network, images, torch.arange(16) % 2).per_class) == 2


@pytest.mark.parametrize("shape", [(0, 1, 8, 8), (20, 1, 3, 8)])
def test_sets_that_nothing_can_be_learned_from_are_refused(shape):
    with pytest.raises(SourceError, match="at least 4 x 4"):
        train_classifier(torch.zeros(shape, dtype=torch.uint8), torch.zeros(shape[0]).long(), 2, seed=0)


@pytest.mark.slow
def test_tstr_and_agreement_fall_with_each_strength_of_label_noise():
    try:
        real, test = load_images(open_source("fashion-mnist")), load_images(open_source("fashion-mnist:test"))
    except NotFoundError:
        pytest.skip("fashion-mnist is not here")
    honest, made = real.subset(range(2_000)), real.subset(range(2_000, 4_000))
    judge = train_classifier(honest.images, honest.labels, 10, seed=0, images_seen=12_000, width=16)
    opinion = predict_classifier(judge, made.images).argmax(dim=1)
    random = np.random.default_rng(0)
    lot, others = random.random(2_000), torch.from_numpy(random.integers(1, 10, 2_000))
    found = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        wrong = torch.from_numpy(lot < share)
        labels = torch.where(wrong, (made.labels + others) % 10, made.labels)
        network = train_classifier(made.images, labels, 10, seed=0, images_seen=12_000, width=16)
        tstr = score_classifier(network, test.images, test.labels).accuracy
        found.append((tstr, float((opinion == labels).float().mean())))
    for values in zip(*found, strict=True):
        assert list(values) == sorted(values, reverse=True)
        assert values[0] > values[-1] + 0.3

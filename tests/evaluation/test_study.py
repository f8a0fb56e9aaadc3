"""The utility study: what is compared is compared fairly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.data import ImageSet
from synth.evaluation.mixtures import Mixture, mixtures, primary, stratified, take
from synth.evaluation.study import budget, run_study


def bars(count: int, *, classes: int = 3, seed: int = 0, wrong: float = 0.0) -> ImageSet:
    """Grey 12 x 12 images with a bright row whose place tells the class; a share of labels is ``wrong``."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = random.integers(0, 60, (count, 1, 12, 12), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label + 1] = 220
    flipped = random.random(count) < wrong
    labels = np.where(flipped, (labels + 1) % classes, labels)
    return ImageSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        ids=tuple(f"{seed:032x}{row:032x}" for row in range(count)),
        classes=tuple(f"kind{number}" for number in range(classes)),
    )


def test_the_sets_of_a_study_cover_sizes_ratios_and_the_rival():
    found = mixtures(1_000, 1_500, 10, (0.5, 1.0, 4.0))
    assert found == [
        Mixture("none", 0, 1_500),
        Mixture("all", 1_000, 0),
        Mixture("all", 1_000, 0, classical=True),
        Mixture("all", 1_000, 500),
        Mixture("all", 1_000, 1_000),
        Mixture("all", 1_000, 1_500),  # there are no 4,000
        Mixture("few", 100, 0),
        Mixture("few", 100, 0, classical=True),
        Mixture("few", 100, 50),
        Mixture("few", 100, 100),
        Mixture("few", 100, 400),
    ]
    assert primary(found, "all") == Mixture("all", 1_000, 1_000)
    assert primary(found, "few") == Mixture("few", 100, 100)
    assert len({one.name for one in found}) == len(found)


def test_where_a_tenth_would_be_half_there_is_no_study_of_few():
    assert {one.size for one in mixtures(60, 60, 10, (1.0,))} == {"none", "all"}


def test_a_part_of_the_images_keeps_the_proportions_of_the_classes():
    labels = torch.tensor([0] * 800 + [1] * 150 + [2] * 50)
    rows = stratified(labels, 100, seed=3)
    assert len(set(rows.tolist())) == 100
    counts = torch.bincount(labels[torch.from_numpy(rows)])
    assert (counts - torch.tensor([80, 15, 5])).abs().max() <= 1
    assert not np.array_equal(rows, stratified(labels, 100, seed=4))


def test_mixtures_of_one_seed_share_their_real_images():
    real, made = bars(60), bars(60, seed=1)
    pair = (real.images, real.labels), (made.images, made.labels)
    alone, _ = take(Mixture("few", 20, 0), *pair, seed=5)
    both, labels = take(Mixture("few", 20, 30), *pair, seed=5)
    assert torch.equal(both[:20], alone)
    assert both.shape[0] == labels.shape[0] == 50


@pytest.mark.parametrize("held", [True, False])
def test_every_test_image_is_used_once_and_never_trained_on(held):
    real, synthetic = bars(120), bars(90, seed=1)
    holdout = bars(100, seed=2) if held else None
    shares = []
    study = run_study(
        real, synthetic, holdout, seed=0, seeds=3, images_seen=1_500, ratios=(1.0,), progress=shares.append
    )
    tested = holdout or real
    for mixture in study.mixtures:
        rows = np.concatenate([trial.rows for trial in study.of(mixture)])
        assert sorted(rows.tolist()) == list(range(len(tested)))
        assert [trial.seed for trial in study.of(mixture)] == [0, 1, 2]
    for trial in study.trials:
        assert torch.equal(trial.labels, tested.labels[torch.from_numpy(trial.rows)])
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(study.trts) == 3
    assert torch.allclose(study.opinions.sum(dim=1), torch.ones(90), atol=1e-4)


def test_good_images_teach_and_wrongly_labelled_ones_do_not():
    study = run_study(
        bars(150),
        bars(150, seed=1, wrong=1.0),
        bars(90, seed=2),
        seed=0,
        seeds=1,
        images_seen=4_000,
        ratios=(1.0,),
    )
    by_name = {one.name: study.of(one)[0].accuracy for one in study.mixtures}
    assert by_name["150 real"] > 0.9
    assert by_name["150 synthetic"] < 0.1
    assert study.trts[0] < 0.1


def test_the_same_seed_gives_the_same_study():
    sets = bars(60), bars(60, seed=1), bars(60, seed=2)
    first, second = (run_study(*sets, seed=1, seeds=1, images_seen=256, ratios=(1.0,)) for _ in range(2))
    for one, other in zip(first.trials, second.trials, strict=True):
        assert torch.equal(one.right, other.right)


def test_larger_images_are_seen_less_often():
    assert budget((1, 28, 28)) == budget((3, 8, 8)) == 28_000
    assert 12_000 == budget((3, 256, 256)) < budget((1, 40, 40)) < 28_000

"""Adversarial training: what is learnt from, and what it makes of a classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.errors import ConfigError
from synth.evaluation.classifiers import open_classifier
from synth.models.classifier import Classifier
from synth.models.program import ImageShape
from synth.training import resolve_recipe
from synth.training.robust import attacked


@pytest.fixture
def stripes(tmp_path):
    """Two classes whose upper halves differ by more than an adversary may change."""
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    images = random.integers(90, 166, (400, 8, 8, 1))
    images[:, :4] += (2 * labels[:, None, None, None] - 1) * 40
    path = tmp_path / "stripes.npz"
    np.savez(path, images=images.astype(np.uint8), labels=labels, class_names=["dark", "light"])
    return path


def recipe(**settings):
    return resolve_recipe("classifier", flags={"adversarial": "pgd", "eps": 0.1, **settings})


@pytest.mark.parametrize(("kind", "normalise"), [("fgsm", "batch"), ("pgd", "none")])
def test_a_classifier_learns_from_attacked_images_and_says_how_robust_it_is(tiny, stripes, kind, normalise):
    network = {"width": 8, "most": 16, "features": 32, "normalise": normalise}
    settings = {"adversarial": kind, "eps": 0.1, "learning_rate": 0.01 if normalise == "batch" else 0.1}
    made = tiny.fit(
        stripes,
        name="robust",
        family="classifier",
        recipe=tiny.recipe("classifier", images_seen=32 * 100, batch_size=32, **network, **settings),
    )
    metrics = made.manifest.metrics
    assert metrics["accuracy"].value > 0.95
    assert 0.8 < metrics["robust_accuracy"].value <= metrics["accuracy"].value
    assert "PGD of 20 steps from one random start, linf, eps 0.1" in metrics["robust_accuracy"].how
    assert made.manifest.network.get("normalise", "batch") == normalise
    norms = any("running_mean" in name for name in made.weights())
    assert norms == (normalise == "batch")
    assert open_classifier("robust", device="cpu").classes == ("dark", "light")


def test_the_share_is_attacked_within_the_radius_that_has_risen_so_far():
    network = Classifier({"width": 4, "most": 4, "blocks": 1, "features": 4}, ImageShape(1, 8, 8), 2)
    images = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels, position = torch.arange(200) % 2, torch.arange(1000, 1200)

    def radius(progress, **settings):
        found = attacked(network, images, labels, recipe(**settings), position=position, progress=progress)
        return (found - images).flatten(1).abs().amax(1) / 2

    assert radius(0.0).eq(0).all()
    # The last step of an image may end anywhere within the ball.
    assert 0.0499 < radius(0.1).max() < 0.05 + 1e-6
    assert 0.0999 < radius(0.5, adversarial="fgsm").max() < 0.1 + 1e-6
    half = radius(1.0, adversarial_share=0.5) > 0
    assert 70 < half.sum() < 130
    assert radius(1.0, adversarial_share=1e-9).eq(0).all()
    assert network.training


def test_a_part_of_the_batch_is_attacked_as_the_whole():
    network = Classifier({"width": 4, "most": 4, "blocks": 1, "features": 4}, ImageShape(1, 8, 8), 2).eval()
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels, position = torch.arange(20) % 2, torch.arange(20)
    settings = recipe(adversarial_share=0.6, eps_norm="l2", eps=1.0)
    whole = attacked(network, images, labels, settings, position=position, progress=1.0)
    part = slice(5, 12)
    alone = attacked(network, images[part], labels[part], settings, position=position[part], progress=1.0)
    torch.testing.assert_close(alone, whole[part])


@pytest.mark.parametrize(
    ("precision", "computed"), [("16", torch.float32), ("bf16", torch.bfloat16), ("32", torch.float32)]
)
def test_attacks_are_of_the_trainings_precision_but_never_of_float16(precision, computed):
    network = Classifier({"width": 4, "most": 4, "blocks": 1, "features": 4}, ImageShape(1, 8, 8), 2)
    seen = set()
    network.dense.register_forward_hook(lambda module, given, made: seen.add(made.dtype))
    images, labels = torch.zeros(2, 1, 8, 8), torch.arange(2)
    kinds = {"16": torch.float16, "bf16": torch.bfloat16, "32": torch.float32}
    with torch.autocast("cpu", kinds[precision], enabled=precision != "32"):
        attacked(network, images, labels, recipe(precision=precision), position=labels, progress=1.0)
    assert seen == {computed}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adversarial": "none", "eps": 0.3}, "eps is of adversarial training"),
        ({"adversarial": "fgsm", "steps": 3}, "fgsm has one step"),
        ({"adversarial": "newton"}, "adversarial = 'newton'"),
        ({"eps": 0}, "eps = 0"),
        ({"eps": 0.003}, "radius of 0.003 changes no image"),
        ({"adversarial_share": 1.5}, "adversarial_share = 1.5"),
    ],
)
def test_settings_that_make_no_attack_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        recipe(**settings)


def test_adversarial_training_refuses_a_target(tiny, stripes):
    target = tiny.target_of(stripes)
    with pytest.raises(ConfigError, match="Adversarial training is of one domain"):
        tiny.fit(stripes, name="robust", family="classifier", target=target, recipe=recipe(width=4))

"""Classifiers of one domain: what they tell, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.artifacts import Artifact
from synth.data import load_images, open_source
from synth.errors import ConfigError, LabelError, NotFoundError, UsageError
from synth.evaluation.classifiers import open_classifier
from synth.models.classifier import Classifier
from synth.models.program import ImageShape
from synth.training import resolve_recipe


@pytest.fixture
def digits(tmp_path):
    """Real handwritten digits of three classes, named; for training and for testing."""
    paths = []
    for part in ("digits", "digits:test"):
        images = load_images(open_source(part))
        rows = (images.labels < 3).nonzero()[:, 0]
        path = tmp_path / f"{len(paths)}.npz"
        pixels = images.images[rows].permute(0, 2, 3, 1).numpy()
        np.savez(path, images=pixels, labels=images.labels[rows].numpy(), class_names=["zero", "one", "two"])
        paths.append(path)
    return paths


@pytest.fixture
def judge(tiny, digits) -> Artifact:
    recipe = tiny.recipe("classifier", images_seen=64 * 30, batch_size=64, width=16, features=32)
    return tiny.fit(digits[0], name="judge", family="classifier", recipe=recipe)


def test_a_classifier_tells_the_classes_of_images_that_it_has_not_seen(judge, digits):
    opinions = open_classifier("judge", device="cpu")
    test = opinions.load(open_source(digits[1]))
    probabilities = opinions.probabilities(test.images)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(test)))
    assert (probabilities.argmax(dim=1) == test.labels).float().mean() > 0.9
    metrics = judge.manifest.metrics
    assert metrics["accuracy"].value > 0.9
    assert "validation images" in metrics["accuracy"].how
    assert metrics["worst_recall"].value <= metrics["accuracy"].value
    assert metrics["worst_recall"].how.endswith(("zero", "one", "two"))


def test_its_card_says_how_to_use_it_and_that_it_makes_no_images(judge):
    text = (judge.path / "README.md").read_text()
    assert "pipeline_tag: image-classification" in text
    assert "A `classifier` of grey images into 3 classes, 8 x 8 pixels" in text
    assert "synth check SOURCE --classifier judge@1" in text
    assert "synth generate" not in text
    assert "open_extractor" not in text


def test_classes_go_by_name_and_foreign_ones_are_named(judge):
    opinions = open_classifier(judge, device="cpu")
    assert opinions.numbers(["two", "zero"], "The source").tolist() == [2, 0]
    with pytest.raises(
        LabelError, match=r"photos has classes that judge@1 does not know: seven. It tells zero"
    ):
        opinions.numbers(["zero", "seven"], "photos")


def test_other_models_are_no_classifiers(tiny, tmp_path):
    from synth.artifacts import Store

    tiny.untrained(Store())
    with pytest.raises(
        UsageError, match=r"toys@1 is of the family vae and tells no classes. Make a classifier"
    ):
        open_classifier("toys")
    with pytest.raises(NotFoundError):
        open_classifier("nothing")


def test_no_labels_cannot_be_asked_for():
    with pytest.raises(ConfigError, match="a classifier learns labels: leave --no-labels out"):
        resolve_recipe("classifier", flags={"labels": False})


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 9, 200), (1, 64, 64), (3, 17, 5)])
def test_networks_of_any_size_end_in_a_grid_of_at_most_8(shape):
    network = Classifier({"width": 4, "most": 8, "blocks": 2, "features": 6}, ImageShape(*shape), 3)
    images = torch.rand(2, *shape)
    assert network(images).shape == (2, 3)
    assert max(network.pool(network.stages(images)).shape[2:]) <= 8
    assert network.features(images).shape == (2, network.dimensions)


def test_one_class_is_nothing_to_tell():
    with pytest.raises(ValueError, match="two classes or more, and there are 1"):
        Classifier({"width": 4, "most": 8, "blocks": 1, "features": 6}, ImageShape(1, 8, 8), 1)

"""A classifier learns from shares of classes; what makes images of one class each refuses them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from synth.augment import Pipeline
from synth.data import load_images, open_source
from synth.errors import SourceError
from synth.evaluation.classifiers import open_classifier
from synth.models.program import ImageShape
from synth.offline.augment import augment_dataset, make_augmentation_plan
from synth.training.batches import KeyedBatches
from synth.training.classifier import ClassifierModule


@pytest.fixture
def mixed(tmp_path):
    """Handwritten digits of three classes, each mixed with another by a tenth to a half."""
    images = load_images(open_source("digits"))
    rows = (images.labels < 3).nonzero()[:, 0][:300]
    pixels = images.images[rows].permute(0, 2, 3, 1).numpy()
    np.savez(
        tmp_path / "real.npz", images=pixels, labels=images.labels[rows].numpy(), class_names=["0", "1", "2"]
    )
    source = open_source(tmp_path / "real.npz")
    pipeline = Pipeline.read({"batch": [{"operation": "mixup", "weight": [0.5, 0.9]}]})
    augment_dataset(source, make_augmentation_plan(pipeline, source), tmp_path / "mixed")
    return tmp_path / "mixed"


def test_batches_and_the_loss_have_the_shares(tiny, mixed):
    images = load_images(open_source(mixed), soft=True)
    assert torch.equal(images.labels, images.shares.argmax(dim=1))
    assert torch.equal(images.subset([7, 3]).shares, images.shares[[7, 3]])
    batch = next(iter(KeyedBatches(images, 16, seed=0, start=0)))
    assert batch.labels.shape == (16, 3)
    recipe = tiny.recipe("classifier", normalise="none")
    module = ClassifierModule(recipe, ImageShape(1, 8, 8), 3).eval()
    loss, figures = module.loss(batch.floats, batch.labels, batch.position)
    logits = module.network(batch.floats)
    expected = -(batch.labels * F.log_softmax(logits, dim=1)).sum(1).mean()
    torch.testing.assert_close(loss, expected)
    right = (logits.argmax(dim=1) == batch.labels.argmax(dim=1)).float().mean()
    assert figures["right"] == right


def test_a_classifier_of_mixed_images_tells_real_ones(tiny, mixed):
    recipe = tiny.recipe("classifier", images_seen=64 * 30, batch_size=64, width=16, features=32)
    artifact = tiny.fit(mixed, name="judge", family="classifier", recipe=recipe)
    assert artifact.manifest.classes == ["0", "1", "2"]
    opinions = open_classifier("judge", device="cpu")
    real = load_images(open_source(mixed.parent / "real.npz"))
    assert (opinions.probabilities(real.images).argmax(dim=1) == real.labels).float().mean() > 0.9


def test_other_families_refuse_shares(tiny, mixed):
    with pytest.raises(SourceError, match="shares of several classes"):
        tiny.fit(mixed, family="vae")

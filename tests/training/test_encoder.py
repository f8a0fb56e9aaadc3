"""Encoders: what they learn from, what they say of themselves, and what they refuse."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.errors import ConfigError, InterruptedRunError, ResumeError, SourceError
from synth.evaluation import open_extractor
from synth.training import resolve_recipe
from synth.training.collapse import spread_of


@pytest.fixture
def train(tiny):
    def run(source, *, changes=None, **options):
        recipe = tiny.recipe("encoder", **(changes or {}))
        return tiny.fit(source, family="encoder", recipe=recipe, **options)

    return run


@pytest.fixture
def digits(tmp_path):
    """240 real handwritten digits of three classes."""
    images = load_images(open_source("digits"))
    rows = (images.labels < 3).nonzero()[:240, 0]
    path = tmp_path / "digits.npz"
    pixels = images.images[rows].permute(0, 2, 3, 1).numpy()
    np.savez(path, images=pixels, labels=images.labels[rows].numpy())
    return path


@pytest.mark.parametrize("objective", ["simclr", "barlow", "vicreg"])
def test_features_tell_classes_apart_that_training_was_not_told_of(train, digits, objective):
    changes = {
        "objective": objective, "images_seen": 64 * 40, "batch_size": 64, "widths": [16, 32], "stem": 8,
        "projection": 32, "flip": 0.0, "crop": 0.6, "learning_rate": 5e-3, "validation": 0.2,
    }  # fmt: skip
    metrics = train(digits, changes=changes).manifest.metrics
    assert metrics["knn_accuracy"].value > 0.85  # chance is a third
    assert "labels were not trained on" in metrics["knn_accuracy"].how
    assert metrics["effective_rank"].value > 3


@pytest.mark.parametrize(("objective", "grid"), [("rotation", 2), ("jigsaw", 2), ("jigsaw", 3)])
@pytest.mark.parametrize("size", [(8, 8), (9, 13)])
def test_pretext_tasks_learn_what_was_done_to_an_image(train, tiny, tmp_path, objective, grid, size):
    source = tiny.source(tmp_path / "toys.npz", size=size, channels=3)
    artifact = train(source, changes={"objective": objective, "grid": grid})
    assert artifact.manifest.recipe["objective"] == objective
    assert artifact.manifest.metrics["knn_accuracy"].value is not None


def test_labels_change_nothing_that_is_learnt(train, tiny, tmp_path):
    labelled = tiny.source(tmp_path / "labelled.npz", classes=2)
    content = dict(np.load(labelled))
    np.savez(tmp_path / "shuffled.npz", **{**content, "labels": content["labels"][::-1]})
    whole = {"validation": 1e-6}  # which images are kept back depends on their classes
    weights = [train(path, changes=whole).weights() for path in (labelled, tmp_path / "shuffled.npz")]
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


def test_without_labels_the_accuracy_is_told_as_not_measured(train, tiny, tmp_path):
    artifact = train(tiny.source(tmp_path / "plain.npz", classes=0))
    metric = artifact.manifest.metrics["knn_accuracy"]
    assert metric.value is None
    assert metric.how == "not measured: the images have no labels"
    assert Store().open("toy").manifest == artifact.manifest
    assert "| knn\\_accuracy | not measured |" in (artifact.path / "README.md").read_text()


def test_accuracy_on_the_training_images_themselves_is_not_measured(train, tiny, tmp_path):
    artifact = train(tiny.source(tmp_path / "each.npz", count=16, classes=16))
    assert artifact.manifest.metrics["knn_accuracy"].how.startswith("not measured: there are only training")


def test_equal_images_end_in_a_warning_that_the_encoder_has_collapsed(train, tmp_path, listen):
    np.savez(tmp_path / "grey.npz", images=np.full((40, 8, 8), 128, dtype=np.uint8))
    told = listen()
    artifact = train(tmp_path / "grey.npz", reporter=told)
    assert artifact.manifest.metrics["effective_rank"].value == 0.0
    assert artifact.manifest.metrics["feature_spread"].value == 0.0
    assert any(note.startswith("The encoder has collapsed: all images have nearly") for note in told.notes)
    features = open_extractor("toy", device="cpu").features(torch.full((3, 1, 8, 8), 128, dtype=torch.uint8))
    assert features.isfinite().all()


def test_one_image_is_refused(train, tiny, tmp_path):
    with pytest.raises(SourceError, match=r"holds 1 image, and training needs at least 16"):
        train(tiny.source(tmp_path / "one.npz", count=1))


def test_images_too_small_for_the_network_are_refused_with_what_would_do(train, tiny, tmp_path, synth_home):
    source = tiny.source(tmp_path / "small.npz", size=(6, 20))
    with pytest.raises(ConfigError, match=r"6 x 20, grey: 3 widths halve .* at least 8 pixels; use fewer"):
        train(source, changes={"widths": [8, 8, 8]})
    assert not synth_home.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["objective=byol"], r"objective = 'byol'.*'simclr', 'barlow', 'vicreg', 'rotation' or 'jigsaw'"),
        (["batch_size=1"], r"batch_size = 1.*greater than or equal to 2"),
        (["grid=4"], r"grid = 4"),
        (["crop=0"], r"crop = 0"),
        (["widths=[2]"], r"widths must be 1 to 8 numbers of channels from 4"),
        (["crop=1", "rotation=0", "brightness=0", "contrast=0", "erase=0"], r"views need some crop"),
        (["objectiv=simclr"], r"no setting 'objectiv' \(did you mean 'objective'\?\)"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        resolve_recipe("encoder", overrides=settings)


def test_a_run_is_not_resumed_with_another_objective(train, source, listen):
    with pytest.raises(InterruptedRunError):
        train(source, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)))
    with pytest.raises(ResumeError, match=r"another recipe: objective: simclr -> vicreg"):
        train(source, resume=True, changes={"objective": "vicreg"})
    assert train(source, resume=True).manifest.training.images_seen == 96


def test_a_preview_has_rows_of_neighbours_headed_by_different_images(train, source):
    with Image.open(train(source).path / "preview.png") as picture:
        assert picture.size == (6 * (10 * 9 - 1), 6 * (8 * 9 - 1))
        pixels = np.asarray(picture)
    heads = {pixels[54 * row : 54 * row + 48, :48].tobytes() for row in range(8)}
    assert len(heads) == 8


def test_the_spread_of_features_is_that_of_closed_cases():
    random = torch.from_numpy(np.random.default_rng(0).normal(size=(4000, 8)))
    assert spread_of(random).effective_rank == pytest.approx(8, rel=0.01)
    assert spread_of(random).relative == pytest.approx(1, rel=0.01)
    assert spread_of(random).problem is None
    line = random[:, :1] * torch.ones(1, 8)
    assert spread_of(line).effective_rank == pytest.approx(1, rel=1e-6)
    assert "1.0 directions" in spread_of(line).problem
    assert spread_of(torch.zeros(5, 8)).problem is not None
    assert "nearly the same" in spread_of(torch.ones(5, 8) + 1e-4 * random[:5]).problem

"""What images must be to be trained on."""

from __future__ import annotations

import pytest

from synth.errors import ConfigError, LabelError, SourceError
from synth.training.runs import latest_run
from synth.training.vae import VAERecipe


def test_too_few_images_are_refused_before_anything_is_written(tiny, tmp_path, synth_home):
    with pytest.raises(SourceError, match=r"holds 15 images, and training needs at least 16. Add 1 or more"):
        tiny.fit(tiny.source(tmp_path / "few.npz", count=15))
    assert not synth_home.exists()


def test_a_family_says_how_many_are_too_few_and_how_many_enough(tiny, source, listen, monkeypatch):
    monkeypatch.setattr(VAERecipe, "least_images", 41)
    with pytest.raises(SourceError, match="holds 40 images, and training needs at least 41"):
        tiny.fit(source)
    monkeypatch.setattr(VAERecipe, "least_images", 16)
    for enough, warned in ((41, True), (40, False)):
        monkeypatch.setattr(VAERecipe, "enough_images", enough)
        tiny.fit(source, reporter=(told := listen()))
        notes = [note for note in told.notes if "by heart" in note]
        assert len(notes) == warned
        assert all("40 images are few" in note and "about 41" in note for note in notes)
        assert all(VAERecipe.few_images_hint in note for note in notes)


def test_a_batch_larger_than_the_data_is_refused_with_the_largest_that_fits(tiny, source, synth_home):
    recipe = tiny.recipe(batch_size=64)
    with pytest.raises(ConfigError, match=r"A batch of 64 is larger than the data") as refused:
        tiny.fit(source, recipe=recipe)
    assert not synth_home.exists()
    size = int(str(refused.value).split("Use --batch-size ")[1].split()[0])
    tiny.fit(source, recipe=tiny.recipe(batch_size=size))
    with pytest.raises(
        ConfigError, match=f"there are {size} images to train on .* --batch-size {size} or less"
    ):
        tiny.fit(source, recipe=tiny.recipe(batch_size=size + 1))


@pytest.mark.parametrize("presets", [{}, {"tiny": {"batch_size": 64}}], ids=["family", "preset"])
def test_a_default_batch_is_made_to_fit_and_it_is_said(tiny, source, listen, monkeypatch, presets):
    monkeypatch.setattr(VAERecipe, "presets", presets)
    recipe = VAERecipe(**tiny.SETTINGS["vae"], images_seen=96)
    artifact = tiny.fit(source, recipe=recipe, reporter=(told := listen()))
    training = artifact.manifest.training.images
    assert f"Batches of {training}, since there are no more images" in " ".join(told.notes)
    assert artifact.manifest.recipe["batch_size"] == training
    assert tiny.fit(source, recipe=recipe, resume=True).path == artifact.path  # the same size again


def test_labels_that_are_required_are_learnt(tiny, source):
    assert tiny.fit(source, recipe=tiny.recipe(labels=True)).card.classes == ("kind0", "kind1")


def test_labels_that_are_not_wanted_are_ignored(tiny, source):
    artifact = tiny.fit(source, recipe=tiny.recipe(labels=False))
    assert artifact.card.classes is None
    assert artifact.manifest.training.class_counts is None


@pytest.mark.parametrize(("classes", "why"), [(0, "no labels in the file"), (1, r"only one class \(kind0\)")])
def test_labels_that_are_not_there_cannot_be_required(tiny, tmp_path, synth_home, classes, why):
    source = tiny.source(tmp_path / "bare.npz", classes=classes)
    with pytest.raises(LabelError, match=f"{why}.*two classes or more.*or train without --labels"):
        tiny.fit(source, recipe=tiny.recipe(labels=True))
    assert not synth_home.exists()


def test_a_run_remembers_whether_labels_were_wanted(tiny, source):
    tiny.fit(source, recipe=tiny.recipe(labels=False))
    assert latest_run("toy").record()["recipe"]["labels"] is False

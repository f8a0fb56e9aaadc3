"""Trainings on two sources: what is loaded, paired, refused, remembered and gone on with."""

from __future__ import annotations

import os
import signal
from itertools import islice

import numpy as np
import pytest
import torch

from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.errors import ConfigError, InterruptedRunError, LabelError, ResumeError, SourceError
from synth.training.batches import KeyedBatches
from synth.training.domains import are_grey, read_domains
from synth.training.parts import split_domains
from synth.training.recipe import make_recipe
from synth.training.runs import latest_run

FAMILY = "cut"


@pytest.fixture
def other(tiny, tmp_path):
    """Another domain: 30 grey images of 8 x 8."""
    return tiny.source(tmp_path / "other.npz", count=30, classes=0, seed=9)


@pytest.fixture
def train(tiny, source, other, tmp_path):
    """Trains the family from ``source`` to ``other``, if nothing else is said."""

    def fit(**options):
        given = {"target": other, "family": FAMILY, "store": Store(tmp_path / "s"), "runs": tmp_path / "r"}
        return tiny.fit(options.pop("data", source), **{**given, **options})

    return fit


def test_the_manifest_tells_of_both_domains_and_the_ids_are_those_of_both(train, source, other):
    artifact = train()
    training = artifact.manifest.training
    assert (training.source, training.target.source) == (str(source), str(other))
    ids = artifact.training_ids()
    for path, count in ((source, training.images), (other, training.target.images)):
        images = load_images(open_source(path))
        assert 0 < ids.contains(images.ids).sum() == count < len(images)
    assert artifact.card.classes is None  # what it has learnt holds for every class
    assert "other.npz" in (artifact.path / "README.md").read_text()


def test_each_domain_has_an_order_of_its_own_and_goes_on_where_it_was(source, other):
    images, target = (load_images(open_source(path)) for path in (source, other))
    whole = list(islice(KeyedBatches(images, 16, 3, 0, target=target), 8))
    later = next(iter(KeyedBatches(images, 16, 3, 80, target=target)))
    assert torch.equal(later.images, whole[5].images)
    assert torch.equal(later.target, whole[5].target)
    half = next(iter(KeyedBatches(images, 16, 3, 80, slice(8, 16), target)))
    assert torch.equal(half.target, later.target[8:])
    shown = torch.cat([batch.target for batch in whole])[:30]
    assert len(torch.unique(shown, dim=0)) == len(torch.unique(target.images, dim=0))  # all once, then anew
    assert later.floats.shape[0] == 32
    assert torch.equal(later.floats[16:], later.target / 127.5 - 1.0)
    same = next(iter(KeyedBatches(images, 16, 3, 0, target=images)))
    assert not torch.equal(same.images, same.target)


def test_grey_becomes_colour_beside_colour_and_is_known_to_be_grey(
    tiny, source, other, tmp_path, train, listen
):
    colour = tiny.source(tmp_path / "colour.npz", count=30, channels=3, seed=4)
    listener = listen()
    artifact = train(target=colour, reporter=listener)
    assert artifact.card.image.channels == 3
    assert artifact.manifest.network["grey"] == [True, False]
    assert any("toys.npz: grey, repeated to 3 channels" in note for note in listener.notes)
    back = train(data=colour, target=other, name="back")
    assert back.manifest.network["grey"] == [False, True]
    grey = load_images(open_source(other)).images
    assert are_grey(grey.expand(-1, 3, -1, -1))
    assert not are_grey(load_images(open_source(colour)).images)


def test_unlike_sizes_are_refused_until_one_is_chosen(tiny, tmp_path, train):
    large = tiny.source(tmp_path / "large.npz", size=(9, 12))
    with pytest.raises(
        SourceError, match=r"differ in size: .*toys.npz are 8 x 8 and .*large.npz are 9 x 12 .*--size 8x8"
    ):
        train(target=large)
    recipe = tiny.recipe(FAMILY, size=(8, 8))
    assert train(target=large, recipe=recipe).card.image.width == 8


def test_the_same_images_twice_are_refused_also_under_another_name(source, train, tmp_path):
    images = np.load(source)["images"]
    copy = tmp_path / "copy.npz"
    np.savez(copy, images=images[:20])
    for twice in (source, copy):
        with pytest.raises(SourceError, match="hold the same images, by their content"):
            train(target=twice)


def test_images_that_are_in_both_domains_are_noted(source, other, train, tmp_path, listen):
    some = np.concatenate([np.load(other)["images"], np.load(source)["images"][:3]])
    np.savez(tmp_path / "some.npz", images=some)
    train(target=tmp_path / "some.npz", reporter=(listener := listen()))
    assert any("3 images are in" in note for note in listener.notes)


def test_a_domain_of_one_image_and_an_empty_one_are_refused(train, tiny, source, tmp_path):
    one = tmp_path / "one.npz"
    np.savez(one, images=np.full((1, 8, 8, 1), 7, dtype=np.uint8))
    for options in ({"target": one}, {"data": one}):
        with pytest.raises(SourceError, match=r"one.npz holds 1 image, and training needs at least 16"):
            train(**options)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"empty"):
        train(target=tmp_path / "empty")


def test_a_target_is_asked_for_and_refused_by_what_the_family_learns(tiny, source, other, synth_home):
    with pytest.raises(
        ConfigError, match=r"cut learns the way from one domain to another. Say with .*--target SOURCE"
    ):
        tiny.fit(source, family=FAMILY, target=None)
    with pytest.raises(
        ConfigError, match=r"vae learns from its data \(--data\) alone; .* one of: cut, cyclegan"
    ):
        tiny.fit(source, target=other)
    assert not synth_home.exists()


def test_labels_can_be_required_of_the_first_domain_alone(tiny, train, other, source):
    recipe = tiny.recipe(FAMILY, labels=True)
    assert train(recipe=recipe).card.classes is None
    with pytest.raises(LabelError, match=r"--labels asks for labels, and .*other.npz has none"):
        train(data=other, target=source, recipe=recipe)


def test_a_default_batch_is_made_to_fit_the_smaller_domain(tiny, train, listen):
    recipe = tiny.recipe(FAMILY).model_dump(exclude={"batch_size"}, exclude_unset=True)
    listener = listen()
    artifact = train(recipe=make_recipe(type(tiny.recipe(FAMILY)), recipe), reporter=listener)
    assert artifact.manifest.recipe["batch_size"] <= artifact.manifest.training.target.images
    assert any(note.startswith("Batches of ") for note in listener.notes)


def test_a_stopped_run_goes_on_by_its_name_and_not_with_another_target(train, tiny, other, tmp_path, listen):
    whole = train(name="whole")
    stop = listen(48, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRunError):
        train(reporter=stop)
    record = latest_run("toy", tmp_path / "r").record()
    assert record["target_location"] == str(other)
    another = tiny.source(tmp_path / "another.npz", count=31, classes=0, seed=8)
    with pytest.raises(ResumeError, match=r"other.*another|another"):
        train(target=another, resume=True)
    (told := listen()).notes.clear()
    assert train(target=another, name="else", reporter=told).manifest.reference == "else@1"
    resumed = train(reporter=(listener := listen()))
    assert any("Going on with the unfinished run" in note for note in listener.notes)
    assert resumed.manifest.digest == whole.manifest.digest
    assert resumed.manifest.metrics == whole.manifest.metrics


def test_domains_are_split_each_by_itself(tiny, source, other):
    recipe = tiny.recipe(FAMILY)
    images = read_domains(source, other, recipe, skip_unreadable=False)
    domains = split_domains(images.source, images.target, 0.2)
    assert domains.fewest(recipe) == len(domains.target.training)
    for parts, count in zip(domains, images.counts, strict=True):
        assert len(parts.training) + len(parts.validation) == count
        assert not set(parts.training.ids) & set(parts.validation.ids)

"""Classifiers for a domain without labels: what they learn, how they are compared, what is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import synth.training
from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.errors import (
    ConfigError,
    InterruptedRunError,
    LabelError,
    LeakError,
    NotFoundError,
    SourceError,
    UsageError,
)
from synth.evaluation.classifiers import open_classifier
from synth.evaluation.figures import Estimate, NotMeasured
from synth.training.adapting import Adaptation, adapt
from synth.training.adapting.comparison import Outcome, choose, gain_of, transfer_of
from synth.training.adapting.domains import open_domains


def dimmed(path: Path, part: str, *, change=lambda pixels: 120 + pixels // 5, labels=True) -> Path:
    """Real digits of five classes under another light, as .npz."""
    images = load_images(open_source(part))
    rows = (images.labels < 5).nonzero()[:, 0]
    pixels = change(images.images[rows].permute(0, 2, 3, 1).numpy().astype(int)).astype(np.uint8)
    arrays = {"labels": images.labels[rows].numpy()} if labels else {}
    np.savez(path, images=pixels, **arrays)
    return path


@pytest.fixture
def domains(tmp_path):
    """Source, target without labels, and labelled test images of the target."""
    return (
        dimmed(tmp_path / "source.npz", "digits", change=lambda pixels: pixels),
        dimmed(tmp_path / "target.npz", "digits", labels=False),
        dimmed(tmp_path / "test.npz", "digits:test"),
    )


@pytest.fixture
def settings(tiny):
    """As they are given to ``adapt``, for trainings of a second."""
    values = {**tiny.SETTINGS["classifier"], "width": 16, "features": 32}
    return {"batch_size": 64, "images_seen": 64 * 60, "precision": "32", "seed": 0, **values}


@pytest.fixture
def wanted(settings):
    def make(**changes):
        own = {**settings, **changes.pop("settings", {})}
        return Adaptation(**{"name": "toy", "settings": own, "device": "cpu", **changes})

    return make


@pytest.mark.parametrize("method", ["coral", "dann"])
def test_what_is_learnt_without_labels_serves_the_other_domain(domains, wanted, method):
    source, target, test = domains
    found = adapt(source, target, wanted(methods=[method]), test=test)
    plain, adapted = found.outcomes
    assert (plain.method, adapted.method) == ("source", method)
    assert adapted.accuracy.value > 0.85
    assert adapted.gain.low > 0.1
    assert adapted.gain.value == pytest.approx(adapted.accuracy.value - plain.accuracy.value)
    assert adapted.transfer == "positive"
    assert found.chosen == f"toy-{method}@1"
    # What it has published is what it has measured, to be had from the store.
    opinions = open_classifier(found.chosen, device="cpu")
    images = opinions.load(open_source(test))
    right = opinions.probabilities(images.images).argmax(dim=1) == images.labels
    assert float(right.float().mean()) == pytest.approx(adapted.accuracy.value)
    card = (Store().open(found.chosen).path / "README.md").read_text()
    assert "It was adapted to images without labels" in card


def test_without_labelled_target_images_it_says_so_and_chooses_all_the_same(domains, wanted):
    source, target, _ = domains
    found = adapt(source, target, wanted(methods=["dann"], settings={"images_seen": 64 * 8}))
    assert found.tested_on == "no labelled images of the target"
    assert all(isinstance(one.accuracy, NotMeasured) for one in found.outcomes)
    assert "--test" in found.outcomes[0].accuracy.reason
    assert found.chosen in {one.model for one in found.outcomes}
    assert all(0 <= one.information <= 1 for one in found.outcomes)


@pytest.mark.parametrize(
    "changes", [{"adaptation": "coral"}, {"conditional": True, "entropy": 0.1, "norms": "together"}]
)
def test_labels_of_the_target_change_nothing(tiny, tmp_path, source, changes):
    recipe = tiny.recipe("classifier", validation=1e-6, pseudo_labels=1.0, jitter=1.0, sure=0.5, **changes)
    weights = []
    for number in (0, 1):  # which images are kept back depends on their classes, so none are
        target = tiny.source(tmp_path / f"target{number}.npz", seed=3)
        content = dict(np.load(target))
        np.savez(target, **{**content, "labels": content["labels"][:: 1 - 2 * number]})
        weights.append(tiny.fit(source, family="classifier", recipe=recipe, target=target).weights())
    assert all(torch.equal(weight, weights[1][name]) for name, weight in weights[0].items())


@pytest.mark.parametrize("adaptation", ["coral", "dann"])
def test_a_stopped_adaptation_goes_on_as_if_it_had_not_been(tiny, source, tmp_path, listen, adaptation):
    target = tiny.source(tmp_path / "target.npz", classes=0, seed=3)
    recipe = tiny.recipe("classifier", adaptation=adaptation, jitter=0.5, pseudo_labels=1.0)
    options = {"family": "classifier", "recipe": recipe, "target": target}
    whole = tiny.fit(source, name="whole", **options)
    with pytest.raises(InterruptedRunError):
        tiny.fit(source, reporter=listen(48, lambda: os.kill(os.getpid(), signal.SIGINT)), **options)
    resumed = tiny.fit(source, resume=True, **options)
    assert resumed.manifest.digest == whole.manifest.digest
    assert resumed.manifest.metrics == whole.manifest.metrics
    ids = resumed.training_ids()
    assert ids.contains(load_images(open_source(target)).ids).any()
    assert resumed.card.classes == ("kind0", "kind1")


def test_what_was_interrupted_goes_on_and_what_is_done_stays(domains, wanted, listen):
    source, target, _ = domains
    stop = listen()
    count = {"source": 0}

    def progress(share, images_seen, seconds, figures):
        count["source"] += 1
        if count["source"] == 5:
            os.kill(os.getpid(), signal.SIGINT)

    short = {"images_seen": 64 * 4}
    stop.progress = progress
    with pytest.raises(InterruptedRunError):  # in the second training: the first has four steps
        adapt(source, target, wanted(methods=["coral"], settings=short), reporter=stop)
    first = Store().open("toy-source")
    found = adapt(source, target, wanted(methods=["coral"], settings=short, resume=True))
    assert [one.model for one in found.outcomes] == ["toy-source@1", "toy-coral@1"]
    assert Store().open("toy-source").manifest == first.manifest


def test_translated_images_are_learnt_from_with_their_labels(tiny, tmp_path, wanted):
    images = load_images(open_source(tiny.source(tmp_path / "toys.npz")))
    source = tmp_path / "source"
    for number, pixels in enumerate(images.images[:, 0].numpy()):
        file = source / f"kind{number % 2}" / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    (source / "kind0" / "broken.png").write_bytes(b"no image")
    target = tiny.source(tmp_path / "target.npz", classes=0, seed=3)
    tiny.untrained(Store())
    short = {"images_seen": 64, "batch_size": 16}
    request = wanted(methods=["translate"], translator="toys", settings=short)
    with pytest.raises(
        LabelError, match=r"toys@1 may change what images show: whether labels survive it was"
    ):
        adapt(source, target, request, skip_unreadable=True)
    assert Store().versions("toy-source") == []  # before anything was trained
    request = wanted(
        methods=["translate", "translate-dann"], translator="toys", settings=short, allow_label_drift=True
    )
    found = adapt(source, target, request, skip_unreadable=True)
    assert [one.method for one in found.outcomes] == ["source", "translate", "translate-dann"]
    assert found.outcomes[1].notes == found.outcomes[2].notes
    assert Store().open("toy-translate-dann").manifest.recipe["adaptation"] == "dann"
    (note,) = found.outcomes[1].notes
    assert note.startswith("trained on the source, translated by toys@1: whether labels survive it was not")
    training = Store().open("toy-translate").manifest.training
    made = load_images(open_source(training.source))
    original = load_images(open_source(source, skip_unreadable=True))
    assert made.labels.tolist() == original.labels.tolist()
    assert not set(made.ids) & set(original.ids)


def test_a_translator_that_was_trained_here_and_keeps_few_labels_is_left_out(
    tiny, tmp_path, wanted, source, listen, monkeypatch
):
    def fit(family, *options, name, **others):
        return (
            tiny.untrained(Store(), name)
            if family == "cut"
            else synth.training.fit(family, *options, name=name, **others)
        )

    monkeypatch.setattr("synth.training.adapting.training.fit", fit)
    target = tiny.source(tmp_path / "target.npz", classes=0, seed=3)
    request = wanted(methods=["translate", "translate-dann"], settings={"images_seen": 64, "batch_size": 16})
    found = adapt(source, target, request, reporter=(told := listen()))
    assert [one.method for one in found.outcomes] == ["source"]
    assert Store().versions("toy-cut") == [1]  # one for both
    for number, method in enumerate(("translate", "translate-dann"), start=-2):
        assert found.notes[number].startswith(f"{method} is left out: toy-cut@1 may change what images show")
        assert found.notes[number] in told.notes


def test_a_generator_does_not_translate_and_a_method_has_a_name(tiny, domains, wanted, source):
    tiny.fit(source, family="encoder", name="eye")
    with pytest.raises(UsageError, match=r"eye@1 .*encoder"):
        adapt(domains[0], domains[1], wanted(methods=["translate"], translator="eye"))
    with pytest.raises(NotFoundError):
        adapt(domains[0], domains[1], wanted(methods=["translate"], translator="nobody"))
    with pytest.raises(ConfigError, match=r"There is no method 'dan' \(did you mean 'dann'\?\)"):
        adapt(domains[0], domains[1], wanted(methods=["dan"]))


def test_domains_that_cannot_be_adapted_between_are_refused(tiny, tmp_path, domains, synth_home):
    source, target, _ = domains
    bare = dimmed(tmp_path / "bare.npz", "digits", labels=False)
    alone = tiny.source(tmp_path / "alone.npz", count=1, classes=0)
    foreign = tiny.source(tmp_path / "foreign.npz", seed=9)
    (tmp_path / "empty").mkdir()
    same = tmp_path / "same.npz"
    same.write_bytes(source.read_bytes())
    for given, error, message in [
        ((source, source, None), UsageError, "is both source and target: there is nothing to adapt to"),
        ((source, same, None), LeakError, "in the target .*same.npz are in the source"),
        ((bare, target, None), LabelError, r"bare.npz has no labels to learn \(no labels in the file"),
        ((source, alone, None), SourceError, "alone.npz holds 1 image: too few to know a domain by"),
        ((source, target, target), LabelError, "target.npz has no labels: nothing can be tested on it"),
        ((source, target, foreign), LabelError, "foreign.npz has classes that .*source.npz has not: kind0"),
        ((source, target, source), LeakError, "the test images .*source.npz are in the source"),
        ((source, tmp_path / "empty", None), SourceError, "empty"),
        ((source, tmp_path / "nowhere", None), NotFoundError, "nowhere"),
    ]:
        with pytest.raises(error, match=message):
            open_domains(*given)
    assert not (synth_home / "runs").exists()


def test_unlike_sizes_and_channels_are_brought_together_and_it_is_said(tiny, tmp_path, domains):
    source, _, test = domains
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    pair = open_domains(source, folder, test)
    assert (pair.size, pair.channels) == ((8, 8), 3)
    assert pair.test.images.shape[1] == 3
    said = " ".join(pair.notes)
    assert "20 of 20 images resized to 8 x 8; 20 cropped" in said
    assert "the grey ones of" in said
    assert open_domains(source, folder, None, size=(12, 16)).size == (12, 16)


def outcome(method: str, validation: float, information: float) -> Outcome:
    nothing = NotMeasured(reason="none")
    return Outcome(
        method=method, model=f"m-{method}@1", accuracy=nothing, gain=nothing, validation=validation,
        information=information, transfer="none", images_seen=1, seconds=1.0,
    )  # fmt: skip


def test_what_is_surest_of_the_target_is_chosen_unless_it_forgot_the_source():
    plain, good, mad = outcome("source", 0.98, 0.5), outcome("dann", 0.96, 0.8), outcome("coral", 0.5, 0.9)
    assert choose([plain, good, mad]) == good
    assert choose([plain, mad]) == plain


def test_gains_are_paired_and_negative_transfer_is_flagged():
    base = torch.tensor([True] * 60 + [False] * 40)
    better = torch.tensor([True] * 90 + [False] * 10)
    gain = gain_of(better, base)
    assert gain.value == pytest.approx(0.3)
    assert gain.low == pytest.approx(0.3 - 1.959964 * (0.3 * 0.7 / 100) ** 0.5)
    assert transfer_of(gain, 1.0, 1.0, (1.0, 1.0)) == "positive"
    assert transfer_of(gain_of(base, better), 1.0, 1.0, (1.0, 1.0)) == "negative"
    assert transfer_of(gain_of(base, base), 1.0, 1.0, (1.0, 1.0)) == "unclear"
    assert isinstance(gain_of(base, base), Estimate)
    assert gain_of(base, base).high == pytest.approx(0.03)
    nothing = NotMeasured(reason="none")
    assert transfer_of(nothing, 0.9, 0.4, (0.9, 0.5)) == "suspected negative"
    assert transfer_of(nothing, 0.8, 0.6, (0.9, 0.5)) == "suspected negative"
    assert transfer_of(nothing, 0.9, 0.6, (0.9, 0.5)) == "unclear"

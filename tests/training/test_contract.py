"""What every family is held to, by its entry in the table, at the smallest settings (tests/conftest.py)."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synth.artifacts import Artifact, Store
from synth.data import load_images, open_source
from synth.errors import InterruptedRunError, LabelError, NonFiniteError, UsageError
from synth.evaluation import open_extractor
from synth.evaluation.classifiers import open_classifier
from synth.families import TRAINED, get_family
from synth.sampling import Sampler, sizes
from synth.sampling.execution import to_uint8
from synth.sampling.noise import draw_noise
from synth.training.runs import latest_run

SHAPES = [(1, (9, 13), 3), (3, (9, 13), 0), (3, (8, 8), 2), (1, (8, 8), 0)]
"""Channels, height and width, classes."""
TOLERANCE = 1
"""Levels of 255 between the same sample in two batches, in mode fast and float32."""
TOLERANCE_BF16 = 8
"""The same in bfloat16, which has eight bits for what float32 has twenty-four."""


@dataclass
class Trained:
    family: str
    source: Path
    artifact: Artifact
    module: Any
    _sampler: list[Sampler] = field(default_factory=list)

    @property
    def sampler(self) -> Sampler:
        """Of a generator, made when it is first asked for."""
        if not get_family(self.family).makes_images:
            pytest.skip(f"{self.family} makes no images")
        if not self._sampler:
            self._sampler.append(Sampler(self.artifact, device="cpu", precision="32"))
        return self._sampler[0]

    def make(
        self, sampler: Sampler, count: int, *, start: int = 0, labels: str = "any", **options: Any
    ) -> Any:
        """So many samples from nothing or, of what cannot do that, from the source's images."""
        if get_family(self.family).generates:
            return sampler.generate(count, start=start, labels=labels, **options)
        images = load_images(open_source(self.source)).images
        rows = torch.arange(start, start + count) % len(images)
        return sampler.translate(images[rows], start=start, **options)

    @property
    def draws(self) -> bool:
        """Whether anything in its samples is random."""
        return bool(get_family(self.family).load("program")(self.module.average).noise)


@pytest.fixture(
    scope="module",
    params=[(family, shape) for family in TRAINED for shape in SHAPES],
    ids=lambda param: f"{param[0]}-{param[1][0]}x{param[1][1][0]}x{param[1][1][1]}-{param[1][2]}-classes",
)
def trained(request, tiny, tmp_path_factory) -> Trained:
    family, (channels, size, classes) = request.param
    if get_family(family).load("recipe").needs_labels:
        classes = max(classes, 2)
    folder = tmp_path_factory.mktemp("contract")
    source = tiny.source(folder / "toys.npz", size=size, channels=channels, classes=classes)
    modules = []
    module_type = get_family(family).load("module")
    preview = module_type.preview
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_type, "preview", lambda module: (modules.append(module), preview(module))[1])
        artifact = tiny.fit(source, family=family, store=Store(folder / "store"), runs=folder / "runs")
    return Trained(family, source, artifact, modules[-1])


def distance(first: torch.Tensor, second: torch.Tensor) -> int:
    return int((first.int() - second.int()).abs().max())


def test_the_artifact_says_what_it_was_trained_on(trained):
    images = load_images(open_source(trained.source))
    card = trained.artifact.card
    assert (card.image.channels, card.image.height, card.image.width) == tuple(images.images.shape[1:])
    family = get_family(trained.family)
    assert card.classes == (None if family.needs_target else images.classes)
    ids = trained.artifact.training_ids()
    known = ids.contains(images.ids).sum()
    assert 0 < known < len(images)  # the rest was kept back to measure on
    assert (known == len(ids)) != family.needs_target  # and those of the other domain are known besides
    assert trained.artifact.manifest.network == trained.module.network_config()


def test_the_published_weights_are_the_trained_ones(trained):
    published, own = trained.artifact.weights(), trained.module.average.state_dict()
    assert published.keys() == own.keys()
    for name, weight in own.items():
        assert torch.equal(published[name], weight), name
    assert (trained.artifact.path / "preview.png").stat().st_size > 0


def test_a_family_that_makes_no_images_is_refused_where_images_are_asked_for(trained):
    if get_family(trained.family).makes_images:
        pytest.skip(f"{trained.family} makes images")
    with pytest.raises(UsageError, match=r"toy@1 is an? \w+: .* makes none. Name a generator"):
        Sampler(trained.artifact, device="cpu")


def test_the_published_features_are_the_trained_ones(trained):
    if trained.family != "encoder":
        pytest.skip(f"{trained.family} has no features")
    images = load_images(open_source(trained.source)).images
    with torch.inference_mode():
        expected = trained.module.average.eval()(images / 127.5 - 1.0)
    extractor = open_extractor(trained.artifact.path, device="cpu")
    torch.testing.assert_close(extractor.features(images), expected, atol=1e-4, rtol=1e-4)
    assert len(torch.unique(expected, dim=0)) == len(images)


def test_a_family_that_learns_nothing_but_labels_is_refused_without(trained, tiny, tmp_path):
    if not get_family(trained.family).load("recipe").needs_labels:
        pytest.skip(f"{trained.family} learns without labels")
    bare = tiny.source(tmp_path / "bare.npz", classes=0)
    with pytest.raises(LabelError, match=r"learns labels, and .*bare.npz has none .* Add them\.$"):
        tiny.fit(bare, family=trained.family)


def test_the_published_opinions_are_the_trained_ones(trained):
    if trained.family != "classifier":
        pytest.skip(f"{trained.family} tells no classes")
    images = load_images(open_source(trained.source)).images
    with torch.inference_mode():
        expected = trained.module.average.eval()(images / 127.5 - 1.0).softmax(dim=1)
    found = open_classifier(trained.artifact, device="cpu").probabilities(images)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert len(torch.unique(expected, dim=0)) == len(images)


def test_the_published_weights_make_what_the_trained_ones_make(trained):
    module, sampler = trained.module, trained.sampler
    batch = trained.make(sampler, 20, seed=5)
    program = get_family(trained.family).load("program")(module.average)
    parameters = {parameter.name: parameter.default for parameter in sampler.parameters}
    with torch.inference_mode():
        noise = draw_noise(program.noise, 5, batch.index)
        if get_family(trained.family).generates:
            state = program.begin(noise, batch.labels, parameters)
        else:
            given = load_images(open_source(trained.source)).images[:20] / 127.5 - 1.0
            state = program.begin_from(given, noise, None, parameters)
        for i in range(program.steps(parameters)):
            state = program.step(i, state, batch.labels, parameters)
        assert distance(to_uint8(program.image(state)), batch.images) <= TOLERANCE
    assert len(torch.unique(batch.images, dim=0)) == 20


def test_a_stopped_and_resumed_training_equals_an_uninterrupted_one(trained, tiny, listen, tmp_path):
    options = {"family": trained.family, "store": Store(tmp_path / "store"), "runs": tmp_path / "runs"}
    stop = listen(48, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRunError):
        tiny.fit(trained.source, reporter=stop, **options)
    assert stop.seen[-1] < 96
    resumed = tiny.fit(trained.source, resume=True, reporter=listen(), **options)
    assert resumed.manifest.digest == trained.artifact.manifest.digest
    expected = trained.artifact.weights()
    assert all(torch.equal(weight, expected[name]) for name, weight in resumed.weights().items())
    assert resumed.manifest.metrics == trained.artifact.manifest.metrics


def test_a_sample_depends_on_its_key_alone(trained):
    sampler = trained.sampler
    labels = "balanced" if sampler.card.classes else "any"
    whole = trained.make(sampler, 100, labels=labels, seed=3)
    for start, count in [(0, 1), (37, 1), (63, 2), (10, 70)]:
        part = trained.make(sampler, count, labels=labels, seed=3, start=start)
        rows = slice(start, start + count)
        assert torch.equal(part.index, whole.index[rows])
        assert part.labels is None or torch.equal(part.labels, whole.labels[rows])
        assert distance(part.images, whole.images[rows]) <= TOLERANCE
    other = trained.make(sampler, 100, labels=labels, seed=4)
    assert torch.equal(other.images, whole.images) != trained.draws


def test_exact_samples_are_equal_to_the_byte_whatever_the_batching(trained):
    sampler = trained.sampler
    whole = trained.make(sampler, 100, seed=3, mode="exact")
    for start, count in [(0, 1), (37, 1), (63, 2), (10, 70)]:
        part = trained.make(sampler, count, seed=3, start=start, mode="exact")
        assert torch.equal(part.images, whole.images[start : start + count])
    assert distance(whole.images, trained.make(sampler, 100, seed=3).images) <= TOLERANCE


def test_reduced_precision_keeps_the_promises(trained, tiny, listen, tmp_path, monkeypatch):
    """bf16 is what ``auto`` means on many machines; every CPU computes it, if slowly."""
    monkeypatch.setattr("synth.sampling.device.cpu_features", lambda: ["avx512_bf16"])
    options = {"family": trained.family, "store": Store(tmp_path / "store"), "runs": tmp_path / "runs"}
    recipe = tiny.recipe(trained.family, precision="bf16")
    whole = tiny.fit(trained.source, name="whole", recipe=recipe, **options)
    stop = listen(48, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(InterruptedRunError):
        tiny.fit(trained.source, name="parts", recipe=recipe, reporter=stop, **options)
    parts = tiny.fit(trained.source, name="parts", recipe=recipe, resume=True, **options)
    assert parts.manifest.digest == whole.manifest.digest
    if not get_family(trained.family).makes_images:
        return
    sampler = Sampler(whole, device="cpu", precision="bf16")
    exact = trained.make(sampler, 50, seed=3, mode="exact").images
    part = trained.make(sampler, 9, seed=3, start=11, mode="exact").images
    assert torch.equal(part, exact[11:20])
    assert distance(trained.make(sampler, 50, seed=3).images, exact) <= TOLERANCE_BF16


def test_translations_depend_on_image_and_key_alone(trained):
    sampler = trained.sampler
    if not get_family(trained.family).translates:
        pytest.skip(f"{trained.family} makes images from nothing")
    images = load_images(open_source(trained.source))
    labels = None if sampler.card.classes is None else images.labels.tolist()
    for mode, tolerance in [("fast", TOLERANCE), ("exact", 0)]:
        whole = sampler.translate(images.images, labels=labels, seed=3, mode=mode)
        one = sampler.translate(images.images[7:8], labels=labels and labels[7:8], seed=3, start=7, mode=mode)
        assert distance(one.images, whole.images[7:8]) <= tolerance
    last_axis = np.ascontiguousarray(images.images.permute(0, 2, 3, 1).numpy())
    assert torch.equal(sampler.translate(last_axis, labels=labels, seed=3, mode="exact").images, whole.images)
    other = sampler.translate(images.images, labels=labels, seed=4, mode="exact")
    assert torch.equal(other.images, whole.images) != trained.draws


def test_mere_translators_take_images_of_any_size_whole_and_in_tiles(trained, monkeypatch):
    sampler, family = trained.sampler, get_family(trained.family)
    assert sampler.any_size == (not family.generates)  # without framing, which is off by default
    if not sampler.any_size:
        return
    images = load_images(open_source(trained.source)).images[:3]
    for size in ((8, 8), (21, 34), (170, 150)):
        rows, columns = (torch.arange(side) % images.shape[2 + axis] for axis, side in enumerate(size))
        others = images[:, :, rows][:, :, :, columns].contiguous()
        for tiles in (False, True):
            with monkeypatch.context() as patch:
                patch.setattr(sizes, "MOST_PIXELS", 90 * 90 if tiles else sizes.MOST_PIXELS)
                sizes._cover.cache_clear()
                whole = sampler.translate(others, seed=3, mode="exact").images
                alone = sampler.translate(others[1:2], seed=3, start=1, mode="exact").images
            assert whole.shape == others.shape
            assert torch.equal(alone, whole[1:2])
            assert distance(sampler.translate(others, seed=3).images, whole) <= TOLERANCE or tiles
        sizes._cover.cache_clear()


def test_a_loss_that_is_not_a_number_ends_the_training_and_loses_nothing(
    trained, tiny, listen, tmp_path, monkeypatch
):
    store = Store(tmp_path / "store")
    options = {"family": trained.family, "store": store, "runs": tmp_path / "runs"}
    module_type = get_family(trained.family).load("module")
    loss = module_type.loss

    def diverging(self, images, labels, position):
        value, figures = loss(self, images, labels, position)
        return (value * float("nan") if int(position[0]) >= 64 else value), figures

    monkeypatch.setattr(module_type, "loss", diverging)
    with pytest.raises(NonFiniteError, match=r"the loss became NaN .* after 64 images.*learning_rate=0\.0"):
        tiny.fit(trained.source, **options)
    assert store.list() == []
    state = latest_run("toy", tmp_path / "runs").load_state()
    assert state["images_seen"] == 64
    assert all(weight.isfinite().all() for weight in state["module"].values())
    monkeypatch.setattr(module_type, "loss", loss)
    resumed = tiny.fit(trained.source, resume=True, **options)
    assert resumed.manifest.digest == trained.artifact.manifest.digest

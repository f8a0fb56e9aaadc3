"""Operations that own a model: references, what is refused, and images by key on every way."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from synth.artifacts import Store
from synth.augment import Boxes, Pipeline, Samples, read_specification
from synth.cli import main
from synth.data import open_source
from synth.errors import ArtifactError, ConfigError, SourceError, UsageError
from synth.integrations.torch import as_torch, as_transform
from synth.sampling import Sampler
from tests import translators

GENERATE = {"sample": [{"operation": "generate", "model": "toys", "probability": 0.6}]}
NAMES = ("kind0", "kind1")


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory) -> Store:
    """``toys``, twice, and a translator."""
    store = Store(tmp_path_factory.mktemp("models") / "store")
    tiny.untrained(store)
    tiny.untrained(store)
    with translators.known():
        translators.publish(store)
    return store


def samples(count=40, labels=True, **more):
    images = torch.arange(count * 64).reshape(count, 1, 8, 8).to(torch.uint8)
    return Samples(
        images, tuple(f"s{row}" for row in range(count)), torch.arange(count) % 2 if labels else None, **more
    )


def test_a_reference_becomes_a_version_and_a_digest_that_are_held_to(store):
    found = read_specification(GENERATE, store=store)
    plain = found.plain()["sample"][0]
    digest = store.find("toys").manifest.digest
    assert (plain["model"], plain["digest"], plain["parameters"]["spread"]) == ("toys@2", digest, 1.0)
    again = read_specification(json.loads(json.dumps(found.plain())), store=store)
    assert again == found
    assert again.digest == found.digest
    assert read_specification({"sample": [{**plain, "model": "toys@1"}]}, store=store) != found
    with pytest.raises(ConfigError, match="generate: toys@1 has the digest"):
        read_specification({"sample": [{**plain, "model": "toys@1", "digest": "0" * 64}]}, store=store)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "toy"}, "generate: There is no model 'toy'.*did you mean 'toys'"),
        ({"model": "toys@7"}, "toys has no version 7.*Versions: 1, 2"),
        ({"model": "a b@c@d"}, "Cannot read the model reference"),
        ({"model": "tint"}, "tint@1 is a tint: it makes images from images, and none from nothing"),
        ({"model": None}, "model = None"),
        ({"parameters": {"spred": 1}}, "toys@2 has no parameter 'spred'"),
        ({"parameters": {"spread": 9}}, "spread must be a number from 0 to 2"),
    ],
)
def test_models_that_are_missing_or_cannot_do_it_are_refused_when_read(store, change, message):
    with translators.known(), pytest.raises(ConfigError, match=message):
        Pipeline.read({"sample": [{**GENERATE["sample"][0], **change}]}, store=store)


def test_generated_images_are_those_of_the_sampler_by_label_and_index(store):
    pipeline, whole = Pipeline.read(GENERATE, seed=4, store=store), samples(classes=NAMES[::-1])
    made = pipeline.run(whole)
    record = json.loads(json.dumps(pipeline.record(whole)))
    replaced = [row for row, entries in enumerate(record) if entries]
    assert 10 < len(replaced) < 35
    sampler = Sampler.open("toys", store=store, device="cpu", precision="32", warmup_seconds=0)
    for row in range(40):
        expected = whole.images[row]
        if row in replaced:
            index, name = int(record[row][0]["parameters"]["index"]), whole.classes[int(whole.labels[row])]
            expected = sampler.generate(1, labels=name, start=index, mode="exact").images[0]
        assert torch.equal(made.images[row], expected)
    assert torch.equal(made.labels, whole.labels)
    assert torch.equal(pipeline.replay(whole, record).images, made.images)
    for part in (slice(3, 4), slice(7, 22)):
        assert torch.equal(pipeline.run(whole.part(part)).images, made.images[part])


def test_without_labels_classes_are_drawn_by_key(store):
    pipeline, whole = Pipeline.read(GENERATE, store=store), samples(labels=False)
    made = pipeline.run(whole)
    assert torch.equal(pipeline.run(whole.part(slice(5, 9))).images, made.images[5:9])
    assert not torch.equal(made.images, whole.images)


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        (samples(masks=torch.zeros(40, 8, 8, dtype=torch.int64)), "leave the masks of samples wrong"),
        (
            samples(boxes=Boxes(torch.tensor([[1.0, 1, 3, 3]]), torch.tensor([0]))),
            "leave the boxes of samples wrong",
        ),
        (replace(samples(), images=torch.zeros(40, 3, 8, 8, dtype=torch.uint8)), "images with 1 channels"),
        (replace(samples(), images=torch.zeros(40, 1, 9, 8, dtype=torch.uint8)), "Say 'fit: resize'"),
        (replace(samples(), labels=torch.arange(40)), "toys@2 has 2 classes, 0 to 1"),
        (replace(samples(), labels=torch.ones(40, 2) / 2), "one class for each image"),
        (samples(classes=("kind0", "cat")), "does not know the classes cat. It knows kind0, kind1"),
    ],
)
def test_samples_that_cannot_be_replaced_are_refused(store, whole, message):
    with pytest.raises((ConfigError, SourceError), match=message):
        Pipeline.read(GENERATE, store=store).run(whole)


def test_a_generator_without_classes_replaces_no_samples_with_labels(tiny, tmp_path):
    store = Store(tmp_path / "store")
    tiny.untrained(store, classes=None)
    pipeline = Pipeline.read(GENERATE, store=store)
    with pytest.raises(SourceError, match="generate would leave the label of samples wrong"):
        pipeline.run(samples())
    assert not torch.equal(pipeline.run(samples(labels=False)).images, samples().images)


def test_images_of_another_size_are_resized_where_that_is_asked_for(store):
    pipeline = Pipeline.read({"sample": [{**GENERATE["sample"][0], "fit": "resize"}]}, store=store)
    whole = replace(samples(), images=torch.zeros(40, 1, 12, 10, dtype=torch.uint8))
    made = pipeline.run(whole)
    assert made.images.shape == (40, 1, 12, 10)
    assert torch.equal(pipeline.run(whole.part(slice(0, 1))).images, made.images[:1])


@pytest.mark.parametrize(("workers", "start_method"), [(2, "fork"), (1, "spawn")])
def test_workers_load_the_model_themselves_and_give_the_same(store, tiny, tmp_path, workers, start_method):
    source = open_source(tiny.source(tmp_path / "toys.npz", count=24))
    pipeline = Pipeline.read(GENERATE, seed=1, store=store)
    expected = torch.stack([image for image, _ in as_torch(source, pipeline)])
    assert (expected != torch.stack([image for image, _ in as_torch(source, Pipeline.read("basic"))])).any()
    loader = DataLoader(
        as_torch(source, pipeline), batch_size=5, num_workers=workers, multiprocessing_context=start_method
    )
    assert torch.equal(torch.cat([images for images, _ in loader]), expected)


def test_offline_data_sets_hold_the_same_images(store, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("SYNTH_HOME", str(store.root.parent))
    (tmp_path / "spec.yaml").write_text(json.dumps(GENERATE))
    path = tiny.source(tmp_path / "toys.npz", count=6)
    command = f"augment {tmp_path / 'spec.yaml'} --data {path} --out {tmp_path / 'out'} --format npz --seed 1"
    assert main(command.split()) == 0
    written = np.load(next((tmp_path / "out").rglob("*.npz")))["images"]
    whole = as_torch(open_source(path), Pipeline.read(GENERATE, seed=1, store=store))
    expected = torch.stack([image for image, _ in whole]).permute(0, 2, 3, 1)
    assert np.array_equal(written, expected.numpy())


def test_a_model_that_changed_or_went_after_the_pipeline_was_read_is_told(tiny, tmp_path):
    store = Store(tmp_path / "store")
    tiny.untrained(store)
    pipeline = pickle.loads(pickle.dumps(Pipeline.read(GENERATE, store=store)))
    store.remove("toys@1")
    with pytest.raises(ArtifactError, match=r"manifest\.json is missing"):
        pipeline.run(samples())


def test_transforms_see_no_labels_and_refuse_what_needs_them(store):
    with pytest.raises(UsageError, match="generate cannot do without: use as_torch"):
        as_transform(Pipeline.read(GENERATE, store=store))

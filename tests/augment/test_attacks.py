"""Attacks as operations of a pipeline: within the radius, by key, and what they refuse."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from synth.artifacts import Store
from synth.augment import Pipeline, Samples
from synth.data import open_source
from synth.errors import ConfigError, SourceError, UsageError
from synth.evaluation.classifiers import open_classifier
from synth.integrations.torch import as_torch, as_transform
from synth.serving.pipelines import Pipelines

NAMES = ("kind0", "kind1")
STEPS = [
    {"operation": "fgsm"},
    {"operation": "fgsm", "random_start": True, "step_size": 0.2},
    {"operation": "pgd", "steps": 5, "norm": "l2", "eps": [0, 4]},
    {"operation": "pgd", "steps": 5, "restarts": 2, "loss": "margin"},
    {"operation": "rays", "queries": 30},
]


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory) -> Store:
    """``judge``, which tells two kinds of images of 8 x 8, and ``toys``, a generator."""
    folder = tmp_path_factory.mktemp("attacks")
    store = Store(folder / "store")
    source = tiny.source(folder / "toys.npz", count=200)
    recipe = tiny.recipe("classifier", images_seen=16 * 90)
    tiny.fit(source, name="judge", family="classifier", recipe=recipe, store=store)
    tiny.untrained(store)
    return store


def pipeline(store, step, **more):
    step = {"eps": 0.2, "model": "judge", **step, **more}
    return Pipeline.read({"sample": [step]}, seed=3, store=store)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory) -> Samples:
    source = open_source(tiny.source(tmp_path_factory.mktemp("toys") / "toys.npz", count=30, seed=1))
    images = torch.stack([torch.from_numpy(source[row].image) for row in range(30)]).permute(0, 3, 1, 2)
    return Samples(images.contiguous(), tuple(source.ids), torch.as_tensor(source.labels), classes=NAMES)


@pytest.mark.parametrize("step", STEPS)
def test_attacks_stay_in_the_ball_fool_and_do_not_depend_on_the_batch(store, whole, step):
    found = pipeline(store, step)
    before = whole.images.clone()
    made = found.run(whole, epoch=1)
    change = (made.images.double() - whole.images.double()).flatten(1)
    sizes = change.norm(dim=1) if step.get("norm") == "l2" else change.abs().amax(1)
    assert sizes.max() <= 255 * (4 if step.get("norm") == "l2" else 0.2) + 1e-6
    judge = open_classifier("judge", store=store, device="cpu")

    def right(images):
        return (judge.probabilities(images).argmax(1) == whole.labels).float().mean()

    assert right(whole.images) > 0.9
    assert right(made.images) < right(whole.images) - 0.3
    for part in (slice(4, 5), slice(7, 18)):
        assert torch.equal(found.run(whole.part(part), epoch=1).images, made.images[part])
    record = json.loads(json.dumps(found.record(whole, epoch=1)))
    assert torch.equal(found.replay(whole, record).images, made.images)
    assert torch.equal(whole.images, before)
    assert torch.equal(made.labels, whole.labels)


def test_classes_are_matched_by_name_where_names_are_known(store, whole):
    found = pipeline(store, {"operation": "fgsm"})
    turned = replace(whole, labels=1 - whole.labels, classes=NAMES[::-1])
    assert torch.equal(found.run(turned).images, found.run(whole).images)
    assert torch.equal(found.run(replace(whole, classes=None)).images, found.run(whole).images)


def test_keys_decide_random_starts(store, whole):
    found = pipeline(store, {"operation": "pgd", "steps": 1, "step_size": 0.01})
    assert not torch.equal(found.run(whole, epoch=0).images, found.run(whole, epoch=1).images)


def test_workers_give_the_same(store, tiny, tmp_path):
    source = open_source(tiny.source(tmp_path / "toys.npz", count=20))
    dataset = as_torch(source, pipeline(store, {"operation": "pgd", "steps": 3}))
    expected = torch.stack([image for image, _ in dataset])
    loader = DataLoader(dataset, batch_size=6, num_workers=2)
    assert torch.equal(torch.cat([images for images, _ in loader]), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "pgd needs the class of each image.*Give a source with classes"),
        ({"images": torch.zeros(30, 3, 8, 8, dtype=torch.uint8)}, "images with 1 channels"),
        ({"images": torch.zeros(30, 1, 9, 8, dtype=torch.uint8)}, r"is for images of 8 x 8.*have 9 x 8"),
        ({"labels": torch.ones(30, 2) / 2}, "one class for each image"),
        (
            {"labels": torch.full((30,), -1)},
            "samples have 2 classes, 0 to 1, and .* from -1 to -1",
        ),
        ({"labels": torch.full((30,), 5)}, "the labels go from 5 to 5"),
        ({"classes": ("kind0", "cat")}, "does not know the classes cat"),
    ],
)
def test_samples_that_cannot_be_attacked_are_refused(store, whole, change, message):
    # What needs labels is refused at the first sample, and not at the first that is attacked.
    rare = 1e-9 if change.get("labels", 0) is None else 1.0
    with pytest.raises((ConfigError, SourceError), match=message):
        pipeline(store, {"operation": "pgd", "probability": rare}).run(replace(whole, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "toys"}, "toys@1 is of the family vae and tells no classes"),
        ({"model": "nobody"}, "There is no model 'nobody'"),
        ({"eps": -0.1}, "eps"),
        ({"eps": [0, 0.003]}, "radius of 0.003 changes no image"),
        ({"norm": "l1"}, "norm = 'l1'"),
        ({"steps": 0}, "steps = 0"),
        ({"step_size": 0}, "step_size = 0"),
        ({"restarts": 2, "random_start": False}, "restarts begin at random places"),
        ({"epsilon": 0.1}, "no parameter 'epsilon'"),
    ],
)
def test_attacks_that_cannot_be_are_refused_when_read(store, change, message):
    with pytest.raises(ConfigError, match=message):
        pipeline(store, {"operation": "pgd"}, **change)


def test_servers_bound_what_the_attacks_of_clients_may_cost(store):
    pipelines = Pipelines(store)

    def sent(*steps):
        named = [{"id": f"step {place}", "model": "judge", **step} for place, step in enumerate(steps)]
        return asyncio.run(pipelines.find(json.dumps({"sample": named}), "someone"))

    pgd, rays = {"operation": "pgd", "steps": 50, "restarts": 2}, {"operation": "rays", "queries": 2000}
    assert sent(pgd, pgd, rays).sample[1].restarts == 2
    with pytest.raises(ConfigError, match="take 300 passes for each image by steps and restarts"):
        sent(pgd, pgd, pgd)
    with pytest.raises(ConfigError, match="take 2,200 passes for each image by queries"):
        sent(rays, {"operation": "rays"})


def test_transforms_see_no_labels_and_refuse_attacks(store):
    with pytest.raises(UsageError, match="fgsm cannot do without"):
        as_transform(pipeline(store, {"operation": "fgsm"}))

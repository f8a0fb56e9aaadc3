"""Translators, styles and interpolation in a pipeline: contracts on labels and places, and equal ways in."""

from __future__ import annotations

import json

import pytest
import torch

from synth.artifacts import Draft, ImageInfo, Metric, Store
from synth.augment import Boxes, Partners, Pipeline, Samples
from synth.errors import ConfigError, SourceError
from synth.families import get_family
from synth.models.program import ImageShape
from synth.sampling import Sampler
from tests import translators

GOOD = {"label_preservation": 0.97, "geometry": 0.96}


def publish(tiny, store, family, metrics=GOOD, **changes):
    """Untrained, grey, 16 x 16, of a family whose images come from images."""
    config = {**tiny.SETTINGS[family], "grey": [True, True], **changes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = get_family(family).load("network")(config, ImageShape(1, 16, 16), 0)
    draft = Draft(
        family=family,
        network=config,
        image=ImageInfo(channels=1, height=16, width=16),
        classes=None,
        weights=network.state_dict(),
        parameters=1,
        recipe={},
        source="nothing",
        images=1,
        images_seen=0,
        seconds=0.0,
        ids=["00" * 32],
        class_counts=None,
        pixel_mean=[0.5],
        pixel_std=[0.2],
        metrics={key: Metric(value=value, how="as tests need it") for key, value in metrics.items()},
    )
    return store.publish(draft, family)


@pytest.fixture(scope="module")
def store(tiny, tmp_path_factory) -> Store:
    """Translators of several families, and a vae of classes."""
    store = Store(tmp_path_factory.mktemp("generative") / "store")
    tiny.untrained(store)
    publish(tiny, store, "cyclegan", {**GOOD, "label_preservation_b_to_a": 0.5})
    publish(tiny, store, "cut", {**GOOD, "geometry": 0.8})
    publish(tiny, store, "style")
    with translators.known():
        translators.publish(store, channels=1, metrics=GOOD)
        yield store


def samples(count=10, size=(16, 16), **more):
    images = torch.arange(count * size[0] * size[1], dtype=torch.int64) * 37 % 251
    return Samples(
        images.to(torch.uint8).reshape(count, 1, *size),
        tuple(f"s{row}" for row in range(count)),
        torch.arange(count) % 2,
        **more,
    )


def read(operation, model, store, **fields):
    return Pipeline.read(
        {"sample": [{"operation": operation, "model": model, **fields}]}, seed=3, store=store
    )


def check_ways(pipeline, whole, partners=None):
    """The batch, its samples one by one in another order, and the record are equal; returns the batch."""
    made = pipeline.run(whole, 1, partners)
    for row in (6, 0, 3):
        single = pipeline.run(whole.part(slice(row, row + 1)), 1, partners)
        assert torch.equal(single.images[0], made.images[row])
    record = json.loads(json.dumps(pipeline.record(whole, 1, partners)))
    again = Pipeline.read(pipeline.specification.plain(), seed=9, store=store_of(pipeline))
    assert again.specification.digest == pipeline.specification.digest
    replayed = again.replay(whole, record, partners)
    assert torch.equal(replayed.images, made.images)
    if made.labels is not None:
        assert torch.equal(replayed.labels, made.labels)
    assert not torch.equal(made.images, whole.images)
    return made


def store_of(pipeline):
    step = [*pipeline.specification.operations(), *pipeline.specification.batch][0]
    return Store(step.artifact().path.parent.parent)


@pytest.mark.parametrize(
    ("operation", "model", "fields"),
    [
        ("translate_domain", "cyclegan", {}),
        ("translate_domain", "cyclegan", {"direction": "b_to_a", "allow_label_drift": True}),
        ("translate_domain", "cut", {"strength": {"choice": [0.3, 1]}}),
        ("translate_domain", "tint", {"strength": [0, 1]}),
        ("style", "style", {"probability": 1, "parameters": {"spread": 2}}),
        ("style", "style", {"probability": 0.5, "strength": 1}),
    ],
)
@pytest.mark.parametrize("size", [(16, 16), (19, 13)])
def test_a_batch_its_samples_and_its_record_are_equal(store, operation, model, fields, size):
    pipeline, whole = read(operation, model, store, **fields), samples(size=size)
    assert torch.equal(check_ways(pipeline, whole).labels, whole.labels)


@pytest.mark.parametrize("model", ["tint", "cyclegan", "cut", "style", "toys"])
def test_translations_are_those_of_the_sampler_by_index_and_strength(store, model):
    way = {"direction": "b_to_a", "allow_label_drift": True} if model in ("tint", "cyclegan") else {}
    side = 8 if model == "toys" else 16
    pipeline = read("translate_domain", model, store, strength=[0, 1], **way)
    whole = samples(size=(side, side))
    made = pipeline.run(whole)
    sampler = Sampler.open(model, store=store, device="cpu", precision="32", warmup_seconds=0)
    for row, (entry,) in enumerate(pipeline.record(whole)):
        drawn, place = entry["parameters"], slice(row, row + 1)
        expected = sampler.translate(
            whole.images[place],
            labels=whole.labels[place] if model == "toys" else None,
            start=int(drawn["index"]),
            mode="exact",
            strength=drawn["strength"],
            **{name: value for name, value in way.items() if name == "direction"},
        )
        assert torch.equal(made.images[row], expected.images[0])


def test_a_vae_makes_variations_of_its_classes_and_one_size(store):
    pipeline, whole = read("translate_domain", "toys", store, strength=2), samples(size=(8, 8))
    check_ways(pipeline, whole)
    with pytest.raises(SourceError, match="translate_domain needs the class of each image"):
        pipeline.run(Samples(whole.images, whole.ids))
    with pytest.raises(ConfigError, match="images of 16 x 16 do not fit 8 x 8"):
        pipeline.run(samples())
    assert read("translate_domain", "toys", store, fit="resize").run(samples()).size == (16, 16)


@pytest.mark.parametrize(
    ("operation", "model", "fields", "message"),
    [
        ("translate_domain", "cyclegan", {"direction": "b_to_a"}, "label_preservation_b_to_a is 50.0%"),
        ("translate_domain", "cut", {"direction": "b_to_a"}, "cut@1 has no parameter 'direction'"),
        ("translate_domain", "cut", {"strength": [0, 2]}, "strength must be a number from 0 to 1, not 2"),
        ("translate_domain", "cut", {"parameters": {"strength": 1}, "strength": 1}, "given twice"),
        ("translate_domain", "tint", {"parameters": {"style": "a.png"}}, "a pipeline cannot hold"),
        ("style", "cut", {}, "cut@1 is of the family cut and knows no styles"),
        ("interpolate", "cut", {}, "cut@1 is of the family cut and has no latents"),
    ],
)
def test_models_and_values_that_do_not_fit_are_refused_when_read(store, operation, model, fields, message):
    stage = "batch" if operation == "interpolate" else "sample"
    with pytest.raises(ConfigError, match=message):
        Pipeline.read({stage: [{"operation": operation, "model": model, **fields}]}, store=store)


@pytest.mark.parametrize(
    ("model", "fields", "kept"),
    [
        ("cyclegan", {}, True),
        ("cut", {}, False),
        ("cut", {"allow_label_drift": True}, True),
        ("toys", {"fit": "resize"}, False),
    ],
)
def test_boxes_stay_where_places_were_found_to_stay(store, model, fields, kept):
    boxes = Boxes(torch.tensor([[1.0, 2, 9, 9]]), torch.tensor([4]))
    pipeline, whole = read("translate_domain", model, store, **fields), samples(boxes=boxes)
    if kept:
        assert torch.equal(pipeline.run(whole).boxes.corners, boxes.corners)
    else:
        with pytest.raises(SourceError, match="translate_domain would leave the boxes of samples wrong"):
            pipeline.run(whole)


def partners_of(whole):
    return Partners(whole.ids, lambda at: whole.part(slice(at, at + 1)), 2)


@pytest.mark.parametrize("classes", [("kind0", "kind1"), None])
def test_interpolation_mixes_labels_by_the_weights_of_the_latents(store, classes):
    spec = {"batch": [{"operation": "interpolate", "model": "toys", "weight": [0, 1]}]}
    pipeline, whole = Pipeline.read(spec, seed=3, store=store), samples(size=(8, 8), classes=classes)
    made = check_ways(pipeline, whole, partners_of(whole))
    for row, (entry,) in enumerate(pipeline.record(whole, 1, partners_of(whole))):
        weight, same = entry["parameters"]["weight"], (row - entry["partner"]) % 2 == 0
        own = float(made.labels[row, row % 2])
        assert own == pytest.approx(1.0 if same else weight, abs=1e-6)


def test_the_whole_weight_gives_what_the_vae_makes_of_the_image_alone(store):
    spec = {"batch": [{"operation": "interpolate", "model": "toys", "weight": 1}]}
    whole = samples(size=(8, 8))
    made = Pipeline.read(spec, store=store).run(whole, 0, partners_of(whole))
    sampler = Sampler.open("toys", store=store, device="cpu", precision="32", warmup_seconds=0)
    mean = sampler.translate(whole.images, labels=whole.labels, mode="exact", strength=0)
    assert (made.images.int() - mean.images.int()).abs().max() <= 1


def test_interpolation_needs_classes_that_the_model_knows(store):
    spec = {"batch": [{"operation": "interpolate", "model": "toys"}]}
    pipeline, whole = Pipeline.read(spec, store=store), samples(size=(8, 8), classes=("cat", "dog"))
    with pytest.raises(ConfigError, match="toys@1 does not know the classes cat, dog"):
        pipeline.run(whole, 0, partners_of(whole))
    unlabelled = Samples(whole.images, whole.ids)
    with pytest.raises(SourceError, match="interpolate needs the class of each image"):
        pipeline.run(unlabelled, 0, partners_of(unlabelled))


def test_strengths_that_decide_the_steps_are_run_value_by_value_to_the_same_end(store, monkeypatch):
    pipeline = read("translate_domain", "tint", store, strength={"choice": [0.2, 0.7, 1]})
    made = pipeline.run(samples()).images
    monkeypatch.setattr("synth.augment.operations.generative.takes_strengths", lambda parameters: False)
    assert torch.equal(pipeline.run(samples()).images, made)

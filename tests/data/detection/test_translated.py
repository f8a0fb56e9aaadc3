"""Objects and masks through ``synth translate``: they stay where they are, or it is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from synth import open_source
from synth.artifacts import Store
from synth.cli import main
from synth.errors import ConfigError, UsageError
from synth.offline import make_translation_plan, translate_dataset
from synth.sampling import Sampler
from tests import translators


@pytest.fixture(autouse=True)
def _family():
    with translators.known():
        yield


def sampler_of(**metrics: float) -> Sampler:
    return Sampler(
        translators.publish(Store(), metrics=metrics), device="cpu", precision="32", warmup_seconds=0
    )


def test_objects_of_coco_are_those_of_the_originals_and_the_images_are_not(coco, tmp_path):
    sampler_of(geometry=0.97)
    assert main(["translate", "tint", "--data", str(coco.file), "--out", str(tmp_path / "out")]) == 0
    made = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [image["id"] for image in made["images"]] == [42, 5]
    assert made["annotations"][0]["segmentation"] == coco.content["annotations"][0]["segmentation"]
    before, after = open_source(coco.file), open_source(tmp_path / "out")
    for row in range(2):
        original, translated = before[row], after[row]
        assert np.array_equal(original.objects.boxes, translated.objects.boxes)
        assert original.objects.labels.tolist() == translated.objects.labels.tolist()
        assert not np.array_equal(original.image, translated.image)
    assert "label_drift" not in (tmp_path / "out" / "manifest.json").read_text()


def test_places_that_may_not_stay_are_refused_unless_that_is_allowed(coco):
    source = open_source(coco.file)
    with pytest.raises(UsageError, match=r"geometry is 50\.0%.*boxes and masks may be relied on from 95%"):
        make_translation_plan(sampler_of(geometry=0.5).card, source, any_size=True)
    unknown = sampler_of(label_preservation=0.99)
    with pytest.raises(UsageError, match="geometry was never measured"):
        make_translation_plan(unknown.card, source, any_size=True)
    plan = make_translation_plan(unknown.card, source, any_size=True, allow_label_drift=True)
    assert plan.as_dict()["place_drift"]["figure"] == "geometry"
    both = make_translation_plan(
        sampler_of().card, source, labels=[0, 0], any_size=True, allow_label_drift=True
    ).as_dict()
    assert both["label_drift"]["figure"] == "label_preservation"
    assert both["place_drift"]["figure"] == "geometry"


def test_many_masks_make_small_shards(coco, monkeypatch):
    source, card = open_source(coco.file), sampler_of(geometry=0.97).card
    assert make_translation_plan(card, source, any_size=True, shard_size=9).shard_size == 9
    monkeypatch.setattr("synth.offline.objects._MASK_BYTES", 4 * 20 * 10)
    assert make_translation_plan(card, source, any_size=True, shard_size=9).shard_size == 2


def test_variations_by_a_generator_keep_no_places(coco, tiny, tmp_path):
    generator = tiny.fit(tiny.source(tmp_path / "toys.npz"), name="toys")
    with pytest.raises(UsageError, match="objects may lie elsewhere"):
        make_translation_plan(generator.card, open_source(coco.file), labels="any")
    allowed = {"labels": "any", "any_size": True, "allow_label_drift": True}
    plan = make_translation_plan(generator.card, open_source(coco.file), **allowed)
    assert plan.as_dict()["place_drift"] == {"figure": "geometry", "value": None, "threshold": 0.95}


def test_fitting_and_formats_that_lose_objects_are_refused(coco):
    card = sampler_of(geometry=0.97).card
    with pytest.raises(UsageError, match="--fit resize would move"):
        make_translation_plan(card, open_source(coco.file), fit="resize")
    with pytest.raises(ConfigError, match="which it would lose"):
        make_translation_plan(card, open_source(coco.file), any_size=True, format="npz")


def test_masks_of_pixels_go_with_their_images(tmp_path):
    random = np.random.default_rng(0)
    masks = random.integers(0, 3, (4, 20, 24), dtype=np.uint8)
    for number, mask in enumerate(masks):
        for folder, pixels in (
            ("images", random.integers(0, 256, (20, 24, 3), dtype=np.uint8)),
            ("masks", mask),
        ):
            (tmp_path / "cells" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "cells" / folder / f"{number}.png")
    sampler, source = sampler_of(geometry=1.0), open_source(tmp_path / "cells")
    plan = make_translation_plan(sampler.card, source, any_size=True)
    translate_dataset(sampler, source, plan, tmp_path / "out")
    made = open_source(tmp_path / "out")
    assert [made[row].mask.tolist() for row in range(4)] == masks.tolist()

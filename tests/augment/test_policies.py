"""Policies: what they choose, the published ranges of magnitudes, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from synth.augment import Pipeline, Samples
from synth.augment.operations.autoaugment import POLICIES
from synth.errors import ConfigError, SourceError

SIZE = (40, 60)
# By policy: the most of slope, degrees, factor less 1, pixels across and down; fewest and most bits.
RANGES = {
    "randaugment": ({"magnitude": [0, 30]}, 0.3, 30, 0.9, 27, 18, 4, 8),
    "trivial_augment_wide": ({}, 0.99, 135, 0.99, 32, 32, 2, 8),
    "augmix": ({"severity": 10}, 0.3, 30, 0.9, 20, 13, 0, 4),
}


def samples(count, **more):
    images = torch.randint(
        0, 256, (count, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return Samples(images, tuple(range(count)), **more)


def planned(step, count=1500, seed=0):
    few = Samples(torch.zeros((count, 1, *SIZE), dtype=torch.uint8), tuple(range(count)))
    (one,) = Pipeline.read({"sample": [step]}, seed=seed).plan(few)
    return one.parameters


@pytest.mark.parametrize("name", RANGES)
def test_magnitudes_fill_the_published_ranges(name):
    more, shear, degrees, factor, across, down, fewest, most = RANGES[name]
    found = planned({"operation": name, **more})
    names, values = found["operations"], found["magnitudes"]
    limits = dict.fromkeys(("shear_x", "shear_y"), shear) | {"rotate": degrees, "translate_x": across}
    limits |= {"translate_y": down} | dict.fromkeys(
        ("brightness", "saturation", "contrast", "sharpness"), factor
    )
    for inner, limit in limits.items():
        mine = values[names == inner]
        assert np.abs(mine).max() <= limit + 1e-9
        assert mine.max() > 0.8 * limit
        assert mine.min() < -0.8 * limit
    bits = values[names == "posterise"]
    assert (bits.min(), bits.max()) == (fewest, most)
    thresholds = values[names == "solarise"]
    assert (thresholds.min(), thresholds.max()) == (0, 255)
    assert {"autocontrast", "equalise", "identity"} <= set(names.ravel().tolist())


def test_the_policies_of_autoaugment_are_those_of_torchvision():
    for policy in AutoAugmentPolicy:
        theirs = AutoAugment(policy).policies
        for ours, pair in zip(POLICIES[policy.value], theirs, strict=True):
            assert [(p, m) for _, p, m in ours] == [(p, m or 0) for _, p, m in pair]
        found = planned({"operation": "autoaugment", "policy": policy.value})
        assert len(set(found["operations"].ravel().tolist())) >= 8


@pytest.mark.parametrize("name", ["autoaugment", "grid_distortion", *RANGES])
def test_seed_and_epoch_decide_and_the_record_is_json(name):
    pipeline, given = Pipeline.read({"sample": [name]}, seed=4), samples(8)
    made = pipeline.run(given)
    assert torch.equal(made.images, Pipeline.read({"sample": [name]}, seed=4).run(given).images)
    assert not torch.equal(made.images, pipeline.run(given, epoch=1).images)
    assert not torch.equal(made.images, Pipeline.read({"sample": [name]}, seed=5).run(given).images)
    record = json.loads(json.dumps(pipeline.record(given)))
    assert torch.equal(made.images, pipeline.replay(given, record).images)


def test_augmix_weights_sum_to_one_and_it_refuses_places():
    weights = planned({"operation": "augmix"})["weights"]
    assert np.allclose(weights.sum(axis=1), 1)
    assert abs(weights[:, 0].mean() - 0.5) < 0.03
    with pytest.raises(SourceError, match="augmix would leave the masks of samples wrong"):
        Pipeline.read({"sample": ["augmix"]}).run(
            samples(2, masks=torch.zeros((2, *SIZE), dtype=torch.uint8))
        )


@pytest.mark.parametrize(
    "step",
    [
        {"operation": "randaugment", "magnitude": 31},
        {"operation": "randaugment", "count": 0},
        {"operation": "trivial_augment_wide", "magnitude": 3},
        {"operation": "augmix", "severity": 11},
        {"operation": "augmix", "alpha": 0},
        {"operation": "autoaugment", "policy": "mnist"},
        {"operation": "grid_distortion", "limit": 1},
    ],
)
def test_bad_parameters_are_refused(step):
    with pytest.raises(ConfigError, match=step["operation"]):
        Pipeline.read({"sample": [step]})

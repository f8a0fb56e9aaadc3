"""Policies: what they choose, the published ranges of magnitudes, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from synth.augment import Boxes, Pipeline, Samples
from synth.augment.operations.autoaugment import POLICIES
from synth.errors import ConfigError, SourceError

SIZE = (40, 60)
# By policy: the most of slope, degrees, factor less 1, pixels across and down; fewest and most bits.
RANGES = {
    "randaugment": ({"magnitude": [0, 30]}, 0.3, 30, 0.9, 27, 18, 4, 8),
    "trivial_augment_wide": ({}, 0.99, 135, 0.99, 32, 32, 2, 8),
    "augmix": ({"severity": 10}, 0.3, 30, 0.9, 20, 13, 0, 4),
}


THEIRS = {
    "identity": "Identity",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
    "rotate": "Rotate",
    "brightness": "Brightness",
    "saturation": "Color",
    "contrast": "Contrast",
    "sharpness": "Sharpness",
    "posterise": "Posterize",
    "solarise": "Solarize",
    "autocontrast": "AutoContrast",
    "equalise": "Equalize",
    "invert": "Invert",
}
POLICY_TYPES = {
    "autoaugment": (v2.AutoAugment, 10),
    "randaugment": (v2.RandAugment, 31),
    "trivial_augment_wide": (v2.TrivialAugmentWide, 31),
    "augmix": (v2.AugMix, 10),
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


def policy(name):
    (step,) = Pipeline.read({"sample": [name]}).specification.sample
    return step


@pytest.mark.parametrize("size", [SIZE, (331, 96)])
@pytest.mark.parametrize("name", POLICY_TYPES)
def test_each_place_of_a_magnitude_is_that_of_torchvision(name, size):
    kind, places = POLICY_TYPES[name]
    space = kind._AUGMENTATION_SPACE
    share, sign = np.arange(places) / (places - 1), np.zeros(places, dtype=bool)
    for ours, theirs in THEIRS.items():
        if theirs not in space:
            continue
        expected, signed = space[theirs][0](places, *size), space[theirs][1]
        found = policy(name).magnitudes(np.full(places, ours), share, sign, size)
        expected = np.zeros(places) if expected is None else expected.numpy()
        if ours == "solarise":
            expected = 255 * expected  # theirs are shares
        if ours.startswith("translate"):
            expected = np.trunc(expected + 1e-4)  # theirs are of single precision
        np.testing.assert_allclose(found, expected, atol=2e-5)
        if signed:
            turned = policy(name).magnitudes(np.full(places, ours), share, ~sign, size)
            np.testing.assert_array_equal(turned, -found)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("policy_name", ["randaugment", "autoaugment"])
def test_each_operation_of_a_policy_gives_the_pixels_of_torchvision(policy_name, name):
    given = samples(3)
    magnitude = {"posterise": 5.0, "solarise": 178.5, "rotate": 9.0}.get(
        name, 4.0 if name[0] == "t" else 0.27
    )
    made = policy(policy_name).layer(given, np.full(3, name), np.full(3, magnitude)).images
    # Theirs turn against the clock.
    theirs = {"rotate": -magnitude, "solarise": magnitude / 255}.get(name, magnitude)
    expected = v2.RandAugment()._apply_image_or_video_transform(
        given.images, THEIRS[name], theirs, InterpolationMode.NEAREST, {torch.Tensor: 0}
    )
    difference = (made.int() - expected.int()).abs()
    # A place between two pixels, or a mean between two values, may be rounded either way.
    limit = 255 if name in ("rotate", "shear_x", "shear_y") else 1
    assert difference.max() <= limit
    assert (difference > 0).float().mean() < 5e-3


def test_a_mixture_is_the_weighted_sum_of_its_chains():
    given = samples(2)
    parameters = {
        "operations": np.array(
            [[["invert", "identity", "identity"], ["equalise", "posterise", "identity"]]] * 2
        ),
        "magnitudes": np.array([[[0.0, 0, 0], [0, 3, 0]]] * 2),
        "weights": np.array([[0.5, 0.3, 0.2]] * 2),
    }
    made = policy("augmix").apply(given, parameters).images
    chains = [F.invert(given.images), F.posterize(F.equalize(given.images), 3)]
    expected = 0.5 * given.images + 0.3 * chains[0] + 0.2 * chains[1]
    assert (made - expected).abs().max() <= 0.501


def test_masks_and_boxes_move_with_the_images_of_a_policy():
    image = torch.zeros((1, 1, 40, 60), dtype=torch.uint8)
    image[..., 10:20, 20:40] = 200
    boxes = Boxes(torch.tensor([[20.0, 10, 40, 20]]), torch.tensor([0]))
    given = Samples(image, (0,), boxes=boxes, masks=(image[:, 0] > 0).to(torch.uint8))
    step = policy("randaugment")
    moved = step.apply(
        given,
        {"operations": np.array([["translate_x", "translate_y"]]), "magnitudes": np.array([[7.0, -5.0]])},
    )
    assert moved.boxes.corners.tolist() == [[27, 5, 47, 15]]
    assert torch.equal(moved.masks[0] > 0, moved.images[0, 0] > 0)
    toned = step.apply(
        given, {"operations": np.array([["solarise", "posterise"]]), "magnitudes": np.array([[100.0, 4.0]])}
    )
    assert toned.boxes.corners.tolist() == boxes.corners.tolist()
    assert torch.equal(toned.masks, given.masks)
    assert not torch.equal(toned.images, given.images)


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

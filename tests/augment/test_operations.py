"""Every operation: batches and single samples alike, records that replay, and torchvision's pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as F

from synth.augment import OPERATIONS, Boxes, Pipeline, Points, Samples
from synth.augment.kernels import colour, filters, frame, warp
from synth.augment.kernels.values import look_up
from synth.augment.operation import column
from synth.augment.table import operation_type

MOVING = {
    "horizontal_flip": {},
    "vertical_flip": {},
    "rotate": {"degrees": [-40, 40]},
    "scale": {"scale": [0.8, 1.2]},
    "translate": {},
    "shear": {},
    "affine": {},
    "perspective": {"distortion": 0.6},
    "elastic": {},
    "grid_distortion": {"limit": 0.15},
    "pad": {},
    "crop": {"padding": 3},
    "resized_crop": {"size": [40, 56]},
    "box_safe_crop": {"size": [40, 56], "area": [0.2, 1]},
}
FACTORS = np.array([0.5, 0.93, 1.0, 1.71])


def pictures(channels=3, size=(17, 23), count=4):
    draw = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (count, channels, *size), dtype=torch.uint8, generator=draw)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(9, 14), (1, 1)])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if not operation_type(name).needs])
def test_a_batch_its_samples_one_by_one_and_its_record_are_equal(name, channels, size):
    samples = Samples(pictures(channels, size), ("a", "b", 3, 4))
    before = samples.images.clone()
    padding = {"padding": 2} if name == "crop@1" else {}
    pipeline = Pipeline.read({"sample": [{"operation": name, "probability": 1.0, **padding}]}, seed=5)
    whole = pipeline.run(samples, epoch=2)
    single = [pipeline.run(samples.part(slice(row, row + 1)), epoch=2).images for row in range(4)]
    assert torch.equal(whole.images, torch.cat(single))
    # As in JavaScript, where all numbers are floating-point ones.
    told = json.dumps(pipeline.record(samples, epoch=2))
    record = json.loads(told, parse_int=lambda digits: int(float(digits)))
    assert torch.equal(whole.images, pipeline.replay(samples, record).images)
    assert torch.equal(samples.images, before)
    assert whole.images.dtype == torch.uint8


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**64 - 1), left=st.integers(10, 36), top=st.integers(10, 26))
@pytest.mark.parametrize("name", MOVING)
def test_image_mask_box_and_point_move_together(name, seed, left, top):
    height, width, side = 48, 64, 9
    picture = torch.zeros((1, 1, height, width), dtype=torch.uint8)
    picture[..., top : top + side, left : left + side] = 255
    box = torch.tensor([[left, top, left + side, top + side]], dtype=torch.float32)
    row = torch.zeros(1, dtype=torch.int64)
    middle = torch.tensor([[left + side / 2, top + side / 2]])
    samples = Samples(
        picture,
        (0,),
        boxes=Boxes(box, row),
        masks=(picture[:, 0] > 0).to(torch.uint8),
        points=Points(middle, row),
    )
    step = {"operation": name, "probability": 1.0, **MOVING[name]}
    made = Pipeline.read({"sample": [step]}, seed=seed).run(samples)
    seen = made.images[0, 0] > 127
    mask = made.masks[0] > 0
    edge = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
    if edge or not mask.any():  # partly outside: the middle of what is left is another
        return
    for shown in (seen, mask):
        y, x = torch.nonzero(shown, as_tuple=True)
        around = torch.tensor([x.min(), y.min(), x.max() + 1, y.max() + 1])
        assert (made.boxes.corners[0] - around).abs().max() <= 1.0
        found = torch.stack([x, y], dim=1).float().mean(0) + 0.5
        assert (made.points.places[0] - found).abs().max() <= 1.0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.brightness, F.adjust_brightness),
        (colour.contrast, F.adjust_contrast),
        (colour.saturation, F.adjust_saturation),
        (filters.sharpness, F.adjust_sharpness),
    ],
)
def test_factors_give_the_pixels_of_torchvision(ours, theirs, channels):
    images = pictures(channels)
    expected = torch.stack(
        [theirs(image, factor) for image, factor in zip(images, FACTORS.tolist(), strict=True)]
    )
    factors = column(FACTORS, images) if ours in (colour.saturation, filters.sharpness) else FACTORS
    difference = (ours(images, factors).int() - expected.int()).abs()
    # Luminance is summed with and without fused products, which a whole number may lie between.
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 2e-3


@pytest.mark.parametrize("channels", [1, 3])
def test_tables_and_thresholds_give_the_pixels_of_torchvision(channels):
    images = pictures(channels)
    assert torch.equal(look_up(images, colour.equalise_tables(images)), F.equalize(images))
    assert torch.equal(colour.autocontrast(images // 2 + 40), F.autocontrast(images // 2 + 40))
    assert torch.equal(colour.invert(images), F.invert(images))
    for value in (0.0, 100.0, 128.5, 255.0):
        threshold = np.full(4, value)
        assert torch.equal(colour.solarise(images, threshold), F.solarize(images, value))
    assert torch.equal(colour.solarise(images, np.full(4, 255.5)), images)
    for bits in range(1, 9):
        number = np.full(4, bits)
        assert torch.equal(colour.posterise(images, number), F.posterize(images, bits))
    for gamma in (0.5, 1.0, 2.2):
        table = colour.gamma_tables(np.full(4, gamma))
        assert torch.equal(look_up(images, table), F.adjust_gamma(images, gamma))


@pytest.mark.parametrize("shift", [-0.5, -0.1, 0.0, 0.3])
def test_hue_gives_the_pixels_of_torchvision(shift):
    images = pictures()
    ours = colour.hue(images, torch.full((4, 1, 1), shift))
    assert (ours.int() - F.adjust_hue(images, shift).int()).abs().max() <= 1


@pytest.mark.parametrize("nearest", [False, True])
def test_affine_and_perspective_give_the_pixels_of_torchvision(nearest):
    images = pictures(size=(31, 24))
    angle, shift, scale, shear = (
        np.full((4, *n), v) for n, v in (((), 20.0), ((2,), 3.0), ((), 1.2), ((2,), 7.0))
    )
    mode = F.InterpolationMode.NEAREST if nearest else F.InterpolationMode.BILINEAR
    grid = warp.projective_grid(warp.inverse_affine(angle, shift, scale, shear), (31, 24), images.device)
    ours = warp.resample(images, grid, nearest=nearest)
    theirs = F.affine(images, 20.0, [3.0, 3.0], 1.2, [7.0, 7.0], interpolation=mode)
    assert _close(ours, theirs, nearest)
    corners = np.array([[-10.0, -13.0], [11.5, -14.0], [10.0, 15.0], [-11.5, 13.0]])
    pixels = corners + np.array([12.0, 15.5])
    starts = [[0, 0], [24, 0], [24, 31], [0, 31]]
    grid = warp.projective_grid(
        warp.inverse_perspective(corners[None].repeat(4, 0), (31, 24)), (31, 24), images.device
    )
    theirs = F.perspective(images, starts, pixels.tolist(), interpolation=mode)
    assert _close(warp.resample(images, grid, nearest=nearest), theirs, nearest)


def _close(ours, theirs, nearest):
    difference = (ours.int() - theirs.int()).abs()
    return (difference > (0 if nearest else 1)).float().mean() < 2e-3


def test_blur_and_crops_give_the_pixels_of_torchvision():
    images = pictures()
    ours = filters.blur(images, np.full(4, 1.1), 2)
    assert (ours.int() - F.gaussian_blur(images, [5, 5], [1.1, 1.1]).int()).abs().max() <= 1
    windows = frame.crops(images, np.array([1] * 4), np.array([2] * 4), (8, 9))
    assert torch.equal(windows, F.crop(images, 1, 2, 8, 9))
    assert torch.equal(
        frame.padded(images, (2, 3, 4, 5), "edge"), F.pad(images, [2, 3, 4, 5], padding_mode="edge")
    )
    assert torch.equal(frame.mirrored(images, 3), F.pad(images, [3] * 4, padding_mode="reflect"))


@pytest.mark.parametrize("channels", [1, 3])
def test_both_ways_of_jpeg_give_the_same_pixels(channels):
    levels = [1, 40, 95, 100]
    images = pictures(channels)
    expected = [filters.coded_by_pillow(*pair) for pair in zip(images, levels, strict=True)]
    assert torch.equal(filters.jpeg(images, np.array(levels, dtype=np.float64)), torch.stack(expected))


def test_noise_has_the_moments_that_it_was_asked_for():
    images = torch.full((2, 1, 64, 64), 128, dtype=torch.uint8)
    for step, expected in (
        ({"operation": "gaussian_noise", "std": 10}, 10.0),
        ({"operation": "speckle", "std": 0.1}, 12.8),
        ({"operation": "poisson_noise", "photons": 255}, 128**0.5),
    ):
        made = Pipeline.read({"sample": [step]}).run(Samples(images, (0, 1))).images.float()
        assert abs(made.mean() - 128) < 0.7
        assert abs(made.std() - expected) < 0.6
        assert not torch.equal(made[0], made[1])


def test_boxes_of_which_too_little_is_left_are_dropped_with_their_labels():
    images = pictures(count=2, size=(20, 20))
    boxes = Boxes(
        torch.tensor([[0.0, 0, 4, 4], [8, 8, 12, 12], [0, 0, 20, 20]]),
        torch.tensor([0, 0, 1]),
        torch.tensor([7, 8, 9]),
    )
    pipeline = Pipeline.read({"min_visible": 0.5, "sample": [{"operation": "translate", "x": -0.2, "y": 0}]})
    made = pipeline.run(Samples(images, (0, 1), boxes=boxes)).boxes
    assert made.labels.tolist() == [8, 9]
    assert made.corners.tolist() == [[4, 8, 8, 12], [0, 0, 16, 20]]
    assert made.rows.tolist() == [0, 1]

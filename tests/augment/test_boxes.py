"""Boxes, their masks and keypoints through operations that move pixels: one policy for all."""

from __future__ import annotations

import pytest
import torch

from synth.augment import Boxes, Partners, Pipeline, Points, Samples
from synth.errors import ConfigError, SourceError

MOVES = [
    {"operation": "horizontal_flip", "probability": 1},
    {"operation": "vertical_flip", "probability": 1},
    {"operation": "rotate", "degrees": 37},
    {"operation": "scale", "scale": 1.3},
    {"operation": "translate", "x": 0.25, "y": -0.1},
    {"operation": "shear", "shear_x": 20, "shear_y": 5},
    "affine",
    {"operation": "perspective", "distortion": 0.6},
    {"operation": "elastic", "strength": 0.25},
    "grid_distortion",
    {"operation": "pad", "pixels": 3, "edge": "reflect"},
    {"operation": "crop", "padding": 8, "edge": "reflect"},
    {"operation": "resized_crop", "size": [60, 40], "area": [0.4, 0.6]},
]


def objects(size=(48, 64), count=3):
    """Disks on black, one white and one grey in each sample; the boxes, masks and middles of both."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    masks, corners, middles, images = [], [], [], []
    for row in range(count):
        image = torch.zeros(1, *size, dtype=torch.uint8)
        for level, (left, top, radius) in ((255, (20 + row, 18, 9)), (128, (44, 30 + row, 11))):
            mask = (x - left) ** 2 + (y - top) ** 2 <= radius**2
            image[0][mask] = level
            masks.append(mask)
            corners.append([left - radius, top - radius, left + radius, top + radius])
            middles.append([left, top])
        images.append(image)
    rows = torch.arange(count).repeat_interleave(2)
    boxes = Boxes(
        torch.tensor(corners, dtype=torch.float32),
        rows,
        labels=torch.arange(2 * count) % 2,
        masks=torch.stack(masks),
        objects=10 + torch.arange(2 * count),
    )
    points = Points(torch.tensor(middles, dtype=torch.float32), rows, 10 + torch.arange(2 * count))
    return Samples(torch.stack(images), tuple(range(count)), boxes=boxes, points=points)


def inner(mask):
    """Without its outermost pixels, which are means of two levels in an image."""
    outside = torch.nn.functional.pad(1 - mask[None].float(), (1, 1, 1, 1), value=1.0)
    return torch.nn.functional.max_pool2d(outside, 3, stride=1)[0] == 0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("step", MOVES, ids=lambda step: step if isinstance(step, str) else step["operation"])
def test_boxes_masks_and_points_go_where_the_pixels_go(step, seed):
    made = Pipeline.read({"sample": [step]}, seed=seed).run(objects())
    boxes, points = made.boxes, made.points
    assert len(boxes)
    for at, (row, label, number) in enumerate(
        zip(boxes.rows.tolist(), boxes.labels.tolist(), boxes.objects.tolist(), strict=True)
    ):
        level = made.images[row, 0]
        there = (level > 200) if label == 0 else (level > 100) & (level < 160)
        mask = boxes.masks[at]
        assert there[inner(mask)].all()
        if "reflect" not in str(step):  # where mirror images are no part of it
            assert mask[inner(there)].all()
        ys, xs = mask.nonzero().unbind(1)
        assert boxes.corners[at].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        x, y = points.places[points.objects == number][0].tolist()
        if 0 <= x < level.shape[1] and 0 <= y < level.shape[0]:
            assert mask[int(y), int(x)]


@pytest.mark.parametrize(
    "back", [{"operation": "pad", "pixels": 20}, {"operation": "scale", "scale": 0.5}, "grid_distortion"]
)
def test_a_point_that_left_the_image_is_not_labelled_whatever_brings_its_place_back(back):
    away = {"operation": "translate", "x": 0.5, "y": 0}
    points = Points(torch.tensor([[5.0, 20], [35, 20]]), torch.zeros(2, dtype=torch.int64))
    samples = Samples(torch.zeros(1, 1, 40, 40, dtype=torch.uint8), (0,), points=points)
    pipeline = Pipeline.read({"sample": [away, back]})
    made = pipeline.run(samples)
    assert made.points.seen.tolist() == [2, 0]
    assert torch.equal(pipeline.replay(samples, pipeline.record(samples)).points.seen, made.points.seen)
    if back != "grid_distortion":
        assert 0 < made.points.places[1, 0] < made.size[1]


def test_a_box_with_a_mask_is_tight_after_a_turn_and_one_without_is_the_hull_of_its_corners():
    turn = Pipeline.read({"sample": [{"operation": "rotate", "degrees": 45}]})
    mask = torch.zeros(2, 64, 64, dtype=torch.bool)
    mask[0, 22:42, 22:42] = True
    corners = torch.tensor([[22.0, 22, 42, 42], [22, 22, 42, 42]])
    samples = Samples(
        torch.zeros(1, 1, 64, 64, dtype=torch.uint8),
        (0,),
        boxes=Boxes(corners, torch.zeros(2, dtype=torch.int64), masks=mask),
    )
    made = turn.run(samples).boxes
    half = 10 * 2**0.5
    assert torch.allclose(made.corners[1], torch.tensor([32 - half, 32 - half, 32 + half, 32 + half]))
    assert (made.corners[0] - made.corners[1]).abs().max() <= 1
    assert not made.masks[1].any()
    disk = objects(count=1)
    tight = Pipeline.read({"sample": [{"operation": "rotate", "degrees": 45}]}).run(disk).boxes
    sides = tight.corners[:, 2:] - tight.corners[:, :2]
    assert ((sides - torch.tensor([[18.0, 18], [22, 22]])).abs() <= 1).all()


def test_the_share_that_is_left_of_an_object_is_counted_in_its_pixels():
    mask = torch.zeros(1, 20, 20, dtype=torch.bool)
    mask[0, 0:10, 0:2] = True
    mask[0, 8:10, 0:10] = True  # an L of 36 pixels, whose upright part leaves the image
    boxes = Boxes(torch.tensor([[0.0, 0, 10, 10]]), torch.zeros(1, dtype=torch.int64), masks=mask)
    samples = Samples(torch.zeros(1, 1, 20, 20, dtype=torch.uint8), (0,), boxes=boxes)
    shift = {"operation": "translate", "x": -0.1, "y": 0}
    made = Pipeline.read({"sample": [shift]}).run(samples).boxes
    assert made.corners.tolist() == [[0, 8, 8, 10]]
    assert made.visible.item() == pytest.approx(16 / 36)
    assert len(Pipeline.read({"min_visible": 0.5, "sample": [shift]}).run(samples).boxes) == 0


def test_what_a_mirrored_edge_brings_in_belongs_to_no_object():
    shift = {"operation": "translate", "x": 0.25, "y": 0, "edge": "reflect", "mask_fill": 7}
    made = Pipeline.read({"sample": [shift]}).run(objects(count=1)).boxes
    assert made.corners[0].tolist() == [27, 9, 45, 27]


def test_boxes_that_are_too_small_in_the_end_are_dropped():
    corners = torch.tensor([[0.0, 0, 4, 4], [5, 5, 6, 15], [8, 8, 12, 16]])
    boxes = Boxes(corners, torch.zeros(3, dtype=torch.int64), torch.tensor([1, 2, 3]))
    samples = Samples(torch.zeros(1, 1, 20, 20, dtype=torch.uint8), (0,), boxes=boxes)

    def left(**limits):
        return Pipeline.read({**limits, "sample": ["invert"]}).run(samples).boxes.labels.tolist()

    assert left() == [1, 2, 3]
    thin = Samples(samples.images, (0,), boxes=Boxes(torch.tensor([[3, 0, 3.0005, 4]]), boxes.rows[:1]))
    assert not len(Pipeline.read({"sample": ["invert"]}).run(thin).boxes)
    assert left(min_side=2) == [1, 3]
    assert left(min_area=16) == [1, 3]
    assert left(min_area=17) == [3]
    with pytest.raises(ConfigError, match="min_side is a number of 0 to"):
        left(min_side=-1)


def test_digests_tell_limits_apart_and_stay_where_there_are_none():
    plain = Pipeline.read({"sample": ["invert"]}).specification
    small = Pipeline.read({"sample": ["invert"], "min_side": 2}).specification
    assert "min_side" not in plain.plain()
    assert small.plain()["min_side"] == 2
    assert plain.digest != small.digest
    assert Pipeline.read(small.plain()).specification == small


def test_samples_with_and_without_objects_are_worked_on_together():
    whole = objects()
    first = whole.take(torch.tensor([0]))
    none = Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    bare = Samples(first.images, ("bare",), boxes=none, points=Points(torch.zeros(0, 2), none.rows))
    both = Samples.concatenate([bare, first, bare])
    assert both.boxes.rows.tolist() == [1, 1]
    made = Pipeline.read({"sample": [{"operation": "horizontal_flip", "probability": 1}]}).run(both)
    assert made.boxes.objects.tolist() == [10, 11]
    assert made.boxes.masks.shape == (2, 48, 64)
    assert made.points.objects.tolist() == [10, 11]


def test_masks_of_boxes_that_do_not_fit_are_refused():
    whole = objects()
    for masks in (whole.boxes.masks[:, 1:], whole.boxes.masks[:1], whole.boxes.masks.to(torch.uint8)):
        boxes = Boxes(whole.boxes.corners, whole.boxes.rows, masks=masks)
        with pytest.raises(SourceError, match=r"The masks of boxes are bool \[6, 48, 64\]"):
            Pipeline.read("basic").run(Samples(whole.images, whole.ids, boxes=boxes))


def test_a_mosaic_shifts_masks_and_numbers_of_objects_too():
    whole = objects(count=4)
    partners = Partners(whole.ids, lambda at: whole.take(torch.tensor([at])))
    made = Pipeline.read({"batch": ["mosaic"]}, seed=2).run(whole, partners=partners)
    assert len(set(made.boxes.objects.tolist())) > 4
    for mask, corners, row in zip(made.boxes.masks, made.boxes.corners, made.boxes.rows, strict=True):
        ys, xs = mask.nonzero().unbind(1)
        assert corners.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert (made.images[row, 0][mask] > 0).all()
    assert len(made.points) == len(made.points.objects)

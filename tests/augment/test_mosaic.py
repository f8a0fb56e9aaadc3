"""Mosaic: four images that meet, each pixel, box, mask and point of its own image, and exact shares."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.augment import Boxes, Partners, Pipeline, Points, Samples
from synth.errors import ConfigError, SourceError, UsageError

MOSAIC = {"batch": ["mosaic"]}
HEIGHT, WIDTH, COUNT = 24, 32, 6


def marked(places=None, count=COUNT):
    """Images of value 10 (k + 1) with a rectangle of 10 (k + 1) + 1, its box, mask, and middle."""
    images = torch.empty((count, 1, HEIGHT, WIDTH), dtype=torch.uint8)
    boxes, middles = [], []
    for row in range(count):
        left, top = (8, 6) if places is None else places[row]
        images[row] = 10 * (row + 1)
        images[row, :, top : top + 5, left : left + 7] += 1
        boxes.append([left, top, left + 7, top + 5])
        middles.append([left + 3.5, top + 2.5])
    rows = torch.arange(count)
    return Samples(
        images,
        tuple(f"s{row}" for row in range(count)),
        rows,
        Boxes(torch.tensor(boxes, dtype=torch.float32), rows, 10 * (rows + 1) + 1),
        images[:, 0].long(),
        Points(torch.tensor(middles), rows),
    )


def partners_of(samples):
    return Partners(samples.ids, lambda at: samples.part(slice(at, at + 1)), len(samples))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    places=st.lists(
        st.tuples(st.integers(0, WIDTH - 7), st.integers(0, HEIGHT - 5)), min_size=COUNT, max_size=COUNT
    ),
)
def test_image_masks_boxes_and_points_of_all_four_move_together(seed, places):
    samples = marked(places)
    made = Pipeline.read({**MOSAIC, "min_visible": 0.0}, seed=seed).run(
        samples, partners=partners_of(samples)
    )
    assert torch.equal(made.images[:, 0].long(), made.masks)
    assert bool((made.boxes.rows.diff() >= 0).all())
    for row in range(COUNT):
        boxes = made.boxes.select(made.boxes.rows == row)
        middles = made.points.places[made.points.rows == row]
        assert len(middles) == 4
        seen = {value for value in made.masks[row].unique().tolist() if value % 10 == 1}
        assert set(boxes.labels.tolist()) == seen
        for value in seen:
            y, x = torch.nonzero(made.masks[row] == value, as_tuple=True)
            around = [x.min().item(), y.min().item(), x.max().item() + 1, y.max().item() + 1]
            # The same partner may lie in two tiles.
            found = boxes.corners[boxes.labels == value]
            ends = torch.cat([found[:, :2].amin(0), found[:, 2:].amax(0)]).tolist()
            assert ends == around
            if len(found) == 1 and len(x) == 35:
                middle = torch.stack([x, y], dim=1).float().mean(0) + 0.5
                assert bool((middles == middle).all(1).any())


def test_points_that_left_their_own_image_stay_gone_in_a_mosaic():
    samples = marked([(WIDTH - 7, 6)] * COUNT)
    spec = {"sample": [{"operation": "translate", "x": 0.25, "y": 0}], **MOSAIC}
    made = Pipeline.read(spec, seed=1).run(samples, partners=partners_of(samples))
    inside = (made.points.places >= 0) & (made.points.places <= torch.tensor([WIDTH, HEIGHT]))
    assert bool(inside.all(1).any())
    assert not made.points.seen.any()


def test_points_of_an_object_that_lies_in_several_tiles_stay_with_its_own_box():
    samples = marked([(2, 2), (24, 17)], count=2)
    rows = samples.boxes.rows
    samples = replace(
        samples,
        boxes=replace(samples.boxes, objects=rows),
        points=replace(samples.points, objects=rows, kinds=rows * 0, mirrors=rows * 0),
    )
    spec = {"batch": ["mosaic", {"operation": "mosaic", "id": "second"}], "min_visible": 0.5}
    several = 0
    for seed in range(8):
        made = Pipeline.read(spec, seed=seed).run(samples, partners=partners_of(samples))
        corners = {}
        for row, number, copy, box in zip(
            made.boxes.rows, made.boxes.objects, made.boxes.copies, made.boxes.corners, strict=True
        ):
            corners[int(row), int(number), int(copy)] = box
        assert len(corners) == len(made.boxes)
        assert len(made.points) == len(made.boxes)
        for row, number, copy, place in zip(
            made.points.rows, made.points.objects, made.points.copies, made.points.places, strict=True
        ):
            box = corners.pop((int(row), int(number), int(copy)))
            assert bool((box[:2] <= place).all() and (place <= box[2:]).all())
        several += len(set(zip(made.boxes.rows.tolist(), made.boxes.objects.tolist(), strict=True))) < len(
            made.boxes
        )
    assert several


def test_shares_are_the_area_of_each_image():
    samples = marked()
    made = Pipeline.read(MOSAIC, seed=3).run(samples, partners=partners_of(samples))
    for row in range(COUNT):
        shown = torch.bincount(made.masks[row].flatten() // 10, minlength=COUNT + 1)[1:] / (HEIGHT * WIDTH)
        torch.testing.assert_close(made.labels[row], shown.float(), atol=1e-6, rtol=0)
    assert bool((made.labels > 0).sum(1).gt(1).all())


def test_a_batch_its_samples_one_by_one_and_its_record_are_equal():
    spec = {"sample": ["horizontal_flip"], "batch": [{"operation": "mosaic", "probability": 0.7}]}
    spec["batch"].append({"operation": "mosaic", "id": "second", "x": 0.5, "y": [0, 1]})
    pipeline, samples = Pipeline.read(spec, seed=2), marked()
    partners = partners_of(samples)
    made = pipeline.run(samples, 1, partners)
    single = [pipeline.run(samples.part(slice(row, row + 1)), 1, partners) for row in range(COUNT)]
    record = json.loads(json.dumps(pipeline.record(samples, 1, partners)))
    for other in (Samples.concatenate(single), pipeline.replay(samples, record, partners)):
        assert torch.equal(made.images, other.images)
        assert torch.equal(made.labels, other.labels)
        assert torch.equal(made.boxes.corners, other.boxes.corners)
        assert torch.equal(made.boxes.rows, other.boxes.rows)
        assert torch.equal(made.points.places, other.points.places)
    record[0][-1]["partner"].pop()
    with pytest.raises(UsageError, match="takes 3 partners with their plans"):
        pipeline.replay(samples, record, partners)


def test_boxes_of_which_too_little_is_left_are_dropped():
    samples = marked()
    made = Pipeline.read({**MOSAIC, "min_visible": 0.9}).run(samples, partners=partners_of(samples))
    sides = made.boxes.corners[:, 2:] - made.boxes.corners[:, :2]
    assert 0 < len(made.boxes) < 4 * COUNT
    assert bool((sides.prod(1) >= 0.9 * 35).all())


def test_what_cannot_be_mixed_is_refused():
    samples, pipeline = marked(), Pipeline.read(MOSAIC)
    for change, message in (
        ({"boxes": None}, "have boxes, their partners too"),
        ({"masks": None}, "have masks, their partners too"),
        ({"boxes": replace(samples.boxes, labels=None)}, "have labels of boxes"),
    ):
        with pytest.raises(SourceError, match=message):
            pipeline.run(samples, partners=partners_of(replace(samples, **change)))
    with pytest.raises(SourceError, match="it has 1 image"):
        pipeline.run(samples, partners=partners_of(samples.part(slice(0, 1))))
    with pytest.raises(ConfigError, match=r"must lie in \[0, 1\]"):
        Pipeline.read({"batch": [{"operation": "mosaic", "x": 1.5}]})
    with pytest.raises(ConfigError, match="list it under 'batch'"):
        Pipeline.read({"sample": ["mosaic"]})

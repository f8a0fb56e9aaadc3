"""Objects by their pixels: pasted, erased, and where alone other operations show."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.augment import Boxes, Partners, Pipeline, Points, Samples, read_specification
from synth.errors import ConfigError, SourceError

HEIGHT, WIDTH, COUNT, EACH = 16, 20, 4, 3
PLACES = st.lists(
    st.tuples(st.integers(0, WIDTH - 4), st.integers(0, HEIGHT - 3)),
    min_size=COUNT * EACH,
    max_size=COUNT * EACH,
)
APART = [(1, 1), (8, 2), (14, 10)] * COUNT
INVERT = {"sequence": ["invert"]}


def scenes(places=APART):
    """Images of value 200 with three rectangles, each of its own value and class; later ones lie in front."""
    images = torch.full((COUNT, 1, HEIGHT, WIDTH), 200, dtype=torch.uint8)
    classes = torch.zeros((COUNT, HEIGHT, WIDTH), dtype=torch.int64)
    for number, (left, top) in enumerate(places):
        window = slice(top, top + 3), slice(left, left + 4)
        images[(number // EACH, 0, *window)] = 1 + number
        classes[(number // EACH, *window)] = 1 + number % EACH
    numbers = torch.arange(COUNT * EACH)
    masks = images[:, 0].repeat_interleave(EACH, 0) == (1 + numbers)[:, None, None]
    seen = masks.flatten(1).any(1)
    rows = numbers // EACH
    boxes = Boxes(
        torch.tensor([around(mask) for mask in masks[seen]]),
        rows[seen],
        1 + numbers[seen] % EACH,
        masks=masks[seen],
    )
    return Samples(images, tuple(f"s{row}" for row in range(COUNT)), boxes=boxes, masks=classes)


def with_points(samples):
    """A keypoint in the first pixel of each object."""
    boxes = replace(samples.boxes, objects=torch.arange(len(samples.boxes)))
    places = torch.stack([mask.nonzero()[0].flip(0) for mask in boxes.masks]) + 0.5
    return replace(samples, boxes=boxes, points=Points(places, boxes.rows, boxes.objects))


def around(mask):
    y, x = torch.nonzero(mask, as_tuple=True)
    return [x.min().item(), y.min().item(), x.max().item() + 1.0, y.max().item() + 1.0]


def partners_of(samples, classes=0):
    return Partners(samples.ids, lambda at: samples.part(slice(at, at + 1)), classes)


def alone(samples):
    """With masks of classes and nothing else."""
    return replace(samples, boxes=None)


def check_boxes(made):
    """Each box is that of the pixels of its object, whose value no other has, and no object lacks its box."""
    for row in range(COUNT):
        boxes = made.boxes.select(made.boxes.rows == row)
        image = made.images[row, 0]
        values = [image[mask].unique().tolist() for mask in boxes.masks]
        assert all(len(value) == 1 for value in values)
        assert sorted(value for (value,) in values) == [
            v for v in image.unique().tolist() if 0 < v <= COUNT * EACH
        ]
        for (value,), mask, corners, label in zip(
            values, boxes.masks, boxes.corners, boxes.labels, strict=True
        ):
            assert torch.equal(mask, image == value)
            assert corners.tolist() == around(mask)
            assert label == 1 + (value - 1) % EACH
            assert bool((made.masks[row][mask] == label).all())


@settings(max_examples=25, deadline=None)
@given(places=PLACES, seed=st.integers(0, 2**64 - 1), share=st.floats(0, 1))
def test_pasted_objects_bring_their_boxes_and_cover_those_of_others(places, seed, share):
    samples = scenes(places)
    pipeline = Pipeline.read({"batch": [{"operation": "copy_paste", "share": share}]}, seed=seed)
    made = pipeline.run(samples, partners=partners_of(samples))
    check_boxes(made)
    assert torch.equal(made.masks > 0, made.images[:, 0] != 200)
    for row, (entry,) in enumerate(pipeline.record(samples, partners=partners_of(samples))):
        theirs = range(1 + entry["partner"] * EACH, 1 + (entry["partner"] + 1) * EACH)
        assert any(value in theirs for value in made.images[row].unique().tolist())


@settings(max_examples=25, deadline=None)
@given(places=PLACES, seed=st.integers(0, 2**64 - 1), share=st.floats(0, 1))
def test_erased_objects_leave_with_their_boxes_and_labels(places, seed, share):
    samples = scenes(places)
    step = {"operation": "mask_dropout", "share": share, "fill": 0}
    made = Pipeline.read({"sample": [step]}, seed=seed).run(samples)
    check_boxes(made)
    erased = made.images[:, 0] == 0
    assert torch.equal(erased, (made.masks == 0) & (samples.masks > 0))
    assert torch.equal(made.images[:, 0][~erased], samples.images[:, 0][~erased])


def test_shares_of_zero_and_one_and_classes_choose_none_all_and_theirs():
    samples = scenes()
    for step, left in (
        ({"share": 0}, {1, 2, 3}),
        ({"share": 1}, set()),
        ({"share": 1, "classes": [2]}, {1, 3}),
    ):
        made = Pipeline.read({"sample": [{"operation": "mask_dropout", **step}]}).run(samples)
        assert set(made.boxes.labels.tolist()) == left
        only = Pipeline.read({"sample": [{"operation": "mask_dropout", **step}]}).run(alone(samples))
        assert set(only.masks.unique().tolist()) == left | {0}
    paste = {"operation": "copy_paste", "share": 1, "classes": [3]}
    made = Pipeline.read({"batch": [paste]}).run(samples, partners=partners_of(samples))
    assert made.boxes.labels.tolist() == [1, 2, 3] * COUNT  # the own third object lies under the other
    made = Pipeline.read({"batch": [{**paste, "share": 0}]}).run(samples, partners=partners_of(samples))
    assert torch.equal(made.images != samples.images, (samples.masks == 3)[:, None])  # at least one, always


def test_classes_of_masks_are_objects_where_nothing_else_is_known_and_labels_share_by_area():
    samples = replace(alone(scenes()), labels=torch.arange(COUNT))
    pipeline = Pipeline.read({"batch": [{"operation": "copy_paste", "share": 1}]})
    made = pipeline.run(samples, partners=partners_of(samples, COUNT))
    for row, (entry,) in enumerate(pipeline.record(samples, partners=partners_of(samples, COUNT))):
        assert torch.equal(made.images[row] != 200, (made.masks[row] > 0)[None])
        assert made.labels[row, entry["partner"]].item() == pytest.approx(36 / (HEIGHT * WIDTH))


def test_keypoints_come_and_go_with_their_objects_and_are_hidden_under_those_pasted():
    # In every second image the first object covers the corner, and the third one all, of that of the others.
    samples = with_points(scenes([*APART[:3], (0, 0), (8, 8), (14, 10)] * 2))
    hidden = 0
    for seed in range(4):
        pipeline = Pipeline.read({"batch": [{"operation": "copy_paste", "share": 1}]}, seed=seed)
        made = pipeline.run(samples, partners=partners_of(samples))
        points, boxes = made.points, made.boxes
        assert torch.equal(points.places, samples.points.places[points.objects])
        here, there = (
            list(zip(one.rows.tolist(), one.objects.tolist(), one.copies.tolist(), strict=True))
            for one in (points, boxes)
        )
        assert sorted(here) == sorted(there)
        for one, (x, y), seen in zip(here, points.places.long().tolist(), points.seen.tolist(), strict=True):
            assert seen == 1 + int(boxes.masks[there.index(one), y, x])
        hidden += points.seen.tolist().count(1)
    assert hidden
    erased = Pipeline.read({"sample": ["mask_dropout"]}, seed=1).run(samples)
    assert erased.points.objects.tolist() == erased.boxes.objects.tolist()
    assert 0 < len(erased.points) < len(samples.points)


@pytest.mark.parametrize("fill", ["mean", "noise", 7])
def test_what_is_erased_is_filled(fill):
    samples = scenes()
    samples = replace(samples, images=samples.images.expand(-1, 3, -1, -1).contiguous())
    made = Pipeline.read({"sample": [{"operation": "mask_dropout", "share": 1, "fill": fill}]}).run(samples)
    hole = (samples.masks > 0)[:, None].expand_as(made.images)
    assert bool((made.images[~hole] == 200).all())
    found = set(made.images[hole].tolist())
    assert {"mean": found == {200}, 7: found == {7}, "noise": len(found) > 50}[fill]


def test_steps_within_a_region_leave_the_rest_as_it_is():
    samples = alone(scenes())
    turned = 255 - samples.images
    objects = (samples.masks > 0)[:, None]
    for within, shown in (
        ("objects", objects),
        ("background", ~objects),
        ({"classes": [1, 3]}, objects & (samples.masks != 2)[:, None]),
        ({"share": 0.0}, torch.zeros_like(objects)),
    ):
        made = Pipeline.read({"sample": [{**INVERT, "within": within}]}).run(samples)
        assert torch.equal(made.images, torch.where(shown, turned, samples.images))
        assert torch.equal(made.masks, samples.masks)


def test_objects_of_a_region_are_chosen_whole_by_key():
    samples, within = scenes(), {"share": 0.5}
    pipeline = Pipeline.read({"sample": [{"some_of": ["invert", "posterise"], "within": within}]}, seed=3)
    made = [pipeline.run(samples, epoch).images for epoch in range(30)]
    changed = [
        [bool((images[row, 0] != samples.images[row, 0])[mask].any()) for images in made]
        for row, mask in zip(samples.boxes.rows, samples.boxes.masks, strict=True)
    ]
    assert all(0 < sum(of_object) < 30 for of_object in changed)
    whole = Pipeline.read({"sample": [{**INVERT, "within": within}]}).run(samples).images
    for row, mask in zip(samples.boxes.rows, samples.boxes.masks, strict=True):
        assert len((whole[row, 0] != samples.images[row, 0])[mask].unique()) == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"sample": ["mask_dropout"]},
        {"sample": [{"one_of": ["invert", "gaussian_noise"], "within": {"share": 0.5}, "probability": 0.9}]},
        {"sample": ["horizontal_flip"], "batch": [{"operation": "copy_paste", "probability": 0.7}]},
    ],
)
@pytest.mark.parametrize("known", [scenes, lambda: alone(scenes())])
def test_a_batch_its_samples_one_by_one_and_its_record_are_equal(spec, known):
    samples = known()
    partners = partners_of(samples) if "batch" in spec else None
    pipeline = Pipeline.read(spec, seed=8)
    made = pipeline.run(samples, 2, partners)
    single = [pipeline.run(samples.part(slice(row, row + 1)), 2, partners) for row in range(COUNT)]
    record = json.loads(json.dumps(pipeline.record(samples, 2, partners)))
    for other in (Samples.concatenate(single), pipeline.replay(samples, record, partners)):
        assert torch.equal(made.images, other.images)
        assert torch.equal(made.masks, other.masks)
        if made.boxes is not None:
            assert torch.equal(made.boxes.corners, other.boxes.corners)
            assert torch.equal(made.boxes.masks, other.boxes.masks)
    assert not torch.equal(made.images, samples.images)


def test_a_region_is_part_of_the_specification_and_of_its_digest():
    found = read_specification({"sample": [{**INVERT, "within": {"share": 0.5}}]})
    assert read_specification(found.plain()) == found
    assert "within" not in read_specification({"sample": [INVERT]}).plain()["sample"][0]
    assert found.digest != read_specification({"sample": [INVERT]}).digest


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({**INVERT, "within": "object"}, "within is objects, background, or"),
        ({**INVERT, "within": {"classes": []}}, "a list of their numbers"),
        ({**INVERT, "within": {"classes": ["cat"]}}, "a list of their numbers"),
        ({**INVERT, "within": {"share": 2}}, "share is a number of 0 to 1"),
        ({"sequence": ["rotate"], "within": "objects"}, "rotate does more than change pixels"),
        ({"sequence": ["mask_dropout"], "within": "objects"}, "mask_dropout takes objects itself"),
        ({"sequence": [{**INVERT, "within": "objects"}], "within": "objects"}, "only one of them"),
        ({"operation": "mask_dropout", "fill": 300}, "fill"),
        ({"operation": "mask_dropout", "classes": []}, "classes"),
        ("copy_paste", "list it under 'batch'"),
    ],
)
def test_a_bad_specification_is_refused_with_a_hint(step, message):
    with pytest.raises(ConfigError, match=message):
        read_specification({"sample": [step]})


def test_samples_whose_objects_are_not_known_are_refused():
    bare = replace(scenes(), boxes=replace(scenes().boxes, masks=None))
    for spec in (
        {"sample": ["mask_dropout"]},
        {"sample": [{**INVERT, "within": "objects"}]},
        {"batch": ["copy_paste"]},
    ):
        pipeline = Pipeline.read(spec)
        for samples in (bare, replace(bare, boxes=None, masks=None)):
            with pytest.raises(SourceError, match="takes objects by their pixels"):
                pipeline.run(samples, partners=partners_of(scenes()))
    with pytest.raises(SourceError, match="takes objects by their pixels"):
        Pipeline.read({"batch": ["copy_paste"]}).run(scenes(), partners=partners_of(bare))
    points = Points(torch.tensor([[1.0, 1.0]]), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(SourceError, match="mask_dropout would leave the label"):
        Pipeline.read({"sample": ["mask_dropout"]}).run(replace(scenes(), labels=torch.arange(COUNT)))
    with pytest.raises(SourceError, match="to which object each keypoint belongs"):
        Pipeline.read({"sample": ["mask_dropout"]}).run(replace(scenes(), points=points))
    with pytest.raises(SourceError, match="these boxes have no labels"):
        Pipeline.read({"sample": [{"operation": "mask_dropout", "classes": [1]}]}).run(
            replace(scenes(), boxes=replace(scenes().boxes, labels=None))
        )
    with pytest.raises(SourceError, match="a mask of its own size"):
        Pipeline.read({"sample": ["mask_dropout"]}).run(
            replace(alone(scenes()), masks=torch.zeros((COUNT, 3, 3), dtype=torch.uint8))
        )


def test_classes_of_any_number_are_objects():
    samples = alone(scenes())
    for numbers in ([0, 1, 2, 3], [0, 1, 2, 70_000], [0, -1, 5, 2]):
        masks = torch.tensor(numbers)[samples.masks]
        step = {"operation": "mask_dropout", "share": 1, "classes": numbers[1:3]}
        made = Pipeline.read({"sample": [step]}).run(replace(samples, masks=masks))
        assert sorted(made.masks.unique().tolist()) == sorted([0, numbers[3]])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 7)])
def test_images_of_one_pixel_and_without_objects_are_taken(channels, size):
    images = torch.arange(COUNT * channels * size[0] * size[1]).reshape(COUNT, channels, *size)
    samples = Samples(images.to(torch.uint8), tuple(range(COUNT)))
    none = Boxes(torch.zeros((0, 4)), torch.zeros(0, dtype=torch.int64))
    for known in ({"masks": images[:, 0] % 3}, {"boxes": none}):
        given_ = replace(samples, **known)
        for spec in (
            {"batch": ["mosaic", "copy_paste"]},
            {"sample": ["mask_dropout", "box_safe_crop"]},
            {"sample": [{"sequence": ["invert"], "within": {"share": 0.5}}]},
        ):
            made = Pipeline.read(spec).run(given_, partners=partners_of(given_))
            assert made.images.shape == images.shape
            assert (made.masks is None) == (given_.masks is None)

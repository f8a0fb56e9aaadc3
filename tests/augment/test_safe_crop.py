"""A crop that knows the boxes keeps what it must of them, and is random in all else."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.augment import Boxes, Pipeline, Samples
from synth.errors import ConfigError

HEIGHT, WIDTH = 30, 42
BOX = st.tuples(
    st.floats(0, WIDTH - 1, width=32),
    st.floats(0, HEIGHT - 1, width=32),
    st.floats(0.5, WIDTH, width=32),
    st.floats(0.5, HEIGHT, width=32),
).map(lambda box: [box[0], box[1], min(box[0] + box[2], WIDTH), min(box[1] + box[3], HEIGHT)])


def samples(boxes, count=1):
    images = torch.arange(count * HEIGHT * WIDTH, dtype=torch.int64) % 251
    rows = torch.arange(count).repeat_interleave(len(boxes))
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4).repeat(count, 1)
    return Samples(
        images.to(torch.uint8).reshape(count, 1, HEIGHT, WIDTH),
        tuple(range(count)),
        boxes=Boxes(corners, rows, torch.arange(len(boxes)).repeat(count)),
    )


@settings(max_examples=60, deadline=None)
@given(
    boxes=st.lists(BOX, min_size=1, max_size=5),
    keep=st.floats(0.05, 1),
    area=st.floats(0.001, 1),
    seed=st.integers(0, 2**64 - 1),
    of=st.sampled_from(["every", "one"]),
)
def test_the_share_that_is_wanted_of_boxes_stays(boxes, keep, area, seed, of):
    step = {"operation": "box_safe_crop", "keep": keep, "area": area, "of": of}
    made = Pipeline.read({"sample": [step]}, seed=seed).run(samples(boxes))
    enough = made.boxes.visible >= keep - 1e-4
    assert made.images.shape == (1, 1, HEIGHT, WIDTH)
    assert int(enough.sum()) >= (len(boxes) if of == "every" else 1)


def test_windows_are_as_small_as_drawn_and_lie_anywhere_that_keeps_the_box():
    step = {"operation": "box_safe_crop", "area": 0.25, "ratio": 1.4, "size": [15, 21]}
    given = samples([[10, 12, 14, 16]], count=400)
    made = Pipeline.read({"sample": [step]}).run(given)
    left = 10 - made.boxes.corners[:, 0]
    top = 12 - made.boxes.corners[:, 1]
    assert torch.equal(made.boxes.corners[:, 2] - made.boxes.corners[:, 0], torch.full((400,), 4.0))
    assert set(left.tolist()) == set(range(11))
    assert set(top.tolist()) == set(range(1, 13))


@pytest.mark.parametrize("of", ["every", "one"])
def test_boxes_that_have_left_the_image_are_neither_kept_nor_chosen(of):
    steps = [
        {"operation": "translate", "x": 0.5, "y": 0},
        {"operation": "box_safe_crop", "area": 0.01, "ratio": 1, "of": of, "size": [30, 30]},
    ]
    both = samples([[2, 20, 6, 24], [30, 2, 40, 9]], count=20)
    made = Pipeline.read({"sample": steps}).run(both).boxes
    sides = made.corners[:, 2:] - made.corners[:, :2]
    assert made.labels.tolist() == [0] * 20
    assert bool((sides == 30).all())


def test_images_without_boxes_are_cropped_and_all_follows_from_the_record():
    pipeline = Pipeline.read(
        {"sample": [{"operation": "box_safe_crop", "size": [8, 8], "of": "one"}]}, seed=4
    )
    for one in (samples([], count=3), samples([[3, 3, 9, 9], [20, 5, 40, 29]], count=3)):
        made = pipeline.run(one)
        single = [pipeline.run(one.part(slice(row, row + 1))) for row in range(3)]
        again = pipeline.replay(one, json.loads(json.dumps(pipeline.record(one))))
        assert made.images.shape == (3, 1, 8, 8)
        for other in (Samples.concatenate(single), again):
            assert torch.equal(made.images, other.images)
            assert torch.equal(made.boxes.corners, other.boxes.corners)


@pytest.mark.parametrize("bad", [{"keep": 0}, {"keep": 1.1}, {"of": "none"}, {"area": 0}])
def test_bad_parameters_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Pipeline.read({"sample": [{"operation": "box_safe_crop", **bad}]})

"""Labels that cost nothing: turned images and shuffled pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth.data import ImageSet, load_images, open_source
from synth.data.npz import write_npz
from synth.data.pixels import canonical, content_id
from synth.data.pretext import permutations, pretext_set, rotate, shuffle, square
from synth.errors import ConfigError, OutputExistsError, SourceError


def image_set(count: int = 200, shape: tuple[int, int, int] = (1, 8, 12)) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    ids = tuple(content_id(canonical(image.transpose(1, 2, 0))) for image in pixels)
    return ImageSet(torch.from_numpy(pixels), None, ids, None, (), "toys")


def test_turning_back_gives_the_image():
    images = square(image_set().images)
    quarters = torch.arange(200) % 4
    turned = rotate(images, quarters)
    assert torch.equal(turned[1], torch.rot90(images[1], 1, (1, 2)))
    assert torch.equal(rotate(turned, (4 - quarters) % 4), images)


@pytest.mark.parametrize(("grid", "shape"), [(2, (1, 8, 12)), (3, (3, 9, 13)), (2, (1, 9, 11))])
def test_shuffling_back_gives_the_inner_image(grid, shape):
    images = image_set(20, shape).images
    order = torch.stack([torch.randperm(grid**2, generator=torch.manual_seed(i)) for i in range(20)])
    shuffled = shuffle(images, order, grid)
    inner = shuffle(images, torch.arange(grid**2).expand(20, -1), grid)
    assert torch.equal(shuffle(shuffled, order.argsort(dim=1), grid), inner)
    assert not torch.equal(shuffled, inner)
    high, wide = shape[1] // grid, shape[2] // grid
    first = order[:, 0]
    for row in range(3):
        top, left = int(first[row]) // grid * high, int(first[row]) % grid * wide
        assert torch.equal(
            shuffled[row, :, :high, :wide], inner[row, :, top : top + high, left : left + wide]
        )


def test_orders_are_permutations_all_different_and_far_apart():
    assert sorted(map(tuple, permutations(2).tolist())) == sorted(set(map(tuple, permutations(2).tolist())))
    assert permutations(2).shape == (24, 4)
    orders = permutations(3)
    assert orders.shape == (64, 9)
    assert (orders.sort(dim=1).values == torch.arange(9)).all()
    distances = (orders[:, None] != orders[None]).sum(dim=2) + 9 * torch.eye(64, dtype=torch.int64)
    assert int(distances.min()) >= 6  # of 9 places; of 64 random orders two would agree in all but 3


@pytest.mark.parametrize(
    ("task", "grid", "classes"), [("rotation", 2, 4), ("jigsaw", 2, 24), ("jigsaw", 3, 64)]
)
def test_a_pretext_set_tells_what_was_done_to_each_image(task, grid, classes):
    images = image_set(2000, (1, 12, 12))
    made = pretext_set(images, task, seed=3, grid=grid)
    assert len(made.classes) == classes == len(set(made.classes))
    assert min(made.class_counts) > 0.4 * 2000 / classes
    if task == "rotation":
        undone = rotate(made.images, (4 - made.labels) % 4)
    else:
        undone = shuffle(made.images, permutations(grid)[made.labels].argsort(dim=1), grid)
    assert torch.equal(undone, images.images)
    assert torch.equal(pretext_set(images, task, seed=3, grid=grid).labels, made.labels)
    assert not torch.equal(pretext_set(images, task, seed=4, grid=grid).labels, made.labels)
    assert any("not of what the images show" in note for note in made.notes)


def test_a_pretext_set_is_written_and_read_as_a_source(tmp_path):
    made = pretext_set(image_set(30, (3, 8, 12)), "rotation")
    write_npz(made, tmp_path / "turned.npz")
    read = load_images(open_source(tmp_path / "turned.npz"))
    assert torch.equal(read.images, made.images)
    assert torch.equal(read.labels, made.labels)
    assert (read.classes, read.ids) == (made.classes, made.ids)
    with pytest.raises(OutputExistsError, match=r"turned\.npz exists already"):
        write_npz(made, tmp_path / "turned.npz")


def test_what_cannot_be_made_a_task_of_is_refused():
    with pytest.raises(ConfigError, match="no pretext task 'colours'; use rotation or jigsaw"):
        pretext_set(image_set(), "colours")
    with pytest.raises(ConfigError, match="2 x 2 or 3 x 3 pieces, not 4 x 4"):
        pretext_set(image_set(), "jigsaw", grid=4)
    with pytest.raises(SourceError, match="Images of 4 x 4 cannot be cut into 3 x 3 pieces"):
        pretext_set(image_set(5, (1, 4, 4)), "jigsaw", grid=3)
    with pytest.raises(SourceError, match="no images in toys"):
        pretext_set(image_set(0), "rotation")
    with pytest.raises(ConfigError, match="tells from 2 to 24 orders apart, not 25"):
        permutations(2, 25)

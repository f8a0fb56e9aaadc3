from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from synth.data.perceptual import NearRule, near_links, near_matches, thumbnail


def blobs(seed: int, side: int = 64, channels: int = 3) -> np.ndarray:
    """Smooth blobs: uint8 [side, side, channels]."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    large = np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))
    return large if channels == 3 else large[:, :, :1]


def as_jpeg(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60)
    with Image.open(buffer) as picture:
        return np.asarray(picture)


def smaller(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((40, 40), Image.Resampling.BILINEAR))


def brighter(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels.astype(np.int64) + 25, 0, 255).astype(np.uint8)


def touched_up(pixels: np.ndarray) -> np.ndarray:
    changed = pixels.copy()
    changed[2:4, 2:4] = 255
    return changed


@pytest.mark.parametrize("change", [as_jpeg, smaller, brighter, touched_up])
def test_a_changed_copy_is_linked_with_its_original_and_with_nothing_else(change):
    originals = [blobs(seed) for seed in range(12)]
    thumbnails = np.stack([thumbnail(one) for one in [*originals, *map(change, originals)]])
    assert near_links(thumbnails).tolist() == [[row, row + 12] for row in range(12)]


def test_unlike_pictures_are_not_linked():
    noise = np.random.default_rng(0).integers(0, 256, (200, 32, 32), dtype=np.uint8)
    assert len(near_links(noise)) == 0
    assert len(near_links(np.stack([thumbnail(blobs(seed)) for seed in range(200)]))) == 0


def test_pictures_of_one_colour_are_alike_only_where_it_is_the_same():
    flat = np.stack([np.full((32, 32), value, dtype=np.uint8) for value in (0, 1, 120, 255, 255)])
    assert near_links(flat).tolist() == [[0, 1], [3, 4]]


def test_many_copies_give_no_more_links_than_are_needed():
    copies = np.repeat(thumbnail(blobs(0))[None], 3_000, axis=0)
    links = near_links(copies)
    assert links.shape == (2_999, 2)
    assert set(links.flatten().tolist()) == set(range(3_000))


def test_links_between_old_pictures_do_not_depend_on_new_ones():
    old = np.stack([thumbnail(f(blobs(seed))) for seed in range(10) for f in (np.copy, as_jpeg)])
    new = np.stack([thumbnail(blobs(seed)) for seed in range(5, 15)])
    before = {tuple(pair) for pair in near_links(old).tolist()}
    assert before <= {tuple(pair) for pair in near_links(np.concatenate([old, new])).tolist()}


def test_the_nearest_of_several_matches_is_named():
    others = np.stack([thumbnail(one) for one in (blobs(7), as_jpeg(blobs(3)), blobs(3), blobs(8))])
    found, difference = near_matches(np.stack([thumbnail(blobs(3)), thumbnail(blobs(9))]), others)
    assert found.tolist() == [2, -1]
    assert difference[0] == 0
    assert np.isinf(difference[1])
    strict = NearRule(difference=0.0)
    assert near_matches(others[1:2], others[2:3], strict)[0].tolist() == [-1]


def test_grey_and_colour_of_any_size_have_a_thumbnail():
    for shape in ((1, 1, 1), (3, 200, 3), (500, 20, 1), (32, 32, 3)):
        assert thumbnail(np.zeros(shape, dtype=np.uint8)).shape == (32, 32)

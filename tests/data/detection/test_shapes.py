"""Runs and outlines: there and back without loss."""

from __future__ import annotations

import numpy as np
import pytest

from synth.data.detection.polygons import filled, joined, outlines_of
from synth.data.detection.rle import compress, decompress, read_runs, runs_of


def masks():
    random = np.random.default_rng(0)
    for density in (0.0, 0.1, 0.5, 0.9, 1.0):
        for size in ((1, 1), (1, 9), (7, 1), (12, 17), (30, 25)):
            yield random.random(size) < density


def test_runs_give_back_their_mask_also_as_text():
    for mask in masks():
        for compressed in (True, False):
            runs = runs_of(mask)
            plain = type(runs)(runs.counts, *mask.shape, compressed).plain()
            again = read_runs(plain, *mask.shape)
            assert (again.mask(*mask.shape) == mask).all()
            assert again.plain() == plain


def test_the_text_of_runs_is_that_of_coco():
    # From its definition: 16 is two groups, as bit 4 of a single one would be its sign.
    assert compress(np.array([16])) == "`0"
    assert compress(np.array([5, 3, 10, 2, 40])) == "53:On0"
    # The fourth is 2 - 3 and the fifth 40 - 10.
    assert decompress("53:On0").tolist() == [5, 3, 10, 2, 40]


def test_outlines_along_the_edges_of_pixels_give_back_their_mask():
    for mask in masks():
        found = outlines_of(mask)
        whole = np.zeros_like(mask)
        for outline in found:
            whole ^= filled([outline.astype(float)], *mask.shape)
        assert (whole == mask).all()
        if found:
            assert (filled([joined(found).astype(float)], *mask.shape) == mask).all()


def test_the_outline_of_a_rectangle_has_four_corners():
    mask = np.zeros((6, 8), dtype=bool)
    mask[2:5, 1:7] = True
    (outline,) = outlines_of(mask)
    assert sorted(map(tuple, outline.tolist())) == [(1, 2), (1, 5), (7, 2), (7, 5)]


@pytest.mark.parametrize("far", [1e6, 1e300])
def test_outlines_may_leave_the_image_by_any_distance(far):
    box = np.array([[-far, 2.0], [far, 2.0], [far, 4.0], [-far, 4.0]])
    assert filled([box], 6, 8).sum() == 16
    with np.errstate(over="ignore"):
        assert filled([box * [1, 1e3]], 6, 8).sum() in (0, 48)

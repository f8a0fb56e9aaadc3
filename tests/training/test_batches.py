from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from synth.data import ImageSet
from synth.training.batches import KeyedBatches


def numbered(count: int) -> ImageSet:
    """Images whose pixel, and label, is their number."""
    return ImageSet(
        torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1),
        torch.arange(count),
        ("",) * count,
        tuple(map(str, range(count))),
    )


def rows(images: ImageSet, batch_size: int, batches: int, *, seed: int = 0, start: int = 0) -> np.ndarray:
    found = []
    for batch in islice(KeyedBatches(images, batch_size, seed, start), batches):
        assert batch.images.shape == (batch_size, 1, 1, 1)
        assert torch.equal(batch.images.flatten().long(), batch.labels)
        assert batch.position.tolist() == list(range(start, start + batch_size))
        start += batch_size
        found.append(batch.labels.numpy())
    return np.concatenate(found)


@pytest.mark.parametrize("batch_size", [1, 4, 7, 10, 25])
def test_every_image_comes_once_in_each_epoch(batch_size):
    seen = rows(numbered(10), batch_size, -(-50 // batch_size))[:50].reshape(5, 10)
    np.testing.assert_array_equal(np.sort(seen, axis=1), np.tile(np.arange(10), (5, 1)))
    assert len(np.unique(seen, axis=0)) == 5  # each in another order


def test_batches_from_any_position_are_those_of_the_whole_run():
    whole = rows(numbered(10), 1, 60)
    for start in (0, 3, 9, 10, 37):
        np.testing.assert_array_equal(rows(numbered(10), 4, 5, start=start), whole[start : start + 20])


def test_the_seed_decides_the_order():
    first, again, other = (rows(numbered(50), 50, 1, seed=seed) for seed in (0, 0, 2**64 - 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_images_without_labels_come_without():
    images = numbered(5)
    unlabelled = ImageSet(images.images, None, images.ids, None)
    assert next(iter(KeyedBatches(unlabelled, 2, 0, 0))).labels is None

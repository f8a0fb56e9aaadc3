"""Images of any size: reflection, tiles, and that nothing of it can be seen in what is made."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.artifacts import Store
from synth.errors import DeviceError, UsageError
from synth.sampling import Sampler, sizes
from synth.sampling.sizes import LEAST_SIDE, MOST_PIXELS, Resizing
from tests import translators
from tests.sampling.test_translators import photos

SIDES = st.integers(1, 3_000)


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
    with translators.known():
        artifact = translators.publish(Store(tmp_path_factory.mktemp("sizes") / "store"), size=(18, 20))
        yield Sampler(artifact, device="cpu", precision="32", warmup_seconds=0.1)


@pytest.fixture
def small_tiles(monkeypatch):
    """Images of more than 96 x 96 pixels are large."""
    monkeypatch.setattr(sizes, "MOST_PIXELS", 96 * 96)
    sizes._cover.cache_clear()
    yield
    sizes._cover.cache_clear()


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.sampled_from([1, 4, 8, 16, 64]), st.integers(0, 200), st.integers(8, 300))
def test_tiles_cover_every_pixel_with_enough_around_it(height, width, multiple, context, trained):
    cover = Resizing(multiple, context, trained, trained).cover(height, width)
    for span in (cover.rows, cover.columns):
        assert span.size % multiple == span.side % multiple == 0
        assert span.size >= max(span.length, min(trained, 4 * multiple))
        assert all(start % multiple == 0 for start in span.starts)
        assert (span.starts[0], span.starts[-1]) == (0, span.size - span.side)
        total = torch.zeros(span.size, dtype=torch.float64)
        for number, (start, weights) in enumerate(zip(span.starts, span.weights, strict=True)):
            total[start : start + span.side] += weights
            if number:
                assert (weights[:context] == 0).all()
            if number < len(span.starts) - 1:
                assert (weights[span.side - context :] == 0).all()
        torch.testing.assert_close(total, torch.ones_like(total))
    assert cover.tiles == 1 or cover.rows.size * cover.columns.size > MOST_PIXELS
    assert cover.tiles > 1 or cover.shape == (cover.rows.size, cover.columns.size)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40))
def test_what_is_extended_is_reflected_and_cropped_again(height, width):
    cover = Resizing(16, 5, 64, 64).cover(height, width)
    image = torch.arange(height * width).reshape(1, 1, height, width) % 251
    extended = cover.extend(image)
    assert torch.equal(cover.crop(extended), image)
    top, left = cover.rows.before, cover.columns.before
    if height > 1 and top:
        assert torch.equal(extended[0, 0, top - 1], extended[0, 0, top + 1])
    if width > 1 and left:
        assert torch.equal(extended[0, 0, :, left - 1], extended[0, 0, :, left + 1])


@pytest.mark.parametrize("size", [(8, 8), (8, 61), (17, 30), (18, 20), (33, 9), (70, 45)])
def test_every_size_is_kept_and_a_sample_depends_on_image_and_key_alone(sampler, size):
    images = photos(9, *size)
    for mode, tolerance in [("exact", 0), ("fast", 1)]:
        whole = sampler.translate(images, seed=3, start=5, mode=mode)
        assert whole.images.shape == images.shape
        one = sampler.translate(images[6:7], seed=3, start=11, mode=mode)
        assert (one.images.int() - whole.images[6:7].int()).abs().max() <= tolerance
    assert torch.equal(sampler.translate(images, strength=0.0).images, images)


@pytest.mark.parametrize("size", [(150, 140), (40, 401), (301, 30), (210, 190)])
def test_tiles_make_what_the_whole_image_makes(sampler, size, request):
    images = photos(2, *size)
    whole = sampler.translate(images, seed=3, mode="exact").images
    request.getfixturevalue("small_tiles")
    assert sampler.traits.resizing.cover(*size).tiles > 1
    tiled = sampler.translate(images, seed=3, mode="exact").images
    assert (tiled.int() - whole.int()).abs().max() <= 1
    alone = sampler.translate(images[1:], seed=3, start=1, mode="exact").images
    assert torch.equal(alone, tiled[1:])
    assert torch.equal(sampler.translate(images, strength=0.0).images, images)


def test_predictions_grow_with_the_pixels(sampler, small_tiles):
    costs = [sampler.cost(4, shape=(3, side, side)) for side in (40, 80, 160)]
    assert costs[0] < costs[1] < costs[2]
    assert costs[2] > 10 * sampler.cost(4, shape=(3, 18, 20))
    assert sampler.best_bucket(shape=(3, 160, 160)) == 1
    assert sampler.best_bucket(shape=(3, 18, 20)) == sampler.best_bucket()


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros((1, 3, LEAST_SIDE - 1, 40), dtype=torch.uint8),
        torch.zeros((1, 1, 20, 20), dtype=torch.uint8),
        torch.zeros((0, 3, 20, 20), dtype=torch.uint8),
        torch.zeros((1, 3, 20, 20)),
        torch.zeros((3, 20, 20), dtype=torch.uint8),
        torch.zeros((1, 20, 20, 3), dtype=torch.uint8).numpy()[..., :2],
    ],
)
def test_what_cannot_be_translated_is_refused(sampler, images):
    message = r"tint@1 translates one or more images in uint8 \['N', .*H and W from 8; these are"
    with pytest.raises(UsageError, match=message):
        sampler.translate(images)


def test_where_memory_does_not_suffice_for_several_large_images_they_are_made_one_by_one(
    sampler, monkeypatch
):
    images = photos(5, 24, 40)
    expected = sampler.translate(images, seed=1).images
    plain, before = sampler._core._plain, sampler._core.costs
    seen = []

    def run(rows, parameters, wanted=None):
        seen.append(len(rows))
        if len(rows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return type(plain).run(plain, rows, parameters, wanted)

    monkeypatch.setattr(plain, "run", run)
    most = 1
    assert (sampler.translate(images, seed=1).images.int() - expected.int()).abs().max() <= 1
    assert seen[0] > 1
    assert seen[-5:] == [1] * 5
    assert sampler._core.costs is before  # nothing is given up for images of the usual size
    most = 0
    with pytest.raises(DeviceError, match="does not suffice for 1 samples"):
        sampler.translate(images)

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from synth.data import MINIMUM_IMAGES, load_images, open_source, require_images
from synth.errors import ConfigError, SourceError


def test_images_keep_their_pixels_and_order(tmp_path, save):
    paths = [save(f"{name}/{number}.png", number) for name in "ab" for number in range(3)]
    loaded = load_images(open_source(tmp_path))
    assert loaded.images.shape == (6, 3, 8, 8)
    assert loaded.images.dtype == torch.uint8
    for row, path in enumerate(paths):
        assert np.array_equal(loaded.images[row].permute(1, 2, 0), np.asarray(Image.open(path)))
    assert loaded.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert loaded.class_counts == [3, 3]
    assert loaded.ids[0] == loaded.ids[3]
    assert len(set(loaded.ids)) == 3
    assert loaded.notes == ()
    part = loaded.subset(np.array([5, 0]))
    assert torch.equal(part.images, loaded.images[[5, 0]])
    assert (part.labels.tolist(), part.ids) == ([1, 0], (loaded.ids[5], loaded.ids[0]))
    assert len(loaded.subset([])) == 0


def test_mixed_sizes_without_a_size_name_two_files_and_the_remedy(tmp_path, save):
    save("a.png", size=(8, 8))
    save("b.png", size=(8, 12))
    with pytest.raises(SourceError, match=r"a\.png is 8 x 8 and b\.png is 8 x 12 .*--size 32"):
        load_images(open_source(tmp_path))


def test_images_too_large_to_be_taken_as_they_are_ask_for_a_size(tmp_path, save):
    save("a.png", size=(8, 30))
    with pytest.raises(SourceError, match=r"are 8 x 30 pixels.*stops at 20 a side.*--size 64"):
        load_images(open_source(tmp_path), largest_own_side=20)
    assert load_images(open_source(tmp_path), largest_own_side=30).images.shape == (1, 3, 8, 30)
    assert load_images(open_source(tmp_path), size=(40, 40), largest_own_side=20).images.shape[2:] == (40, 40)


def test_more_images_than_memory_are_refused_before_they_are_read(tmp_path, save, monkeypatch):
    save("a.png", size=(8, 8))
    monkeypatch.setattr("synth.data.images.available_memory", lambda: 100)
    with pytest.raises(SourceError, match=r"1 images of 8 x 8 take .* Use a smaller --size, or fewer images"):
        load_images(open_source(tmp_path))


def test_images_are_resized_and_cropped_at_the_centre_and_exact_ones_untouched(tmp_path, save):
    exact = save("a.png", size=(16, 16))
    save("c.png", size=(8, 8))
    wide = np.zeros((32, 96, 3), dtype=np.uint8)
    wide[:, 32:64] = (200, 100, 50)
    Image.fromarray(wide).save(tmp_path / "b.png")
    loaded = load_images(open_source(tmp_path), size=(16, 16))
    assert np.array_equal(loaded.images[0].permute(1, 2, 0), np.asarray(Image.open(exact)))
    centre = loaded.images[1, :, :, 1:-1]
    assert (centre.amax(dim=(1, 2)) - torch.tensor([200, 100, 50]) <= 2).all()
    assert (torch.tensor([200, 100, 50]) - centre.amin(dim=(1, 2)).int() <= 2).all()
    assert loaded.notes == (
        "no class folders: treated as unlabelled",
        "2 of 3 images resized to 16 x 16; 1 cropped at the centre; 1 smaller than that and enlarged",
    )


@pytest.mark.parametrize("shape", [(7, 33), (33, 7), (1, 1), (100, 3)])
def test_any_shape_fits_any_size(tmp_path, save, shape):
    save("a.png", size=shape)
    assert load_images(open_source(tmp_path), size=(13, 24)).images.shape == (1, 3, 13, 24)


def test_downscaling_is_antialiased(tmp_path):
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "a.png")
    inner = load_images(open_source(tmp_path), size=(8, 8)).images[0, 0, 2:-2, 2:-2]
    assert inner.min() >= 120
    assert inner.max() <= 136


def test_channels_follow_the_images_or_the_request(tmp_path, save):
    save("a.png", 1, channels=1)
    save("b.png", 2, channels=1)
    assert load_images(open_source(tmp_path)).images.shape[1] == 1
    repeated = load_images(open_source(tmp_path), channels=3)
    assert torch.equal(repeated.images[:, 0], repeated.images[:, 2])
    assert "2 of 2 images in grey, repeated to 3 channels" in repeated.notes
    colour = save("c.png", 3)
    mixed = load_images(open_source(tmp_path))
    assert mixed.images.shape[1] == 3
    assert "2 of 3 images in grey, repeated to 3 channels" in mixed.notes
    grey = load_images(open_source(tmp_path), channels=1)
    assert np.array_equal(grey.images[2, 0], np.asarray(Image.open(colour).convert("L")))
    assert "1 of 3 images in colour, made grey" in grey.notes
    assert grey.ids == mixed.ids


@pytest.mark.parametrize("options", [{"size": (0, 8)}, {"size": (8,)}, {"channels": 2}])
def test_impossible_sizes_and_channels_are_refused(tmp_path, save, options):
    save("a.png")
    with pytest.raises(ConfigError):
        load_images(open_source(tmp_path), **options)


def test_fewer_than_sixteen_images_are_too_few_to_train_on(tmp_path, save):
    for number in range(MINIMUM_IMAGES):
        save(f"{number}.png", number)
    loaded = load_images(open_source(tmp_path))
    require_images(loaded)
    with pytest.raises(SourceError, match=r"holds 7 images, and training needs at least 16\. Add 9 or more"):
        require_images(loaded.subset(range(7)))


def test_a_sample_of_sorted_images_mixes_their_classes_and_repeats(tmp_path, save):
    for name in "abcd":
        for number in range(10):
            save(f"{name}/{number}.png", number, channels=1)
    loaded = load_images(open_source(tmp_path))
    some = loaded.sample(16)
    assert set(some.labels[:8].tolist()) == {0, 1, 2, 3}
    assert torch.equal(some.images, loaded.sample(16).images)
    assert torch.equal(loaded.sample(8).images, some.images[:8])
    assert sorted(loaded.sample(1_000).labels.tolist()) == loaded.labels.tolist()

"""Sources over real data sets, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synth.data import load_images, open_source


@pytest.mark.parametrize("shared", ["usps"], indirect=True)
def test_usps_has_both_parts(shared: Path):
    train, test = open_source(shared / "usps.npz"), open_source(f"{shared}/usps.npz:test")
    assert (len(train), len(test)) == (7291, 2007)
    assert train.info.classes == test.info.classes == tuple("0123456789")
    assert load_images(test, size=(28, 28)).images.shape == (2007, 1, 28, 28)


@pytest.mark.parametrize("shared", ["emoji-pairs"], indirect=True)
def test_emoji_are_laid_over_white(shared: Path):
    source = open_source(shared / "twemoji")
    sample = source[100]
    alpha = np.asarray(Image.open(shared / "twemoji" / sample.origin).convert("RGBA"))[..., 3]
    assert (sample.image[alpha == 0] == 255).all()
    assert source.info.classes is None


@pytest.mark.parametrize("shared", ["monet2photo"], indirect=True)
def test_parts_of_a_translation_data_set_open_one_by_one(shared: Path):
    loaded = load_images(open_source(shared / "testA"), size=(64, 48))
    assert loaded.images.shape == (60, 3, 64, 48)
    assert len(set(loaded.ids)) == 60


@pytest.mark.parametrize("shared", ["mnist"], indirect=True)
def test_mnist_opens_from_synth_home(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mnist").symlink_to(shared)
    loaded = load_images(open_source("mnist"))
    assert loaded.images.shape == (60_000, 1, 28, 28)
    assert loaded.labels[:5].tolist() == [5, 0, 4, 1, 9]

import io
import json

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from synth.data.encode import Encoding
from synth.errors import UsageError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_every_format_holds_about_these_pixels(name, channels):
    levels = np.add.outer(np.arange(40), 3 * np.arange(31))[..., None].repeat(channels, axis=2)
    images = np.stack([levels, levels // 2]).astype(np.uint8)
    files = Encoding(name).encode(images, [{"a": "b"}] * 2)
    for image, file in zip(images, files, strict=True):
        with Image.open(io.BytesIO(file)) as picture:
            assert picture.format.lower() == name
            assert picture.size == (31, 40)
            pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB")).reshape(image.shape)
        assert np.abs(pixels.astype(int) - image).max() <= (0 if name == "png" else 8)


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_what_is_said_of_an_image_stands_in_its_exif(name):
    texts = {"Software": "synth", "synth:label": "chapéu"}
    (file,) = Encoding(name).encode(np.zeros((1, 9, 9, 3), np.uint8), [texts])
    with Image.open(io.BytesIO(file)) as picture:
        exif = picture.getexif()
    assert exif[Base.Software] == "synth"
    assert json.loads(exif[Base.ImageDescription]) == texts


def test_quality_decides_the_size():
    noise = np.random.default_rng(0).integers(0, 256, (1, 40, 40, 3), np.uint8)
    sizes = [len(Encoding("jpeg", quality).encode(noise, [{}])[0]) for quality in (10, 50, 100)]
    assert sizes == sorted(sizes)


def test_another_format_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match=r"'gif'\. Formats: png, jpeg, webp"):
        Encoding("gif")


@pytest.mark.parametrize("quality", [0, 101, True, 9.5, "90"])
def test_a_quality_that_there_is_not_is_refused(quality):
    with pytest.raises(UsageError, match="quality must be"):
        Encoding("jpeg", quality)

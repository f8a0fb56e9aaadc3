import io

import numpy as np
import pytest
from PIL import Image

from synth.data.encode import encode_image
from synth.errors import UsageError


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_every_format_holds_about_these_pixels(name, channels):
    levels = np.add.outer(np.arange(40), 3 * np.arange(31))[..., None].repeat(channels, axis=2)
    image = levels.astype(np.uint8)
    with Image.open(io.BytesIO(encode_image(image, name))) as picture:
        assert picture.format.lower() == name
        assert picture.size == (31, 40)
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB")).reshape(image.shape)
    assert np.abs(pixels.astype(int) - image).max() <= (0 if name == "png" else 8)


def test_another_format_is_refused_with_those_that_exist():
    with pytest.raises(UsageError, match=r"'gif'\. Formats: png, jpeg, webp"):
        encode_image(np.zeros((2, 2, 3), np.uint8), "gif")

"""Pictures whose values are numbers of classes or objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from synth.data.decode import reading
from synth.errors import UnreadableError


def read_mask(path: Path) -> np.ndarray:
    """uint8 or int32 [H, W]: the values of a grey picture, or the places in the palette of one that has one.

    Raises UnreadableError for pictures that cannot be read, and for those of colour.
    """
    try:
        with reading(path) as image:
            # Upright, as images are decoded.
            values = np.asarray(ImageOps.exif_transpose(image))
    except UnreadableError as error:
        raise UnreadableError(f"the mask {path} {error}") from error
    if values.ndim == 3 and (values.shape[2] == 2 or (values[..., :1] == values[..., :3]).all()):
        values = values[..., 0]  # grey, with or without alpha
    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise UnreadableError(
            f"the mask {path} is in colour: save the number of each pixel's class, grey or with a palette"
        )
    return values.astype(np.uint8 if values.max(initial=0) < 256 else np.int32)


def palette() -> list[int]:
    """Pascal VOC's colours of 256 classes, three bytes each."""
    colours = []
    for number in range(256):
        rest, colour = number, [0, 0, 0]
        for bit in range(7, -1, -1):
            for channel in range(3):
                colour[channel] |= (rest >> channel & 1) << bit
            rest >>= 3
        colours += colour
    return colours


def with_palette(values: np.ndarray) -> Image.Image:
    """A picture of numbers [H, W]: with VOC's colours up to 255, in 16 bits up to 65,535."""
    if values.max(initial=0) > 255:
        return Image.fromarray(values.astype(np.uint16))
    image = Image.fromarray(values.astype(np.uint8)).convert("P")
    image.putpalette(palette())
    return image

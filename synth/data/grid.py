"""Many images as one picture."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

_LEAST_PIXELS = 48
"""Smaller images are enlarged by a whole factor, so that one sees something."""


def grid(images: Tensor, columns: int) -> Image.Image:
    """uint8 [N, C, H, W] as one picture, row by row, with a line of one pixel between."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, dtype=np.uint8)
    for number, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
        top, left = (number // columns) * (height + 1), (number % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = image
    factor = max(1, -(-_LEAST_PIXELS // max(height, width)))
    picture = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)

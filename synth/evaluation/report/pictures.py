"""Images of the compared sets as small PNGs that the report carries in itself."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synth.evaluation.report.model import Picture
from synth.randomness import permutation, stream_id

_STREAM = stream_id("evaluation/pictures")
_COLUMNS = 12
_ROWS = 4
_LARGEST = 64
"""Longest side, in pixels, of an image in a picture."""


def sample_grid(images: Tensor, labels: Tensor | None, *, classes: int, seed: int, about: str) -> Picture:
    """Some images uint8 [N, C, H, W] in rows; with labels, each column is of one class as far as they go."""
    order = permutation(seed, 0, _STREAM, len(images))
    columns = min(_COLUMNS, classes) if labels is not None and classes > 1 else _COLUMNS
    chosen: list[int | None] = []
    if labels is not None and classes > 1:
        shuffled = labels.numpy()[order]
        rows = [order[shuffled == number][:_ROWS].tolist() for number in range(columns)]
        chosen = [column[row] if row < len(column) else None for row in range(_ROWS) for column in rows]
    else:
        chosen = list(order[: _ROWS * columns].tolist())
    blank = torch.full_like(images[0], 128)
    return tile(torch.stack([blank if row is None else images[row] for row in chosen]), columns, about)


def side_by_side(left: Tensor, right: Tensor, about: str) -> Picture:
    """Two images uint8 [C, H, W]."""
    return tile(torch.stack([left, right]), 2, about)


def tile(images: Tensor, columns: int, about: str) -> Picture:
    """uint8 [N, C, H, W] row by row, with a transparent line between."""
    count, channels, height, width = images.shape
    factor = max(1, -(-max(height, width) // _LARGEST))
    pixels = images.permute(0, 2, 3, 1).numpy()[:, ::factor, ::factor]
    height, width = pixels.shape[1:3]
    gap = max(1, max(height, width) // 14)
    rows = -(-count // columns)
    canvas = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), dtype=np.uint8)
    for number, image in enumerate(pixels):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        canvas[top : top + height, left : left + width, :3] = image if channels == 3 else image[:, :, :1]
        canvas[top : top + height, left : left + width, 3] = 255
    stream = io.BytesIO()
    Image.fromarray(canvas, "RGBA").save(stream, format="PNG", optimize=True)
    text = base64.b64encode(stream.getvalue()).decode()
    return Picture(png=text, width=canvas.shape[1], height=canvas.shape[0], about=about)

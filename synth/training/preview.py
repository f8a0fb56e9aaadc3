"""Pictures of what a generator makes: fixed keys, one row a class."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from synth.families import get_family
from synth.models.program import Program
from synth.sampling.execution import to_uint8
from synth.sampling.noise import draw_noise
from synth.training.module import GeneratorModule

_COLUMNS = 10
_MOST_ROWS = 10
_SEED = 0
_LEAST_PIXELS = 48
"""Smaller images are enlarged by a whole factor, so that one sees something."""


@torch.inference_mode()
def preview(module: GeneratorModule) -> Image.Image:
    """Samples of the averaged weights: always the same keys, one row for each of up to 10 classes."""
    program: Program = get_family(module.family).load("program")(module.average)
    rows = min(max(module.classes, 1), _MOST_ROWS) if module.classes else 4
    index = torch.arange(rows * _COLUMNS, device=module.device)
    labels = index // _COLUMNS if module.classes else None
    parameters = {parameter.name: parameter.default for parameter in program.parameters}
    state = program.begin(draw_noise(program.noise, _SEED, index), labels, parameters)
    for i in range(program.steps(parameters)):
        state = program.step(i, state, labels, parameters)
    return grid(to_uint8(program.image(state)).cpu(), _COLUMNS)


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

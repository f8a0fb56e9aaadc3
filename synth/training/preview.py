"""Pictures of what a generator makes: fixed keys, one row a class."""

from __future__ import annotations

import torch
from PIL import Image
from torch import nn

from synth.data.grid import grid
from synth.families import get_family
from synth.models.program import Program
from synth.sampling.execution import to_uint8
from synth.sampling.noise import draw_noise

_COLUMNS = 10
_MOST_ROWS = 10
_SEED = 0


@torch.inference_mode()
def samples(network: nn.Module, family: str, classes: int, device: torch.device) -> Image.Image:
    """Samples of a generator: always the same keys, one row for each of up to 10 classes."""
    program: Program = get_family(family).load("program")(network)
    rows = min(classes, _MOST_ROWS) if classes else 4
    index = torch.arange(rows * _COLUMNS, device=device)
    labels = index // _COLUMNS if classes else None
    parameters = {parameter.name: parameter.default for parameter in program.parameters}
    state = program.begin(draw_noise(program.noise, _SEED, index), labels, parameters)
    for i in range(program.steps(parameters)):
        state = program.step(i, state, labels, parameters)
    return grid(to_uint8(program.image(state)).cpu(), _COLUMNS)

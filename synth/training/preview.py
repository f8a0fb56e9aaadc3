"""Pictures of what a generator makes: fixed keys, one row a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from synth.data.grid import grid
from synth.families import get_family
from synth.models.program import FromNothing, Program
from synth.sampling.execution import to_uint8
from synth.sampling.noise import draw_noise

if TYPE_CHECKING:  # modules show themselves by way of this
    from synth.training.module import FamilyModule

_COLUMNS = 10
MOST_ROWS = 10
"""Classes shown: the first ones, in their order."""
_SEED = 0


@torch.inference_mode()
def preview(module: FamilyModule) -> Image.Image:
    """Samples of the averaged weights: always the same keys, one row for each of up to 10 classes."""
    rows = min(max(module.classes, 1), MOST_ROWS) if module.classes else 4
    index = torch.arange(rows * _COLUMNS, device=module.device)
    return grid(samples(module, index, index // _COLUMNS if module.classes else None), _COLUMNS)


@torch.inference_mode()
def samples(
    module: FamilyModule,
    index: Tensor,
    labels: Tensor | None,
    changes: Mapping[str, float | str] | None = None,
) -> Tensor:
    """uint8 [N, C, H, W] on the CPU: what the averaged weights make of these keys and labels, int64 [N].

    With default parameters but for ``changes``.
    """
    program: Program = get_family(module.family).load("program")(module.average)
    parameters = {parameter.name: parameter.default for parameter in program.parameters} | dict(changes or {})
    assert isinstance(program, FromNothing), f"{module.family} shows translations instead"
    with module.autocast():
        state = program.begin(draw_noise(program.noise, _SEED, index), labels, parameters)
        for i in range(program.steps(parameters)):
            state = program.step(i, state, labels, parameters)
    return to_uint8(program.image(state)).cpu()

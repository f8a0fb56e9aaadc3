"""What a style model makes of fixed images: rows of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synth.models.program import Values
from synth.models.style import StyleProgram
from synth.sampling.execution import to_uint8
from synth.sampling.noise import draw_noise

_SEED = 0
_RANDOM = ((0.0, 0), (0.5, 0), (1.0, 0), (1.0, 100), (1.0, 200))
"""Strength and first key of the rows in random styles."""
ROWS = ("images", "own style", "half", "random", "random", "random", "style images", "in these")


def pictures_of(program: StyleProgram, content: Tensor, styles: Tensor) -> Sequence[Tensor]:
    """The rows that ``ROWS`` names, each uint8 [N, C, H, W] on the CPU, always of the same keys.

    ``content`` and ``styles`` are float [N, C, H, W] in [-1, 1], of sides that the network takes.
    """
    index = torch.arange(len(content), device=content.device)
    rows = [content]
    rows += [restyled(program, content, index + start, strength=strength) for strength, start in _RANDOM]
    given = torch.cat([program.style_from([style[None]], defaults(program))[None] for style in styles])
    rows += [styles, restyled(program, content, index, style=given)]
    return [to_uint8(row).cpu() for row in rows]


def restyled(program: StyleProgram, content: Tensor, index: Tensor, **parameters: float | Tensor) -> Tensor:
    """Images float [N, C, H, W]: the program with the keys (0, index), int64 [N], and these parameters."""
    values: Values = {**defaults(program), **parameters}
    state = program.begin_from(content, draw_noise(program.noise, _SEED, index), None, values)
    for i in range(program.steps(values)):
        state = program.step(i, state, None, values)
    return program.image(state)


def defaults(program: StyleProgram) -> dict[str, float | str]:
    """Every parameter of the program at its default."""
    return {parameter.name: parameter.default for parameter in program.parameters}

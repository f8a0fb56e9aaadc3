"""The random inputs of a program, drawn by key."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from synth.models.program import NoiseSpec
from synth.randomness import Seed, normals, stream_id, uniforms


def draw_noise(specs: Sequence[NoiseSpec], seed: Seed, index: Tensor) -> dict[str, Tensor]:
    """float32 [N, *shape] by name, each from the stream that carries its name.

    ``index`` is int64 [N]; ``seed`` is one for all, or one for each (see ``synth.randomness.Seed``).
    """
    noise = {}
    for spec in specs:
        draw = normals if spec.kind == "normal" else uniforms
        values = draw(seed, index, stream_id(f"noise/{spec.name}"), math.prod(spec.shape))
        noise[spec.name] = values.reshape(-1, *spec.shape)
    return noise

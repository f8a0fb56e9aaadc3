"""The ways of running a bucket: eagerly, compiled by inductor, or replayed as a CUDA graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from synth.models.program import Program
from synth.sampling.execution import Inputs, Method, begin, run_bucket, to_uint8
from synth.sampling.noise import draw_noise


class Backend(Protocol):
    """Runs buckets of the sizes that it was prepared for; belongs to the thread that prepared it."""

    method: Method

    def prepare(self, inputs: Inputs) -> None:
        """Do all that is slow for buckets of this size: compile, capture, search."""

    def run(self, inputs: Inputs) -> Tensor:
        """uint8 [B, C, H, W] on the device. The caller must use it before the next call."""


class EagerBackend:
    """Calls the program as it is."""

    def __init__(self, program: Program, dtype: torch.dtype, method: Method) -> None:
        self._program, self._dtype, self.method = program, dtype, method

    def prepare(self, inputs: Inputs) -> None:
        self.run(inputs)

    @torch.inference_mode()
    def run(self, inputs: Inputs) -> Tensor:
        return run_bucket(self._program, self._dtype, inputs)


class InductorBackend:
    """Compiles what follows the noise; one compilation for each bucket size, none afterwards.

    Only for programs of a single step: a compiled step would be compiled anew for each step's number.
    Seed and parameters are inputs and no constants, so that no value of theirs can start a compilation.
    """

    def __init__(self, program: Program, dtype: torch.dtype, method: Method) -> None:
        self._program, self._dtype, self.method = program, dtype, method
        self._compiled = torch.compile(self._pixels, dynamic=False, fullgraph=True)

    def _pixels(
        self,
        noise: Mapping[str, Tensor],
        labels: Tensor | None,
        images: Tensor | None,
        parameters: Mapping[str, Tensor],
    ) -> Tensor:
        inputs = Inputs(0, noise[self._program.noise[0].name], labels, images, parameters)  # type: ignore[arg-type]
        state = begin(self._program, self._dtype, noise, inputs)
        state = self._program.step(0, state, labels, inputs.parameters)
        return to_uint8(self._program.image(state))

    def _call(self, inputs: Inputs) -> Tensor:
        noise = draw_noise(self._program.noise, inputs.seed, inputs.index)
        parameters = {
            name: torch.tensor(value, device=inputs.index.device) for name, value in inputs.parameters.items()
        }
        pixels: Tensor = self._compiled(noise, inputs.labels, inputs.images, parameters)
        return pixels

    @torch.inference_mode()
    def prepare(self, inputs: Inputs) -> None:
        # Beyond its limit torch falls back to eager code in silence; there are a dozen bucket sizes at most.
        with torch._dynamo.config.patch(recompile_limit=64):
            self._call(inputs)

    @torch.inference_mode()
    def run(self, inputs: Inputs) -> Tensor:
        with torch.compiler.set_stance("fail_on_recompile"):
            return self._call(inputs)

"""The ways of running a bucket: eagerly, or compiled by inductor; for CUDA graphs see ``graphs``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from synth.batch import Parameters
from synth.models.program import Program, State
from synth.sampling.execution import Method, begin, begin_from_keys, called, to_uint8
from synth.sampling.noise import draw_noise
from synth.sampling.rows import Rows, Wanted


class Backend(Protocol):
    """Runs buckets of the sizes that it was prepared for; belongs to the thread that prepared it."""

    method: Method

    def prepare(self, rows: Rows, parameters: Parameters) -> None:
        """Do all that is slow for buckets of this size: compile, capture, search."""

    def run(self, rows: Rows, parameters: Parameters, wanted: Wanted | None = None) -> Tensor:
        """uint8 [B, C, H, W] on the device. The caller must use it before the next call.

        ``wanted`` is asked between steps; pixels of rows that nobody wants any more are undefined.
        """

    def forget(self, size: int) -> None:
        """Give back what was prepared for buckets of this size."""


class EagerBackend:
    """Calls the program as it is."""

    def __init__(
        self, program: Program, dtype: torch.dtype, method: Method, *, shrinking: bool = False
    ) -> None:
        """``shrinking``: leave rows that nobody wants out of the next steps, which changes the batch size."""
        self._program, self._dtype, self.method = program, dtype, method
        self._shrinking = shrinking

    def prepare(self, rows: Rows, parameters: Parameters) -> None:
        self.run(rows, parameters)

    def forget(self, size: int) -> None:
        pass

    @torch.inference_mode()
    def run(self, rows: Rows, parameters: Parameters, wanted: Wanted | None = None) -> Tensor:
        program, labels = self._program, rows.labels
        kept = torch.arange(len(rows), device=rows.index.device)
        state = begin_from_keys(program, self._dtype, rows, parameters)
        for i in range(program.steps(parameters)):
            mask = wanted() if wanted is not None and i else None
            if mask is not None:
                mask = mask.to(kept.device)[kept]
                if not mask.any():
                    break
                if self._shrinking and not mask.all():
                    kept = kept[mask]
                    state = {name: tensor[mask] for name, tensor in state.items()}
                    labels = None if labels is None else labels[mask]
            state = program.step(i, state, labels, parameters)
        else:
            return _spread(to_uint8(program.image(state)), kept, len(rows))
        return _nothing(program, state, len(rows))


class InductorBackend:
    """Compiles what follows the noise; one compilation for each bucket size, none afterwards.

    Only for programs of a single step: a compiled step would be compiled anew for each step's number.
    Seeds and parameters are inputs and no constants, so that no value of theirs can start a compilation.
    Structural parameters are constants: with other values than those prepared for, the program is called
    eagerly.
    """

    def __init__(self, program: Program, dtype: torch.dtype, method: Method) -> None:
        self._program, self._dtype, self.method = program, dtype, method
        self._eager = EagerBackend(program, dtype, method)
        self._structure: Parameters | None = None
        self._compiled = torch.compile(self._pixels, dynamic=False, fullgraph=True)

    def _pixels(self, noise: Mapping[str, Tensor], rows: Rows, parameters: Any) -> Tensor:
        state = begin(self._program, self._dtype, noise, rows, parameters)
        state = self._program.step(0, state, rows.labels, parameters)
        return to_uint8(self._program.image(state))

    def _call(self, rows: Rows, parameters: Parameters) -> Tensor:
        noise = draw_noise(self._program.noise, rows.seed, rows.index)
        values = as_data(self._program, parameters, rows.index.device)
        pixels: Tensor = self._compiled(noise, rows, values)
        return pixels

    @torch.inference_mode()
    def prepare(self, rows: Rows, parameters: Parameters) -> None:
        # Beyond its limit torch falls back to eager code in silence; there are a dozen bucket sizes at most.
        with torch._dynamo.config.patch(recompile_limit=64):
            self._call(rows, parameters)
        self._structure = structure_of(self._program, parameters)

    def forget(self, size: int) -> None:
        pass

    @torch.inference_mode()
    def run(self, rows: Rows, parameters: Parameters, wanted: Wanted | None = None) -> Tensor:
        if structure_of(self._program, parameters) != self._structure:
            return self._eager.run(rows, parameters, wanted)
        with torch.compiler.set_stance("fail_on_recompile"):
            return self._call(rows, parameters)


class NetworkInductorBackend(EagerBackend):
    """Compiles the networks alone, for programs of several steps: a step would be compiled for each number.

    One compilation for each bucket size, which serves any number of steps, and all networks of one kind, for
    weights are inputs of compiled code: a student needs none of its own. Calls of other shapes than those
    that were prepared, as with guidance, which doubles the rows, run eagerly.
    """

    def __init__(self, program: Program, dtype: torch.dtype, method: Method) -> None:
        """What ``program`` calls is compiled in place: it must be the backend's own; see ``own_calls``."""
        super().__init__(program, dtype, method)
        for module in called(program.network):
            module.compile(dynamic=False, fullgraph=True)

    def prepare(self, rows: Rows, parameters: Parameters) -> None:
        with torch._dynamo.config.patch(recompile_limit=64), warnings.catch_warnings():
            # Of caches in diffusers, whose contents depend on versions alone.
            warnings.filterwarnings("ignore", message=".*functools.lru_cache.*")
            super().run(rows, parameters)

    def run(self, rows: Rows, parameters: Parameters, wanted: Wanted | None = None) -> Tensor:
        with torch.compiler.set_stance("eager_on_recompile"):
            return super().run(rows, parameters, wanted)


def structure_of(program: Program, parameters: Parameters) -> Parameters:
    """The values of structural parameters: what compiled and captured code was made for."""
    return {one.name: parameters[one.name] for one in program.parameters if one.structural}


def as_data(program: Program, parameters: Parameters, device: torch.device) -> dict[str, Any]:
    """Structural values as they are; the others as float32 tensors without dimensions.

    Arithmetic takes such a tensor like a number, and it can be filled anew without a new compilation.
    """
    structure = structure_of(program, parameters)
    return {
        name: value if name in structure else torch.tensor(float(value), device=device)
        for name, value in parameters.items()
    }


def _spread(pixels: Tensor, kept: Tensor, size: int) -> Tensor:
    """The pixels of ``kept`` rows at their places among ``size``."""
    if len(kept) == size:
        return pixels
    return pixels.new_zeros((size, *pixels.shape[1:])).index_copy_(0, kept, pixels)


def _nothing(program: Program, state: State, size: int) -> Tensor:
    pixels = to_uint8(program.image({name: tensor[:1] for name, tensor in state.items()}))
    return pixels.new_zeros((size, *pixels.shape[1:]))

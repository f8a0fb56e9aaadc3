"""The hot path: keys in, pixels out, over the buckets that warm-up found to be best."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synth.batch import Mode
from synth.errors import DeviceError
from synth.models.program import ImageShape, Program
from synth.sampling.backends import Backend, EagerBackend, InductorBackend
from synth.sampling.execution import Inputs, Method, arrange, methods, steady_method
from synth.sampling.split import split
from synth.sampling.tuning import Candidate, Tuning, tune

EXACT_BUCKET = 32
"""The one bucket of mode ``exact``: large enough to be nearly as fast as any, small enough to fill."""
_MOST_BYTES = 2 * 2**30
"""Most bytes of activations that one bucket may take."""


@dataclass(frozen=True)
class Model:
    """A network and what is needed to run it; see ``synth.families`` and ``synth.models.program``."""

    network: nn.Module
    program: Callable[[nn.Module], Program]
    image: ImageShape
    classes: int


class Core:
    """Runs one model on one device; belongs to one thread at a time."""

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        """``model.network`` is on the device and in the dtype already; see ``synth.sampling.prepare``."""
        self.model, self.device, self.dtype = model, device, dtype
        self._programs: dict[str, Program] = {}
        self.steady = steady_method(model.network, device)
        self.program = self._program(self.steady)
        self._exact: Backend = EagerBackend(self.program, dtype, self.steady)
        self._fast: Backend = self._exact
        # Warm-up measures generation; what was prepared for it knows nothing of images.
        self._translating: Backend = self._exact
        self.tuning: Tuning | None = None
        self._dead: str | None = None

    def warm_up(self, seconds: float, known: Tuning | None = None) -> Tuning:
        """Measure, or prepare what was found earlier; afterwards no request starts anything slow."""
        parameters = {parameter.name: parameter.default for parameter in self.program.parameters}
        compiles = self.program.steps(parameters) == 1 and self.device.type == "cpu"
        candidates = [
            Candidate(method, lambda method=method: self._backend(method))  # type: ignore[misc]
            for method in methods(self.model.network, self.device, compile=compiles)
        ]
        if known is not None:
            self._fast = self._backend(known.method)
            for size in known.seconds:
                self._fast.prepare(self._sample_inputs(size))
            self.tuning = known
        else:
            self.tuning, self._fast = tune(
                candidates,
                self._sample_inputs,
                bytes_per_sample=self.bytes_per_sample(),
                most_bytes=_MOST_BYTES,
                budget_seconds=seconds,
            )
        in_use = {self.steady.layout, self._fast.method.layout}
        self._programs = {layout: one for layout, one in self._programs.items() if layout in in_use}
        return self.tuning

    def run(
        self,
        index: Tensor,
        labels: Tensor | None,
        images: Tensor | None,
        seed: int,
        mode: Mode,
        parameters: Mapping[str, float],
    ) -> Tensor:
        """uint8 [N, C, H, W] on the CPU for the keys (seed, index), any number of them.

        Raises DeviceError when the device has failed; the core is dead from then on.
        """
        if self._dead is not None:
            raise DeviceError(self._dead)
        count, at = len(index), 0
        image = self.model.image
        pixels = torch.empty((count, image.channels, image.height, image.width), dtype=torch.uint8)
        generating = self._exact if mode == "exact" else self._fast
        backend = generating if images is None else self._translating
        for size in self._buckets(count, mode):
            rows = slice(at, min(at + size, count))
            inputs = Inputs(
                seed,
                self._fill(index[rows], size),
                None if labels is None else self._fill(labels[rows], size),
                None if images is None else self._fill(images[rows], size),
                parameters,
            )
            pixels[rows] = self._call(backend, inputs)[: rows.stop - rows.start]
            at = rows.stop
        return pixels

    def _call(self, backend: Backend, inputs: Inputs) -> Tensor:
        try:
            return backend.run(inputs)
        except torch.AcceleratorError as error:
            # After a CUDA error in flight nothing on the device can be trusted, and calls may hang.
            self._dead = f"The device {self.device} failed ({error}); restart the process to use it again."
            raise DeviceError(self._dead) from error

    def _buckets(self, count: int, mode: Mode) -> list[int]:
        if mode == "exact" or self.tuning is None:
            return [EXACT_BUCKET] * -(-count // EXACT_BUCKET)
        return split(count, self.tuning.seconds)

    def _fill(self, rows: Tensor, size: int) -> Tensor:
        """The rows on the device, the last one repeated until the bucket is full."""
        missing = size - len(rows)
        if missing:
            rows = torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])
        return rows.to(self.device)

    def _backend(self, method: Method) -> Backend:
        if method == self.steady:
            return self._exact
        kind = EagerBackend if method.engine == "eager" else InductorBackend
        return kind(self._program(method), self.dtype, method)

    def _program(self, method: Method) -> Program:
        """The program over weights in the method's layout; one copy of the weights for each layout in use."""
        if method.layout not in self._programs:
            network = copy.deepcopy(self.model.network) if self._programs else self.model.network
            arrange(network, method.layout)
            self._programs[method.layout] = self.model.program(network)
        return self._programs[method.layout]

    def _sample_inputs(self, size: int) -> Inputs:
        index = torch.arange(size, device=self.device)
        parameters = {parameter.name: parameter.default for parameter in self.program.parameters}
        labels = index % self.model.classes if self.model.classes else None
        return Inputs(0, index, labels, None, parameters)

    def sample(self, count: int) -> Tensor:
        """uint8 [count, C, H, W] of fixed keys and the default parameters, to compare cores by."""
        inputs = self._sample_inputs(count)
        return self.run(inputs.index, inputs.labels, None, inputs.seed, "exact", inputs.parameters)

    def bytes_per_sample(self) -> int:
        """Bytes of all activations of one sample: an upper bound of what a row of a bucket needs at once."""
        total = 0

        def add(module: nn.Module, inputs: Any, output: Any) -> None:
            nonlocal total
            if isinstance(output, Tensor) and not any(module.children()):
                total += output.numel() * output.element_size()

        hooks = [module.register_forward_hook(add) for module in self.program.network.modules()]
        try:
            self._exact.run(self._sample_inputs(1))
        finally:
            for hook in hooks:
                hook.remove()
        return max(total, 1)

"""The ways of running one model on one device: programs by memory layout, backends by method."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from synth.batch import Parameters
from synth.models.program import ImageShape, Interpreted, Program
from synth.sampling.backends import Backend, EagerBackend, InductorBackend, NetworkInductorBackend
from synth.sampling.execution import (
    Method,
    arrange,
    begin_from_keys,
    called,
    methods,
    own_calls,
    steady_method,
)
from synth.sampling.graphs import GraphBackend, Recorder
from synth.sampling.rows import Rows
from synth.sampling.tuning import Candidate


@dataclass(frozen=True)
class Model:
    """A network and what is needed to run it; see ``synth.families`` and ``synth.models.program``."""

    network: nn.Module
    program: Callable[[nn.Module], Program]
    image: ImageShape
    classes: int


class Ways:
    """Makes the backends of a model; holds one copy of the weights for each memory layout in use."""

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        self._model, self._device, self._dtype = model, device, dtype
        self._programs: dict[str, Program] = {}
        self.steady = steady_method(model.network, device)
        self.program = self._program(self.steady)
        defaults = {parameter.name: parameter.default for parameter in self.program.parameters}
        self._single_step = self.program.steps(defaults) == 1
        self.steady_backend = SteadyBackend(self.program, dtype, self.steady)
        self.shrinking_backend = EagerBackend(self.program, dtype, self.steady, shrinking=True)

    def candidates(self, parameters: Parameters) -> list[Candidate]:
        """All methods that are worth a measurement, the cheapest to prepare first."""
        compile = self._single_step or bool(called(self._model.network))
        found = methods(self._model.network, self._device, compile=compile)
        if isinstance(self.program, Interpreted):
            found = [method for method in found if method.engine == "eager"]
        return [Candidate(method, lambda method=method: self.backend(method)) for method in found]  # type: ignore[misc]

    def backend(self, method: Method) -> Backend:
        """A backend that runs the model by this method."""
        program = self._program(method)
        if method.engine == "graph":
            return GraphBackend(program, self._dtype, method, Recorder(self._device))
        if method.engine == "inductor" and self._single_step:
            return InductorBackend(program, self._dtype, method)
        if method.engine == "inductor":
            own = self._model.program(own_calls(program.network))
            return NetworkInductorBackend(own, self._dtype, method)
        if method == self.steady:
            return self.shrinking_backend
        return EagerBackend(program, self._dtype, method, shrinking=True)

    def keep_only(self, method: Method) -> None:
        """Let go of weights in layouts that neither ``method`` nor mode ``exact`` uses."""
        in_use = {self.steady.layout, method.layout}
        self._programs = {layout: one for layout, one in self._programs.items() if layout in in_use}

    def weight_bytes(self) -> int:
        """Bytes of all copies of the weights."""
        return sum(
            tensor.numel() * tensor.element_size()
            for program in self._programs.values()
            for tensor in (*program.network.parameters(), *program.network.buffers())
        )

    def bytes_per_sample(self, rows: Rows, parameters: Parameters) -> int:
        """Bytes of all activations of one sample: an upper bound of what a row of a bucket needs at once.

        Of one step, and all that comes before and after: steps follow each other in the same memory.
        """
        total = 0

        def add(module: nn.Module, inputs: Any, output: Any) -> None:
            nonlocal total
            if isinstance(output, Tensor) and not any(module.children()):
                total += output.numel() * output.element_size()

        hooks = [module.register_forward_hook(add) for module in self.program.network.modules()]
        try:
            self._one_step(rows, parameters)
        finally:
            for hook in hooks:
                hook.remove()
        return max(total, 1)

    @torch.inference_mode()
    def _one_step(self, rows: Rows, parameters: Parameters) -> None:
        state = begin_from_keys(self.program, self._dtype, rows, parameters)
        self.program.image(self.program.step(0, state, rows.labels, parameters))

    def _program(self, method: Method) -> Program:
        if method.layout not in self._programs:
            network = copy.deepcopy(self._model.network) if self._programs else self._model.network
            arrange(network, method.layout)
            self._programs[method.layout] = self._model.program(network)
        return self._programs[method.layout]


class SteadyBackend(EagerBackend):
    """Eager, of one batch size, and with deterministic algorithms alone: the bytes of mode ``exact``."""

    def run(self, rows: Rows, parameters: Parameters, wanted: Any = None) -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            return super().run(rows, parameters, wanted)

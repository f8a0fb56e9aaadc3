"""CUDA graphs: a whole bucket, from keys to pixels, replayed without a word from Python in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from synth.batch import Parameters
from synth.models.program import Program
from synth.sampling.backends import EagerBackend, as_data, structure_of
from synth.sampling.execution import Method, begin_from_keys, to_uint8
from synth.sampling.rows import Rows, Wanted

T = TypeVar("T")
Replay = Callable[[], None]
_WARM_UPS = 3
"""Runs before a capture: libraries choose algorithms and allocate workspaces in the first ones."""


class Recorder:
    """Captures functions of one device as CUDA graphs that share one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, function: Callable[[], T]) -> tuple[T, Replay]:
        """The function's result, whose tensors every replay fills anew in place, and the replay."""
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            here = torch.cuda.current_stream()
            side.wait_stream(here)
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    function()
            here.wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                result = function()
        return result, graph.replay


@dataclass(frozen=True)
class _Captured:
    """One bucket size: the inputs to fill, one replay for each step, and where the pixels appear."""

    rows: Rows
    parameters: dict[str, Any]
    structure: Parameters
    replays: list[Replay]
    pixels: Tensor

    def fits(self, rows: Rows, structure: Parameters) -> bool:
        """Whether it computes these: the same structure, and images of the same shape or none."""
        return self.structure == structure and self.rows.shape == rows.shape


class GraphBackend:
    """Replays what was captured at warm-up, one graph for each step, so that work can stop in between.

    What was not captured (structural parameters, such as the number of steps, with other values than the
    defaults) is called eagerly: no request ever starts a capture.
    """

    def __init__(self, program: Program, dtype: torch.dtype, method: Method, recorder: Recorder) -> None:
        self._program, self._dtype, self.method = program, dtype, method
        self._recorder = recorder
        self._captured: dict[int, _Captured] = {}
        self._eager = EagerBackend(program, dtype, method)

    @torch.inference_mode()
    def prepare(self, rows: Rows, parameters: Parameters) -> None:
        if len(rows) in self._captured:
            return
        own = rows._each(torch.clone)
        values = as_data(self._program, parameters, rows.index.device)
        program, steps = self._program, self._program.steps(parameters)
        replays: list[Replay] = []

        def stage(function: Callable[[], T]) -> T:
            result, replay = self._recorder.record(function)
            replays.append(replay)
            return result

        state = stage(lambda: begin_from_keys(program, self._dtype, own, values))
        for i in range(steps):
            state = stage(lambda i=i, state=state: program.step(i, state, own.labels, values))  # type: ignore[misc]
        pixels = stage(lambda: to_uint8(program.image(state)))
        self._captured[len(rows)] = _Captured(own, values, structure_of(program, parameters), replays, pixels)

    def forget(self, size: int) -> None:
        self._captured.pop(size, None)

    @torch.inference_mode()
    def run(self, rows: Rows, parameters: Parameters, wanted: Wanted | None = None) -> Tensor:
        captured = self._captured.get(len(rows))
        if captured is None or not captured.fits(rows, structure_of(self._program, parameters)):
            return self._eager.run(rows, parameters, wanted)
        captured.rows.seed.copy_(rows.seed)
        captured.rows.index.copy_(rows.index)
        if captured.rows.labels is not None and rows.labels is not None:
            captured.rows.labels.copy_(rows.labels)
        if captured.rows.images is not None and rows.images is not None:
            captured.rows.images.copy_(rows.images)
        for name, value in parameters.items():
            if name not in captured.structure:
                captured.parameters[name].fill_(value)
        for number, replay in enumerate(captured.replays):
            mask = wanted() if wanted is not None and number else None
            if mask is not None and not mask.any():
                break
            replay()
        return captured.pixels

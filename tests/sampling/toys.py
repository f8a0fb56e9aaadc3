"""A program of several steps and a core over it, for what no family of one step can show."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from synth.models.program import ImageShape, NoiseSpec, Parameter, State
from synth.sampling.core import Core
from synth.sampling.methods import Model

CPU = torch.device("cpu")
IMAGE = ImageShape(3, 8, 8)


class Steps:
    """Moves noise through one convolution again and again; keeps how many rows each step had."""

    noise = (NoiseSpec("input", (3, 8, 8)),)
    parameters = (
        Parameter("steps", 3.0, 1.0, 9.0, "how many", whole=True, structural=True),
        Parameter("pull", 1.0, 0.0, 2.0, "how far each step goes"),
    )

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.seen: list[int] = []

    def steps(self, parameters: Mapping[str, float]) -> int:
        return int(parameters["steps"])

    def begin(
        self, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Mapping[str, float]
    ) -> State:
        assert labels is not None
        return {"x": noise["input"] + labels[:, None, None, None]}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Mapping[str, float]) -> State:
        assert labels is not None
        assert len(labels) == len(state["x"])
        self.seen.append(len(labels))
        return {"x": torch.tanh(state["x"] + parameters["pull"] * self.network(state["x"]) / (i + 1))}

    def image(self, state: State) -> Tensor:
        return state["x"]


def stepping_model() -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)).requires_grad_(False).eval()
    return Model(network, Steps, IMAGE, 4)


def stepping_core(device: torch.device = CPU) -> Core:
    model = stepping_model()
    model.network.to(device)
    return Core(model, device, torch.float32)

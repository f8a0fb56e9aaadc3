"""One bucket of samples, from keys to pixels, and the ways of running it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from synth.models.program import FromNothing, Program, State, Translator, Values
from synth.sampling.noise import draw_noise
from synth.sampling.pictures import picture_parameter
from synth.sampling.rows import Rows

Layout = Literal["contiguous", "channels_last"]
Engine = Literal["eager", "inductor", "graph"]


@dataclass(frozen=True)
class Method:
    """How a network is run: by which engine, and in which memory layout."""

    engine: Engine
    layout: Layout

    def __str__(self) -> str:
        return f"{self.engine}, {self.layout}"


def steady_method(network: nn.Module, device: torch.device) -> Method:
    """The method of mode ``exact``: decided by rule and never by measurement, so that bytes cannot vary.

    ``channels_last`` is what convolutions want, but torch's GroupNorm for CPUs is an order of magnitude
    slower in it than on contiguous maps (torch 2.15, bfloat16: 12.4 against 0.5 ms for 128 x 32 x 28 x 28).
    """
    grouped = any(isinstance(module, nn.GroupNorm) for module in network.modules())
    return Method("eager", "contiguous" if device.type == "cpu" and grouped else "channels_last")


def methods(network: nn.Module, device: torch.device, *, compile: bool) -> list[Method]:
    """All that are worth a measurement, the cheapest to prepare first."""
    steady = steady_method(network, device)
    other: Layout = "contiguous" if steady.layout == "channels_last" else "channels_last"
    found = [steady, Method("eager", other)]
    if device.type == "cuda":
        found += [Method("graph", steady.layout), Method("graph", other)]
    if compile:
        found += [Method("inductor", "channels_last"), Method("inductor", "contiguous")]
    return found


def arrange(network: nn.Module, layout: Layout) -> None:
    """Bring the weights into the memory layout, in place."""
    formats = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4 and isinstance(tensor, nn.Parameter):
            tensor.data = tensor.data.contiguous(memory_format=formats[layout])


def called(network: nn.Module) -> list[nn.Module]:
    """What programs call: the network itself, or, where it is a mere container, the modules in it."""
    if type(network).forward is not nn.Module.forward:
        return [network]
    return [module for child in network.children() for module in called(child)]


def own_calls(network: nn.Module) -> nn.Module:
    """A copy with the same weights whose ``called`` modules can be compiled without those of the original."""
    own = copy.copy(network)
    if called(network) != [network]:
        own._modules = {
            name: None if child is None else own_calls(child) for name, child in network._modules.items()
        }
    return own


def begin(
    program: Program, dtype: torch.dtype, noise: Mapping[str, Tensor], rows: Rows, parameters: Values
) -> State:
    """The program's first state, from noise alone or from images."""
    if rows.images is None:
        assert isinstance(program, FromNothing)
        return program.begin(noise, rows.labels, parameters)
    pixels = rows.images.to(dtype) / 127.5 - 1.0
    assert isinstance(program, Translator)
    pictures = picture_parameter(program.parameters)
    if pictures is not None:
        parameters = {**parameters, pictures.name: rows.given}
    return program.begin_from(pixels, noise, rows.labels, parameters)


def begin_from_keys(program: Program, dtype: torch.dtype, rows: Rows, parameters: Values) -> State:
    """The first state, with the noise of the rows' keys."""
    return begin(program, dtype, draw_noise(program.noise, rows.seed, rows.index), rows, parameters)


def to_uint8(image: Tensor) -> Tensor:
    """float [N, C, H, W] in [-1, 1] to uint8; -1 is 0 and 1 is 255."""
    return image.float().add(1.0).mul(127.5).round().clamp_(0, 255).to(torch.uint8)

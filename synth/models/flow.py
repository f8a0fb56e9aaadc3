"""Class-conditional flow matching: the network, and how it makes samples.

A U-Net gives the velocity at which noise turns into images (Lipman et al., "Flow matching for generative
modeling", arXiv 2210.02747; Liu et al., "Flow straight and fast", arXiv 2209.03003); samples are the ends of
paths along it. Guidance is classifier-free (Ho and Salimans, arXiv 2207.12598). A student of the same shape,
trained on what the velocity leads to, goes each part of the path in one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn
from torch.nn import functional as F

from synth.models.program import (
    AnyParameter,
    ImageShape,
    NetworkConfig,
    NoiseSpec,
    Parameter,
    State,
    TextParameter,
    Values,
)
from synth.models.solvers import Time, Velocity, adams_bashforth, euler, heun, time_grid

SOLVERS = ("multistep", "heun", "euler")
"""Each makes one network call for a step, but heun two; in the first step one fewer."""
_SOLVER = "how the path is followed: multistep is second order in one network call a step, heun in two"
_STEPS = (
    "along the path: more are slower and truer, and the first begins with no network call; the student makes "
    "those that it was trained for"
)
_GUIDANCE = "above 1: clearer classes, less variety; any but 1 doubles the network calls"

_POWER = 1.5
"""Paths bend most near the noise: with four multistep steps this makes a third less error than equal ones."""
_TIME_SCALE = 1_000.0
"""What the sine and cosine features of the U-Net expect of a time from 0 to 1."""


class Unet(nn.Module):
    """Velocity of x, float [N, C, H, W], at times, float32 [N], for labels, int64 [N].

    Each ``patch`` x ``patch`` pixels are one place with as many more channels, for full resolution is where
    most time would go; sides that do not divide are padded. The label ``classes`` stands for none.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        widths, self.patch = list(config["widths"]), int(config["patch"])
        self.image, self.classes = image, classes
        coarsest = self.patch * 2 ** (len(widths) - 1)
        if min(image.height, image.width) < 2 * coarsest:
            raise ValueError(
                f"a patch of {self.patch} and {len(widths)} widths need sides of {2 * coarsest} pixels or "
                "more. Use a smaller preset, fewer widths (--set widths=[...]), --set patch=1, or "
                f"--size {2 * coarsest}"
            )
        self.padding = _padding(image, coarsest)
        places = image.channels * self.patch**2
        self.unet = UNet2DModel(  # type: ignore[no-untyped-call]
            in_channels=places,
            out_channels=places,
            block_out_channels=tuple(widths),
            layers_per_block=int(config["blocks"]),
            down_block_types=("DownBlock2D",) * len(widths),
            up_block_types=("UpBlock2D",) * len(widths),
            add_attention=bool(config["attention"]),
            attention_head_dim=_divisor(widths[-1], (64, 32, 16, 8, 4, 2)),
            norm_num_groups=_groups(widths),
            num_class_embeds=classes + 1 if classes else None,
        )

    def forward(self, x: Tensor, times: Tensor, labels: Tensor | None) -> Tensor:
        h = F.pad(x, self.padding, mode="replicate") if any(self.padding) else x
        if self.patch > 1:
            h = F.pixel_unshuffle(h, self.patch)
        unet = cast(nn.Module, self.unet)
        h = unet(h, _TIME_SCALE * times, class_labels=labels, return_dict=False)[0]
        if self.patch > 1:
            h = F.pixel_shuffle(h, self.patch)
        left, _, top, _ = self.padding
        cropped: Tensor = h[:, :, top : top + self.image.height, left : left + self.image.width]
        return cropped


def _padding(image: ImageShape, multiple: int) -> tuple[int, int, int, int]:
    """Left, right, top and bottom padding that makes both sides multiples."""
    wide, high = -image.width % multiple, -image.height % multiple
    return wide // 2, wide - wide // 2, high // 2, high - high // 2


def _groups(widths: list[int]) -> int:
    """Of the norms: the most, up to 8, that all widths divide into, with two channels or more in each."""
    return next(n for n in (8, 4, 2, 1) if all(width % n == 0 and width > n for width in widths))


def _divisor(number: int, candidates: tuple[int, ...]) -> int:
    return next((one for one in candidates if number % one == 0), 1)


class Flow(nn.Module):
    """The velocity, what it is at the beginning, and, where ``config`` asks for it, the student.

    ``config`` holds ``widths`` (channels at 1/patch, 1/(2 patch), ... of the image size), ``blocks``
    (residual blocks at each), ``patch`` (pixels a side), ``attention`` (at the coarsest resolution)
    and ``student_calls`` (0: no student). ``classes`` is 0 for data without labels.
    """

    def __init__(self, config: NetworkConfig, image: ImageShape, classes: int) -> None:
        super().__init__()
        self.image, self.classes = image, classes
        self.velocity = Unet(config, image, classes)
        calls = int(config["student_calls"])
        self.student = Unet(config, image, classes) if calls else None
        self.student_times = time_grid(calls) if calls else []
        """Where the student's calls begin and end; it gives the mean velocity from one to the next."""
        self.register_buffer("means", torch.zeros(classes + 1, image.channels, image.height, image.width))

    means: Tensor
    """float [classes + 1, C, H, W]: the mean training image of each class and, last, of all."""

    def first_slope(self, x: Tensor, labels: Tensor | None, guidance: float = 1.0) -> Tensor:
        """The velocity at time 0, float32 [N, C, H, W], without a network call.

        At time 0 x is noise, which tells nothing of the image that it becomes: the mean of image - x is that
        of the images, less x. What the network gives there is learnt, and less exact.
        """
        every = self.means[-1:].float()
        mean = every if labels is None else every + guidance * (self.means[labels].float() - every)
        return mean - x


def velocity_of(unet: Unet, labels: Tensor | None, guidance: float = 1.0) -> Velocity:
    """What solvers ask: the velocity of x, float32 [N, C, H, W], at a time, with guidance.

    ``guidance`` above 1 leads away from what images without regard to their label look like, for the price
    of a second network call; 1 makes none.
    """
    dtype = next(unet.parameters()).dtype

    def velocity(x: Tensor, time: Time) -> Tensor:
        times = time.flatten() if isinstance(time, Tensor) else torch.full((len(x),), time, device=x.device)
        if labels is None or guidance == 1.0:
            return cast(Tensor, unet(x.to(dtype), times, labels)).float()
        both = torch.cat([labels, torch.full_like(labels, unet.classes)])
        found: Tensor = unet(x.to(dtype).repeat(2, 1, 1, 1), times.repeat(2), both)
        with_label, without = found.float().chunk(2)
        return without + guidance * (with_label - without)

    return velocity


class FlowProgram:
    """Samples along the velocity by one of the solvers, or by the student."""

    def __init__(self, network: Flow) -> None:
        self.network = network
        image = network.image
        self.noise = (NoiseSpec("image", (image.channels, image.height, image.width)),)
        students = () if network.student is None else ("student",)
        self.parameters: tuple[AnyParameter, ...] = (
            TextParameter("solver", "multistep", _SOLVER, (*SOLVERS, *students)),
            Parameter("steps", 6, 2, 100, _STEPS, whole=True, structural=True),
        )
        if network.classes:
            self.parameters += (Parameter("guidance", 1.0, 0.0, 10.0, _GUIDANCE, structural=True),)

    def steps(self, parameters: Values) -> int:
        return len(self._times(parameters)) - 1

    def begin(self, noise: Mapping[str, Tensor], labels: Tensor | None, parameters: Values) -> State:
        return {"x": noise["image"]}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Values) -> State:
        network, solver, times = self.network, parameters["solver"], self._times(parameters)
        guidance = parameters.get("guidance", 1.0)
        x, start, end = state["x"], times[i], times[i + 1]
        if solver == "student":
            assert network.student is not None
            return {"x": euler(velocity_of(network.student, labels, guidance), x, start, end)}
        later = velocity_of(network.velocity, labels, guidance)

        def velocity(x: Tensor, time: Time) -> Tensor:
            return later(x, time) if time > 0.0 else network.first_slope(x, labels, guidance)

        if solver == "multistep":
            previous = (times[i - 1], state["slope"]) if i else None
            x, slope = adams_bashforth(velocity, x, start, end, previous)
            return {"x": x, "slope": slope}
        return {"x": (heun if solver == "heun" else euler)(velocity, x, start, end)}

    def image(self, state: State) -> Tensor:
        return state["x"].clamp(-1.0, 1.0)

    def _times(self, parameters: Values) -> Sequence[float]:
        if parameters["solver"] == "student":
            return self.network.student_times
        return time_grid(parameters["steps"], _POWER)

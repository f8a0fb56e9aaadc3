"""A family that makes images from images alone, small enough to need no training.

It takes images of any size, draws a shade by key, and takes pictures as its style. Its network sees no more
than ``TintProgram.context`` pixels around each, so that tiles can be told from whole images by nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synth.artifacts import Artifact, Draft, ImageInfo, Metric, Store
from synth.families import FAMILIES, Family
from synth.models.program import ImageShape, NoiseSpec, Parameter, PictureParameter, State, TextParameter

FAMILY = Family(
    name="tint",
    summary="a translator for tests",
    network="tests.translators:Tint",
    program="tests.translators:TintProgram",
    recipe=None,
    module=None,
    from_nothing=False,
)


class Tint(nn.Module):
    """Halves both sides twice, and doubles them again; changes a little everywhere."""

    def __init__(self, config: Mapping[str, Any], image: ImageShape, classes: int) -> None:
        super().__init__()
        width = int(config["width"])
        self.channels = image.channels
        self.down = nn.ModuleList([nn.Conv2d(image.channels, width, 4, 2), nn.Conv2d(width, width, 4, 2)])
        self.up = nn.ModuleList([nn.Conv2d(width, 4 * width, 3), nn.Conv2d(width, 4 * image.channels, 3)])

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[2] % 4 == images.shape[3] % 4 == 0, images.shape
        x = images
        for conv in self.down:
            x = F.silu(conv(F.pad(x, (1, 1, 1, 1), mode="reflect")))
        for conv in self.up:
            x = F.pixel_shuffle(conv(F.pad(x, (1, 1, 1, 1), mode="reflect")), 2)
        return images + 0.3 * torch.tanh(x)


class TintProgram:
    """One step; the shade is one number an image."""

    noise = (NoiseSpec("shade", (1,)),)
    parameters = (
        Parameter("strength", 1.0, 0.0, 1.0, "how much of the translation"),
        TextParameter("direction", "a_to_b", "which way", choices=("a_to_b", "b_to_a")),
        PictureParameter("style", "pictures whose brightness is taken", most=3),
    )
    multiple = 4
    context = 16

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def steps(self, parameters: Mapping[str, Any]) -> int:
        return 1

    def begin_from(
        self,
        images: Tensor,
        noise: Mapping[str, Tensor],
        labels: Tensor | None,
        parameters: Mapping[str, Any],
    ) -> State:
        shade = 0.2 * torch.tanh(noise["shade"])[:, :, None, None].to(images.dtype)
        if parameters["style"] is not None:
            shade = parameters["style"].to(images.dtype)[:, :, None, None]
        return {"images": images, "shade": shade}

    def step(self, i: int, state: State, labels: Tensor | None, parameters: Mapping[str, Any]) -> State:
        sign = 1.0 if parameters["direction"] == "a_to_b" else -1.0
        made = self.network(state["images"]) + sign * state["shade"]
        return {"image": state["images"] + parameters["strength"] * (made - state["images"])}

    def image(self, state: State) -> Tensor:
        return state["image"].float().clamp(-1.0, 1.0)

    def style_from(self, pictures: Sequence[Tensor], parameters: Mapping[str, Any]) -> Tensor:
        return torch.stack([picture.float().mean() for picture in pictures]).mean()[None]


@contextmanager
def known() -> Iterator[None]:
    """The family is in the table for as long as the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "tint", FAMILY)
        yield


def publish(
    store: Store,
    name: str = "tint",
    *,
    channels: int = 3,
    size: tuple[int, int] = (16, 16),
    metrics: Mapping[str, float] | None = None,
) -> Artifact:
    """An artifact of the family, which must be ``known``."""
    config = {"width": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Tint(config, ImageShape(channels, *size), 0)
    draft = Draft(
        family="tint",
        network=config,
        image=ImageInfo(channels=channels, height=size[0], width=size[1]),
        classes=None,
        weights=network.state_dict(),
        parameters=1,
        recipe={},
        source="nothing",
        images=1,
        images_seen=0,
        seconds=0.0,
        ids=["00" * 32],
        class_counts=None,
        pixel_mean=[0.5] * channels,
        pixel_std=[0.2] * channels,
        metrics={key: Metric(value=value, how="as tests need it") for key, value in (metrics or {}).items()},
    )
    return store.publish(draft, name)

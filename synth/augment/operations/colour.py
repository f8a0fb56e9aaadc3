"""Colour and tone: pixels keep their places, and labels stay true."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from synth.augment.distributions import Distribution, Within
from synth.augment.kernels import colour, filters
from synth.augment.kernels.values import look_up
from synth.augment.operation import Meta, Parameters, PixelOperation, column

_Factor = Annotated[Distribution, Within(0, 10)]
_AROUND_ONE = Within(0, 10).read([0.7, 1.3])


class Brightness(PixelOperation):
    """Values times a factor."""

    name: ClassVar[str] = "brightness"
    in_bytes: ClassVar[bool] = True
    factor: _Factor = Field(_AROUND_ONE, description="1 changes nothing, 0 is black.")

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.brightness(images, parameters["factor"])


class Contrast(PixelOperation):
    """Away from the mean luminance, or towards it."""

    name: ClassVar[str] = "contrast"
    factor: _Factor = Field(_AROUND_ONE, description="1 changes nothing, 0 is flat grey.")

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.contrast(images, parameters["factor"])


class Saturation(PixelOperation):
    """Away from grey, or towards it; grey images stay."""

    name: ClassVar[str] = "saturation"
    factor: _Factor = Field(_AROUND_ONE, description="1 changes nothing, 0 is grey.")

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.saturation(images, column(parameters["factor"], images))


class Hue(PixelOperation):
    """Turn the circle of colours; grey images stay."""

    name: ClassVar[str] = "hue"
    shift: Annotated[Distribution, Within(-0.5, 0.5)] = Field(
        Within(-0.5, 0.5).read([-0.05, 0.05]), description="Share of the circle."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.hue(images, column(parameters["shift"], images)[:, 0])


class Gamma(PixelOperation):
    """Values to a power: below 1 brightens the dark, above 1 darkens it."""

    name: ClassVar[str] = "gamma"
    in_bytes: ClassVar[bool] = True
    gamma: Annotated[Distribution, Within(0.05, 20)] = Field(
        Within(0.05, 20).read({"log_uniform": [0.7, 1.4]}), description="1 changes nothing."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return look_up(images, colour.gamma_tables(parameters["gamma"]))


class Posterise(PixelOperation):
    """Keep only the highest bits of each value."""

    name: ClassVar[str] = "posterise"
    in_bytes: ClassVar[bool] = True
    bits: Annotated[Distribution, Within(1, 8, whole=True)] = Field(
        Within(1, 8, whole=True).read([4, 8]), description="8 changes nothing."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.posterise(images, parameters["bits"])


class Solarise(PixelOperation):
    """Invert what is bright."""

    name: ClassVar[str] = "solarise"
    in_bytes: ClassVar[bool] = True
    threshold: Annotated[Distribution, Within(0, 256)] = Field(
        Within(0, 256).read([128, 256]), description="Values from it on; 256 changes nothing."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.solarise(images, parameters["threshold"])


class Invert(PixelOperation):
    """The negative."""

    name: ClassVar[str] = "invert"
    in_bytes: ClassVar[bool] = True

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.invert(images)


class Equalise(PixelOperation):
    """Make the histogram of each channel flat."""

    name: ClassVar[str] = "equalise"
    in_bytes: ClassVar[bool] = True

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return look_up(images, colour.equalise_tables(images))


class Autocontrast(PixelOperation):
    """Stretch each channel to black and white."""

    name: ClassVar[str] = "autocontrast"
    in_bytes: ClassVar[bool] = True

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.autocontrast(images)


class Grey(PixelOperation):
    """Colour to grey, in as many channels as before."""

    name: ClassVar[str] = "grey"

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return colour.to_grey(images)


class ChannelShuffle(PixelOperation):
    """Exchange the channels; grey images stay."""

    name: ClassVar[str] = "channel_shuffle"
    in_bytes: ClassVar[bool] = True
    extra_words: ClassVar[int] = 3

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: object) -> dict[str, np.ndarray]:
        return {"order": np.argsort(words, axis=1, kind="stable")}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        if (np.sort(parameters["order"], axis=1) != np.arange(3)).any():
            raise ValueError("an order of channels is 0, 1 and 2 in some order")

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        if images.shape[1] == 1:
            return images
        return colour.reordered(images, parameters["order"])


class Sharpness(PixelOperation):
    """Away from a smoothed copy, or towards it."""

    name: ClassVar[str] = "sharpness"
    factor: _Factor = Field(_AROUND_ONE, description="1 changes nothing, 0 is smooth.")

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return filters.sharpness(images, column(parameters["factor"], images))


class Blur(PixelOperation):
    """Gaussian blur."""

    name: ClassVar[str] = "blur"
    sigma: Annotated[Distribution, Within(0.05, 20)] = Field(
        Within(0.05, 20).read([0.1, 1.5]), description="Pixels."
    )
    radius: int = Field(2, ge=1, le=50, description="The filter has 2 * radius + 1 pixels a side.")

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return filters.blur(images, parameters["sigma"], self.radius)


class Jpeg(PixelOperation):
    """What compression leaves."""

    name: ClassVar[str] = "jpeg"
    in_bytes: ClassVar[bool] = True
    quality: Annotated[Distribution, Within(1, 100, whole=True)] = Field(
        Within(1, 100, whole=True).read([40, 95]), description="1 to 100."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return filters.jpeg(images, parameters["quality"])

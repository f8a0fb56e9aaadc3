"""Noise, and holes in the image: pixels keep their places, and labels stay true."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from synth.augment.distributions import Distribution, Within
from synth.augment.kernels import noise
from synth.augment.kernels.frame import sides_of
from synth.augment.keys import noise_key, unit
from synth.augment.operation import Meta, Parameters, PixelOperation, column, require


class _Noise(PixelOperation):
    extra_words: ClassVar[int] = 2

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {**found, "key": noise_key(words)}


class GaussianNoise(_Noise):
    """Independent normal noise on each value."""

    name: ClassVar[str] = "gaussian_noise"
    std: Annotated[Distribution, Within(0, 255)] = Field(
        Within(0, 255).read([0, 15]), description="In values of 0 to 255."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return noise.gaussian(images, parameters["key"], column(parameters["std"], images))


class Speckle(_Noise):
    """Noise in proportion to the value."""

    name: ClassVar[str] = "speckle"
    std: Annotated[Distribution, Within(0, 10)] = Field(
        Within(0, 10).read([0, 0.15]), description="Share of the value."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return noise.speckle(images, parameters["key"], column(parameters["std"], images))


class PoissonNoise(_Noise):
    """Shot noise of few photons."""

    name: ClassVar[str] = "poisson_noise"
    photons: Annotated[Distribution, Within(1, 1e6)] = Field(
        Within(1, 1e6).read({"log_uniform": [50, 1000]}), description="That white stands for."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return noise.poisson(images, parameters["key"], column(parameters["photons"], images))


class SaltAndPepper(_Noise):
    """Single pixels black or white."""

    name: ClassVar[str] = "salt_and_pepper"
    share: Annotated[Distribution, Within(0, 1)] = Field(
        Within(0, 1).read([0, 0.05]), description="Of the pixels."
    )

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return noise.salt_and_pepper(images, parameters["key"], parameters["share"])


class Cutout(PixelOperation):
    """Squares of one value, which may reach over the edge (DeVries and Taylor, arXiv 1708.04552)."""

    name: ClassVar[str] = "cutout"
    in_bytes: ClassVar[bool] = True
    spares_alpha: ClassVar[bool] = False
    side: float = Field(0.5, gt=0, le=1, description="Of the square, as a share of the image's shorter side.")
    fill: int = Field(0, ge=0, le=255, description="The value of what is hidden.")
    extra_words: ClassVar[int] = 2

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        height, width = meta.size
        side = max(1, round(self.side * min(height, width)))
        middle = np.floor(unit(words) * [width, height]).astype(np.int64)
        first = middle - side // 2
        return {"rectangle": np.concatenate([first, first + side], axis=1)}

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        return noise.filled(images, parameters["rectangle"], self.fill)


class RandomErasing(PixelOperation):
    """A rectangle of noise or of one value, inside of the image (Zhong et al., arXiv 1708.04896)."""

    name: ClassVar[str] = "random_erasing"
    in_bytes: ClassVar[bool] = True
    spares_alpha: ClassVar[bool] = False
    area: Annotated[Distribution, Within(0, 1)] = Field(
        Within(0, 1).read([0.02, 0.4]), description="Of the rectangle, as a share of the image's."
    )
    ratio: Annotated[Distribution, Within(0.01, 100)] = Field(
        Within(0.01, 100).read({"log_uniform": [0.3, 3.3]}), description="Width by height."
    )
    fill: Annotated[int, Field(ge=0, le=255)] | Literal["noise"] = Field(
        "noise", description="A value of 0 to 255, or noise."
    )
    extra_words: ClassVar[int] = 4

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        height, width = meta.size
        sides = sides_of(found["area"] * height * width, found["ratio"], meta.size)[::-1].T
        rectangle = np.empty((len(words), 4), dtype=np.int64)
        rectangle[:, :2] = unit(words[:, :2]) * (np.array([width, height]) - sides + 1)
        np.add(rectangle[:, :2], sides, out=rectangle[:, 2:])
        return {"rectangle": rectangle, "key": noise_key(words[:, 2:])}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        left, top, right, bottom = parameters["rectangle"].T
        height, width = meta.size
        inside = (left >= 0) & (left < right) & (right <= width) & (top >= 0) & (top < bottom)
        if not (inside & (bottom <= height)).all():
            raise ValueError("a rectangle lies outside of the image")

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        if self.fill != "noise":
            return noise.filled(images, parameters["rectangle"], self.fill)
        return noise.erased(images, parameters["rectangle"], parameters["key"])


class GridMask(PixelOperation):
    """A grid of square holes (Chen et al., arXiv 2001.04086)."""

    name: ClassVar[str] = "grid_mask"
    spares_alpha: ClassVar[bool] = False
    period: Annotated[Distribution, Within(0.02, 2)] = Field(
        Within(0.02, 2).read([0.25, 0.6]), description="Between holes, as a share of the shorter side."
    )
    hole: Annotated[Distribution, Within(0, 1)] = Field(
        Within(0, 1).read(0.4), description="Side of a hole, as a share of the period."
    )
    fill: int = Field(0, ge=0, le=255, description="The value of what is hidden.")
    extra_words: ClassVar[int] = 2

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        period = np.maximum(np.round(found["period"] * min(meta.size)), 2).astype(np.int64)
        return {
            "period": period,
            "hole": found["hole"],
            "offset": np.floor(unit(words) * period[:, None]).astype(np.int64),
        }

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        require(parameters, "hole", 0, 1)
        require(parameters, "period", 2, np.inf)
        require(parameters, "offset", 0, parameters["period"][:, None])

    def pixels(self, images: Tensor, parameters: Parameters) -> Tensor:
        size = images.shape[-2], images.shape[-1]
        holes = noise.grid(parameters["period"], parameters["offset"], parameters["hole"], size)
        return images.masked_fill(holes.to(images.device), self.fill)

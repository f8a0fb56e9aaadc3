"""Operations that choose a part of an image, or add a margin; all may change its size."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from synth.augment.distributions import Distribution, Within
from synth.augment.kernels.frame import Edge, crops, padded, shifted, sides_of
from synth.augment.kernels.values import rounded
from synth.augment.keys import unit
from synth.augment.operation import Meta, Parameters, require
from synth.augment.operations.geometry import GeometricOperation
from synth.errors import ConfigError

Side = Annotated[int, Field(ge=1, le=65_536)]
Size = Annotated[tuple[Side, Side], Field(strict=False)]  # of a list, as JSON has it


class _Framing(GeometricOperation):
    geometry: ClassVar[Literal["none", "moves", "resizes"]] = "resizes"


class Pad(_Framing):
    """A margin on all sides."""

    name: ClassVar[str] = "pad"
    in_bytes: ClassVar[bool] = True
    pixels: int = Field(4, ge=0, le=65_536, description="On each side.")
    edge: Edge = Field("constant", description="What the margin is: a value, the edge again, or a mirror.")
    fill: int = Field(0, ge=0, le=255, description="The constant in images.")
    mask_fill: int = Field(0, ge=0, le=255, description="The constant in masks, such as a class to ignore.")

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] + 2 * self.pixels, size[1] + 2 * self.pixels

    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        return padded(images, (self.pixels,) * 4, self.edge, self.fill)

    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        return padded(masks, (self.pixels,) * 4, self.edge, self.mask_fill)

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        return places + self.pixels


class Crop(_Framing):
    """A window at a random place, of the image with a margin around it."""

    name: ClassVar[str] = "crop"
    in_bytes: ClassVar[bool] = True
    size: Size | None = Field(None, description="Height and width in pixels; by default the image's.")
    padding: int = Field(0, ge=0, le=65_536, description="The margin that is added first.")
    edge: Edge = Field("constant", description="What the margin is: a value, the edge again, or a mirror.")
    fill: int = Field(0, ge=0, le=255, description="The constant in images.")
    mask_fill: int = Field(0, ge=0, le=255, description="The constant in masks, such as a class to ignore.")
    allow_chiral: bool = Field(
        False,
        description="Also where there are chiral classes, and half a side may be mirrored.",
    )
    extra_words: ClassVar[int] = 2

    def mirrors_at(self, size: tuple[int, int] | None) -> bool:
        return self.edge == "reflect" and size is not None and 2 * self.padding > min(size)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        wanted = size if self.size is None else self.size
        if wanted[0] > size[0] + 2 * self.padding or wanted[1] > size[1] + 2 * self.padding:
            raise ConfigError(
                f"{self.id}: a window of {wanted[0]} x {wanted[1]} does not fit into an image of "
                f"{size[0]} x {size[1]} with a margin of {self.padding}. Raise padding, or crop less."
            )
        return wanted

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] + 2 * self.padding, size[1] + 2 * self.padding

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        wanted = self.output_size(meta.size)
        room = [side + 2 * self.padding - want + 1 for side, want in zip(meta.size, wanted, strict=True)]
        place = np.floor(unit(words) * room).astype(np.int64)
        return {"top": place[:, 0], "left": place[:, 1]}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        room = np.array(self.working_size(meta.size)) - self.output_size(meta.size)
        for name, most in zip(("top", "left"), room.tolist(), strict=True):
            require(parameters, name, 0, most)

    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        return self._window(images, parameters, self.fill)

    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        return self._window(masks, parameters, self.mask_fill)

    def _window(self, images: Tensor, parameters: Parameters, fill: int) -> Tensor:
        size = self.output_size((images.shape[-2], images.shape[-1]))
        if size == tuple(images.shape[-2:]) and self.edge == "constant":
            # A shift, which needs no copy with a margin.
            by = np.empty((len(images), 2), dtype=np.int64)
            np.subtract(self.padding, parameters["left"], out=by[:, 0])
            np.subtract(self.padding, parameters["top"], out=by[:, 1])
            return shifted(images, by, fill)
        whole = padded(images, (self.padding,) * 4, self.edge, fill) if self.padding else images
        return crops(whole, parameters["top"], parameters["left"], size)

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        corner = np.stack([parameters["left"], parameters["top"]], axis=1) - self.padding
        return places - torch.from_numpy(corner.astype(np.float32))[rows]


class ResizedCrop(_Framing):
    """A window of random size and shape, resized (Szegedy et al., arXiv 1409.4842)."""

    name: ClassVar[str] = "resized_crop"
    size: Size | None = Field(None, description="Height and width in pixels; by default the image's.")
    area: Annotated[Distribution, Within(0.0001, 1)] = Field(
        Within(0.0001, 1).read([0.5, 1]), description="Of the window, as a share of the image's."
    )
    ratio: Annotated[Distribution, Within(0.01, 100)] = Field(
        Within(0.01, 100).read({"log_uniform": [0.75, 4 / 3]}), description="Width by height."
    )
    extra_words: ClassVar[int] = 2

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return size if self.size is None else self.size

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        height, width = meta.size
        window = np.empty((len(words), 4), dtype=np.int64)
        window[:, 2:] = sides_of(found["area"] * height * width, found["ratio"], meta.size).T
        window[:, :2] = unit(words) * (np.array(meta.size) - window[:, 2:] + 1)
        return {"window": window}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        size = np.array(meta.size)
        if "window" in parameters:
            window = parameters["window"]
            require({"window": window[:, 2:]}, "window", 1, size)
            require({"window": window[:, :2]}, "window", 0, size - window[:, 2:])
        else:  # of those that are placed when they are applied
            require(parameters, "sides", 1, size)
            require(parameters, "place", 0, 1)
            require(parameters, "box", 0, 1)

    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        size = self.output_size((images.shape[-2], images.shape[-1]))
        parts = [
            F.interpolate(part, size, mode="bilinear", antialias=True, align_corners=False)
            for part in _windows(_resizable(images), parameters["window"])
        ]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return whole if whole.dtype == torch.uint8 else rounded(whole)

    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        size = self.output_size((masks.shape[-2], masks.shape[-1]))
        parts = [
            F.interpolate(part.to(torch.float32), size, mode="nearest-exact").to(masks.dtype)
            for part in _windows(masks, parameters["window"])
        ]
        return torch.cat(parts)

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        window = torch.from_numpy(parameters["window"].astype(np.float32))[rows]
        height, width = self.output_size(size)
        goal = torch.tensor([width, height], dtype=torch.float32)
        return (places - window[:, [1, 0]]) * (goal / window[:, [3, 2]])


def _resizable(images: Tensor) -> Tensor:
    """Bytes where torch can resize them with antialiasing, and floats elsewhere."""
    return images if images.device.type == "cpu" else images.to(torch.float32)


def _windows(images: Tensor, windows: np.ndarray) -> list[Tensor]:
    return [
        images[row : row + 1, :, top : top + tall, left : left + wide]
        for row, (top, left, tall, wide) in enumerate(windows.tolist())
    ]

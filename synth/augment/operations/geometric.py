"""Operations that move pixels within an image of the same size."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from synth.augment.distributions import Distribution, Within
from synth.augment.kernels import frame, noise, warp
from synth.augment.kernels.frame import Edge
from synth.augment.keys import noise_key, unit
from synth.augment.operation import Meta, Parameters, require
from synth.augment.operations.geometry import GeometricOperation

_ANGLE = Within(-360, 360)
_SHEAR = Within(-80, 80)
_SHARE = Within(-1, 1)
_SCALE = Within(0.01, 100)


class HorizontalFlip(GeometricOperation):
    """Left becomes right."""

    name: ClassVar[str] = "horizontal_flip"
    in_bytes: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    probability: float = Field(0.5, ge=0, le=1, description="Share of the samples that it is applied to.")
    allow_chiral: bool = Field(False, description="Also where the specification names chiral classes.")

    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        return images.flip(-1)

    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        return self.images(masks, parameters)

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        return torch.stack([size[1] - places[:, 0], places[:, 1]], dim=1)


class VerticalFlip(GeometricOperation):
    """Top becomes bottom."""

    name: ClassVar[str] = "vertical_flip"
    in_bytes: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    probability: float = Field(0.5, ge=0, le=1, description="Share of the samples that it is applied to.")
    allow_chiral: bool = Field(False, description="Also where the specification names chiral classes.")

    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        return images.flip(-2)

    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        return self.images(masks, parameters)

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        return torch.stack([places[:, 0], size[0] - places[:, 1]], dim=1)


class _Resampling(GeometricOperation):
    edge: Edge = Field(
        "constant", description="What comes in from outside: a constant, the edge, or a mirror image."
    )
    fill: int = Field(0, ge=0, le=255, description="The constant in images.")
    mask_fill: int = Field(0, ge=0, le=255, description="The constant in masks, such as a class to ignore.")
    nearest: bool = Field(False, description="Take the nearest pixel instead of a mean of four.")

    @abstractmethod
    def grid(self, images: Tensor, parameters: Parameters) -> Tensor:
        """float32 [n, H, W, 2]: where each pixel of the result comes from, see ``warp.resample``."""

    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        grid = self.grid(images, parameters)
        return warp.resample(images, grid, nearest=self.nearest, edge=self.edge, fill=self.fill)

    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        grid = self.grid(masks, parameters)
        return warp.resample(masks, grid, nearest=True, edge=self.edge, fill=self.mask_fill)


class _Projective(_Resampling):
    @abstractmethod
    def inverse(self, parameters: Parameters, size: tuple[int, int]) -> np.ndarray:
        """float64 [n, 3, 3] from the result to the original, in pixels from the middle."""

    def grid(self, images: Tensor, parameters: Parameters) -> Tensor:
        size = images.shape[-2], images.shape[-1]
        return warp.projective_grid(self.inverse(parameters, size), size, images.device)

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        middle = np.array([0.5 * size[1], 0.5 * size[0]])
        forward = np.linalg.inv(self.inverse(parameters, size))[rows.numpy()]
        x, y = (places.numpy().astype(np.float64) - middle).T
        scaled = forward[:, :, 0] * x[:, None] + forward[:, :, 1] * y[:, None] + forward[:, :, 2]
        return torch.from_numpy((scaled[:, :2] / scaled[:, 2:] + middle).astype(np.float32))


class _Affine(_Projective):
    def inverse(self, parameters: Parameters, size: tuple[int, int]) -> np.ndarray:
        count = len(next(iter(parameters.values())))
        nothing = np.zeros(count)
        return warp.inverse_affine(
            parameters.get("degrees", nothing),
            _shift(parameters, size, nothing),
            parameters.get("scale", nothing + 1.0),
            np.stack([parameters.get(name, nothing) for name in ("shear_x", "shear_y")], axis=1),
        )


def _mostly_mirrored(edge: Edge, *shifts: Distribution) -> bool:
    """Whether a shift may bring in more of the mirror image than it leaves of the image."""
    return edge == "reflect" and any(abs(end) > 0.5 for shift in shifts for end in shift.ends)


def _shift(parameters: Parameters, size: tuple[int, int], nothing: np.ndarray) -> np.ndarray:
    """float64 [n, 2]: whole pixels of x and y."""
    shares = np.stack([parameters.get(name, nothing) for name in ("x", "y")], axis=1)
    return np.asarray(np.round(shares * (size[1], size[0])))


class Rotate(_Affine):
    """Turn around the middle."""

    name: ClassVar[str] = "rotate"
    degrees: Annotated[Distribution, _ANGLE] = Field(_ANGLE.read([-15, 15]), description="Clockwise.")


class Scale(_Affine):
    """Enlarge or reduce around the middle, in an image of the same size."""

    name: ClassVar[str] = "scale"
    scale: Annotated[Distribution, _SCALE] = Field(_SCALE.read([0.8, 1.25]), description="Above 1 enlarges.")


class Translate(_Affine):
    """Shift by whole pixels."""

    name: ClassVar[str] = "translate"
    x: Annotated[Distribution, _SHARE] = Field(_SHARE.read([-0.1, 0.1]), description="Share of the width.")
    y: Annotated[Distribution, _SHARE] = Field(_SHARE.read([-0.1, 0.1]), description="Share of the height.")
    allow_chiral: bool = Field(
        False, description="Also where there are chiral classes, and more than half is a mirror image."
    )

    def mirrors_at(self, size: tuple[int, int] | None) -> bool:
        return _mostly_mirrored(self.edge, self.x, self.y)

    def images(self, images: Tensor, parameters: Parameters) -> Tensor:
        # Whole pixels need no means; at other edges mirror images come in.
        if self.edge != "constant":
            return super().images(images, parameters)
        return self._moved(images, parameters, self.fill)

    def masks(self, masks: Tensor, parameters: Parameters) -> Tensor:
        if self.edge != "constant":
            return super().masks(masks, parameters)
        return self._moved(masks, parameters, self.mask_fill)

    def _moved(self, images: Tensor, parameters: Parameters, fill: int) -> Tensor:
        by = _shift(parameters, (images.shape[-2], images.shape[-1]), np.zeros(len(images)))
        return frame.shifted(images, by.astype(np.int64), fill)


class Shear(_Affine):
    """Slant."""

    name: ClassVar[str] = "shear"
    shear_x: Annotated[Distribution, _SHEAR] = Field(_SHEAR.read([-10, 10]), description="Degrees.")
    shear_y: Annotated[Distribution, _SHEAR] = Field(_SHEAR.read(0), description="Degrees.")


class Affine(_Affine):
    """Turn, scale, shift and slant at once, so that pixels are resampled once."""

    name: ClassVar[str] = "affine"
    degrees: Annotated[Distribution, _ANGLE] = Field(_ANGLE.read([-10, 10]), description="Clockwise.")
    scale: Annotated[Distribution, _SCALE] = Field(_SCALE.read([0.9, 1.1]), description="Above 1 enlarges.")
    x: Annotated[Distribution, _SHARE] = Field(_SHARE.read([-0.1, 0.1]), description="Share of the width.")
    y: Annotated[Distribution, _SHARE] = Field(_SHARE.read([-0.1, 0.1]), description="Share of the height.")
    shear_x: Annotated[Distribution, _SHEAR] = Field(_SHEAR.read([-5, 5]), description="Degrees.")
    shear_y: Annotated[Distribution, _SHEAR] = Field(_SHEAR.read(0), description="Degrees.")
    allow_chiral: bool = Field(
        False, description="Also where there are chiral classes, and more than half is a mirror image."
    )

    def mirrors_at(self, size: tuple[int, int] | None) -> bool:
        return _mostly_mirrored(self.edge, self.x, self.y)


class Perspective(_Projective):
    """Draw each corner inwards: a view from aside."""

    name: ClassVar[str] = "perspective"
    # From two thirds on, a corner can come to lie beyond the line between its neighbours, which is no view.
    distortion: float = Field(
        0.3, ge=0, le=0.6, description="Most that a corner moves, as a share of half a side."
    )
    extra_words: ClassVar[int] = 8

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {"inwards": (0.5 * self.distortion * unit(words)).reshape(-1, 4, 2)}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        require(parameters, "inwards", 0, 0.5 * self.distortion)

    def inverse(self, parameters: Parameters, size: tuple[int, int]) -> np.ndarray:
        sides = np.array([size[1], size[0]], dtype=np.float64)
        signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64)
        return warp.inverse_perspective(signs * sides * (0.5 - parameters["inwards"]), size)


class _Displacing(_Resampling):
    straight: ClassVar[bool] = False

    @abstractmethod
    def field(self, parameters: Parameters, size: tuple[int, int], device: torch.device) -> Tensor:
        """float32 [n, H, W, 2]: how many pixels further on each pixel of the result comes from."""

    def grid(self, images: Tensor, parameters: Parameters) -> Tensor:
        size = images.shape[-2], images.shape[-1]
        return warp.displaced_grid(self.field(parameters, size, images.device))

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        return warp.undone(self.field(parameters, size, places.device), rows, places)


class Elastic(_Displacing):
    """A smooth random deformation on a coarse grid (Ronneberger et al., "U-Net", arXiv 1505.04597)."""

    name: ClassVar[str] = "elastic"
    strength: Annotated[Distribution, Within(0, 0.25)] = Field(
        Within(0, 0.25).read([0.05, 0.2]), description="Most that a grid point moves, as a share of a cell."
    )
    cells: int = Field(4, ge=1, le=64, description="Of the grid, along each side.")
    extra_words: ClassVar[int] = 2

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        return {**found, "key": noise_key(words)}

    def field(self, parameters: Parameters, size: tuple[int, int], device: torch.device) -> Tensor:
        side = self.cells + 3
        words = noise.halves(parameters["key"], 2 * side * side)
        reach = parameters["strength"][:, None, None, None] * (np.array([size[1], size[0]]) / self.cells)
        control = (words.reshape(-1, side, side, 2) / 32768.0 - 1.0) * reach
        return warp.spline(torch.from_numpy(control.astype(np.float32)).to(device), size)


class GridDistortion(_Resampling):
    """Columns and rows of a grid made wider and narrower, within an image of the same size."""

    name: ClassVar[str] = "grid_distortion"
    limit: float = Field(0.3, ge=0, le=0.9, description="Most that a cell's width changes, as a share.")
    cells: int = Field(5, ge=1, le=64, description="Of the grid, along each side.")

    @property
    def words(self) -> int:
        return 2 * self.cells

    def refine(self, found: dict[str, np.ndarray], words: np.ndarray, meta: Meta) -> dict[str, np.ndarray]:
        widths = 1.0 + self.limit * (2.0 * unit(words).reshape(-1, 2, self.cells) - 1.0)
        return {"widths": widths / widths.sum(axis=2, keepdims=True)}

    def refuse(self, parameters: Parameters, meta: Meta) -> None:
        require(parameters, "widths", np.finfo(np.float64).tiny, 1)
        require({"sum of widths": parameters["widths"].sum(2)}, "sum of widths", 1 - 1e-6, 1 + 1e-6)

    def grid(self, images: Tensor, parameters: Parameters) -> Tensor:
        height, width = images.shape[-2:]
        moved = np.empty((len(images), height, width, 2), dtype=np.float32)
        for row, lines in enumerate(_lines(parameters["widths"])):
            for axis, side in enumerate((width, height)):
                here = (np.arange(side) + 0.5) / side
                by = side * (np.interp(here, np.linspace(0, 1, len(lines[axis])), lines[axis]) - here)
                moved[row, ..., axis] = by if axis == 0 else by[:, None]
        return warp.displaced_grid(torch.from_numpy(moved).to(images.device))

    def places(self, places: Tensor, rows: Tensor, parameters: Parameters, size: tuple[int, int]) -> Tensor:
        result = places.clone()
        for row, lines in enumerate(_lines(parameters["widths"])):
            mine = rows == row
            for axis, side in enumerate((size[1], size[0])):
                here = places[mine, axis].numpy().astype(np.float64) / side
                there = side * np.interp(here, lines[axis], np.linspace(0, 1, len(lines[axis])))
                result[mine, axis] = torch.from_numpy(there.astype(np.float32))
        return result


def _lines(widths: np.ndarray) -> np.ndarray:
    """float64 [n, 2, cells + 1] from 0 to 1: where the lines of the grid come from."""
    ends = np.cumsum(widths, axis=2)
    return np.concatenate([np.zeros_like(ends[..., :1]), ends[..., :-1], np.ones_like(ends[..., :1])], axis=2)

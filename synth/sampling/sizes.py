"""Images of any size, for networks that take only some: reflected to fit, and in tiles if they are large.

Tiles overlap by twice the distance that a network looks, and a ramp beyond. A tile counts for nothing where
it sees less than the whole image would show, and its neighbour takes over smoothly in between. What looks at
pixels nearby alone is therefore the same in tiles; what normalises by statistics of all that it sees differs,
without seams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from synth.models.program import ImageShape, Resizable

LEAST_SIDE = 8
"""Pixels: smaller images are refused."""
MOST_PIXELS = 2**19
"""Of an image that is translated in one piece: several times what networks are trained on."""
_RAMP = 32
"""Pixels over which one tile takes over from the next."""
_LEAST_STEPS = 4
"""Times ``multiple``: the least side that a network is given, unless it was trained on smaller ones."""


@dataclass(frozen=True)
class Span:
    """One axis: ``length`` pixels, by reflection ``before`` more and ``size`` in all, in tiles."""

    length: int
    before: int
    size: int
    side: int
    """Of each tile."""
    starts: tuple[int, ...]
    context: int

    @cached_property
    def reflected(self) -> Tensor:
        """int64 [size]: which pixel stands at each place."""
        places = torch.arange(self.size) - self.before
        if self.length == 1:
            return torch.zeros_like(places)
        period = 2 * (self.length - 1)
        places = places % period
        return torch.where(places < self.length, places, period - places)

    @cached_property
    def weights(self) -> Tensor:
        """float64 [tiles, side]: how much each tile counts for its pixels; the sum is 1 everywhere."""
        raw = torch.zeros(len(self.starts), self.size, dtype=torch.float64)
        for number, start in enumerate(self.starts):
            raw[number, start : start + self.side] = self._window(number)
        raw /= raw.sum(dim=0)
        return torch.stack(
            [row[start : start + self.side] for row, start in zip(raw, self.starts, strict=True)]
        )

    def _window(self, number: int) -> Tensor:
        """1 inside, 0 where context is missing, a raised cosine in between; an image's borders miss none."""
        window = torch.ones(self.side, dtype=torch.float64)
        if number > 0:
            window *= self._rising(self.starts[number - 1] + self.side - self.starts[number])
        if number < len(self.starts) - 1:
            window *= self._rising(self.starts[number] + self.side - self.starts[number + 1]).flip(0)
        return window

    def _rising(self, overlap: int) -> Tensor:
        ramp = overlap - 2 * self.context
        share = (torch.arange(self.side, dtype=torch.float64) - self.context + 0.5) / ramp
        return 0.5 - 0.5 * torch.cos(math.pi * share.clamp(0.0, 1.0))


@dataclass(frozen=True)
class Cover:
    """How images of one size are brought before a network."""

    rows: Span
    columns: Span

    @property
    def tiles(self) -> int:
        """How many an image is cut into; 1: it stays whole."""
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what the network is given."""
        return self.rows.side, self.columns.side

    @property
    def pixels(self) -> int:
        """That a network computes for one image, overlaps and all."""
        return self.tiles * self.rows.side * self.columns.side

    def extend(self, images: Tensor) -> Tensor:
        """uint8 [N, C, H, W] with what is missing around them reflected."""
        rows, columns = self.rows, self.columns
        if rows.size != rows.length:
            images = images.index_select(2, rows.reflected.to(images.device))
        if columns.size != columns.length:
            images = images.index_select(3, columns.reflected.to(images.device))
        return images

    def crop(self, images: Tensor) -> Tensor:
        """``extend`` undone."""
        top, left = self.rows.before, self.columns.before
        return images[:, :, top : top + self.rows.length, left : left + self.columns.length]

    def cut(self, image: Tensor) -> Tensor:
        """The tiles of an extended image, uint8 [C, H, W]: [tiles, C, side, side], row by row."""
        height, width = self.shape
        return torch.stack([image[:, y : y + height, x : x + width] for y, x in self._corners()])

    def join(self, tiles: Tensor) -> Tensor:
        """``cut`` undone, on the CPU: uint8 [C, H, W]; each pixel by the tiles that see enough around it."""
        height, width = self.shape
        whole = torch.zeros(tiles.shape[1], self.rows.size, self.columns.size)
        weights = ((y, x) for y in self.rows.weights for x in self.columns.weights)
        for tile, (y, x), (down, across) in zip(tiles, self._corners(), weights, strict=True):
            window = torch.outer(down, across).float()
            whole[:, y : y + height, x : x + width].addcmul_(tile.float(), window)
        return whole.round_().clamp_(0, 255).to(torch.uint8)

    def _corners(self) -> Iterator[tuple[int, int]]:
        return ((y, x) for y in self.rows.starts for x in self.columns.starts)


@dataclass(frozen=True)
class Resizing:
    """How a ``Resizable`` program is given images of any size; plain data.

    Attributes:
        multiple, context: the program's.
        height, width: of the images that it was trained on.
    """

    multiple: int
    context: int
    height: int
    width: int

    @staticmethod
    def of(program: object, image: ImageShape) -> Resizing | None:
        """Of a program that was trained on such images; None where it takes no others."""
        if not isinstance(program, Resizable):
            return None
        return Resizing(program.multiple, program.context, image.height, image.width)

    @property
    def natural(self) -> tuple[int, int]:
        """Height and width of what the network is given for an image as in training."""
        return self.cover(self.height, self.width).shape

    def cover(self, height: int, width: int) -> Cover:
        """For images of that size, each side 1 or more."""
        return _cover(self, height, width)

    def load(self, height: int, width: int) -> float:
        """How much work an image of that size is, in images as in training."""
        return self.cover(height, width).pixels / math.prod(self.natural)

    def run(self, images: Tensor, compute: Callable[[Tensor, int], Tensor]) -> Tensor:
        """uint8 [N, C, H, W] from images of that shape, on the CPU.

        Args:
            compute: uint8 [M, C, h, w] on the CPU from as many images; of all images together where they stay
                whole (its second argument is -1 then), otherwise of the tiles of that image.
        """
        cover = self.cover(*images.shape[2:])
        extended = cover.extend(images)
        if cover.tiles == 1:
            return cover.crop(compute(extended, -1))
        made = [cover.join(compute(cover.cut(image), row)) for row, image in enumerate(extended)]
        return cover.crop(torch.stack(made))


@lru_cache(maxsize=256)
def _cover(resizing: Resizing, height: int, width: int) -> Cover:
    sizes = [
        _up(max(length, min(trained, _LEAST_STEPS * resizing.multiple)), resizing.multiple)
        for length, trained in ((height, resizing.height), (width, resizing.width))
    ]
    most = _most_sides(resizing, *sizes)
    rows, columns = (
        _span(resizing, length, size, side)
        for length, size, side in zip((height, width), sizes, most, strict=True)
    )
    return Cover(rows, columns)


def _most_sides(resizing: Resizing, height: int, width: int) -> tuple[int, int]:
    """Height and width that a tile may have."""
    if height * width <= MOST_PIXELS:
        return height, width
    square = max(math.isqrt(MOST_PIXELS), 2 * _overlap(resizing))
    if height <= square:
        return height, max(MOST_PIXELS // height, square)
    if width <= square:
        return max(MOST_PIXELS // width, square), width
    return square, square


def _span(resizing: Resizing, length: int, size: int, most: int) -> Span:
    """The fewest tiles of at most about ``most`` pixels, evenly spread; all at multiples of ``multiple``."""
    overlap, multiple = _overlap(resizing), resizing.multiple
    count = 1 if size <= most else -(-(size - overlap) // (most - overlap))
    side = min(size, _up(-(-(size + (count - 1) * overlap) // count), multiple))
    starts = [(size - side) * number // max(count - 1, 1) // multiple * multiple for number in range(count)]
    return Span(length, (size - length) // 2, size, side, tuple(starts), resizing.context)


def _overlap(resizing: Resizing) -> int:
    # One multiple more, by which rounding may bring the places of tiles apart.
    return 2 * resizing.context + _RAMP + resizing.multiple


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple

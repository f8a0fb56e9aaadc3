"""Edges, crops and flips: pixels that are copied and never computed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Edge = Literal["constant", "edge", "reflect"]


def _reach(size: int, before: int, after: int, edge: Edge) -> np.ndarray:
    """int64 [before + size + after]: where each pixel comes from; -1 where from nowhere."""
    places = np.arange(-before, size + after)
    if edge == "edge":
        return places.clip(0, size - 1)
    if edge == "reflect":
        if size == 1:
            return np.zeros_like(places)
        period = 2 * (size - 1)
        places = np.abs(places) % period
        return np.minimum(places, period - places)
    return np.where((places < 0) | (places >= size), -1, places)


def padded(
    images: Tensor, padding: tuple[int, int, int, int], edge: Edge = "constant", fill: int = 0
) -> Tensor:
    """[..., H + top + bottom, W + left + right] of [..., H, W]; ``padding`` is left, top, right, bottom."""
    left, top, right, bottom = padding
    if edge == "constant":
        return F.pad(images, (left, right, top, bottom), value=fill)
    rows = torch.from_numpy(_reach(images.shape[-2], top, bottom, edge)).to(images.device)
    columns = torch.from_numpy(_reach(images.shape[-1], left, right, edge)).to(images.device)
    return images.index_select(-2, rows).index_select(-1, columns)


def mirrored(images: Tensor, radius: int) -> Tensor:
    """Padded by ``radius`` pixels on all sides, without repeating the outermost ones."""
    return padded(images, (radius,) * 4, "reflect")


def crops(images: Tensor, tops: np.ndarray, lefts: np.ndarray, size: tuple[int, int]) -> Tensor:
    """[N, ..., height, width] of [N, ..., H, W]: a window of each, whose corners lie inside."""
    if images.device.type != "cpu":
        windows = images.unfold(-2, size[0], 1).unfold(-2, size[1], 1)
        rows = torch.arange(len(images), device=images.device)
        at = torch.from_numpy(np.stack([tops, lefts]).astype(np.int64)).to(images.device)
        return windows[rows, ..., at[0], at[1], :, :].contiguous()
    result = images.new_empty((*images.shape[:-2], *size))
    source, target = images.numpy(), result.numpy()
    for row, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        target[row] = source[row, ..., top : top + size[0], left : left + size[1]]
    return result


def sides_of(area: np.ndarray, ratio: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """int64 [2, n]: heights and widths of windows within ``size``, height and width.

    Args:
        area: [n] square pixels.
        ratio: [n], width by height.
    """
    sides = np.empty((2, len(area)))
    np.divide(area, ratio, out=sides[0])
    np.multiply(area, ratio, out=sides[1])
    np.rint(np.sqrt(sides, out=sides), out=sides)
    np.maximum(sides, 1, out=sides)
    return np.asarray(np.minimum(sides, np.array(size)[:, None], out=sides).astype(np.int64))


def shifted(images: Tensor, shift: np.ndarray, fill: int = 0) -> Tensor:
    """[N, C, H, W] moved by whole pixels of x and y each, int [N, 2]; ``fill`` comes in from outside."""
    result = torch.full_like(images, fill)
    source: Any = images
    target: Any = result
    if images.device.type == "cpu":
        source, target = images.numpy(), result.numpy()  # the same memory, which slices reach sooner
    height, width = images.shape[-2:]
    for row, (x, y) in enumerate(shift.tolist()):
        rows, columns = _overlap(y, height), _overlap(x, width)
        target[row, :, rows[1], columns[1]] = source[row, :, rows[0], columns[0]]
    return result


def _overlap(by: int, length: int) -> tuple[slice, slice]:
    """Which part of a side is still there after a shift, and where it comes to lie."""
    by = max(-length, min(by, length))
    return slice(max(-by, 0), length - max(by, 0)), slice(max(by, 0), length - max(-by, 0))

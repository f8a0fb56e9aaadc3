"""The one policy of boxes, of every operation that moves pixels: transform, clip, and a filter at the end.

Transform: the box of an object whose pixels are known is the smallest upright one around those pixels, once
moved. Otherwise it is the smallest around the box, once moved, which is exact for flips, crops and scales,
and too large after turns. Clip: what is beyond the edges is cut off. Filter: objects of which too little is
left are dropped, with their labels; see ``BoxFilter``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synth.augment.boxes import Boxes
from synth.data.objects import LEAST_SIDE

_EDGE_POINTS = 9
"""That stand for each side of a box where straight lines do not stay straight."""
_MASK_POINTS = 256
"""Pixels, at most, that tell what share of an object is still inside."""

Places = Callable[[Tensor, Tensor], Tensor]
"""float32 [K, 2]: where places [K, 2] in pixels come to lie, each in the sample of its row, int64 [K]."""


@dataclass(frozen=True)
class BoxFilter:
    """Which boxes are dropped.

    Attributes:
        min_visible: those of whose area less is left inside of the image, 0 to 1.
        min_area: those of fewer square pixels.
        min_side: those that are narrower or lower, in pixels.
    """

    min_visible: float = 0.0
    min_area: float = 0.0
    min_side: float = 0.0

    def kept(self, boxes: Boxes) -> Tensor:
        """bool [M]: those that stay; one of almost no area never does."""
        sides = boxes.corners[:, 2:] - boxes.corners[:, :2]
        area, least = sides.clamp(min=0).prod(1), sides.amin(1)
        keep = (least >= max(self.min_side, LEAST_SIDE)) & (area >= self.min_area)
        if boxes.visible is not None:
            keep &= (boxes.visible > 0) & (boxes.visible >= self.min_visible)
        return keep


def moved(
    boxes: Boxes, places: Places, masks: Tensor | None, size: tuple[int, int], *, straight: bool = True
) -> Boxes:
    """The boxes after an operation, cut off at the edges.

    Args:
        masks: bool [M, H', W'], those of ``boxes`` after it; None where there are none.
        size: height and width after it.
        straight: the operation keeps straight lines straight.
    """
    if not len(boxes):
        return replace(boxes, masks=masks)
    whole = _hull(boxes, places, 2 if straight else _EDGE_POINTS)
    corners = clipped(whole, size)
    share = _area(corners) / _area(whole).clamp(min=1e-9)
    if masks is not None and boxes.masks is not None:
        known, left = boxes.masks.flatten(1).any(1), masks.flatten(1).any(1)
        corners = torch.where((known & left)[:, None], tight(masks), corners)
        share = torch.where(known, _share_inside(boxes, places, size) * left, share)
    return replace(boxes, corners=corners, visible=boxes.seen * share, masks=masks)


def shifted(boxes: Boxes, by: Tensor, size: tuple[int, int]) -> Boxes:
    """The boxes after a shift by whole pixels, int64 [N, 2] of x and y for each sample, cut off likewise."""
    masks = None
    if boxes.masks is not None:
        masks = boxes.masks.new_zeros((len(boxes), *size))
        for mask, own, (left, top) in zip(masks, boxes.masks, by[boxes.rows].tolist(), strict=True):
            part = own[max(-top, 0) : max(size[0] - top, 0), max(-left, 0) : max(size[1] - left, 0)]
            mask[max(top, 0) :, max(left, 0) :][: part.shape[0], : part.shape[1]] = part
    return moved(boxes, lambda places, rows: places + by[rows], masks, size)


def clipped(corners: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 [M, 4]: boxes cut off at the edges of an image of this height and width."""
    height, width = size
    limit = torch.tensor([width, height, width, height], dtype=corners.dtype)
    return torch.minimum(corners.clamp(min=0), limit)


def tight(masks: Tensor) -> Tensor:
    """float32 [M, 4]: the smallest box around the pixels of each mask, bool [M, H, W]; zeros around none."""
    sides = []
    for axis in (1, 2):
        there = masks.any(axis).to(torch.uint8)
        last = there.shape[1] - there.flip(1).argmax(1)
        sides.append((there.argmax(1), last))
    (left, right), (top, bottom) = sides
    corners = torch.stack([left, top, right, bottom], dim=1).to(torch.float32)
    return corners * masks.flatten(1).any(1)[:, None]


def _hull(boxes: Boxes, places: Places, count: int) -> Tensor:
    steps = torch.linspace(0, 1, count)
    ends = torch.zeros_like(steps), torch.ones_like(steps)
    x = torch.cat([steps, steps, *ends])
    y = torch.cat([*ends, steps, steps])
    left, top, right, bottom = boxes.corners.unbind(1)
    around = torch.stack(
        [left[:, None] + (right - left)[:, None] * x, top[:, None] + (bottom - top)[:, None] * y], dim=-1
    )
    there = places(around.reshape(-1, 2), boxes.rows.repeat_interleave(len(x))).reshape(len(boxes), -1, 2)
    return torch.cat([there.amin(1), there.amax(1)], dim=1)


def _share_inside(boxes: Boxes, places: Places, size: tuple[int, int]) -> Tensor:
    """float32 [M]: the share of the pixels of each mask whose middles come to lie inside of the image."""
    assert boxes.masks is not None
    chosen = []
    for mask in boxes.masks:
        pixels = mask.nonzero()
        at = torch.linspace(0, len(pixels) - 1, min(len(pixels), _MASK_POINTS)).long()
        chosen.append(pixels[at])
    counts = torch.tensor([len(one) for one in chosen])
    middles = torch.cat(chosen).flip(1).to(torch.float32) + 0.5
    there = places(middles, boxes.rows.repeat_interleave(counts))
    inside = ((there >= 0) & (there <= torch.tensor([size[1], size[0]]))).all(1).to(torch.float32)
    owners = torch.arange(len(boxes)).repeat_interleave(counts)
    return torch.zeros(len(boxes)).index_add_(0, owners, inside) / counts.clamp(min=1)


def _area(corners: Tensor) -> Tensor:
    sides = (corners[:, 2:] - corners[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]

"""Outlines into pixels and back. A pixel belongs to an outline that its middle lies in (even-odd rule)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_BLOCK = 2**20
"""Crossings of edges and rows that are worked on at once."""


@dataclass(frozen=True, eq=False)
class Polygons:
    """The pixels of an object as outlines, each float64 [P, 2] of x and y in pixels; all of them together."""

    outlines: tuple[np.ndarray, ...]

    def mask(self, height: int, width: int) -> np.ndarray:
        """bool [height, width]."""
        return filled(self.outlines, height, width)

    def plain(self) -> list[list[Any]]:
        """As COCO's ``segmentation``."""
        return [outline.reshape(-1).tolist() for outline in self.outlines]


def filled(outlines: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """bool [height, width]: the union of the insides of outlines, float64 [P, 2]."""
    mask = np.zeros((height, width), dtype=bool)
    for outline in outlines:
        # The rows and columns whose middles it may hold; there may be few of many.
        left, top = np.ceil(outline.min(0) - 0.5).clip(0, [width, height]).astype(np.int64).tolist()
        right, bottom = np.ceil(outline.max(0) - 0.5).clip(0, [width, height]).astype(np.int64).tolist()
        mask[top:bottom, left:right] |= _inside(outline - [left, top], bottom - top, right - left)
    return mask


def _inside(outline: np.ndarray, height: int, width: int) -> np.ndarray:
    begin, end = outline, np.roll(outline, -1, axis=0)
    downwards = (begin[:, 1] <= end[:, 1])[:, None]
    upper, lower = np.where(downwards, begin, end), np.where(downwards, end, begin)
    # An edge crosses the middles of the rows from the first that is not above it to the last that is.
    first = np.ceil(upper[:, 1] - 0.5).clip(0, height).astype(np.int64)
    rows = np.ceil(lower[:, 1] - 0.5).clip(0, height).astype(np.int64) - first
    # Of how often an outline is crossed, bytes keep all that counts: whether it is even.
    crossings = np.zeros((height, width + 1), dtype=np.uint8)
    blocks = np.cumsum(rows) // _BLOCK
    for block in np.unique(blocks[rows > 0]):
        chosen = np.flatnonzero((blocks == block) & (rows > 0))
        edge = np.repeat(chosen, rows[chosen])
        starts = np.cumsum(rows[chosen]) - rows[chosen]
        row = first[edge] + np.arange(len(edge)) - np.repeat(starts, rows[chosen])
        share = (row + 0.5 - upper[edge, 1]) / (lower[edge, 1] - upper[edge, 1])
        x = upper[edge, 0] + share * (lower[edge, 0] - upper[edge, 0])
        np.add.at(crossings, (row, np.ceil(x - 0.5).clip(0, width).astype(np.int64)), np.uint8(1))
    return np.asarray(np.cumsum(crossings[:, :-1], axis=1, dtype=np.uint8) % 2 == 1)


def outlines_of(mask: np.ndarray) -> list[np.ndarray]:
    """The outlines of a mask, bool [H, W], along the edges of its pixels, each int64 [P, 2] of corners.

    ``filled`` of one of them is a part, or a hole; the even-odd rule over all of them gives the mask again.
    """
    padded = np.pad(mask, 1)
    here = padded[1:-1, 1:-1]
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Clockwise around what is inside: along its upper, right, lower and left edges.
    for outside, begin, by in (
        (padded[:-2, 1:-1], (0, 0), (1, 0)),
        (padded[1:-1, 2:], (1, 0), (0, 1)),
        (padded[2:, 1:-1], (1, 1), (-1, 0)),
        (padded[1:-1, :-2], (0, 1), (0, -1)),
    ):
        ys, xs = np.nonzero(here & ~outside)
        for x, y in zip((xs + begin[0]).tolist(), (ys + begin[1]).tolist(), strict=True):
            steps.setdefault((x, y), []).append(by)
    found = []
    while steps:
        start = at = next(iter(steps))
        corners: list[tuple[int, int]] = []
        by = (0, 0)
        while at in steps:
            choices = steps[at]
            # Where two pixels meet at a corner, turning right keeps to the same one.
            turn = (-by[1], by[0])
            step = choices.pop(choices.index(turn) if turn in choices else 0)
            if not choices:
                del steps[at]
            if step != by:
                corners.append(at)
            at, by = (at[0] + step[0], at[1] + step[1]), step
            if at == start:
                break
        if len(corners) > 1 and _straight(corners[-1], corners[0], corners[1]):
            del corners[0]
        found.append(np.asarray(corners, dtype=np.int64))
    return found


def joined(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """One outline [P, 2] of several, for formats that know no other; even-odd, its inside is theirs.

    From the first corner of the first one a line without width leads to each other one, and back.
    """
    parts = [outlines[0]]
    anchor = outlines[0][:1]
    for outline in outlines[1:]:
        parts += [anchor, outline, outline[:1]]
    return np.concatenate([*parts, anchor] if len(outlines) > 1 else parts)


def _straight(before: tuple[int, int], at: tuple[int, int], after: tuple[int, int]) -> bool:
    return (before[0] == at[0] == after[0]) or (before[1] == at[1] == after[1])

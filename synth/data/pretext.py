"""Images with labels that cost nothing: how they were turned, or how their pieces were shuffled.

Rotation: Gidaris et al., "Unsupervised representation learning by predicting image rotations" (arXiv
1803.07728). Jigsaw: Noroozi and Favaro (arXiv 1603.09246), here with the pieces put together again into one
image. Both turn unlabelled images into a data set with true labels, to train on before the few real ones.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from synth.data.images import ImageSet
from synth.data.pixels import canonical, content_id
from synth.errors import ConfigError, SourceError
from synth.randomness import bits, stream_id, uniforms

Task = Literal["rotation", "jigsaw"]
ROTATIONS = ("0", "90", "180", "270")
"""Class names: degrees, counterclockwise."""
MOST_PERMUTATIONS = 64

_CHOICE = stream_id("data/pretext/choice")
_SHUFFLE = stream_id("data/pretext/shuffle")
_CANDIDATES = 1_000


def square(images: Tensor) -> Tensor:
    """The central square of [N, C, H, W], so that a quarter turn keeps the shape."""
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side]


def rotate(images: Tensor, quarters: Tensor) -> Tensor:
    """Each of square images [N, C, S, S] turned by so many quarters (int64 [N], 0 to 3), counterclockwise."""
    turned = torch.empty_like(images)
    for quarter in range(len(ROTATIONS)):
        rows = quarters == quarter
        turned[rows] = torch.rot90(images[rows], quarter, dims=(2, 3))
    return turned


def shuffle(images: Tensor, order: Tensor, grid: int) -> Tensor:
    """Images whose pieces were moved: the piece at place p is the one that was at ``order[:, p]``.

    Args:
        images: [N, C, H, W].
        order: int64 [N, grid * grid], permutations of the pieces, row by row.
        grid: pieces a side; what remains of a side that it does not divide is cut off evenly.
    """
    count, channels, height, width = images.shape
    high, wide = height // grid, width // grid
    if min(high, wide) < 2:
        raise SourceError(
            f"Images of {height} x {width} cannot be cut into {grid} x {grid} pieces of 2 pixels or more: "
            "use a smaller grid, or larger images."
        )
    top, left = (height - high * grid) // 2, (width - wide * grid) // 2
    inner = images[:, :, top : top + high * grid, left : left + wide * grid]
    pieces = inner.reshape(count, channels, grid, high, grid, wide).permute(0, 2, 4, 1, 3, 5)
    pieces = pieces.reshape(count, grid * grid, channels, high, wide)
    moved = pieces[torch.arange(count, device=images.device)[:, None], order.to(images.device)]
    moved = moved.reshape(count, grid, grid, channels, high, wide).permute(0, 3, 1, 4, 2, 5)
    return moved.reshape(count, channels, high * grid, wide * grid)


@lru_cache(maxsize=8)
def permutations(grid: int, count: int | None = None) -> Tensor:
    """int64 [count, grid * grid]: orders of the pieces that differ in as many places as can be.

    Of a grid of 2 all 24 by default, of a grid of 3 ``MOST_PERMUTATIONS``; chosen greedily by the Hamming
    distance, as in the paper, and always the same. The first is the image as it was.

    Raises ConfigError for a grid other than 2 or 3, or a count that cannot be.
    """
    if grid not in (2, 3):
        raise ConfigError(f"A jigsaw has 2 x 2 or 3 x 3 pieces, not {grid} x {grid}.")
    candidates = _all_orders(grid) if grid == 2 else _some_orders(grid)
    count = min(len(candidates), MOST_PERMUTATIONS) if count is None else count
    if not 2 <= count <= len(candidates):
        raise ConfigError(
            f"A jigsaw of {grid} x {grid} tells from 2 to {len(candidates)} orders apart, not {count}."
        )
    chosen = [0]
    nearest = (candidates != candidates[0]).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, (candidates != candidates[chosen[-1]]).sum(axis=1))
    return torch.from_numpy(candidates[chosen])


def _all_orders(grid: int) -> np.ndarray:
    return np.array(list(itertools.permutations(range(grid * grid))), dtype=np.int64)


def _some_orders(grid: int) -> np.ndarray:
    """The original order, and ``_CANDIDATES`` different random ones."""
    keys = bits(0, np.arange(_CANDIDATES, dtype=np.int64), _SHUFFLE, grid * grid)
    random = np.argsort(keys, axis=1, kind="stable")
    original = np.arange(grid * grid)
    return np.concatenate([original[None], np.unique(random[(random != original).any(axis=1)], axis=0)])


def pretext_set(images: ImageSet, task: Task, *, seed: int = 0, grid: int = 2) -> ImageSet:
    """A labelled data set from images of any kind: as many, each with the class of what was done to it.

    Args:
        task: ``rotation`` (4 classes, central squares) or ``jigsaw`` (classes by ``permutations(grid)``).
        seed: decides, with an image's place, what is done to it.

    Raises:
        ConfigError: an unknown task or grid.
        SourceError: no images, or images too small to be cut.
    """
    if not len(images):
        raise SourceError(f"There are no images in {images.source or 'the source'} to make a task of.")
    names: tuple[str, ...]
    draw = uniforms(seed, torch.arange(len(images)), _CHOICE, 1)[:, 0]
    if task == "rotation":
        labels = (draw * len(ROTATIONS)).long()
        made, names = rotate(square(images.images), labels), ROTATIONS
    elif task == "jigsaw":
        orders = permutations(grid)
        labels = (draw * len(orders)).long()
        made = shuffle(images.images, orders[labels], grid)
        names = tuple("".join(map(str, order)) for order in orders.tolist())
    else:
        raise ConfigError(f"There is no pretext task {task!r}; use rotation or jigsaw.")
    return replace(
        images,
        images=made,
        labels=labels,
        classes=names,
        ids=tuple(content_id(canonical(image)) for image in made.permute(0, 2, 3, 1).numpy()),
        notes=(*images.notes, f"labels are those of the {task} task, not of what the images show"),
    )

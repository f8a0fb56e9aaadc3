"""RayS: an attack by decisions alone (Chen and Gu, arXiv 2006.12792).

It looks for the corner direction, +1 or -1 for each value, along which the class changes soonest. It turns
round blocks of signs, all, halves, quarters and so on down to single values; a turn that changes the class
sooner is kept. No gradient is used, so that a network that merely hides its gradients falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synth.augment.adversarial.gradient import check_classes, hardest
from synth.augment.adversarial.rest import at_rest
from synth.augment.adversarial.threat import ThreatModel
from synth.errors import ConfigError
from synth.randomness import bits, stream_id

_SIGNS = stream_id("adversarial/signs")
_MOST_AT_ONCE = 500
_STEP = 1e-4
"""Amplitudes, of pixels of 0 to 1, are known so well; 40 such steps are one level."""

_Fools = Callable[[Tensor, Tensor, Tensor], Tensor]
"""bool [n]: whether the images of these rows, int64 [n], are taken for another class along these directions,
[n, D], at these amplitudes, float [n]."""


@dataclass(frozen=True, eq=False)
class Rays:
    """What was found.

    Attributes:
        directions: int8 [N, C, H, W] of +1 and -1.
        amplitudes: float32 [N], of pixels of 0 to 1, at which the class changes along them: 0 where it was
            wrong before, infinite where it never does.
    """

    directions: Tensor
    amplitudes: Tensor

    def images(self, originals: Tensor, threat: ThreatModel) -> Tensor:
        """uint8 in the ball: where the class changes, or failing that as far as the ball reaches."""
        # Whole levels, so that what fools is not undone by rounding; in l2 the ball may end between two.
        levels = (self.amplitudes * 255).ceil().minimum(_levels(threat, originals))
        return threat.images((originals + levels.reshape(-1, 1, 1, 1) * self.directions) / 255, originals)


def rays(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    queries: int = 500,
    keys: Tensor | None = None,
) -> Tensor:
    """uint8 [N, C, H, W] in the ball around uint8 ``images``; the search of an image ends once it is there.

    ``queries``, ``keys`` and what is raised: see ``ray_search``.
    """
    enough = reach(threat, images)
    found = ray_search(network, images, labels, threat, queries=queries, keys=keys, enough=enough)
    return found.images(images, threat)


def ray_search(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    *,
    queries: int = 500,
    keys: Tensor | None = None,
    enough: Tensor | None = None,
) -> Rays:
    """The directions of the nearest images of other classes that were found; ``threat.eps`` plays no part.

    Args:
        network: logits [N, K] of what ``threat.inputs`` gives.
        images: uint8 [N, C, H, W].
        labels: int64 [N], or shares of classes, float32 [N, K].
        queries: how often the network is asked about each image at most, once for the image itself.
        keys: int64 [N]: begin with random signs; None: with +1 alone.
        enough: float [N]: the search of an image ends at an amplitude of so much or less.

    Raises ConfigError for less than one query, and SourceError for images out of bounds.
    """
    if queries < 1:
        raise ConfigError(f"An attack by decisions asks 1 query or more of each image, not {queries}.")
    check_classes(labels)
    shape, count = images.shape, math.prod(images.shape[1:])
    device, classes = images.device, hardest(labels).to(images.device)
    with at_rest(network), torch.no_grad():
        pixels = threat.pixels(images).flatten(1)

        def fools(rows: Tensor, directions: Tensor, amplitudes: Tensor) -> Tensor:
            answers = [torch.zeros(0, dtype=torch.bool, device=device)]
            for at in range(0, len(rows), _MOST_AT_ONCE):
                part = slice(at, at + _MOST_AT_ONCE)
                values = pixels[rows[part]] + amplitudes[part, None] * directions[part]
                logits = network(threat.inputs(values.clamp(*threat.bounds).reshape(-1, *shape[1:])))
                answers.append(logits.argmax(1) != classes[rows[part]])
            return torch.cat(answers)

        signs = _signs(keys, len(images), count).to(device)
        every = torch.arange(len(images), device=device)
        known = torch.full((len(images),), torch.inf, device=device)
        known[fools(every, signs, torch.zeros_like(known))] = 0.0
        target = torch.zeros_like(known) if enough is None else enough.to(device)
        _search(fools, signs, known, target, queries)
    return Rays(signs.reshape(shape), known)


def _signs(keys: Tensor | None, rows: int, count: int) -> Tensor:
    """int8 [rows, count] of +1 and -1: drawn, or +1 alone."""
    if keys is None:
        return torch.ones(rows, count, dtype=torch.int8)
    words = bits(keys, torch.zeros_like(keys), _SIGNS, -(-count // 32))
    single = words[:, :, None] >> torch.arange(32, device=words.device) & 1
    return (2 * single.flatten(1)[:, :count] - 1).to(torch.int8)


def reach(threat: ThreatModel, images: Tensor) -> Tensor:
    """float32 [N], whole levels over 255: by how much all values of an image may change at once."""
    return (_levels(threat, images) + 1e-6).floor().div(255).float()


def _levels(threat: ThreatModel, images: Tensor) -> Tensor:
    """float64 [N]: the same, in levels and parts of such."""
    radius = threat.radius(images).double().reshape(-1) * 255
    if threat.norm == "l2":
        radius = radius / math.sqrt(math.prod(images.shape[1:]))
    return radius.clamp(max=255).expand(len(images))


def _search(fools: _Fools, signs: Tensor, known: Tensor, enough: Tensor, queries: int) -> None:
    """Turn ``signs``, int8 [N, D], and lower the amplitudes ``known``, float [N], in place."""
    asked = torch.ones_like(known)
    for block in _blocks(signs.shape[1]):
        rows = torch.nonzero((known > enough) & (known > _STEP) & (asked < queries))[:, 0]
        if not len(rows):
            break
        turned = signs[rows]
        turned[:, block] *= -1
        wanted = known[rows].sub(_STEP).clamp(max=1.0)  # at 1 all is black or white
        better = fools(rows, turned, wanted)
        asked[rows] += 1
        rows = rows[better]
        signs[rows], known[rows] = turned[better], wanted[better]
        # Halve the interval between an amplitude that does not fool and the least known one that does.
        below = torch.zeros_like(known)
        while len(rows := rows[(known[rows] - below[rows] > _STEP) & (asked[rows] < queries)]):
            middle = (below[rows] + known[rows]) / 2
            fooled = fools(rows, signs[rows], middle)
            asked[rows] += 1
            known[rows] = torch.where(fooled, middle, known[rows])
            below[rows] = torch.where(fooled, below[rows], middle)


def _blocks(count: int) -> Iterator[slice]:
    """What is turned round in turn: nothing at first, then all, halves, quarters ... single values, again."""
    yield slice(0, 0)
    while True:
        parts = 1
        while True:
            for part in range(parts):
                yield slice(part * count // parts, (part + 1) * count // parts)
            if parts == count:
                break
            parts = min(2 * parts, count)

"""The threat model: what an adversary may do to an image, and how a classifier is shown the outcome.

Pixels are float32 of 0 to 1, an image's uint8 over 255; all sizes are in that scale. Whatever a classifier
wants besides, its mean and standard deviation, belongs to the threat model and to nothing else, so that no
radius is ever taken in another scale than it was meant in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from synth.errors import ConfigError, SourceError
from synth.randomness import bits, normals, stream_id, uniforms

Norm = Literal["linf", "l2"]
_KEYS, _START, _LENGTH = (stream_id(f"adversarial/{use}") for use in ("key", "start", "length"))
_SLACK = 1e-6
"""Of 255 levels: what a radius such as 8 / 255 loses by being a binary number."""
_TINY = 1e-12


def check_radius(eps: float) -> None:
    """Raise ConfigError for a radius, of pixels of 0 to 1, within which there is no other uint8 image."""
    if 255 * eps + _SLACK < 1.0:
        raise ConfigError(
            f"A radius of {eps:g} changes no image: values of uint8 are 1/255 = {1 / 255:.6f} apart, of "
            "pixels of 0 to 1. Give a greater one."
        )


def effective_radius(eps: float, norm: Norm) -> float:
    """What uint8 images use of a radius: for linf, whole levels of 1/255."""
    return math.floor(255 * eps + _SLACK) / 255 if norm == "linf" else eps


@dataclass(frozen=True, eq=False)
class ThreatModel:
    """The ball around an image that an adversary may go to, within bounds.

    Attributes:
        eps: radius of the ball, one for all images or float [N], from 0.
        norm: ``linf``, the greatest change of a value, or ``l2``, the root of the sum of squares.
        bounds: least and greatest value of any image, within 0 to 1.
        mean, std: what a classifier takes is (pixels - mean) / std; one number, or one for each channel. The
            default is what classifiers of synth take, -1 to 1.

    Raises ConfigError for values out of range.
    """

    eps: float | Tensor
    norm: Norm = "linf"
    bounds: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            raise ConfigError(f"There is no norm {self.norm!r} of a threat model: use linf or l2.")
        radii = torch.as_tensor(self.eps)
        if not bool((torch.isfinite(radii) & (radii >= 0)).all()):
            raise ConfigError(f"The radius eps is a number from 0, of pixels of 0 to 1, not {self.eps}.")
        low, high = self.bounds
        if not 0.0 <= low < high <= 1.0:
            raise ConfigError(f"The bounds of pixels rise within 0 to 1, unlike {low:g} and {high:g}.")
        if not self.mean or len(self.mean) != len(self.std):
            raise ConfigError("A threat model has a mean and a standard deviation for each channel.")
        if not all(map(math.isfinite, self.mean)) or not all(0 < one < math.inf for one in self.std):
            raise ConfigError(f"Standard deviations are positive, and means finite: {self.mean}, {self.std}.")

    def pixels(self, images: Tensor) -> Tensor:
        """float32 [N, C, H, W] of 0 to 1, of uint8; SourceError where one is out of bounds."""
        least, most = self._levels
        if images.numel() and (int(images.min()) < least or int(images.max()) > most):
            raise SourceError(
                f"Images have values of {int(images.min())} to {int(images.max())}, and the threat model's "
                f"bounds are {least} to {most}: choose bounds that hold the data."
            )
        return images.to(torch.float32) / 255

    def inputs(self, pixels: Tensor) -> Tensor:
        """What the classifier takes, of pixels [N, C, H, W]."""
        mean, std = (pixels.new_tensor(values).reshape(1, -1, 1, 1) for values in (self.mean, self.std))
        return (pixels - mean) / std

    def radius(self, like: Tensor) -> Tensor:
        """``eps`` as [N or 1, 1, 1, 1] beside images ``like``."""
        return torch.as_tensor(self.eps, dtype=torch.float32, device=like.device).reshape(-1, 1, 1, 1)

    def project(self, pixels: Tensor, origin: Tensor) -> Tensor:
        """``pixels`` brought back into the ball around ``origin`` and into the bounds."""
        change, radius = pixels - origin, self.radius(origin)
        if self.norm == "linf":
            change = torch.minimum(torch.maximum(change, -radius), radius)
        else:
            change = change * (radius / length(change).clamp(min=_TINY)).clamp(max=1.0)
        return (origin + change).clamp(*self.bounds)

    def ascent(self, gradient: Tensor) -> Tensor:
        """The change of size 1 that raises the loss most, to first order; of no gradient, none."""
        if self.norm == "linf":
            return gradient.sign()
        # Scaled first: squares of a small gradient would vanish.
        gradient = gradient / gradient.abs().amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo().tiny)
        return gradient / length(gradient).clamp(min=_TINY)

    def start(self, origin: Tensor, keys: Tensor, number: int = 0) -> Tensor:
        """Pixels drawn evenly from the ball, then cut off at the bounds.

        Args:
            keys: int64 [N], see ``attack_keys``: each image's draw follows from its key and ``number``.
        """
        count, at = math.prod(origin.shape[1:]), torch.full_like(keys, number)
        if self.norm == "linf":
            change = 2.0 * uniforms(keys, at, _START, count) - 1.0
        else:
            change = normals(keys, at, _START, count)
            share = uniforms(keys, at, _LENGTH, 1) ** (1.0 / count)
            change = share * change / change.square().sum(1, keepdim=True).sqrt().clamp(min=_TINY)
        change = change.reshape(origin.shape).to(origin.device) * self.radius(origin)
        return (origin + change).clamp(*self.bounds)

    def images(self, pixels: Tensor, originals: Tensor) -> Tensor:
        """uint8 images near ``pixels`` that lie in the ball around uint8 ``originals`` and in the bounds.

        Each value is rounded; what would leave the ball by that is rounded towards the original. In l2, what
        that leaves of the ball goes to values that were rounded towards the original, so that an attack
        of less than half a level in each of many values is not lost.
        """
        origin = originals.double()
        change = pixels.double() * 255 - origin
        radius = self.radius(originals).double() * 255 + _SLACK
        if self.norm == "linf":
            change = torch.minimum(torch.maximum(change.round(), -radius.floor()), radius.floor())
        else:
            change = _in_sphere(change.flatten(1), radius.flatten(1)).reshape(change.shape)
        return (origin + change).clamp(*self._levels).to(torch.uint8)

    @property
    def _levels(self) -> tuple[int, int]:
        """The bounds as least and greatest value of uint8."""
        low, high = self.bounds
        return math.ceil(255 * low - _SLACK), math.floor(255 * high + _SLACK)


def attack_keys(seed: int, index: Tensor) -> Tensor:
    """int64 [N] of 0 to 2**63 - 1: the key of each image, of a seed and int64 [N] from 0."""
    words = bits(seed, index, _KEYS, 2)
    return (words[:, 0] & 0x7FFFFFFF) << 32 | words[:, 1]


def length(change: Tensor) -> Tensor:
    """Euclidean norms [N, 1, 1, 1] of [N, C, H, W]; of each row the same in a batch of any size."""
    # In two steps: one sum over all of a single large image would be shared out among threads.
    return change.contiguous().square().sum(3, keepdim=True).sum((1, 2), keepdim=True).sqrt()


def _in_sphere(change: Tensor, radius: Tensor) -> Tensor:
    """Whole numbers near ``change``, float64 [N, D], of the norm ``radius`` [N, 1] at most.

    Those that rounding took furthest from 0 are cut instead, as few as there must be. All cut, the norm
    is no greater than that of ``change``. Then those that lost most are rounded away from 0, as many as fit.
    """
    size = change.square().sum(1, keepdim=True).sqrt()
    change = change * (radius / size.clamp(min=_TINY)).clamp(max=1.0)
    near, cut = change.round(), change.trunc()
    excess = near.square().sum(1, keepdim=True) - radius.square()
    saved = near.square() - cut.square()
    moved = torch.where(saved > 0, (near - change).abs(), -1.0)
    order = moved.argsort(dim=1, descending=True, stable=True)
    sorted_savings = saved.gather(1, order)
    needed = sorted_savings.cumsum(1) - sorted_savings < excess
    kept = torch.where(torch.zeros_like(needed).scatter(1, order, needed), cut, near)
    away = change.sign() * change.abs().ceil()
    cost = away.square() - kept.square()
    order = torch.where(cost > 0, (change - kept).abs(), -1.0).argsort(dim=1, descending=True, stable=True)
    costs = cost.gather(1, order)
    free = radius.square() - kept.square().sum(1, keepdim=True)
    spent = (costs.cumsum(1) <= free) & (costs > 0)
    return torch.where(torch.zeros_like(spent).scatter(1, order, spent), away, kept)

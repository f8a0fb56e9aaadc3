"""The student of the ``flow`` family: each part of the path in one network call.

Distillation by regression (Luhman and Luhman, arXiv 2101.02388; in parts of the path, as in progressive
distillation, Salimans and Ho, arXiv 2202.00512): where several steps along the velocity lead from the
beginning of a part, the student goes at once. It starts as a copy of the velocity, which is then an Euler
step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from synth.models.flow import Unet, velocity_of
from synth.models.solvers import adams_bashforth

_HUBER = 0.03
"""Below such a root mean square error per pixel the loss is a square, above it is linear."""


class Target(NamedTuple):
    """What the student learns from: the averaged velocity, in how many steps it goes a part, and with how
    much guidance, which thereby costs no further calls (Meng et al., arXiv 2210.03142)."""

    average: Unet
    steps: int
    guidance: float = 1.0

    @torch.no_grad()
    def end(self, x: Tensor, labels: Tensor | None, start: Tensor, end: Tensor) -> Tensor:
        """Where x is at the times ``end``, float32 [N, 1, 1, 1], from ``start``, by the multistep solver."""
        velocity = velocity_of(self.average, labels, self.guidance)
        previous = None
        for i in range(self.steps):
            at, to = (start + (end - start) * j / self.steps for j in (i, i + 1))
            x, slope = adams_bashforth(velocity, x, at, to, previous)
            previous = (at, slope)
        return x


def student_loss(
    student: Unet,
    times: Sequence[float],
    target: Target,
    images: Tensor,
    noise: Tensor,
    labels: Tensor | None,
) -> Tensor:
    """Pseudo-Huber distance (Song and Dhariwal, arXiv 2310.14189) of mean velocities over a part.

    The images of a batch learn the parts, from one of ``times`` to the next, in turn, from points between
    noise and images.
    """
    part = torch.arange(len(images), device=images.device) % (len(times) - 1)
    ends = torch.tensor(times, device=images.device)[:, None, None, None]
    start, end = ends[part], ends[part + 1]
    x = (1.0 - start) * noise + start * images
    wanted = (target.end(x, labels, start, end) - x) / (end - start)
    square = (velocity_of(student, labels)(x, start) - wanted).square().mean(dim=(1, 2, 3))
    return (torch.sqrt(square + _HUBER**2) - _HUBER).mean()

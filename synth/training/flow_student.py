"""The student of the ``flow`` family: each half of the path in one network call.

Distillation by regression (Luhman and Luhman, arXiv 2101.02388; in parts of the path, as in progressive
distillation, Salimans and Ho, arXiv 2202.00512): where several steps along the velocity lead from the
beginning of a part, the student goes at once. It starts as a copy of the velocity, which is then an Euler
step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from synth.models.flow import STUDENT_TIMES, Flow, velocity_of
from synth.models.solvers import adams_bashforth

_HUBER = 0.03
"""Below such a root mean square error per pixel the loss is a square, above it is linear."""


class Target(NamedTuple):
    """What the student learns from: the averaged velocity, in how many steps it goes a part, and with how
    much guidance, which thereby costs no further calls (Meng et al., arXiv 2210.03142)."""

    average: Flow
    steps: int
    guidance: float = 1.0

    @torch.no_grad()
    def end(self, x: Tensor, labels: Tensor | None, start: float, end: float) -> Tensor:
        """Where x at ``start`` is at ``end``, by the multistep solver."""
        velocity = velocity_of(self.average, labels, self.guidance)
        previous = None
        for i in range(self.steps):
            at, to = (start + (end - start) * j / self.steps for j in (i, i + 1))
            x, slope = adams_bashforth(velocity, x, at, to, previous)
            previous = (at, slope)
        return x


def student_loss(
    network: Flow, target: Target, images: Tensor, noise: Tensor, labels: Tensor | None
) -> Tensor:
    """Pseudo-Huber distance (Song and Dhariwal, arXiv 2310.14189) of mean velocities over a part.

    The images of a batch learn the parts in turn, from points between noise and images.
    """
    losses = []
    for number, (start, end) in enumerate(pairwise(STUDENT_TIMES)):
        rows = slice(number, None, len(STUDENT_TIMES) - 1)
        x = (1.0 - start) * noise[rows] + start * images[rows]
        if not len(x):  # a batch of one
            continue
        of_part = None if labels is None else labels[rows]
        wanted = (target.end(x, of_part, start, end) - x) / (end - start)
        found = velocity_of(network, of_part, student=True)(x, start)
        square = (found - wanted).square().mean(dim=(1, 2, 3))
        losses.append(torch.sqrt(square + _HUBER**2) - _HUBER)
    return torch.cat(losses).mean()

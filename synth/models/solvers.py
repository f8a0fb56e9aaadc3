"""Solvers of dx/dt = v(x, t) from noise at t = 0 to data at t = 1: pure functions, one step each.

A ``velocity`` takes x, float [N, ...], and a time, or float [N, 1, ...] for times by row, and gives float
[N, ...]. Calls of it are all that costs: Euler and the multistep solver make one for each step, Heun two.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Time = float | Tensor
Velocity = Callable[[Tensor, Time], Tensor]


def time_grid(steps: int, power: float = 1.0) -> list[float]:
    """``steps`` + 1 times from 0 to 1; a ``power`` above 1 makes the first steps the short ones."""
    return [(i / steps) ** power for i in range(steps + 1)]


def euler(velocity: Velocity, x: Tensor, start: Time, end: Time) -> Tensor:
    """x at ``end``, along the slope at ``start``; first order."""
    return x + (end - start) * velocity(x, start)


def heun(velocity: Velocity, x: Tensor, start: Time, end: Time) -> Tensor:
    """x at ``end``, along the mean of the slopes at both ends; second order."""
    slope = velocity(x, start)
    ahead = velocity(x + (end - start) * slope, end)
    return x + 0.5 * (end - start) * (slope + ahead)


def adams_bashforth(
    velocity: Velocity, x: Tensor, start: Time, end: Time, previous: tuple[Time, Tensor] | None
) -> tuple[Tensor, Tensor]:
    """x at ``end``, and the slope at ``start``; second order by the slope of the step before.

    The two-step method of Adams and Bashforth for steps of unequal length (Hairer, Norsett and Wanner,
    "Solving ordinary differential equations I", section III.5). ``previous`` is the time and the slope of the
    step before; None, in the first step, makes an Euler step.
    """
    slope = velocity(x, start)
    if previous is None:
        return x + (end - start) * slope, slope
    before, earlier = previous
    bend = 0.5 * (end - start) / (start - before)
    return x + (end - start) * ((1.0 + bend) * slope - bend * earlier), slope

import math
from itertools import pairwise

import pytest
import torch

from synth.models.solvers import adams_bashforth, euler, heun, time_grid


def solve(step, steps, power=1.0):
    """x(1) of dx/dt = 3 x cos(3 t), x(0) = 1, whose solution is exp(sin(3 t))."""
    x, previous = torch.ones(1, dtype=torch.float64), None
    grid = time_grid(steps, power)
    for start, end in pairwise(grid):

        def velocity(x, t):
            return 3.0 * x * math.cos(3.0 * t)

        if step is adams_bashforth:
            x, slope = step(velocity, x, start, end, previous)
            previous = (start, slope)
        else:
            x = step(velocity, x, start, end)
    return float(x)


@pytest.mark.parametrize(("step", "order"), [(euler, 1), (heun, 2), (adams_bashforth, 2)])
@pytest.mark.parametrize("power", [1.0, 1.5])
def test_the_error_falls_with_the_order_of_the_solver(step, order, power):
    exact = math.exp(math.sin(3.0))
    coarse, fine = (abs(solve(step, steps, power) - exact) for steps in (40, 80))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)


def test_straight_paths_need_one_step():
    x = torch.tensor([2.0])
    assert float(euler(lambda x, t: torch.full_like(x, 3.0), x, 0.0, 1.0)) == 5.0


def test_a_time_grid_goes_from_noise_to_data():
    assert time_grid(4) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert time_grid(2, power=2.0) == [0.0, 0.25, 1.0]

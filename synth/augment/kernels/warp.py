"""Resampling along a grid of places, one grid for each image, as torchvision's affine and perspective do."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from synth.augment.kernels.frame import Edge
from synth.augment.kernels.values import floats, whole

_PADDING: dict[Edge, int] = {"constant": 0, "edge": 1, "reflect": 2}
"""As ``torch.grid_sampler`` numbers zeros, border and reflection."""


def inverse_affine(angle: np.ndarray, shift: np.ndarray, scale: np.ndarray, shear: np.ndarray) -> np.ndarray:
    """float64 [N, 3, 3] from places in the output to places in the input, both in pixels from the middle.

    Args:
        angle: degrees, [N], clockwise on the screen.
        shift: pixels, [N, 2], x and y.
        scale: [N], above 0.
        shear: degrees, [N, 2], along x and y.
    """
    turn, slant = np.radians(angle), np.radians(shear)
    along, across = np.tan(slant[:, 0]), np.cos(slant[:, 1])
    c, a = np.sin(turn - slant[:, 1]) / across, np.cos(turn - slant[:, 1]) / across
    b, d = -a * along - np.sin(turn), -c * along + np.cos(turn)
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:, 2, 2] = 1.0
    for row, (first, second) in enumerate(((d / scale, -b / scale), (-c / scale, a / scale))):
        matrix[:, row, 0], matrix[:, row, 1] = first, second
        matrix[:, row, 2] = -first * shift[:, 0] - second * shift[:, 1]
    return matrix


def inverse_perspective(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """float64 [N, 3, 3] as ``inverse_affine``: the image's corners go to ``corners``, [N, 4, 2] in pixels.

    The order is upper left, upper right, lower right, lower left; pixels from the middle of the image.
    """
    height, width = size
    x, y = 0.5 * width, 0.5 * height
    goal = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    system = np.zeros((len(corners), 8, 8))
    right = np.zeros((len(corners), 8, 1))
    for number in range(4):
        u, v = corners[:, number, 0], corners[:, number, 1]
        for axis in (0, 1):
            row = 2 * number + axis
            system[:, row, 3 * axis], system[:, row, 3 * axis + 1], system[:, row, 3 * axis + 2] = u, v, 1.0
            system[:, row, 6], system[:, row, 7] = -u * goal[number, axis], -v * goal[number, axis]
            right[:, row, 0] = goal[number, axis]
    solved = np.linalg.solve(system, right)[..., 0]
    return np.concatenate([solved, np.ones((len(corners), 1))], axis=1).reshape(-1, 3, 3)


@lru_cache(maxsize=32)
def _middles(count: int) -> np.ndarray:
    places = (np.arange(count) - (count - 1.0) * 0.5).astype(np.float32)
    places.flags.writeable = False
    return places


def middles(count: int, device: torch.device) -> Tensor:
    """float32 [count]: the middles of so many pixels, counted from the middle of all."""
    return torch.from_numpy(_middles(count).copy()).to(device)


def projective_grid(inverse: np.ndarray, size: tuple[int, int], device: torch.device) -> Tensor:
    """float32 [N, H, W, 2] for ``F.grid_sample``, of float64 [N, 3, 3] for images of that size."""
    height, width = size
    matrix = inverse * np.array([2.0 / width, 2.0 / height, 1.0])[:, None]
    # A place is a complex number, x and y side by side: a small sum along each side, and one large one.
    plane = (matrix[:, 0] + 1j * matrix[:, 1]).astype(np.complex64)[..., None]
    across = torch.from_numpy(_middles(width) * plane[:, 0] + plane[:, 2]).to(device)
    down = torch.from_numpy(_middles(height) * plane[:, 1]).to(device)
    grid = torch.view_as_real(across[:, None, :] + down[:, :, None])
    depth = matrix[:, 2].astype(np.float32)[..., None]
    if depth[:, :2].any():
        away = torch.from_numpy(_middles(width) * depth[:, 0] + depth[:, 2]).to(device)
        aside = torch.from_numpy(_middles(height) * depth[:, 1]).to(device)
        grid /= (away[:, None, :] + aside[:, :, None])[..., None]
    return grid


def resample(
    images: Tensor, grid: Tensor, *, nearest: bool = False, edge: Edge = "constant", fill: int = 0
) -> Tensor:
    """Images or masks at the places of a grid.

    Args:
        images: uint8 [N, C, H, W], or integers below 2**24.
        grid: float32 [N, H', W', 2], see ``projective_grid``.
        nearest: the nearest pixel, in place of a mean of the four around.
        edge, fill: what there is beyond the edges; a number for all channels, or the image's own pixels.
    """
    offset = float(fill) if edge == "constant" else 0.0
    values = floats(images)
    if offset:
        values -= offset  # beyond the edges there are zeros
    # As F.grid_sample calls it, without its checks; align_corners is False.
    values = torch.grid_sampler(values, grid, int(nearest), _PADDING[edge], False)
    if offset:
        values += offset
    if not nearest:
        values.round_()
    return whole(values) if images.dtype == torch.uint8 else values.to(images.dtype)


def spline(control: Tensor, size: tuple[int, int]) -> Tensor:
    """float32 [N, H, W, K]: the cubic B-spline surface over control values [N, rows, columns, K].

    Four terms in each direction, added in one order; the surface spans all but the outermost control values.
    """
    rows, row_weights = _basis(size[0], control.shape[1] - 3, control.device)
    columns, column_weights = _basis(size[1], control.shape[2] - 3, control.device)
    down = control[:, rows] * row_weights[0].reshape(-1, 1, 1)
    for tap in range(1, 4):
        down += control[:, rows + tap] * row_weights[tap].reshape(-1, 1, 1)
    across = down[:, :, columns] * column_weights[0].reshape(-1, 1)
    for tap in range(1, 4):
        across += down[:, :, columns + tap] * column_weights[tap].reshape(-1, 1)
    return across


def _basis(size: int, cells: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """int64 [size]: the first of four control values of each pixel; float32 [4, size]: their weights."""
    places = (np.arange(size) + 0.5) / size * cells
    cell = np.minimum(np.floor(places).astype(np.int64), cells - 1)
    t = places - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return torch.from_numpy(cell).to(device), torch.from_numpy(weights.astype(np.float32)).to(device)


def displaced_grid(displacement: Tensor) -> Tensor:
    """The grid that looks ``displacement``, float32 [N, H, W, 2] in pixels of x and y, further on."""
    _, height, width, _ = displacement.shape
    device = displacement.device
    grid = torch.empty_like(displacement)
    torch.add(displacement[..., 0], middles(width, device), out=grid[..., 0])
    torch.add(displacement[..., 1], middles(height, device).reshape(-1, 1), out=grid[..., 1])
    return grid.mul_(torch.tensor([2.0 / width, 2.0 / height], device=device))


def look(field: Tensor, rows: Tensor, places: Tensor) -> Tensor:
    """float32 [K, 2]: a displacement field [N, H, W, 2] at places [K, 2] in pixels, each in its own row."""
    height, width = field.shape[1:3]
    x = (places[:, 0] - 0.5).clamp(0, width - 1)
    y = (places[:, 1] - 0.5).clamp(0, height - 1)
    left, top = x.floor().long(), y.floor().long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    u, v = (x - left)[:, None], (y - top)[:, None]
    upper = field[rows, top, left] * (1 - u) + field[rows, top, right] * u
    lower = field[rows, bottom, left] * (1 - u) + field[rows, bottom, right] * u
    return upper * (1 - v) + lower * v


def undone(field: Tensor, rows: Tensor, places: Tensor, steps: int = 40) -> Tensor:
    """float32 [K, 2]: where places of the input come to lie, under a field that looks from output to input.

    The fixed point of ``q = p - field(q)``, which exists where the field changes by less than one a pixel.
    """
    found = places
    for _ in range(steps):
        found = places - look(field, rows, found)
    return found

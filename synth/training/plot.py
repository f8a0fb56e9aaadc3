"""The figures of a run as one picture: a small panel for each, over the images seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SCALE = 2
"""Drawn so many times larger and then reduced, so that lines are smooth."""
_COLUMNS = 3
_WIDTH, _HEIGHT = 340 * _SCALE, 200 * _SCALE
_LEFT, _TOP, _RIGHT, _BOTTOM = 56 * _SCALE, 30 * _SCALE, 14 * _SCALE, 26 * _SCALE
_POINTS = 200
"""Most points of a line; of more, the means of neighbours are drawn."""
_LINE, _TEXT, _FRAME = (31, 98, 166), (60, 60, 60), (210, 210, 210)


def draw_curves(rows: Iterable[tuple[int, str, float]]) -> Image.Image | None:
    """A picture (RGB) of rows of images seen, name and value.

    A panel shows the values but for the highest and lowest 2 % of many, and its last value in its title. What
    was measured once only has no panel; None where there is nothing to show.
    """
    series: dict[str, list[tuple[int, float]]] = {}
    for seen, name, value in rows:
        if math.isfinite(value):
            series.setdefault(name, []).append((seen, value))
    curves = {name: np.array(points) for name, points in series.items() if len(points) > 1}
    if not curves:
        return None
    canvas = _draw(curves, most=int(max(curve[:, 0].max() for curve in curves.values())))
    return canvas.resize((canvas.width // _SCALE, canvas.height // _SCALE), Image.Resampling.LANCZOS)


def _draw(curves: Mapping[str, np.ndarray], most: int) -> Image.Image:
    columns = min(_COLUMNS, len(curves))
    canvas = Image.new("RGB", (columns * _WIDTH, -(-len(curves) // columns) * _HEIGHT), "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=11 * _SCALE)
    for number, (name, curve) in enumerate(curves.items()):
        x, y = number % columns * _WIDTH, number // columns * _HEIGHT
        box = (x + _LEFT, y + _TOP, x + _WIDTH - _RIGHT, y + _HEIGHT - _BOTTOM)
        _panel(draw, font, box, name, curve, most)
    return canvas


def _panel(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    box: tuple[int, int, int, int],
    name: str,
    curve: np.ndarray,
    most: int,
) -> None:
    """One curve, float64 [N, 2] of images seen and value, in a frame with its limits."""
    left, top, right, bottom = box
    low, high = _limits(curve[:, 1])
    points = _thinned(curve)
    across = left + (right - left) * points[:, 0] / most
    up = bottom - (bottom - top) * (points[:, 1].clip(low, high) - low) / (high - low)
    gap = 5 * _SCALE
    draw.rectangle(box, outline=_FRAME, width=_SCALE)
    draw.line(
        list(zip(across.tolist(), up.tolist(), strict=True)), fill=_LINE, width=2 * _SCALE, joint="curve"
    )
    title = f"{name}  {curve[-1, 1]:.4g}"
    draw.text((left, top - gap), title, fill=_TEXT, font=font, anchor="lb")
    draw.text((left - gap, top), f"{high:.3g}", fill=_TEXT, font=font, anchor="rt")
    draw.text((left - gap, bottom), f"{low:.3g}", fill=_TEXT, font=font, anchor="rb")
    draw.text((left, bottom + gap), "0", fill=_TEXT, font=font, anchor="lt")
    draw.text((right, bottom + gap), f"{most:,} images", fill=_TEXT, font=font, anchor="rt")


def _limits(values: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest value to show, which differ."""
    if len(values) >= 50:
        # A curve that begins a thousand times higher than it goes on would be a flat line.
        values = np.append(np.quantile(values, [0.02, 0.98]), values[-1])
    low, high = float(values.min()), float(values.max())
    room = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return low - room, high + room


def _thinned(curve: np.ndarray) -> np.ndarray:
    parts = np.array_split(curve, min(len(curve), _POINTS))
    return np.stack([part.mean(axis=0) for part in parts])

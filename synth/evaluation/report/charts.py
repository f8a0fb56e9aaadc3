"""Charts as inline SVG. Colours and fonts come from the page's style sheet, which knows light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from synth.evaluation.figures import Estimate
from synth.evaluation.report.model import Histogram, Mix, ProjectionPoints, Proportion

_WIDTH = 800


@dataclass(frozen=True)
class _Scale:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low or 1.0
        return round(self.start + (value - self.low) / span * (self.stop - self.start), 2)


def meter(figure: Estimate, low: float, high: float) -> str:
    """A thin gauge: the interval as a bar, the value as a dot, the floor as a line."""
    x = _Scale(low, high, 4.0, 116.0)

    def at(value: float) -> float:
        return x(min(max(value, low), high))

    parts = ['<line class="track" x1="4" y1="9" x2="116" y2="9"/>']
    if low < 0 < high:
        parts.append(f'<line class="zero" x1="{x(0)}" y1="3" x2="{x(0)}" y2="15"/>')
    width = max(at(figure.high) - at(figure.low), 1.0)
    parts.append(f'<rect class="interval" x="{at(figure.low)}" y="6" width="{width:.2f}" height="6" rx="3"/>')
    if figure.floor is not None:
        parts.append(f'<line class="floor" x1="{at(figure.floor)}" y1="2" x2="{at(figure.floor)}" y2="16"/>')
    parts.append(f'<circle class="value" cx="{at(figure.value)}" cy="9" r="3.5"/>')
    return f'<svg class="meter" viewBox="0 0 120 18" aria-hidden="true">{"".join(parts)}</svg>'


def utility_bars(mixes: Sequence[Mix]) -> str:
    """Accuracy of each training set, with its interval."""
    rows = [(one, one.accuracy) for one in mixes if isinstance(one.accuracy, Estimate)]
    if not rows:
        return ""
    line, left, right = 30, 250, 720
    low = max(0.0, min(figure.low for _, figure in rows) - 0.03)
    high = min(1.0, max(figure.high for _, figure in rows) + 0.02)
    x = _Scale(low, high, left, right)
    height = line * len(rows) + 26
    parts = [_axis(x, height - 22, 4, percent=True)]
    for number, (mix, figure) in enumerate(rows):
        y = line * number + 8
        kind = (
            "synthetic"
            if not mix.real
            else "mixed"
            if mix.synthetic
            else "classical"
            if mix.classical
            else "real"
        )
        parts += [
            f'<text class="label" x="{left - 10}" y="{y + 12}" text-anchor="end">{escape(mix.name)}</text>',
            _bar(kind, left, y, x(figure.value) - left, 16),
            f'<line class="whisker" x1="{x(figure.low)}" y1="{y + 8}" x2="{x(figure.high)}" y2="{y + 8}"/>',
            f'<text class="number" x="{right + 8}" y="{y + 12}">{100 * figure.value:.1f} %</text>',
        ]
    return _svg(height, parts, "Accuracy on unseen real images by training set")


def histogram(data: Histogram) -> str:
    """Distances to the nearest training image, of synthetic and of unseen real images."""
    height, left, bottom = 240, 8, 206
    x = _Scale(data.edges[0], data.edges[-1], left, _WIDTH - 8)
    top = max([*data.synthetic, *data.holdout, 1e-9])
    y = _Scale(0.0, top, bottom, 10)
    parts = [_axis(x, bottom + 4, 5, percent=False)]
    for name, shares in (("real", data.holdout), ("synthetic", data.synthetic)):
        points = [f"{x(data.edges[0])},{bottom}"]
        for number, share in enumerate(shares):
            points += [f"{x(data.edges[number])},{y(share)}", f"{x(data.edges[number + 1])},{y(share)}"]
        points.append(f"{x(data.edges[-1])},{bottom}")
        parts.append(f'<polygon class="area {name}" points="{" ".join(points)}"/>')
    return _svg(height, parts, "Histogram of distances to the nearest training image")


def projection(data: ProjectionPoints) -> str:
    """Both sets in the plane of the real features' largest principal components."""
    height = 420
    every = [*data.real, *data.synthetic]
    x = _Scale(min(p[0] for p in every), max(p[0] for p in every), 10, _WIDTH - 10)
    y = _Scale(min(p[1] for p in every), max(p[1] for p in every), height - 10, 10)
    # Drawn in turns, so that neither set hides the other.
    marks = []
    for number in range(max(len(data.real), len(data.synthetic))):
        for name, points in (("real", data.real), ("synthetic", data.synthetic)):
            if number < len(points):
                a, b = points[number]
                marks.append(f'<circle class="{name}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="3"/>')
    return _svg(height, ['<g class="points">', *marks, "</g>"], "Real and synthetic features in a plane")


def proportions(rows: Sequence[Proportion]) -> str:
    """Share of each class or group among the real and the synthetic images."""
    line, left, right = 34, 170, 740
    most = max([one.real for one in rows] + [one.synthetic or 0.0 for one in rows] + [1e-9])
    x = _Scale(0.0, most, left, right)
    parts = []
    for number, one in enumerate(rows):
        y = line * number + 4
        parts.append(
            f'<text class="label" x="{left - 10}" y="{y + 16}" text-anchor="end">'
            f"{escape(one.name[:20])}</text>"
        )
        for offset, name, value in ((0, "real", one.real), (13, "synthetic", one.synthetic)):
            if value is not None:
                parts += [
                    _bar(name, left, y + offset, x(value) - left, 11),
                    f'<text class="number small" x="{x(value) + 6}" y="{y + offset + 9}">'
                    f"{100 * value:.1f} %</text>",
                ]
    return _svg(line * len(rows) + 4, parts, "Proportions among real and synthetic images")


def _bar(kind: str, left: float, top: float, width: float, height: float) -> str:
    size = f'width="{max(width, 1.0):.2f}" height="{height}"'
    return f'<rect class="bar {kind}" x="{left}" y="{top}" {size} rx="2"/>'


def _axis(x: _Scale, y: float, ticks: int, *, percent: bool) -> str:
    parts = [f'<line class="axis" x1="{x.start}" y1="{y}" x2="{x.stop}" y2="{y}"/>']
    for number in range(ticks + 1):
        value = x.low + (x.high - x.low) * number / ticks
        text = f"{100 * value:.0f} %" if percent else f"{value:.3g}"
        anchor = "start" if number == 0 else "end" if number == ticks else "middle"
        parts.append(f'<text class="tick" x="{x(value)}" y="{y + 16}" text-anchor="{anchor}">{text}</text>')
    return "".join(parts)


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )

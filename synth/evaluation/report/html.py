"""The report as one HTML file: no scripts, no requests, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from synth.evaluation.figures import Estimate, Figure
from synth.evaluation.report import charts
from synth.evaluation.report.model import ClassUtility, Report
from synth.evaluation.report.names import MEANINGS, figures

_NARROWEST = 0.02
"""Differences of accuracy are drawn on a scale of at least so much to either side."""


def render_html(report: Report) -> str:
    """The page: a pure function of the report. All texts of the user are escaped."""
    templates = files("synth.evaluation.report") / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters["show"] = show
    found = figures(report)
    template = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        figures=found,
        meanings=MEANINGS,
        style=Markup((templates / "report.css").read_text(encoding="utf-8")),  # the package's own
        gauge=lambda name: Markup(_gauge(name, found)),
        delta_gauge=lambda figure, rows: Markup(_delta_gauge(figure, rows)),
        projection=_chart(
            charts.projection(report.fidelity.projection) if report.fidelity.projection else ""
        ),
        bars=_chart(charts.utility_bars(report.utility.mixes)),
        histogram=_chart(charts.histogram(report.novelty.distances) if report.novelty.distances else ""),
        class_chart=_chart(charts.proportions(report.bias.classes) if report.bias.classes else ""),
        group_chart=_chart(charts.proportions(report.bias.groups) if report.bias.groups else ""),
    )


def show(value: float, unit: str, bare: bool = False) -> str:
    """A figure's value for people; ``bare``: without its unit."""
    if unit == "share":
        text = f"{100 * value:.1f}"
        return text if bare else f"{text} %"
    if unit == "points":
        text = f"{100 * value:+.1f}".replace("-", "\u2212")
        return text if bare else f"{text} points"
    return f"{value:.3g}".replace("-", "\u2212")


def _chart(svg: str) -> Markup:
    """Made by ``charts``, which escapes."""
    return Markup(svg)


def _gauge(name: str, found: dict[str, Figure]) -> str:
    figure, unit = found[name], MEANINGS[name].unit
    if not isinstance(figure, Estimate):
        return ""
    if unit == "share":
        return charts.meter(figure, 0.0, 1.0)
    if unit == "points":
        every = [one for other, one in found.items() if MEANINGS[other].unit == "points"]
        reach = _reach(every)
        return charts.meter(figure, -reach, reach)
    top = max(figure.high, figure.floor or 0.0) * 1.1
    return charts.meter(
        figure, min(0.0, figure.low), max(top, 1.25 if MEANINGS[name].better != "lower" else top)
    )


def _delta_gauge(figure: Figure, rows: Sequence[ClassUtility]) -> str:
    reach = _reach([row.delta for row in rows])
    return charts.meter(figure, -reach, reach) if isinstance(figure, Estimate) else ""


def _reach(every: Sequence[Figure]) -> float:
    ends = [abs(end) for one in every if isinstance(one, Estimate) for end in (one.low, one.high)]
    return max([_NARROWEST, *ends])

"""The report: what a synthetic set is worth, as typed figures, JSON and one HTML file."""

from synth.evaluation.report.compute import evaluate, quick_settings
from synth.evaluation.report.html import render_html
from synth.evaluation.report.loading import Loaded, load_sets
from synth.evaluation.report.model import Report
from synth.evaluation.report.names import figures
from synth.evaluation.report.saving import load_report, save_report

__all__ = [
    "Loaded",
    "Report",
    "evaluate",
    "figures",
    "load_report",
    "load_sets",
    "quick_settings",
    "render_html",
    "save_report",
]

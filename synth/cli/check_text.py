"""The report of ``synth check`` as text."""

from __future__ import annotations

import textwrap

import typer

from synth.cli.output import print_table
from synth.evaluation.figures import NotMeasured
from synth.evaluation.integrity import SourceReport

_WIDTH = 110


def print_report(report: SourceReport) -> None:
    """Counts, what was looked at, the statistics per class, and the findings with what to do."""
    typer.echo(f"{report.source}: {report.count:,} images, {report.distinct:,} different ones")
    for note in report.notes:
        typer.echo(f"  {note}")
    typer.echo("")
    print_table(["check", "result"], _results(report))
    if report.appearance.per_class:
        typer.echo("")
        _print_classes(report)
    typer.echo("")
    if not report.findings:
        typer.echo("Nothing was found.")
    for one in report.findings:
        typer.echo(_wrapped(f"{one.severity}: {one.subject}: ", one.message))
        typer.echo(_wrapped("    -> ", one.remedy))


def _results(report: SourceReport) -> list[list[str]]:
    duplicates = report.duplicates
    return [
        ["unreadable", f"{len(report.unreadable):,} files or annotations"],
        [
            "duplicates",
            f"{duplicates.exact_surplus:,} surplus images in {duplicates.exact_clusters:,} clusters",
        ],
        ["near-duplicates", f"{duplicates.near_samples:,} images in {duplicates.near_clusters:,} clusters"],
        ["leaks", _leaks(report)],
        ["outliers", _outliers(report)],
        ["labels", _labels(report)],
        ["imbalance", _balance(report)],
        ["shortcuts", f"{len(report.appearance.effects):,} large differences between classes"],
        ["changes", _changes(report)],
    ]


def _leaks(report: SourceReport) -> str:
    if isinstance(report.leaks, NotMeasured):
        return f"not measured: {report.leaks.reason}"
    exact = sum(one.exact for one in report.leaks.overlaps)
    near = sum(one.near for one in report.leaks.overlaps)
    unknown = f"; {report.leaks.unplaced:,} samples are in no part" if report.leaks.unplaced else ""
    places = len(report.leaks.compared)
    return f"{exact:,} equal and {near:,} similar images between {places:,} parts or sources{unknown}"


def _outliers(report: SourceReport) -> str:
    if isinstance(report.outliers, NotMeasured):
        return f"not measured: {report.outliers.reason}"
    return f"{report.outliers.count:,} images ({report.outliers.how})"


def _labels(report: SourceReport) -> str:
    if isinstance(report.labels, NotMeasured):
        return f"not measured: {report.labels.reason}"
    return (
        f"{report.labels.count:,} of {report.labels.examined:,} doubted ({report.labels.how}; accuracy "
        f"{report.labels.accuracy:.3f})"
    )


def _balance(report: SourceReport) -> str:
    balance = report.balance
    if balance.ratio is None or balance.class_counts is None:
        return "no classes"
    groups = "" if balance.group_count is None else f"; {balance.group_count:,} groups"
    return f"{len(balance.class_counts)} classes, largest to smallest {balance.ratio:.2f}{groups}"


def _changes(report: SourceReport) -> str:
    if isinstance(report.changes, NotMeasured):
        return f"not measured: {report.changes.reason}"
    if report.changes.not_measured is not None:
        return f"not measured: {report.changes.not_measured}"
    return f"{report.changes.count:,} images of {report.changes.synthetic} compared"


def _print_classes(report: SourceReport) -> None:
    """Medians of all statistics per class, and of all classes."""
    names = list(report.appearance.meanings)
    lines = [*(report.appearance.per_class or {}).items(), ("all", report.appearance.all)]
    rows = [
        [name, f"{spreads[names[0]].count:,}", *(f"{spreads[one].median:.4g}" for one in names)]
        for name, spreads in lines
    ]
    print_table(["class (medians)", "images", *names], rows)


def _wrapped(head: str, text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=head, subsequent_indent="       ", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip

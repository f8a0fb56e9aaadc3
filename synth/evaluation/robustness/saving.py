"""The report on disk: ``robustness.json``, and ``robustness.md`` for people."""

from __future__ import annotations

import os
from pathlib import Path

from synth.artifacts.files import make_folder, publish_folder, replace_file, storage_errors
from synth.errors import OutputExistsError
from synth.evaluation.robustness.model import Robustness
from synth.evaluation.robustness.radius import radius_text

JSON, MARKDOWN = "robustness.json", "robustness.md"


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raise OutputExistsError where a report may not be written to ``out``; before it is measured."""
    if out.exists() and not out.is_dir():
        raise OutputExistsError(f"{out} is a file; choose a folder for the output.")
    there = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    if there and not (overwrite and set(there) <= {JSON, MARKDOWN}):
        ours = set(there) <= {JSON, MARKDOWN}
        hint = "replace the report with --overwrite, or choose" if ours else "choose"
        raise OutputExistsError(f"{out} is not empty ({', '.join(there[:5])}): {hint} another folder.")


def save_robustness(report: Robustness, out: Path, *, overwrite: bool = False) -> Path:
    """Write both files into ``out``, a new or empty folder; returns the path of the one for people.

    Raises:
        OutputExistsError: ``out`` holds something else, or a report and ``overwrite`` is not given.
        StorageError: the disk is full or cannot be written.
    """
    check_free(out, overwrite=overwrite)
    folder = out.absolute()
    files = {
        JSON: (report.model_dump_json(indent=2) + "\n").encode(),
        MARKDOWN: to_markdown(report).encode(),
    }
    with storage_errors("write the report", folder):
        make_folder(folder.parent)
        if folder.is_dir() and any(folder.iterdir()):
            for name, data in files.items():
                replace_file(folder / name, data)
        else:
            publish_folder(folder.with_name(f".{folder.name}.{os.getpid()}"), folder, files)
    return out / MARKDOWN


def to_markdown(report: Robustness) -> str:
    """The report as Markdown: a pure function of it."""
    failed = [check for check in report.checks if not check.passed]
    lines = [
        f"# Robustness of {report.model}",
        "",
        f"{report.count:,} images of `{report.source}`, {report.norm}; PGD of {report.steps} steps from "
        f"{report.restarts} random start{'' if report.restarts == 1 else 's'}, RayS of {report.queries:,} "
        f"queries, seed {report.seed}. Attacked images are uint8 within the radius, of pixels of 0 to 1.",
        "",
        *_accuracies(report),
        "",
        "## Can this be believed?",
        "",
        f"**{len(failed)} of {len(report.checks)} checks failed**: the network may hide its gradients, and "
        "then attacks by gradients say too much of it. Take the lowest figure, and attack it in other ways."
        if failed
        else "Nothing speaks of masked gradients. That is no proof: attacks made for it may do more.",
        "",
        *(
            f"- {'passed' if check.passed else '**failed**'}: {check.name} ({check.about})"
            for check in report.checks
        ),
        "",
        "## By class",
        "",
        *_classes(report),
        "",
        f"Model digest: `{report.digest}`",
        "",
    ]
    return "\n".join(lines)


def _accuracies(report: Robustness) -> list[str]:
    rows = ["| eps | FGSM | PGD | RayS | all attacks |", "| --- | --- | --- | --- | --- |"]
    clean = report.clean
    rows.append(f"| 0 | {clean.value:.3f} ({clean.low:.3f} to {clean.high:.3f}) | | | |")
    for eps in dict.fromkeys(one.eps for one in report.attacks):
        cells = {
            one.attack: f"{one.accuracy.value:.3f} ({one.accuracy.low:.3f} to {one.accuracy.high:.3f})"
            for one in report.attacks
            if one.eps == eps
        }
        radius = next(one.radius for one in report.attacks if one.eps == eps)
        rows.append(f"| {radius} | {cells['fgsm']} | {cells['pgd']} | {cells['rays']} | {cells['worst']} |")
    return rows


def _classes(report: Robustness) -> list[str]:
    worst = [one for one in report.attacks if one.attack == "worst"]
    rows = ["| class | clean | " + " | ".join(f"all attacks, {radius_text(one.eps)}" for one in worst) + " |"]
    rows.append("| --- | --- |" + " --- |" * len(worst))
    for name, value in report.clean_per_class.items():
        cells = " | ".join(f"{one.per_class[name]:.3f}" for one in worst)
        rows.append(f"| {name.replace('|', '/')} | {value:.3f} | {cells} |")
    return rows

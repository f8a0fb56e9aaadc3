"""Part ``table``: "obtained vs target" of all parts, into docs/results.md."""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from worth.lines import Line, Obtained, Results, seeds
from worth.statistics import told
from worth.table import PAGE, place, read_results, render_lines

from augmenting import adversarial, operations, study

BEGIN, END = "<!-- augment: begin -->", "<!-- augment: end -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--page", type=type(PAGE), default=PAGE)


def run(options: argparse.Namespace) -> None:
    """Write the page anew between its marks."""
    results = read_results(options.results)
    text = "\n".join([render_lines(results, LINES), *worths(results), *speeds(results)])
    if options.quick:
        print(text)
    else:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(place(page, text, BEGIN, END), encoding="utf-8")


def speed_line(shape: str) -> Line:
    """Our rate by torchvision's, over all operations that it has."""

    def read(results: Results) -> Obtained | None:
        if operations.RESULT not in results:
            return None
        cells = _ratios(results, shape)
        slower = {name: value for name, value in cells.items() if value < 1}
        worst = min(cells, key=cells.__getitem__)
        text = f"median {median(cells.values()):.2g}, least {cells[worst]:.2g} ({worst})"
        return Obtained(f"{text}; {len(slower)} of {len(cells)} slower", not slower)

    return Line(
        f"images/s over torchvision v2 image by image, {shape}",
        ">= 1 in each",
        "`augment.py operations`",
        read,
    )


def cost_line(pipeline: str) -> Line:
    """The share of a pipeline's time that is not its operations'."""

    def read(results: Results) -> Obtained | None:
        if operations.RESULT not in results:
            return None
        cells = results[operations.RESULT]["operations"][pipeline]
        shares = {shape: cell["own_cost"] for shape, cell in cells.items()}
        text = ", ".join(f"{shape}: {100 * share:.0f} %" for shape, share in shares.items())
        return Obtained(text, max(shares.values()) <= 0.1)

    return Line(
        f"keys, plans and checks of {pipeline}", "<= 10 % of its time", "`augment.py operations`", read
    )


def erasing_line() -> Line:
    """Whether random erasing lowers the error on the whole set, as published."""

    def read(results: Results) -> Obtained | None:
        cells = results[study.RESULT]["summary"].get(str(study.FULL), {}) if study.RESULT in results else {}
        if not {"basic", "random_erasing"} <= cells.keys():
            return None
        before, after = (cells[name]["error"] for name in ("basic", "random_erasing"))
        text = f"{told(before, 2, 100)} % -> {told(after, 2, 100)} %, {seeds(cells['random_erasing'])}"
        return Obtained(text, after["mean"] < before["mean"])

    what = f"Fashion-MNIST, {study.FULL:,} images, ResNet-8: error with random erasing"
    return Line(what, "lower (4.39 % -> 4.02 % in the paper)", "`augment.py study`", read)


def adversarial_line() -> Line:
    """Accuracy under PGD, and of clean images, after adversarial training."""

    def read(results: Results) -> Obtained | None:
        if adversarial.RESULT not in results:
            return None
        figures = results[adversarial.RESULT]
        summary, settings = figures["summary"], figures["settings"]
        text = (
            f"{told(summary['pgd'])} with {told(summary['clean'])}, {seeds(summary)}; RayS "
            f"{told(summary['rays'])}, all attacks {told(summary['worst'])} ({settings['count']:,} test "
            f"images, {settings['restarts']} random starts, {summary['seconds'] / 60:.0f} min of training)"
        )
        met = summary["pgd"]["mean"] >= 0.88 and summary["clean"]["mean"] >= 0.97
        return Obtained(text, met and summary["checks"]["mean"] == 1.0)

    what = f"MNIST, adversarial training: accuracy under PGD-{adversarial.STEPS} at eps {adversarial.EPS}"
    return Line(what, ">= 0.88 with clean >= 0.97", "`augment.py adversarial`", read)


LINES = [
    *(speed_line(shape) for shape in operations.SHAPES),
    *(cost_line(pipeline) for pipeline in operations.PIPELINES),
    erasing_line(),
    adversarial_line(),
]


def worths(results: Results) -> list[str]:
    """A table of the study: by policy and number of images, the error, and the gain over ``basic``."""
    if study.RESULT not in results:
        return []
    summary = results[study.RESULT]["summary"]
    heads = [f"{int(size):,} images ({seeds(cells['basic'])})" for size, cells in summary.items()]
    rows = ["", "| test error in %; by how much it is below that of basic | " + " | ".join(heads) + " |"]
    rows.append("| --- |" + " --- |" * len(heads))
    for name in study.POLICIES:
        cells = [study.cell(sizes[name]) if name in sizes else "" for sizes in summary.values()]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def speeds(results: Results) -> list[str]:
    """A second table: by operation and shape, our rate, and what it is by each rival's."""
    if operations.RESULT not in results:
        return []
    figures = results[operations.RESULT]
    rows = [
        "",
        "| images/s: ours; by torchvision, kornia, albumentations | " + " | ".join(operations.SHAPES) + " |",
    ]
    rows.append("| --- |" + " --- |" * len(operations.SHAPES))
    for name, cells in figures["operations"].items():
        rows.append(f"| {name} | " + " | ".join(_cell(cells[shape]) for shape in operations.SHAPES) + " |")
    return rows


def _cell(cell: dict[str, Any]) -> str:
    speed = cell["images_per_second"]
    names = ("torchvision", "kornia", "albumentations")
    shares = [f"{cell['ratio'][name]:.2g}" if name in cell["ratio"] else "-" for name in names]
    return f"{speed['Pipeline.run']:,}; {', '.join(shares)}"


def _ratios(results: Results, shape: str) -> dict[str, float]:
    cells = {name: one[shape]["ratio"] for name, one in results[operations.RESULT]["operations"].items()}
    return {name: ratios["torchvision"] for name, ratios in cells.items() if "torchvision" in ratios}

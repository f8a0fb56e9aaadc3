"""Part ``table``: "obtained vs target" of all parts, into docs/results.md."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from worth.lines import Line, Obtained, Results, seeds
from worth.statistics import told
from worth.table import PAGE, place, read_results, render_lines

from shift import digits, emoji, general, steps

BEGIN, END = "<!-- domain shift: begin -->", "<!-- domain shift: end -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--page", type=Path, default=PAGE)


def run(options: argparse.Namespace) -> None:
    """Write the page anew between its marks."""
    text = render_lines(read_results(options.results), LINES)
    if options.quick:
        print(text)
    else:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(place(page, text, BEGIN, END), encoding="utf-8")


def accuracy_line(task: str, what: str, needs: dict[str, float], best: float | None = None) -> Line:
    """Accuracies by method; ``needs`` are least gains over source-only in points, ``any`` of the best one."""
    target = ", ".join(f"{method} >= +{points:g} points" for method, points in needs.items())
    target += "" if best is None else f", best >= {best:g}"

    def read(results: Results) -> Obtained | None:
        variants = sorted(name for name in results if name.startswith(digits.result_name(task)))
        if not variants:
            return None
        texts, found = [], []
        for name in variants:
            summary = results[name]["summary"]
            label = name.removeprefix(digits.result_name(task)).strip("-")
            accuracies = ", ".join(f"{method} {told(one)}" for method, one in summary["accuracy"].items())
            minutes = f"{results[name]['settings']['minutes']:g} min each"
            texts.append(f"{label + ': ' if label else ''}{accuracies}; {seeds(summary)}, {minutes}")
            found.append(summary)
        met = all(_gained(found, method, points) for method, points in needs.items())
        if best is not None:
            met = met and max(one["mean"] for each in found for one in each["accuracy"].values()) >= best
        return Obtained("; ".join(texts), met)

    return Line(what, target, "`domain_shift.py digits`", read)


def _gained(found: list[dict[str, Any]], method: str, points: float) -> bool:
    """Whether the method, or with ``any`` the best one, has gained that much in one of the results."""
    gains = [
        one["mean"]
        for each in found
        for name, one in each["gain"].items()
        if method in ("any", name) or (method == "translation" and name == "translate")
    ]
    return bool(gains) and 100 * max(gains) >= points


def emoji_line(family: str) -> Line:
    """Mean distance to the true twin, translated over untranslated."""

    def read(results: Results) -> Obtained | None:
        name = emoji.result_name(family)
        if name not in results:
            return None
        summary = results[name]["summary"]
        texts = [f"{measure} {told(summary[measure]['mean'])}" for measure in emoji.MEASURES]
        met = all(summary[measure]["mean"]["mean"] <= 0.85 for measure in emoji.MEASURES)
        return Obtained(f"{', '.join(texts)}, {seeds(summary)}", met)

    what = f"emoji, Noto -> Twemoji and back, {family}: distance to the twin, translated / untranslated"
    return Line(what, "<= 0.85", "`domain_shift.py emoji`", read)


def preservation_line(task: str) -> Line:
    """Share of labels that the translators of a task keep, by their own manifests."""

    def read(results: Results) -> Obtained | None:
        kept = [
            results[name]["summary"]["label_preservation"]
            for name in results
            if name.startswith(digits.result_name(task)) and results[name]["summary"]["label_preservation"]
        ]
        if not kept:
            return None
        return Obtained("; ".join(told(one) for one in kept), min(one["mean"] for one in kept) >= 0.95)

    return Line(f"label preservation of the translators, {task}", ">= 0.95", "`domain_shift.py digits`", read)


def general_line() -> Line:
    """What styles add to classical augmentation on domains never seen."""

    def read(results: Results) -> Obtained | None:
        name = general.result_name()
        if name not in results:
            return None
        summary = results[name]["summary"]
        by_kind = ", ".join(
            f"{kind} {told(summary['classical'][kind])} -> {told(summary['style'][kind])}"
            for kind in general.VARIANTS
        )
        gain = summary["gain"]
        return Obtained(f"{told(gain, 1, 100)} points, {seeds(summary)} ({by_kind})", gain["mean"] >= 0.05)

    what = "trained on MNIST with `style`, tested on USPS, inverted, coloured and textured digits"
    return Line(what, "mean >= +5 points over classical augmentation", "`domain_shift.py general`", read)


def step_line(family: str) -> Line:
    """Our training step over the original code's."""

    def read(results: Results) -> Obtained | None:
        name = steps.result_name(family)
        if name not in results:
            return None
        figures = results[name]
        text = f"{told(figures['ratio'], 2)} at {figures['size']} px"
        return Obtained(text, figures["ratio"]["mean"] > 1.0)

    what = f"{family}: images/s in a training step, ours / the original code's order at equal networks"
    return Line(what, "> 1", "`domain_shift.py steps`", read)


_TRANSLATORS = ("cyclegan", "cut")
LINES: tuple[Line, ...] = (
    accuracy_line(
        "mnist-usps", "MNIST -> USPS, tested on real USPS", {"dann": 8.0, "translation": 8.0}, best=0.95
    ),
    accuracy_line("usps-mnist", "USPS -> MNIST", {"any": 10.0}),
    accuracy_line("mnist-textures", "MNIST -> digits on textures in colour", {"dann": 15.0}),
    preservation_line("mnist-usps"),  # the other tasks are measured without a translator
    emoji_line("cyclegan"),
    general_line(),
    *(step_line(family) for family in _TRANSLATORS),
)
"""In the order of the table."""

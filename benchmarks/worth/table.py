"""Part ``table``: "obtained vs target" of all parts, from results/*.json into docs/results.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from worth.lines import CPU_TARGETS, LINES, Line, Results
from worth.statistics import told
from worth.tstr import FIDELITY

PAGE = Path(__file__).parents[2] / "docs" / "results.md"
BEGIN, END = "<!-- quality: begin -->", "<!-- quality: end -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--page", type=Path, default=PAGE)


def run(options: argparse.Namespace) -> None:
    """Write the page anew between its marks."""
    results = read_results(options.results)
    text = place(options.page.read_text(encoding="utf-8"), render(results))
    if options.quick:
        print(render(results))
    else:
        options.page.write_text(text, encoding="utf-8")


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Figures by name of all results that are there."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        found[path.stem] = json.loads(path.read_text(encoding="utf-8"))["figures"]
    return found


def render(results: Results, lines: Sequence[Line] = LINES) -> str:
    """The tables as Markdown."""
    return "\n".join([render_lines(results, lines), *_fidelity(results)])


def render_lines(results: Results, lines: Sequence[Line]) -> str:
    """A table as Markdown. A line without results says so; one that misses its target says so in bold."""
    rows = ["| what | target | obtained | how |", "| --- | --- | --- | --- |"]
    for line in lines:
        obtained = line.read(results)
        text = "not measured" if obtained is None else obtained.text
        if obtained is not None and obtained.met is False:
            text += ", **missed**"
        rows.append(f"| {line.what} | {line.target} | {text} | {line.how} |")
    return "\n".join(rows)


def _fidelity(results: Results) -> list[str]:
    """A second table: the fidelity of each family that was measured, and of real images."""
    names = {family: f"quality-tstr-fashion-mnist-{family}" for family in CPU_TARGETS}
    there = {family: results[name] for family, name in names.items() if name in results}
    if not there:
        return []
    columns = FIDELITY[:-1]
    rows = ["", "| Fashion-MNIST, 10 min on two cores | " + " | ".join(columns).replace("_", " ") + " |"]
    rows.append("| --- |" + " --- |" * len(columns))
    for family, figures in there.items():
        cells = [told(figures["summary"][name]) for name in columns]
        rows.append(f"| {family} | " + " | ".join(cells) + " |")
    floor = next(iter(there.values()))["rows"][0]["floor"]
    rows.append("| real images | " + " | ".join(f"{floor[name]:.3f}" for name in columns) + " |")
    return rows


def place(page: str, text: str, begin_mark: str = BEGIN, end_mark: str = END) -> str:
    """The page with ``text`` between its marks; ValueError where these are not both there, in order."""
    before, begin, rest = page.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise ValueError(f"the page has no {begin_mark} ... {end_mark}")
    return f"{before}{begin_mark}\n\n{text}\n\n{end_mark}{after}"

"""The lines of the table: what was promised, and how it is read from the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from worth.statistics import told

Results = Mapping[str, Mapping[str, Any]]
"""By name of the result: its figures."""


@dataclass(frozen=True)
class Obtained:
    """What a result says of a line; ``met`` is None where there is no target."""

    text: str
    met: bool | None = None


@dataclass(frozen=True)
class Line:
    """One line of the table; ``read`` gives None where its results are missing."""

    what: str
    target: str
    how: str
    read: Callable[[Results], Obtained | None]


def tstr_line(what: str, result: str, least: float, how: str) -> Line:
    """TSTR / real, by the mean over the seeds."""

    def read(results: Results) -> Obtained | None:
        if result not in results:
            return None
        summary = results[result]["summary"]
        text = (
            f"{told(summary['ratio'])} ({told(summary['tstr_accuracy'])} / {told(summary['real_accuracy'])})"
        )
        return Obtained(f"{text}, {seeds(summary)}", summary["ratio"]["mean"] >= least)

    return Line(what, f">= {least:g}", how, read)


def copies_line(family: str, result: str, how: str) -> Line:
    """Share of near-copies, in per cent, beside that of real test images."""

    def read(results: Results) -> Obtained | None:
        if result not in results:
            return None
        share, floor = results[result]["summary"]["near_copies"], results[result]["rows"][0]["floor"]
        text = f"{told(share, 2, 100)} % (real test images: {100 * floor['near_copies']:.2f} %)"
        return Obtained(text, share["mean"] <= 0.01)

    return Line(f"near-copies of training images, {family}", "<= 1 %", how, read)


def seeds(summary: Mapping[str, Any]) -> str:
    """``3 seeds``"""
    return f"{summary['seeds']} seed" + ("" if summary["seeds"] == 1 else "s")


CPU_TARGETS = {"vae": 0.87, "gan": 0.90, "flow": 0.95}
_TSTR = "`quality.py tstr`"
_CUDA = f"{_TSTR} on CUDA"
_H100 = "Fashion-MNIST, 10 min on one H100"

LINES: tuple[Line, ...] = (
    *(
        tstr_line(
            f"Fashion-MNIST, 10 min on two cores, TSTR / real, {family}",
            f"quality-tstr-fashion-mnist-{family}",
            least,
            _TSTR,
        )
        for family, least in CPU_TARGETS.items()
    ),
    *(copies_line(family, f"quality-tstr-fashion-mnist-{family}", _TSTR) for family in CPU_TARGETS),
    tstr_line(f"{_H100}, gan", "quality-tstr-fashion-mnist-gan-cuda", 0.96, _CUDA),
    tstr_line(f"{_H100}, flow", "quality-tstr-fashion-mnist-flow-cuda", 0.98, _CUDA),
    tstr_line(f"{_H100}, flow in 2 calls", "quality-tstr-fashion-mnist-flow-2-calls-cuda", 0.96, _CUDA),
    tstr_line("CIFAR-10, 10 min on one H100, flow", "quality-tstr-cifar10-flow-cuda", 0.75, _CUDA),
)
"""In the order of the table."""

"""The lines of the table: what was promised, and how it is read from the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from worth.rivals import RIVALS
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


def sampling_line(result: str) -> Line:
    """Images per second over the plain loop, of the fastest setting that is worth as much."""

    def read(results: Results) -> Obtained | None:
        if result not in results:
            return None
        summary = results[result]["summary"]
        if summary["best"] is None:
            return Obtained(f"none as good as the plain loop ({told(summary['plain'])})", False)
        best = summary["settings"][summary["best"]]
        accuracies = f"TSTR {told(best['tstr_accuracy'])} against {told(summary['plain'])}"
        text = f"{told(best['speed'], 1)} with {summary['best']} ({accuracies})"
        return Obtained(text, best["speed"]["mean"] >= 6.0)

    what = "flow, two cores: images/s over a plain 8-step Heun loop in bf16, at equal TSTR"
    return Line(what, ">= 6", "`quality.py sampling`", read)


def rival_line(rival: str, family: str, data: str = "fashion-mnist") -> Line:
    """TSTR and kernel distance of the family beside those of the rival."""

    def read(results: Results) -> Obtained | None:
        names = f"quality-tstr-{data}-{family}", f"quality-rival-{data}-{rival}"
        if not all(name in results for name in names):
            return None
        ours, theirs = (results[name]["summary"] for name in names)
        texts, better = [], []
        for what, name, digits, sign in (
            ("TSTR", "tstr_accuracy", 3, 1),
            ("kernel distance", "kernel_distance", 2, -1),
        ):
            texts.append(f"{what} {told(ours[name], digits)} against {told(theirs[name], digits)}")
            better.append(sign * (ours[name]["mean"] - theirs[name]["mean"]) > 0)
        return Obtained("; ".join(texts), all(better))

    what = f"{family} against {rival}, 10 min on two cores"
    return Line(what, "better on both", "`quality.py rivals`", read)


def few_line(family: str, result: str) -> Line:
    """Points that synthetic images add to classical augmentation."""

    def read(results: Results) -> Obtained | None:
        if result not in results:
            return None
        summary = results[result]["summary"]
        gain = summary["gain"]
        text = (
            f"{told(gain, 1, 100)} points, {seeds(summary)} (accuracy: real {told(summary['real'])}, with "
            f"classical {told(summary['classical'])}, and synthetic {told(summary['synthetic'])})"
        )
        return Obtained(text, gain["mean"] >= 0.02 and gain["low"] is not None and gain["low"] > 0)

    what = f"20 real images a class: real + classical + synthetic over real + classical, {family}"
    return Line(what, ">= +2 points, interval above 0", "`quality.py few`", read)


def training_line(family: str, result: str, where: str) -> Line:
    """Images per second of ``synth train`` over a bare loop."""

    def read(results: Results) -> Obtained | None:
        if result not in results:
            return None
        figures = results[result]
        best = max(figures["images_per_second"]["synth"])
        share = 100 * figures["data_share_of_step"]
        text = f"{told(figures['ratio'], 2)} ({best:,.0f} images/s; drawing a batch: {share:.1f} % of a step)"
        return Obtained(text, figures["ratio"]["mean"] >= 0.9)

    return Line(f"training speed over a bare loop, {family}, {where}", ">= 0.9", "`training.py`", read)


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
    sampling_line("quality-sampling-fashion-mnist-flow"),
    *(rival_line(rival, family) for rival in RIVALS for family in CPU_TARGETS),
    few_line("flow", "quality-few-fashion-mnist-flow"),
    few_line("vae", "quality-few-fashion-mnist-vae"),
    *(copies_line(family, f"quality-tstr-fashion-mnist-{family}", _TSTR) for family in CPU_TARGETS),
    *(training_line(family, f"training-{family}", "two cores") for family in CPU_TARGETS),
    tstr_line(f"{_H100}, gan", "quality-tstr-fashion-mnist-gan-cuda", 0.96, _CUDA),
    tstr_line(f"{_H100}, flow", "quality-tstr-fashion-mnist-flow-cuda", 0.98, _CUDA),
    tstr_line(f"{_H100}, flow in 2 calls", "quality-tstr-fashion-mnist-flow-2-calls-cuda", 0.96, _CUDA),
    tstr_line("CIFAR-10, 10 min on one H100, flow", "quality-tstr-cifar10-flow-cuda", 0.75, _CUDA),
)
"""In the order of the table."""

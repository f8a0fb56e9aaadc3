"""Part ``digits``: MNIST, USPS and digits on textures; a classifier for the one that has no labels.

Every method is trained and compared by ``synth adapt``, as a user would; its accuracies on the real test
images of the target make a row for each seed. Labels of the target are used for nothing else.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worth.commands import synth
from worth.ledger import Ledger, Row
from worth.statistics import interval, told

from shift import data
from synth.artifacts import Store

METHODS = ("source", "coral", "dann", "translate")


@dataclass(frozen=True)
class Task:
    """From labelled images to others; ``size`` is what both are brought to."""

    source: Callable[[Path, Path, bool], Path]
    target: Callable[[Path, Path, bool], Path]
    size: int = 28


TASKS = {
    "mnist-usps": Task(data.mnist, data.usps),
    "usps-mnist": Task(data.usps, data.mnist),
    "mnist-textures": Task(data.mnist, data.mnist_m),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tasks", default=",".join(TASKS), help="separated by commas")
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas")
    parser.add_argument("--minutes", type=float, default=8.0, help="of each training")
    parser.add_argument("--translator-minutes", type=float, help="of the translator's; default: --minutes")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of `synth adapt`")
    parser.add_argument(
        "--translator", default="cut", help="family that is trained to translate: cut, cyclegan"
    )
    parser.add_argument(
        "--set-translator", action="append", default=[], metavar="K=V", help="of `synth train`, for it"
    )
    parser.add_argument("--variant", default="", help="name of a result with other settings: cdan")


def run(options: argparse.Namespace) -> None:
    """Each task in turn, seed by seed."""
    if options.quick:
        options.minutes = options.translator_minutes = 0.1
    for name in options.tasks.split(","):
        ledger = Ledger(
            result_name(name, options.variant, options.device),
            {
                "task": name,
                "minutes": options.minutes,
                "methods": options.methods,
                "translator": options.translator,
                "set": options.set,
                **_of_translator(options),
            },
            summarise,
            folder=options.results,
            keep=not options.quick,
            fresh=options.fresh,
        )
        for seed in ledger.missing(options.seed_range):
            ledger.add(measure(options, name, seed))
            print(brief(name, ledger.figures()["summary"]), flush=True)


def _of_translator(options: argparse.Namespace) -> dict[str, Any]:
    """What else decides figures, as far as it was given."""
    given = {"translator_minutes": options.translator_minutes, "set_translator": options.set_translator}
    return {name: value for name, value in given.items() if value}


def result_name(task: str, variant: str = "", device: str = "cpu") -> str:
    """``domain-shift-mnist-usps``, with the variant and ``-cuda`` where there are."""
    parts = ["domain-shift", task, variant, "cuda" if device.startswith("cuda") else ""]
    return "-".join(part for part in parts if part)


def measure(options: argparse.Namespace, name: str, seed: int) -> Row:
    """The row of one seed."""
    task = TASKS[name]
    source, target = (make(options.shared, options.out, options.quick) for make in (task.source, task.target))
    model = "-".join(part for part in (name, options.variant, f"s{seed}") if part)
    words = ["--source", str(source), "--target", str(target), "--test", f"{target}:test", "--name", model]
    words += ["--size", str(task.size), "--seed", str(seed), "--device", options.device, "--overwrite"]
    words += ["--methods", options.methods, "--minutes", f"{options.minutes:g}", "--allow-label-drift"]
    words += [word for one in options.set for word in ("--set", one)]
    if "translate" in options.methods:
        words += ["--translator", _translator(options, model, source, target, task.size, seed)]
    out = options.out / "adaptations" / model
    synth(options.out, "adapt", *words, "--out", str(out))
    found = json.loads((out / "adaptation.json").read_text(encoding="utf-8"))
    row: Row = {
        "seed": seed,
        "chosen": found["chosen"].rpartition("@")[0].removeprefix(f"{model}-"),
        "methods": {},
    }
    for outcome in found["outcomes"]:
        row["methods"][outcome["method"]] = {
            "accuracy": outcome["accuracy"]["value"],
            "validation": outcome["validation"],
            "information": outcome["information"],
            "transfer": outcome["transfer"],
            "images_seen": outcome["images_seen"],
            "seconds": outcome["seconds"],
        }
    row["label_preservation"] = _preservation(options, model)
    return row


def _translator(
    options: argparse.Namespace, model: str, source: Path, target: Path, size: int, seed: int
) -> str:
    """A translator of the family asked for, trained here."""
    name = f"{model}-{options.translator}"
    words = ["--data", str(source), "--target", str(target), "--name", name, "--size", str(size)]
    minutes = options.translator_minutes or options.minutes
    words += ["--minutes", f"{minutes:g}", "--seed", str(seed), "--device", options.device]
    words += [word for one in options.set_translator for word in ("--set", one)]
    synth(options.out, "train", options.translator, *words)
    return name


def _preservation(options: argparse.Namespace, model: str) -> float | None:
    """What the translator's own manifest says; None where nothing was translated."""
    if "translate" not in options.methods:
        return None
    artifact = Store(options.out / "home" / "store").open(f"{model}-{options.translator}")
    metric = artifact.manifest.metrics.get("label_preservation")
    return None if metric is None else metric.value


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Accuracies and gains over source-only by method, with intervals over the seeds."""
    methods = list(rows[0]["methods"]) if rows else []
    values = {name: [row["methods"][name]["accuracy"] for row in rows] for name in methods}
    gains = {
        name: interval([value - base for value, base in zip(values[name], values["source"], strict=True)])
        for name in methods
        if name != "source"
    }
    kept = [row["label_preservation"] for row in rows if row["label_preservation"] is not None]
    chosen = [row["methods"][row["chosen"]]["accuracy"] for row in rows]
    return {
        "seeds": len(rows),
        "accuracy": {name: interval(found) for name, found in values.items()},
        "gain": gains,
        "chosen": interval(chosen),
        "label_preservation": interval(kept) if kept else None,
    }


def brief(name: str, summary: dict[str, Any]) -> str:
    """One line for the terminal."""
    found = ", ".join(f"{method} {told(figure, 4)}" for method, figure in summary["accuracy"].items())
    return f"  {name}, {summary['seeds']} seeds: {found}; chosen {told(summary['chosen'], 4)}"

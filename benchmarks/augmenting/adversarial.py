"""Part ``adversarial``: a classifier of MNIST that is trained to resist, and how far it does.

Trained by ``synth train classifier --set adversarial=...`` and attacked by ``synth robustness``, as a user
would, on test images drawn by the seed: PGD of 40 steps, RayS by decisions alone, and the checks for masked
gradients. ``seconds`` are those of the training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shift.data import SHARED, mnist
from worth.commands import synth
from worth.ledger import Ledger, Row
from worth.statistics import intervals

from synth.artifacts import Store

RESULT = "augment-adversarial"
EPS, STEPS = 0.3, 40
RECIPE = {
    "adversarial": "fgsm",
    "eps": EPS,
    "normalise": "none",
    "width": 16,
    "most": 32,
    "features": 256,
    "batch_size": 128,
    "learning_rate": 0.1,
    "precision": "bf16",
}
"""One step from a random start (Wong et al., arXiv 2001.03994), without batch normalisation."""
FIGURES = ("clean", "fgsm", "pgd", "rays", "worst", "checks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shared", type=Path, default=SHARED, help="folder of the real data")
    parser.add_argument("--images-seen", type=int, default=1_200_000, help="length of the training")
    parser.add_argument("--count", type=int, default=2_000, help="test images; 0: all")
    parser.add_argument("--restarts", type=int, default=2, help="of PGD")
    parser.add_argument("--queries", type=int, default=500, help="of RayS for each image")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of the recipe")
    parser.set_defaults(seeds=1)


def run(options: argparse.Namespace) -> None:
    """Seed by seed."""
    if options.quick:
        options.images_seen, options.count, options.restarts, options.queries = 1_280, 20, 1, 5
    ledger = Ledger(
        RESULT,
        {
            "recipe": RECIPE,
            "set": options.set,
            "images_seen": options.images_seen,
            "count": options.count,
            "eps": EPS,
            "steps": STEPS,
            "restarts": options.restarts,
            "queries": options.queries,
        },
        summarise,
        folder=options.results,
        keep=not options.quick,
        fresh=options.fresh,
    )
    for seed in ledger.missing(options.seed_range):
        ledger.add(measure(options, seed))
        print(json.dumps(ledger.figures()["summary"]), flush=True)


def measure(options: argparse.Namespace, seed: int) -> Row:
    """The row of one seed."""
    data = mnist(options.shared, options.out, options.quick)
    name, folder = f"robust-s{seed}", options.out / f"robustness-s{seed}"
    words = ["--data", str(data), "--name", name, "--seed", str(seed), "--device", options.device]
    words += ["--images-seen", str(options.images_seen)]
    settings = [f"{key}={value}" for key, value in RECIPE.items()] + options.set
    synth(options.out, "train", "classifier", *words, *(word for one in settings for word in ("--set", one)))
    words = ["--data", f"{data}:test", "--eps", str(EPS), "--steps", str(STEPS), "--seed", str(seed)]
    words += ["--restarts", str(options.restarts), "--queries", str(options.queries)]
    words += ["--count", str(options.count), "--device", options.device]
    attack = synth(options.out, "robustness", name, *words, "--out", str(folder), "--overwrite")
    report = json.loads((folder / "robustness.json").read_text(encoding="utf-8"))
    report["source"] = "mnist:test"  # and not where it lies on this machine
    manifest = Store(options.out / "home" / "store").open(name).manifest
    return {
        "seed": seed,
        "clean": report["clean"]["value"],
        **{one["attack"]: one["accuracy"]["value"] for one in report["attacks"]},
        "checks": sum(check["passed"] for check in report["checks"]) / len(report["checks"]),
        "report": report,
        "validation": {key: metric.value for key, metric in manifest.metrics.items()},
        "parameters": manifest.weights.parameters,
        "images_seen": manifest.training.images_seen,
        "seconds": manifest.training.seconds,
        "attack_seconds": attack,
    }


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Each figure over the seeds, and the mean length of the training."""
    seconds = [row["seconds"] for row in rows]
    return {**intervals(rows, FIGURES), "seconds": sum(seconds) / max(len(seconds), 1)}

"""Train on synthetic, test on real: what a generator's images are worth for training a classifier.

For each seed: train the family on the real training images, publish, generate a balanced labelled set, train
the project's small CNN on it and, with the same budget, on the real images, and test both on real test
images. Every step is the command that a user would type.

    python benchmarks/quality.py                    3 seeds, 8 minutes of training each: about 50 minutes
    python benchmarks/quality.py --quick            1 seed, 1 minute: about 4 minutes
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import write_result

from synth.data import ImageSet, load_images, open_source
from synth.evaluation import score_classifier, train_classifier

TARGET = 0.85


def main() -> None:
    """Measure, write the result after every seed, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", default="vae")
    parser.add_argument("--data", default="fashion-mnist", help="a built-in with a :test part")
    parser.add_argument("--minutes", type=float, default=8.0, help="training of one generator")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=20_000, help="synthetic images")
    parser.add_argument("--images-seen", type=int, default=300_000, help="training of one classifier")
    parser.add_argument("--quick", action="store_true", help="1 seed, 1 minute; the result is not kept")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.seeds, options.images_seen = 1.0, 1, 60_000
    real, test = load_images(open_source(options.data)), load_images(open_source(f"{options.data}:test"))
    rows: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        rows.append(measure(options, seed, real, test))
        figures = summarise(options, rows)
        if not options.quick:
            write_result(f"quality-{options.family}-{options.data}", figures)
    report(figures)


def measure(options: argparse.Namespace, seed: int, real: ImageSet, test: ImageSet) -> dict[str, Any]:
    """The figures of one seed."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SYNTH_HOME": str(Path(folder) / "home")}
        name, out = "benchmark", Path(folder) / "out"
        began = time.monotonic()
        synth(environment, "train", options.family, "--data", options.data, "--name", name,
              "--minutes", str(options.minutes), "--seed", str(seed))  # fmt: skip
        trained = time.monotonic()
        synth(environment, "generate", name, "--count", str(options.count), "--labels", "balanced",
              "--out", str(out), "--seed", str(seed + 1), "--format", "npz")  # fmt: skip
        generated = time.monotonic()
        synthetic = load_images(open_source(out))
    scores = {}
    for kind, images in (("real", real), ("synthetic", synthetic)):
        assert images.labels is not None
        assert images.classes is not None
        assert test.labels is not None
        network = train_classifier(
            images.images, images.labels, len(images.classes), seed=seed, images_seen=options.images_seen
        )
        scores[kind] = score_classifier(network, test.images, test.labels)
        print(f"seed {seed}: trained on {kind}: accuracy {scores[kind].accuracy:.4f}", flush=True)
    return {
        "seed": seed,
        "real_accuracy": scores["real"].accuracy,
        "tstr_accuracy": scores["synthetic"].accuracy,
        "ratio": scores["synthetic"].accuracy / scores["real"].accuracy,
        "tstr_per_class": dict(zip(test.classes or (), scores["synthetic"].per_class, strict=True)),
        "train_seconds": trained - began,
        "generate_seconds": generated - trained,
    }


def synth(environment: dict[str, str], *arguments: str) -> None:
    """Run the command line as a user would."""
    print("$ synth", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "synth", *arguments], env=environment, check=True)


def summarise(options: argparse.Namespace, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, with the 95 % interval of the mean (Student's t)."""
    summary = {}
    for name in ("real_accuracy", "tstr_accuracy", "ratio"):
        values = [row[name] for row in rows]
        mean = statistics.fmean(values)
        # Two-sided 97.5 % quantiles of t for 1 to 9 degrees of freedom.
        quantile = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
        spread = None
        if 2 <= len(values) <= 10:
            spread = quantile[len(values) - 2] * statistics.stdev(values) / len(values) ** 0.5
        summary[name] = {"mean": mean, "interval_95": spread}
    return {"settings": vars(options), "target_ratio": TARGET, "summary": summary, "seeds": rows}


def report(figures: dict[str, Any]) -> None:
    """The table on stdout."""
    for name, value in figures["summary"].items():
        interval = "" if value["interval_95"] is None else f" +- {value['interval_95']:.4f}"
        print(f"{name:15}  {value['mean']:.4f}{interval}")
    print(f"{'target ratio':15}  {figures['target_ratio']}")


if __name__ == "__main__":
    main()

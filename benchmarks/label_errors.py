"""Planted label errors: how many of 3 % flipped labels are among the 5 % of images that are doubted most?

Labels of Fashion-MNIST are replaced by another class, chosen at random, and looked for as ``synth check``
does:
by confident learning with cross-validated classifiers that never saw the image. What Fashion-MNIST itself
has in
wrong labels counts as right here, so that the figures are a little too low.

    python benchmarks/label_errors.py               60,000 images: about 4 minutes on two cores
    python benchmarks/label_errors.py --quick       3,000 images: about 40 seconds; the result is not kept
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from record import write_result

from synth.data import ImageSet, load_images, open_source
from synth.evaluation.integrity.confident import estimate_joint, margin, prune, ranking
from synth.evaluation.integrity.predictions import FOLDS, cross_validated, images_seen_for
from synth.randomness import permutation, stream_id

TARGET = 0.8
FLIPPED = 0.03
LOOKED_AT = 0.05
_WHICH, _HOW, _SUBSET = (stream_id(f"benchmark/flip/{name}") for name in ("which", "how", "subset"))


def main() -> None:
    """Measure, print the table and, unless ``--quick``, write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--count", type=int, default=None, help="images; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="3,000 images; the result is not kept")
    options = parser.parse_args()
    images = load_images(open_source(options.data))
    count = 3_000 if options.quick else options.count
    if count is not None:
        images = images.subset(np.sort(permutation(options.seed, 0, _SUBSET, len(images))[:count]))
    figures = {"data": options.data, **measure(images, options.seed)}
    for name, value in figures.items():
        print(f"{name:28}  {value}")
    if not options.quick:
        write_result("label-errors", figures)


def measure(images: ImageSet, seed: int) -> dict[str, Any]:
    """Flip, look, and count what was found."""
    assert images.labels is not None
    assert images.classes is not None
    truth, classes = images.labels.numpy(), len(images.classes)
    labels, flipped = flip(truth, classes, seed)
    began, cpu = time.monotonic(), time.process_time()
    probabilities = cross_validated(images.images, labels, classes, images.ids, seed=seed)
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - cpu
    looked_at = round(LOOKED_AT * len(labels))
    pruned = prune(probabilities, labels)
    joint = estimate_joint(probabilities, labels)
    orders = {
        "self-confidence": ranking(probabilities, labels),
        "margin": np.argsort(margin(probabilities, labels), kind="stable"),
    }
    found = {name: float(np.isin(flipped, order[:looked_at]).mean()) for name, order in orders.items()}
    return {
        "images": len(labels),
        "flipped": len(flipped),
        "looked_at": looked_at,
        "folds": FOLDS,
        "images_seen_per_fold": images_seen_for(len(labels)),
        "accuracy_against_truth": float((probabilities.argmax(axis=1) == truth).mean()),
        "found": found["self-confidence"],
        "target": TARGET,
        "found_by_margin": found["margin"],
        "found_by_chance": LOOKED_AT,
        "pruned": int(pruned.sum()),
        "pruned_recall": float(pruned[flipped].mean()),
        "pruned_precision": float(np.isin(np.flatnonzero(pruned), flipped).mean()),
        "estimated_noise": float(1.0 - np.trace(joint)),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
    }


def flip(labels: np.ndarray, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels with ``FLIPPED`` of them replaced by another class, and int64 positions of those."""
    rows = np.sort(permutation(seed, 0, _WHICH, len(labels))[: round(FLIPPED * len(labels))])
    turns = 1 + permutation(seed, 0, _HOW, len(rows)) % (classes - 1)
    noisy = labels.copy()
    noisy[rows] = (noisy[rows] + turns) % classes
    return noisy, rows


if __name__ == "__main__":
    main()

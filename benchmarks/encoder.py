"""What the features of a self-supervised encoder are worth: kNN accuracy on Fashion-MNIST.

Trains an encoder for ten minutes by ``synth.fit``, without labels, and asks the 20 nearest of all training
images, by weighted vote, what the test images show. Beside it stand the pixels themselves and networks that
were never trained: the random extractor, and the encoder's own network with and without whitening.

    python benchmarks/encoder.py                      10 minutes of training, about 13 in all
    python benchmarks/encoder.py --quick              half a minute; the result is not kept
    python benchmarks/encoder.py --images-seen N      by images, where other work shares the machine
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from record import write_result
from torch import Tensor

from synth import fit, resolve_recipe
from synth.artifacts import Artifact, Store
from synth.data import ImageSet, load_images, open_source
from synth.evaluation import open_extractor
from synth.evaluation.neighbours import knn_accuracy

TARGET = 0.86
NEIGHBOURS = 20


def main() -> None:
    """Train, measure, write the result and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="fashion-mnist", help="a built-in with a :test part")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--images-seen", type=int, help="length of training, instead of minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--objective", default="simclr")
    parser.add_argument("--quick", action="store_true", help="half a minute, few images; not kept")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.images_seen = 0.5, None
    train, test = load_images(open_source(options.data)), load_images(open_source(f"{options.data}:test"))
    if options.quick:
        train, test = train.subset(range(10_000)), test.subset(range(1_000))
    with tempfile.TemporaryDirectory() as folder:
        artifact, seconds = train_encoder(options, Path(folder))
        figures = measure(artifact, train, test)
    figures["settings"] = vars(options)
    figures["training"] = {**seconds, "images_seen": artifact.manifest.training.images_seen}
    if not options.quick:
        write_result(f"encoder-{options.data}", figures)
    print(json.dumps(figures, indent=2))


def train_encoder(options: argparse.Namespace, folder: Path) -> tuple[Artifact, dict[str, float]]:
    """The encoder, and what it took: seconds by the clock, and of processors."""
    length = {"images_seen": options.images_seen} if options.images_seen else {"minutes": options.minutes}
    flags = {**length, "seed": options.seed}
    recipe = resolve_recipe("encoder", overrides=[f"objective={options.objective}"], flags=flags)
    began, spent = time.monotonic(), os.times()
    artifact = fit(
        "encoder", options.data, recipe, name="benchmark", store=Store(folder / "store"), runs=folder / "runs"
    )
    now = os.times()
    return artifact, {
        "seconds": time.monotonic() - began,
        "cpu_seconds": now.user + now.system - spent.user - spent.system,
    }


def measure(artifact: Artifact, train: ImageSet, test: ImageSet) -> dict[str, Any]:
    """Accuracies, all by the same vote of the same neighbours' labels."""
    encoder, random = open_extractor(artifact.path), open_extractor("random")
    ours = [encoder.features(images.images) for images in (train, test)]
    theirs = [random.features(images.images) for images in (train, test)]
    pixels = [images.images.flatten(1).float() / 255 for images in (train, test)]
    accuracy = {
        "encoder": vote(ours, train, test),
        "pixels": vote(pixels, train, test),
        "random_network": vote(theirs, train, test),
        "random_network_whitened": vote(whitened(theirs), train, test),
    }
    return {
        "knn_accuracy": accuracy,
        "target": TARGET,
        "met": accuracy["encoder"] >= TARGET,
        "neighbours": NEIGHBOURS,
        "counts": {"train": len(train), "test": len(test)},
        "extractor": {"digest": encoder.digest, "dimensions": encoder.dimensions},
        "metrics": {name: metric.value for name, metric in artifact.manifest.metrics.items()},
    }


def vote(features: list[Tensor], train: ImageSet, test: ImageSet) -> float:
    """Accuracy on the test images; of features by [train, test]."""
    assert train.labels is not None
    assert test.labels is not None
    return knn_accuracy(features[1], test.labels, features[0], train.labels, neighbours=NEIGHBOURS)


def whitened(features: list[Tensor]) -> list[Tensor]:
    """The same along their principal axes, each divided by its deviation, as the encoder's are."""
    from synth.models.encoder import Whitening

    whitening = Whitening(features[0].shape[1])
    whitening.fit(features[0][:20_000], 1.0, 1e-3)
    with torch.inference_mode():
        return [whitening(part) for part in features]


if __name__ == "__main__":
    main()

"""Part ``few``: do synthetic images help a classifier that has 20 real ones a class?

For each seed other images are drawn, and everything is learnt from these alone: the generator, and three
classifiers of the same length of training: real; real with classical augmentation; and the latter with a
share of synthetic images. That share was fixed before anything was measured, at what the literature finds
best (30 to 50 %). How often a generator sees its images was tried on the draws 100 and 101, and judged by
training images that are in none of these; no test image had a say in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.data import ImageSet, load_images, open_source
from synth.evaluation import score_classifier, train_classifier
from synth.evaluation.classical import augment_classically
from synth.evaluation.mixtures import stratified
from worth.commands import generate, train, training_figures
from worth.ledger import Ledger, Row
from worth.sheet import contact_sheet
from worth.statistics import intervals, told
from worth.yardstick import held_out

SEEDS = 5
SETTINGS = {"flow": ("student_share=0",)}
"""Of ``synth train``: no time is spent on students, which are not asked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--families", default="flow,vae", help="separated by commas")
    parser.add_argument("--per-class", type=int, default=20, help="real images")
    parser.add_argument("--passes", type=int, default=150, help="of a generator over its images")
    parser.add_argument("--count", type=int, default=4_000, help="synthetic images")
    parser.add_argument("--share", type=float, default=0.5, help="of synthetic images in each batch")
    parser.add_argument("--images-seen", type=int, default=100_000, help="training of one classifier")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of `synth train`")
    parser.set_defaults(seeds=SEEDS)


def run(options: argparse.Namespace) -> None:
    """Each family in turn, seed by seed."""
    if options.quick:
        options.passes, options.count, options.images_seen = 5, 500, 5_000
    if not 0.0 < options.share < 1.0:
        raise SystemExit(f"--share is between 0 and 1, not {options.share}.")
    real, test = load_images(open_source(options.data)), load_images(open_source(held_out(options)))
    for family in options.families.split(","):
        names = ("data", "per_class", "passes", "count", "share", "images_seen", "set")
        ledger = Ledger(
            f"quality-few-{Path(options.data).stem}-{family}",
            {"family": family, **{name: getattr(options, name) for name in names}},
            summarise,
            folder=options.results,
            keep=not options.quick,
            fresh=options.fresh,
        )
        for seed in ledger.missing(options.seed_range):
            ledger.add(measure(options, family, seed, real, test))
            gain = ledger.figures()["summary"]["gain"]
            print(f"{family}: {told(gain, 2, 100)} points over classical augmentation", flush=True)


def measure(options: argparse.Namespace, family: str, seed: int, real: ImageSet, test: ImageSet) -> Row:
    """One draw of real images, and what is learnt from it."""
    few, path = draw(options, seed, real)
    settings = [f"images_seen={options.passes * len(few)}", *SETTINGS.get(family, ()), *options.set]
    artifact = train(options.out, family, str(path), None, seed, options.device, settings)
    synthetic, _ = generate(options.out, artifact, options.count, seed + 1, options.device)
    contact_sheet(synthetic, options.out / "sheets" / f"few-{family}-{seed}.png")
    mixed = mix(few, synthetic, options.share)
    found = {
        "real": accuracy(options, few, test, seed, classical=False),
        "classical": accuracy(options, few, test, seed, classical=True),
        "synthetic": accuracy(options, mixed, test, seed, classical=True),
    }
    print(f"seed {seed}:", ", ".join(f"{name} {value:.4f}" for name, value in found.items()), flush=True)
    gain = found["synthetic"] - found["classical"]
    return {"seed": seed, **found, "gain": gain, **training_figures(artifact)}


def draw(options: argparse.Namespace, seed: int, real: ImageSet) -> tuple[ImageSet, Path]:
    """So many images of each class, and the file that the generator is trained on."""
    assert real.labels is not None
    assert real.classes is not None
    rows = stratified(real.labels, options.per_class * len(real.classes), seed=seed)
    few = real.subset(rows)
    assert few.labels is not None
    path = options.out / f"few-{options.per_class}-{seed}.npz"
    pixels = few.images.permute(0, 2, 3, 1).numpy()
    np.savez(path, images=pixels, labels=few.labels.numpy(), class_names=list(real.classes))
    return few, path


def mix(real: ImageSet, synthetic: ImageSet, share: float) -> ImageSet:
    """Both in one set, the real images so often that ``share`` of it is synthetic (to the nearest copy)."""
    times = max(1, round(len(synthetic) * (1.0 - share) / share / len(real)))
    together = [*[real] * times, synthetic]
    assert real.labels is not None
    assert synthetic.labels is not None
    return ImageSet(
        images=torch.cat([one.images for one in together]),
        labels=torch.cat([one.labels for one in together if one.labels is not None]),
        ids=tuple(name for one in together for name in one.ids),
        classes=real.classes,
        notes=(),
        source="real and synthetic",
    )


def accuracy(
    options: argparse.Namespace, images: ImageSet, test: ImageSet, seed: int, *, classical: bool
) -> float:
    """On the real test images."""
    assert images.labels is not None
    assert test.labels is not None
    network = train_classifier(
        images.images,
        images.labels,
        len(test.classes or ()),
        seed=seed,
        images_seen=options.images_seen,
        device=options.device,
        augment=augment_classically if classical else None,
    )
    return score_classifier(network, test.images, test.labels).accuracy


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Means with intervals; the gain is paired by seed."""
    return intervals(rows, ("real", "classical", "synthetic", "gain"))

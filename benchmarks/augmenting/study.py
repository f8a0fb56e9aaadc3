"""Part ``study``: what policies are worth on Fashion-MNIST, for a ResNet-8, by how many images there are.

Every policy but ``none`` begins with ``basic`` (mirroring and shifts of up to two pixels), as in the papers
that the others come from; what they add to it is paired by seed. A seed draws the real images, but where all
are used, and the weights and the order of training, which are the same for all policies. Each size has one
length of training, and every image is tested on as it is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from worth.ledger import Ledger, Row
from worth.statistics import interval, told

from augmenting.resnet import BATCH, DECAY, MOMENTUM, RATE, WIDTH, Batches, accuracy, precision, train
from synth.augment import Partners, Pipeline, Samples
from synth.data import ImageSet, load_images, open_source
from synth.evaluation.mixtures import stratified

RESULT = "augment-study"
BASIC = [{"operation": "crop@1", "padding": 2}, "horizontal_flip@1"]
POLICIES: Mapping[str, Mapping[str, Any] | None] = {
    "none": None,
    "basic": {"sample": BASIC},
    "random_erasing": {"sample": [*BASIC, {"operation": "random_erasing@1", "probability": 0.5}]},
    "mixup": {"sample": BASIC, "batch": ["mixup@1"]},
    "cutmix": {"sample": BASIC, "batch": ["cutmix@1"]},
    "randaugment": {"sample": [*BASIC, "randaugment@1"]},
    "augmix": {"sample": [*BASIC, "augmix@1"]},
}
FULL = 60_000
IMAGES_SEEN = {500: 75_000, 2_000: 200_000, FULL: 1_200_000}
"""By how many images there are: the length of each training."""
SEEDS = {500: 5}
"""Of the others 3."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", default=",".join(map(str, IMAGES_SEEN)), help="separated by commas")
    parser.add_argument("--policies", default=",".join(POLICIES), help="separated by commas")
    parser.add_argument("--full", default="basic,random_erasing", help=f"policies with {FULL:,} images")
    parser.set_defaults(seeds=max(SEEDS.values()))


def run(options: argparse.Namespace) -> None:
    """Seed by seed in each size, so that all policies have as many."""
    lengths = {int(size): IMAGES_SEEN[int(size)] for size in options.sizes.split(",")}
    if options.quick:
        lengths = dict.fromkeys(lengths, 2 * BATCH)
    ledger = Ledger(
        RESULT,
        settings(),
        summarise,
        folder=options.results,
        keep=not options.quick,
        fresh=options.fresh,
    )
    real, test = (load_images(open_source(name)) for name in ("fashion-mnist", "fashion-mnist:test"))
    if options.quick:
        real, test = real.subset(list(range(2_500))), test.subset(list(range(500)))
    for size, images_seen in lengths.items():
        policies = (options.full if size == FULL else options.policies).split(",")
        for seed in options.seed_range[: SEEDS.get(size, 3)]:
            few = real if size >= len(real) else real.subset(drawn(real, size, seed))
            for policy in policies:
                if not ledger.has(size=size, policy=policy, seed=seed):
                    ledger.add(measure(few, test, size, policy, seed, images_seen))


def settings() -> dict[str, Any]:
    """All that decides the figures, but for the seeds."""
    return {
        "images_seen": {str(size): count for size, count in IMAGES_SEEN.items()},
        "network": {"width": WIDTH, "precision": precision()},
        "training": {"batch": BATCH, "rate": RATE, "momentum": MOMENTUM, "weight_decay": DECAY},
        "policies": {
            name: None if spec is None else Pipeline.read(spec).specification.plain()
            for name, spec in POLICIES.items()
        },
    }


def drawn(real: ImageSet, size: int, seed: int) -> list[int]:
    """Positions of as many images of each class."""
    assert real.labels is not None
    return [int(row) for row in stratified(real.labels, size, seed=seed)]


def measure(real: ImageSet, test: ImageSet, size: int, policy: str, seed: int, images_seen: int) -> Row:
    """The row of one training."""
    assert test.labels is not None
    begin, spent = time.perf_counter(), time.process_time()
    network = train(
        batches(real, policy, seed),
        len(real),
        real.images.shape[1],
        len(real.classes or ()),
        seed=seed,
        images_seen=images_seen,
    )
    row = {
        "size": size,
        "policy": policy,
        "seed": seed,
        "error": 1.0 - accuracy(network, test.images, test.labels),
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(time.process_time() - spent, 1),
    }
    print(
        f"{size:,} images, {policy}, seed {seed}: {100 * row['error']:.2f} % ({row['seconds']} s)", flush=True
    )
    return row


def batches(real: ImageSet, policy: str, seed: int) -> Batches:
    """Batches of images augmented by the policy, and their labels."""
    images, labels, spec = real.images, real.labels, POLICIES[policy]
    assert labels is not None

    def samples(rows: Tensor) -> Samples:
        return Samples(images[rows], tuple(rows.tolist()), labels[rows])

    if spec is None:
        return lambda rows, epoch: (images[rows], labels[rows])
    pipeline = Pipeline.read(spec, seed=seed)
    partners = Partners(
        range(len(real)), lambda place: samples(torch.tensor([place])), len(real.classes or ())
    )

    def augmented(rows: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        made = pipeline.run(samples(rows), epoch, partners)
        assert made.labels is not None
        return made.images, made.labels

    return augmented


def summarise(rows: list[Row]) -> dict[str, Any]:
    """By size and policy: the error, and how far it is below that of ``basic``, with intervals."""
    found: dict[str, Any] = {}
    for size in sorted({row["size"] for row in rows}):
        errors = {(row["policy"], row["seed"]): row["error"] for row in rows if row["size"] == size}
        found[str(size)] = {name: _figures(errors, name) for name in POLICIES if _seeds(errors, name)}
    return found


def _seeds(errors: Mapping[tuple[str, int], float], policy: str) -> list[int]:
    return [seed for name, seed in errors if name == policy]


def _figures(errors: Mapping[tuple[str, int], float], policy: str) -> dict[str, Any]:
    seeds = _seeds(errors, policy)
    gains = [errors["basic", seed] - errors[policy, seed] for seed in seeds if ("basic", seed) in errors]
    return {
        "seeds": len(seeds),
        "error": interval([errors[policy, seed] for seed in seeds]),
        "gain": interval(gains) if gains and policy != "basic" else None,
    }


def cell(figures: Mapping[str, Any]) -> str:
    """``9.21 ± 0.31; +0.40 ± 0.22``: the error, and how much lower than ``basic`` it is, in per cent."""
    text = told(figures["error"], 2, 100)
    if figures["gain"] is None:
        return text
    sign = "+" if figures["gain"]["mean"] >= 0 else ""
    return f"{text}; {sign}{told(figures['gain'], 2, 100)}"

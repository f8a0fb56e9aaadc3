"""Part ``general``: a classifier of MNIST alone, tested on domains that it has never seen.

Single-domain generalisation: the small CNN is trained on MNIST with classical augmentation, and with that
and as many images again in random styles of the ``style`` family; both see the same number of images. The
style model is trained on MNIST and on paintings. Tested on USPS, and on MNIST's test images inverted,
coloured and on textures.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from worth.commands import synth
from worth.ledger import Ledger, Row
from worth.statistics import interval, told

from shift import data
from shift.textures import on_textures
from synth.artifacts import Store
from synth.data import load_images, open_source
from synth.evaluation.classical import augment_classically
from synth.evaluation.utility import score_classifier, train_classifier
from synth.randomness import stream_id, uniforms
from synth.sampling import Sampler

VARIANTS = ("usps", "inverted", "coloured", "textured")
ARMS = ("classical", "style")
_SIZE = 28
_CHUNK = 1_000
_COLOURS = stream_id("benchmark/coloured")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=8.0, help="training of the style model")
    parser.add_argument("--images-seen", type=int, default=300_000, help="of each classifier")
    parser.add_argument("--strength", type=float, help="of the styles; default: the model's own")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of `synth train style`")


def run(options: argparse.Namespace) -> None:
    """Seed by seed."""
    if options.quick:
        options.minutes, options.images_seen = 0.1, 3_000
    ledger = Ledger(
        result_name(options.device),
        {
            "minutes": options.minutes,
            "images_seen": options.images_seen,
            "strength": options.strength,
            "set": options.set,
        },
        summarise,
        folder=options.results,
        keep=not options.quick,
        fresh=options.fresh,
    )
    for seed in ledger.missing(options.seed_range):
        ledger.add(measure(options, seed))
        print(brief(ledger.figures()["summary"]), flush=True)


def result_name(device: str = "cpu") -> str:
    """``domain-shift-general``, with ``-cuda`` where it is."""
    return "domain-shift-general" + ("-cuda" if device.startswith("cuda") else "")


def measure(options: argparse.Namespace, seed: int) -> Row:
    """The row of one seed: accuracy by arm and variant."""
    mnist = data.mnist(options.shared, options.out, options.quick)
    paintings = data.folder(options.shared, "monet2photo") / "trainA"
    name = f"style-s{seed}"
    words = ["--data", str(mnist), "--target", str(paintings), "--name", name, "--size", str(_SIZE)]
    words += ["--minutes", f"{options.minutes:g}", "--seed", str(seed), "--device", options.device]
    synth(options.out, "train", "style", *words, *(word for one in options.set for word in ("--set", one)))
    training = load_images(open_source(mnist), channels=3)
    assert training.labels is not None
    images, labels = training.images, training.labels
    styled = _styled(options, name, images, seed)
    sets = {
        "classical": (images, labels),
        "style": (torch.cat([images, styled]), torch.cat([labels, labels])),
    }
    tests = variants(options, mnist)
    row: Row = {"seed": seed}
    for arm, (shown, classes) in sets.items():
        network = train_classifier(
            shown,
            classes,
            10,
            seed=seed,
            images_seen=options.images_seen,
            device=options.device,
            augment=lambda batch, key, index: augment_classically(batch, key, index, flip=False),
        )
        row[arm] = {kind: score_classifier(network, *test).accuracy for kind, test in tests.items()}
    return row


def _styled(options: argparse.Namespace, name: str, images: Tensor, seed: int) -> Tensor:
    """Every image once more, in a random style of its own."""
    sampler = Sampler.open(name, store=Store(options.out / "home" / "store"), device=options.device)
    parameters = {} if options.strength is None else {"strength": options.strength}
    parts = [
        sampler.translate(images[at : at + _CHUNK], seed=seed, start=at, **parameters).images
        for at in range(0, len(images), _CHUNK)
    ]
    return torch.cat(parts)


def variants(options: argparse.Namespace, mnist: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Test images uint8 [N, 3, 28, 28] and labels of each variant, and of MNIST itself."""
    usps = load_images(
        open_source(f"{data.usps(options.shared, options.out, options.quick)}:test"),
        size=(_SIZE, _SIZE),
        channels=3,
    )
    own = load_images(open_source(f"{mnist}:test"), channels=3)
    assert own.labels is not None
    assert usps.labels is not None
    grey = own.images[:, :1]
    return {
        "mnist": (own.images, own.labels),
        "usps": (usps.images, usps.labels),
        "inverted": (255 - own.images, own.labels),
        "coloured": (coloured(grey, seed=2), own.labels),
        "textured": (on_textures(grey, seed=3), own.labels),
    }


def coloured(digits: Tensor, *, seed: int) -> Tensor:
    """uint8 [N, 3, S, S]: each digit in one random colour on another, 0.3 or more away from it."""
    draws = uniforms(seed, torch.arange(len(digits)), _COLOURS, 6)
    ink, ground = draws[:, :3, None, None], draws[:, 3:, None, None]
    far = (ink - ground).abs().amax(dim=1, keepdim=True) >= 0.3
    ink = torch.where(far, ink, 1.0 - ink.round())  # to the opposite corner of the cube
    shown = digits.float() / 255.0
    return ((ground + (ink - ground) * shown) * 255.0).round().to(torch.uint8)


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Accuracy by arm and variant, and the mean gain over the variants, with intervals over the seeds."""
    found: dict[str, Any] = {"seeds": len(rows)}
    for arm in ARMS:
        found[arm] = {
            kind: interval([row[arm][kind] for row in rows]) for kind in (rows[0][arm] if rows else ())
        }
    gains = [
        sum(row["style"][kind] - row["classical"][kind] for kind in VARIANTS) / len(VARIANTS) for row in rows
    ]
    return {**found, "gain": interval(gains)}


def brief(summary: dict[str, Any]) -> str:
    """One line for the terminal."""
    arms = "; ".join(
        f"{arm} " + ", ".join(f"{kind} {told(figure)}" for kind, figure in summary[arm].items())
        for arm in ARMS
    )
    return f"  {summary['seeds']} seeds: {arms}; gain {told(summary['gain'], 1, 100)} points"

"""Part ``photographs``: photographs as Monet's paintings at 128 pixels, with a picture that is kept.

For a GPU. Of each seed the figures of the model's own manifest; of the first one also a picture, of
photographs that were not trained on and what is made of them, ``docs/images/photographs-FAMILY.jpg``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from worth.commands import synth, training_figures
from worth.ledger import Row
from worth.statistics import interval, told

from shift import families
from shift.data import folder
from synth.artifacts import Artifact, Store
from synth.data import load_images, open_source
from synth.data.grid import grid
from synth.sampling import Sampler

MEASURES = ("gap_closed", "geometry", "change")
"""Those of the manifest: how much nearer the domain is, whether edges stay, and how much is changed."""
_SHOWN = 8
_IMAGES = Path(__file__).parents[2] / "docs" / "images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    families.add_arguments(parser, families="cut,cyclegan", minutes=4.0, size=128)
    parser.add_argument("--pictures", type=Path, default=_IMAGES, help="folder of the kept pictures")


def run(options: argparse.Namespace) -> None:
    """Each family in turn, seed by seed."""
    if options.quick:
        options.minutes, options.size, options.pictures = 0.1, 32, options.out
    paintings = folder(options.shared, "monet2photo")

    def row(family: str, seed: int) -> Row:
        artifact = _train(options, family, paintings, seed)
        if seed == options.first_seed:
            picture = _picture(options, artifact, paintings)
            picture.save(options.pictures / f"photographs-{family}.jpg", quality=88)
        return measured(artifact, seed)

    families.run_each(options, result_name, row, summarise, brief)


def result_name(family: str, device: str = "cpu") -> str:
    """``domain-shift-photographs-cut``, with ``-cuda`` where it is."""
    return f"domain-shift-photographs-{family}" + ("-cuda" if device.startswith("cuda") else "")


def _train(options: argparse.Namespace, family: str, paintings: Path, seed: int) -> Artifact:
    name = f"photographs-{family}-s{seed}"
    words = ["--data", str(paintings / "trainB"), "--target", str(paintings / "trainA"), "--name", name]
    words += ["--size", str(options.size), "--seed", str(seed), "--minutes", f"{options.minutes:g}"]
    words += ["--device", options.device, *(word for one in options.set for word in ("--set", one))]
    synth(options.out, "train", family, *words)
    return Store(options.out / "home" / "store").open(name)


def _picture(options: argparse.Namespace, artifact: Artifact, paintings: Path) -> Image.Image:
    """Photographs above, and below each what is made of it."""
    size = (options.size, options.size)
    before = load_images(open_source(paintings / "testB"), size=size).sample(_SHOWN).images
    sampler = Sampler.open(
        artifact.manifest.reference, store=Store(options.out / "home" / "store"), device=options.device
    )
    return grid(torch.cat([before, sampler.translate(before, seed=0).images]), len(before))


def measured(artifact: Artifact, seed: int) -> Row:
    """The row of one seed."""
    metrics = artifact.manifest.metrics
    return {
        "seed": seed,
        **training_figures(artifact),
        **{name: metrics[name].value for name in MEASURES},
    }


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Each measure, with intervals over the seeds."""
    return {"seeds": len(rows), **{name: interval([row[name] for row in rows]) for name in MEASURES}}


def brief(family: str, summary: dict[str, Any]) -> str:
    """One line for the terminal."""
    figures = ", ".join(f"{name} {told(summary[name])}" for name in MEASURES)
    return f"  {family}, {summary['seeds']} seeds: {figures}"

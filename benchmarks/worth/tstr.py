"""Part ``tstr``: what a family is worth for training, and how near to the real images its own come."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from worth.commands import generate, train, training_figures
from worth.ledger import Ledger, Row
from worth.sheet import contact_sheet
from worth.statistics import intervals, told
from worth.yardstick import QUICK, Extent, Yardstick, held_out

RATES = ("real_accuracy", "tstr_accuracy", "ratio")
FIDELITY = ("kernel_distance", "precision", "recall", "density", "coverage", "near_copies")
SPEED = ("train_images_per_second",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--families", default="vae,gan,flow", help="separated by commas")
    parser.add_argument("--minutes", type=float, default=10.0, help="training of one generator")
    parser.add_argument("--count", type=int, default=20_000, help="synthetic images")
    parser.add_argument("--set", action="append", default=[], metavar="K=V", help="of `synth train`")
    parser.add_argument(
        "--sampling", action="append", default=[], metavar="K=V", help="--set of `synth generate`"
    )
    parser.add_argument("--variant", default="", help="name of a result with other settings: 2-calls")


def run(options: argparse.Namespace) -> None:
    """Each family in turn, seed by seed."""
    if options.quick:
        options.minutes, options.count = 0.25, 1_000
    extent = QUICK if options.quick else Extent()
    yardstick = Yardstick(options.data, held_out(options), options.out, extent, options.device)
    for family in options.families.split(","):
        ledger = Ledger(
            result_name(family, options.data, options.device, options.variant),
            {
                "family": family,
                "data": options.data,
                "minutes": options.minutes,
                "count": options.count,
                "train": options.set,
                "sampling": options.sampling,
                "extent": vars(extent),
            },
            summarise,
            folder=options.results,
            keep=not options.quick,
            fresh=options.fresh,
        )
        for seed in ledger.missing(options.seed_range):
            ledger.add(measure(options, family, seed, yardstick))
            print(brief(ledger.figures()["summary"]), flush=True)


def result_name(family: str, data: str, device: str, variant: str = "") -> str:
    """``quality-tstr-fashion-mnist-flow``, with ``-cuda`` and the variant where there are."""
    parts = ["quality-tstr", Path(data).stem, family, variant, "cuda" if device.startswith("cuda") else ""]
    return "-".join(part for part in parts if part)


def measure(options: argparse.Namespace, family: str, seed: int, yardstick: Yardstick) -> Row:
    """The row of one seed: train, generate, and hold the images to the measures."""
    artifact = train(
        options.out, family, options.data, options.minutes, seed, options.device, settings=options.set
    )
    synthetic, seconds = generate(
        options.out, artifact, options.count, seed + 1, options.device, settings=options.sampling
    )
    name = f"{family}{options.variant and '-'}{options.variant}-{seed}.png"
    contact_sheet(synthetic, options.out / "sheets" / name)
    row = {
        "seed": seed,
        **yardstick.tstr(synthetic, seed),
        **yardstick.fidelity(synthetic),
        "floor": yardstick.floor,
        **training_figures(artifact),
        "generate_seconds": seconds,
        "count": len(synthetic),
    }
    print(f"{family}, seed {seed}: TSTR {row['tstr_accuracy']:.4f}, real {row['real_accuracy']:.4f}")
    return row


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Means with intervals over the seeds."""
    return intervals(rows, (*RATES, *FIDELITY, *SPEED))


def brief(summary: dict[str, Any]) -> str:
    """One line for the terminal."""
    names = (*RATES, *FIDELITY)
    return f"  {summary['seeds']} seeds: " + ", ".join(f"{name} {told(summary[name], 4)}" for name in names)

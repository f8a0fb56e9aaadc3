"""Part ``rivals``: other projects at their defaults, for the same time on the same machine.

Each runs in an environment of its own, made by uv with pinned versions. All three train one unconditional
model on all images for the whole budget; the classifier trained on real images then labels what they make.
Of the ways to get labels this favours them most: one model a class would leave each a tenth of the time, and
a classifier that has seen 60,000 real images knows more than their samples do. Sampling may take as long as
training; what is made by then counts, down to the few images of a slow sampler.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synth.data import ImageSet
from synth.evaluation import train_classifier
from synth.evaluation.utility import predict_classifier
from synth.machine import usable_cpus
from worth.ledger import Ledger, Row
from worth.sheet import contact_sheet
from worth.statistics import intervals, told
from worth.yardstick import QUICK, Extent, Yardstick, held_out

RIVALS = {
    "pythae": ("pythae==0.1.2", "pythae_vae.py"),
    "denoising-diffusion-pytorch": ("denoising-diffusion-pytorch==2.3.4", "ddpm.py"),
    "lightweight-gan": ("lightweight-gan==1.2.1", "lightgan.py"),
}
"""By name: what is installed, beside torch and torchvision in our own versions, and the driver."""
DRIVERS = Path(__file__).parent / "drivers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rival", choices=tuple(RIVALS), required=True)
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, and at most of sampling")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--environments", type=Path, help="folder of them; default: OUT/environments")


def run(options: argparse.Namespace) -> None:
    """Seed by seed."""
    if options.quick:
        options.minutes, options.count = 0.1, 500
    extent = QUICK if options.quick else Extent()
    python = environment(options.rival, options.environments or options.out / "environments")
    yardstick = Yardstick(options.data, held_out(options), options.out, extent, options.device)
    device = "-cuda" if options.device.startswith("cuda") else ""
    ledger = Ledger(
        f"quality-rival-{Path(options.data).stem}-{options.rival}{device}",
        {
            "rival": RIVALS[options.rival][0],
            "data": options.data,
            "minutes": options.minutes,
            "count": options.count,
            "extent": vars(extent),
        },
        lambda rows: intervals(rows, ("tstr_accuracy", "ratio", "kernel_distance", "made", "images_seen")),
        folder=options.results,
        keep=not options.quick,
        fresh=options.fresh,
    )
    for seed in ledger.missing(options.seed_range):
        ledger.add(measure(options, python, seed, yardstick))
        summary = ledger.figures()["summary"]
        print({name: told(summary[name]) for name in summary if name != "seeds"}, flush=True)


def environment(rival: str, folder: Path) -> Path:
    """The interpreter of the rival's environment, which is made where it is missing."""
    home = folder.absolute() / rival
    python, done = home / "bin" / "python", home / ".installed"
    if not done.exists():
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
        if uv is None:
            raise SystemExit("uv is needed to install other projects: pip install uv.")
        ours = [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "torchvision")]
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], check=True)
        words = [uv, "pip", "install", "--quiet", "--python", str(python), RIVALS[rival][0], *ours]
        subprocess.run(words, check=True)
        done.touch()
    return python


def measure(options: argparse.Namespace, python: Path, seed: int, yardstick: Yardstick) -> Row:
    """Run the driver, label what it made, and hold it to the same measures as our own."""
    images, figures = drive(options, python, seed, yardstick.real)
    synthetic = label(images, yardstick)
    contact_sheet(synthetic, options.out / "sheets" / f"{options.rival}-{seed}.png")
    counts = torch.bincount(synthetic.labels, minlength=yardstick.classes).tolist()
    return {
        "seed": seed,
        **yardstick.tstr(synthetic, seed),
        **yardstick.fidelity(synthetic),
        "floor": yardstick.floor,
        "class_counts": counts,
        **figures,
    }


def drive(
    options: argparse.Namespace, python: Path, seed: int, real: ImageSet
) -> tuple[torch.Tensor, dict[str, Any]]:
    """uint8 [N, C, H, W] that the rival made, and what its driver tells."""
    data, made = options.out / f"real-{len(real)}.npz", options.out / f"{options.rival}-{seed}.npz"
    if not data.exists():
        np.savez(data, images=real.images.permute(0, 2, 3, 1).numpy())
    words = [str(python), str(DRIVERS / RIVALS[options.rival][1]), "--data", str(data), "--out", str(made)]
    words += ["--seconds", str(60 * options.minutes), "--count", str(options.count), "--seed", str(seed)]
    words += ["--device", options.device, "--threads", str(usable_cpus())]
    print("$", *words, flush=True)
    with open(options.out / f"{options.rival}-{seed}.log", "w") as log:
        done = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{options.rival} failed with {done.returncode}; its output is in {log.name}.")
    with np.load(made) as file:
        images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2).contiguous()
    return images, json.loads(made.with_suffix(".json").read_text())


def label(images: torch.Tensor, yardstick: Yardstick) -> ImageSet:
    """With the classes that a classifier trained on all real images sees."""
    real = yardstick.real
    assert real.labels is not None
    network = train_classifier(
        real.images,
        real.labels,
        yardstick.classes,
        seed=0,
        images_seen=yardstick.extent.images_seen,
        device=yardstick.device,
    )
    labels = predict_classifier(network, images).argmax(dim=1)
    return replace(real, images=images, labels=labels, ids=("",) * len(images), source="generated")

"""Part ``emoji``: Noto to Twemoji and back, without pairs; how near come translations to the twin?

The same 1,911 emoji were drawn by two artists. A tenth of the pairs is kept back; a translator is trained
on the others as two unordered sets, each of which lacks the twins of the other's half. What is measured:
the mean distance of a translated image to its twin, over that of the image itself.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from worth.commands import synth
from worth.ledger import Row
from worth.statistics import interval, told

from shift import families
from shift.data import folder
from shift.perceptual import LpipsLike, pixel_distance
from synth.artifacts import Store
from synth.data.grid import grid
from synth.data.pixels import over_white
from synth.sampling import Sampler

DIRECTIONS = ("noto-twemoji", "twemoji-noto")
MEASURES = ("lpips_like_squeeze", "pixel")
_KEPT = 10
"""Every tenth pair is measured on."""
_SHOWN = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    families.add_arguments(parser, families="cyclegan", minutes=8.0, size=64)


def run(options: argparse.Namespace) -> None:
    """Each family in turn, seed by seed."""
    if options.quick:
        options.minutes, options.size = 0.1, 32
    images = read_pairs(
        folder(options.shared, "emoji-pairs"), options.size, limit=200 if options.quick else None
    )
    distance = LpipsLike(folder(options.shared, "weights-features"))

    def row(family: str, seed: int) -> Row:
        return measure(options, family, seed, images, distance)

    families.run_each(options, result_name, row, summarise, brief)


def result_name(family: str, device: str = "cpu") -> str:
    """``domain-shift-emoji-cut``, with ``-cuda`` where it is."""
    return f"domain-shift-emoji-{family}" + ("-cuda" if device.startswith("cuda") else "")


def read_pairs(place: Path, size: int, limit: int | None = None) -> dict[str, Tensor]:
    """uint8 [N, 3, size, size] by artist, over white; row i of both is the same emoji."""
    with open(place / "pairs.csv", encoding="utf-8", newline="") as file:
        names = sorted(row["file"] for row in csv.DictReader(file))[:limit]
    return {
        artist: torch.from_numpy(np.stack([_read(place / artist / name, size) for name in names]))
        for artist in ("noto", "twemoji")
    }


def _read(path: Path, size: int) -> np.ndarray:
    with Image.open(path) as picture:
        pixels = over_white(np.asarray(picture.convert("RGBA")))
    resized = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))


def measure(
    options: argparse.Namespace, family: str, seed: int, images: dict[str, Tensor], distance: LpipsLike
) -> Row:
    """The row of one seed: the ratios of both directions."""
    kept = torch.arange(len(images["noto"])) % _KEPT == 0
    rest = (~kept).nonzero()[:, 0]
    halves = {"noto": rest[::2], "twemoji": rest[1::2]}  # no image's twin is in the other set
    files = {}
    for artist, rows in halves.items():
        files[artist] = options.out / "data" / f"emoji-{artist}-{options.size}-{len(rows)}.npz"
        files[artist].parent.mkdir(parents=True, exist_ok=True)
        if not files[artist].exists():
            np.savez(files[artist], images=images[artist][rows].permute(0, 2, 3, 1).numpy())
    row: Row = {"seed": seed, "pairs": int(kept.sum())}
    for direction in DIRECTIONS:
        source, target = direction.split("-")
        backwards = family == "cyclegan" and direction != DIRECTIONS[0]
        name = f"emoji-{family}-{DIRECTIONS[0] if family == 'cyclegan' else direction}-s{seed}"
        if not backwards:
            _train(options, family, name, files[source], files[target], seed)
        sampler = Sampler.open(name, store=Store(options.out / "home" / "store"), device=options.device)
        before, twins = images[source][kept], images[target][kept]
        parameters = {"direction": "b_to_a"} if backwards else {}
        after = sampler.translate(before, seed=seed, **parameters).images
        _sheet(options.out / "sheets" / f"{name}-{direction}.png", before, after, twins)
        row[direction] = {
            "lpips_like_squeeze": float(distance(after, twins).mean() / distance(before, twins).mean()),
            "pixel": float(pixel_distance(after, twins).mean() / pixel_distance(before, twins).mean()),
        }
    return row


def _train(
    options: argparse.Namespace, family: str, name: str, source: Path, target: Path, seed: int
) -> None:
    words = ["--data", str(source), "--target", str(target), "--name", name, "--seed", str(seed)]
    words += ["--minutes", f"{options.minutes:g}", "--device", options.device]
    synth(options.out, "train", family, *words, *(word for one in options.set for word in ("--set", one)))


def _sheet(path: Path, before: Tensor, after: Tensor, twins: Tensor) -> None:
    """Rows of originals, translations and twins, for a person to look at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(torch.cat([part[:_SHOWN] for part in (before, after, twins)]), _SHOWN).save(path)


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Each measure by direction and in the mean of both, with intervals over the seeds."""
    found: dict[str, Any] = {"seeds": len(rows)}
    for measure_name in MEASURES:
        by_direction = {way: [row[way][measure_name] for row in rows] for way in DIRECTIONS}
        found[measure_name] = {
            **{way: interval(values) for way, values in by_direction.items()},
            "mean": interval([sum(pair) / len(pair) for pair in zip(*by_direction.values(), strict=True)]),
        }
    return found


def brief(family: str, summary: dict[str, Any]) -> str:
    """One line for the terminal."""
    figures = ", ".join(f"{name} {told(summary[name]['mean'])}" for name in MEASURES)
    return f"  {family}, {summary['seeds']} seeds: translated / untranslated {figures}"

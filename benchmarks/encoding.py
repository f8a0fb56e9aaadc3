"""How fast PNG files are written, and how large they are, against Pillow.

One thread, everything in one process. Each round encodes the same images with each writer in turn (A B C,
A B C, ...). What counts is the processor time of the thread, so that other work on the machine disturbs less,
and of all rounds the least; the median over the rounds is kept beside it.

    python benchmarks/encoding.py                   about two minutes
    python benchmarks/encoding.py --quick           some seconds; the result is not kept
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from record import write_result

from synth.data import fastpng
from synth.data.builtin import builtin_is_local
from synth.data.open import open_source

TARGETS = {64: 8.0, 128: 15.0, 256: 20.0}
"""Times as fast as Pillow by default, by the side of the images."""

LARGEST = 1.15
"""Times as large as by Pillow's default."""

PHOTOGRAPHS = Path(__file__).parents[2] / "shared" / "data" / "monet2photo"

Writer = Callable[[np.ndarray], list[bytes]]


@dataclass(frozen=True)
class Content:
    """Images uint8 [N, H, W, C] under a name."""

    name: str
    images: np.ndarray


def main() -> None:
    """Measure all contents, print the table and keep the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--pixels", type=int, default=512 * 1024, help="in each batch, about")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="a folder; left out if missing")
    parser.add_argument("--quick", action="store_true", help="2 rounds, few images; the result is not kept")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.pixels = 2, 128 * 1024
    rows = []
    print(f"{'content':24} {'side':>4} {'images/s':>9} {'/ Pillow':>9} {'/ level 1':>9} {'size':>6}  target")
    for content in contents(options.pixels, options.photographs):
        rows.append(measure(content, options.rounds))
        report(rows[-1])
    if not options.quick:
        how = "one thread, writers in turn, least processor time of the rounds"
        write_result("encoding", {"how": how, "rounds": options.rounds, "rows": rows})


def contents(pixels: int, photographs: Path) -> Iterator[Content]:
    """What is encoded, each at 64, 128 and 256 pixels a side."""
    for side in TARGETS:
        count = max(4, pixels // side**2)
        for channels, colour in ((3, "RGB"), (1, "grey")):
            for noise in (1, 2, 6):
                yield Content(f"smooth + noise {noise}, {colour}", smooth(count, side, channels, noise))
            yield Content(f"smooth alone, {colour}", smooth(count, side, channels, 0))
        if builtin_is_local("fashion-mnist"):
            source = open_source("fashion-mnist:test")
            clothes = [source[row].image[..., 0] for row in range(count)]
            yield Content("Fashion-MNIST, grey", resized(clothes, side)[..., None])
        if photographs.is_dir():
            files = sorted(photographs.rglob("*.jpg"))
            step = max(1, len(files) // count)
            pictures = [np.asarray(Image.open(file).convert("RGB")) for file in files[::step][:count]]
            yield Content("photographs, RGB", resized(pictures, side))


def smooth(count: int, side: int, channels: int, noise: float) -> np.ndarray:
    """Soft blots over 16 to 236, and Gaussian noise of this standard deviation, in grey levels."""
    rng = np.random.default_rng(0)
    knots = 6
    places = np.linspace(0, knots - 1, side)
    weights = np.exp(-((places[:, None] - np.arange(knots)) ** 2))
    weights /= weights.sum(axis=1, keepdims=True)
    blots = np.einsum(
        "yi,nijc,xj->nyxc", weights, rng.normal(size=(count, knots, knots, channels)), weights, optimize=True
    )
    levels = 16 + 220 * (blots - blots.min()) / (blots.max() - blots.min())
    levels += noise * rng.standard_normal(levels.shape)
    return np.ascontiguousarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))


def resized(images: list[np.ndarray], side: int) -> np.ndarray:
    """All at this size, [N, side, side, ...]."""
    size = (side, side)
    return np.stack(
        [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in images]
    )


def ours(images: np.ndarray) -> list[bytes]:
    """What ``encode_batch`` runs in each thread."""
    return fastpng.write(images, [{}] * len(images))


def pillow(images: np.ndarray, **options: int) -> list[bytes]:
    """Pillow, given no more than it needs."""
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(buffer, "PNG", **options)
        files.append(buffer.getvalue())
    return files


def pillow_level_1(images: np.ndarray) -> list[bytes]:
    """Pillow with the least compression that it has."""
    return pillow(images, compress_level=1)


WRITERS: dict[str, Writer] = {"synth": ours, "pillow": pillow, "pillow level 1": pillow_level_1}


def measure(content: Content, rounds: int) -> dict[str, Any]:
    """Seconds and bytes an image of each writer, and the ratios that matter."""
    seconds: dict[str, list[float]] = {name: [] for name in WRITERS}
    sizes: dict[str, float] = {}
    count = len(content.images)
    for _ in range(rounds):
        for name, write in WRITERS.items():
            start = time.thread_time()
            files = write(content.images)
            seconds[name].append((time.thread_time() - start) / count)
            sizes[name] = sum(len(file) for file in files) / count
    side = content.images.shape[1]
    least = {name: min(times) for name, times in seconds.items()}
    speed, size = least["pillow"] / least["synth"], sizes["synth"] / sizes["pillow"]
    return {
        "content": content.name,
        "side": side,
        "channels": content.images.shape[3],
        "images": count,
        "writers": {
            name: {
                "images_per_second": round(1 / least[name], 1),
                "median_images_per_second": round(1 / statistics.median(seconds[name]), 1),
                "bytes": round(sizes[name]),
            }
            for name in WRITERS
        },
        "times_pillow": round(speed, 2),
        "times_pillow_median_of_rounds": round(
            statistics.median(a / b for a, b in zip(seconds["pillow"], seconds["synth"], strict=True)), 2
        ),
        "times_pillow_level_1": round(least["pillow level 1"] / least["synth"], 2),
        "size_to_pillow": round(size, 3),
        "size_to_pillow_level_1": round(sizes["synth"] / sizes["pillow level 1"], 3),
        "target": {"times_pillow": TARGETS[side], "size_to_pillow": LARGEST},
        "met": speed >= TARGETS[side] and size <= LARGEST,
    }


def report(row: dict[str, Any]) -> None:
    """One line of the table."""
    met = "met" if row["met"] else "MISSED"
    print(
        f"{row['content']:24} {row['side']:4} {row['writers']['synth']['images_per_second']:9,.0f} "
        f"{row['times_pillow']:8.1f}x {row['times_pillow_level_1']:8.1f}x {row['size_to_pillow']:6.3f}  "
        f"{met}",
        flush=True,
    )


if __name__ == "__main__":
    main()

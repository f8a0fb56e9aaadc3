"""What the drivers of other projects share; it runs in their environments, and imports nothing of synth.

A driver trains one unconditional model on all images until the time is up, then makes images until there are
enough or as much time has passed again, and writes them.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image


def arguments() -> argparse.Namespace:
    """What ``worth.rivals`` says; torch is seeded and given its threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="npz with images uint8 [N, H, W, C]")
    parser.add_argument("--out", type=Path, required=True, help="npz with images like them")
    parser.add_argument("--seconds", type=float, required=True, help="of training; as many again of sampling")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as torch has it")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


def read_images(options: argparse.Namespace) -> np.ndarray:
    """uint8 [N, H, W, C]"""
    with np.load(options.data) as file:
        return file["images"]


def write_folder(images: np.ndarray, folder: Path, side: int) -> tuple[int, int]:
    """PNG files, framed by zeros to ``side`` x ``side``; the frame's top and left, to cut it off again."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width = images.shape[1:3]
    top, left = (side - height) // 2, (side - width) // 2
    frame = ((0, 0), (top, side - height - top), (left, side - width - left), (0, 0))
    for number, image in enumerate(np.pad(images, frame)):
        pixels = image[:, :, 0] if image.shape[2] == 1 else image
        Image.fromarray(pixels).save(folder / f"{number:06d}.png", compress_level=1)
    return top, left


def at_once_after(seconds: float, stop: Callable[[], None]) -> None:
    """Call ``stop`` when the time is up, beside what runs meanwhile."""
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()


def collect(options: argparse.Namespace, sample: Callable[[int], torch.Tensor], batch: int) -> np.ndarray:
    """Images of ``sample(count)``, float [count, C, H, W] in [0, 1], as uint8 [N, H, W, C].

    At least one batch; no more are begun once the time for sampling is up.
    """
    began, parts, made = time.monotonic(), [], 0
    while made < options.count and (not made or time.monotonic() - began < options.seconds):
        with torch.inference_mode():
            images = sample(min(batch, options.count - made))
        images = (images.float().clamp(0, 1) * 255).round().to(torch.uint8)
        parts.append(images.permute(0, 2, 3, 1).cpu().numpy())
        made += len(parts[-1])
    return np.concatenate(parts)


def finish(options: argparse.Namespace, images: np.ndarray, grey: bool, **figures: float) -> None:
    """Write the images, with their number of channels again, and the figures as JSON beside them."""
    if grey and images.shape[3] == 3:
        images = images.mean(axis=3, keepdims=True).round().astype(np.uint8)
    np.savez(options.out, images=images)
    options.out.with_suffix(".json").write_text(json.dumps({"made": len(images), **figures}))

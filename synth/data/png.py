"""PNG files in memory: by the fast writer where it applies, else by Pillow, and in threads where they pay."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synth.data import fastpng
from synth.machine import worker_threads

_BLOCK = 256 * 1024
"""Bytes of pixels that one thread takes at a time: about a millisecond's work, and within its cache."""

# Level 1 is 2 to 3 times as fast as the default and the files of noisy images are hardly larger.
_PILLOW_LEVEL = 1


def encode_png(image: np.ndarray, text: Mapping[str, str]) -> bytes:
    """A PNG file in memory; equal input gives equal bytes.

    Args:
        image: uint8 [H, W, C], C 1 (grey) or 3 (RGB); any strides. Whatever else Pillow takes is written too,
            slower.
        text: keyword -> text chunks, in this order; tEXt, or iTXt where the text is not Latin-1.

    Raises:
        ValueError: a keyword or text that PNG has no place for.
        TypeError: an image that Pillow cannot write.
    """
    return _encode(image[np.newaxis], [text])[0]


def encode_batch(images: np.ndarray, texts: Sequence[Mapping[str, str]]) -> list[bytes]:
    """``encode_png`` of every image [N, H, W, C] with its text, in order, on all CPUs that may be used.

    Memory: the files, and 256 KiB (at least one image) for each thread.

    Raises:
        ValueError: as ``encode_png``; more texts than images, or fewer.
        TypeError: as ``encode_png``.
    """
    if len(images) != len(texts):
        raise ValueError(f"There are {len(images)} images and {len(texts)} texts.")
    blocks = min(-(-images.nbytes // _BLOCK), len(images))
    bounds = np.linspace(0, len(images), blocks + 1).astype(int).tolist()
    work = [(images[low:high], texts[low:high]) for low, high in pairwise(bounds)]
    # A thread costs more than it gives when it has little to do.
    threads = min(worker_threads(), blocks // 2) if blocks >= 4 else 1
    if threads == 1:
        return [file for part in work for file in _encode(*part)]
    with ThreadPoolExecutor(threads) as pool:
        return [file for files in pool.map(_encode, *zip(*work, strict=True)) for file in files]


def _encode(images: np.ndarray, texts: Sequence[Mapping[str, str]]) -> list[bytes]:
    if fastpng.writable(images):
        return fastpng.write(images, texts)
    return [_with_pillow(image, text) for image, text in zip(images, texts, strict=True)]


def _with_pillow(image: np.ndarray, text: Mapping[str, str]) -> bytes:
    info = PngInfo()
    for keyword, value in text.items():
        info.add(*fastpng.text_chunk(keyword, value))
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", pnginfo=info, compress_level=_PILLOW_LEVEL)
    return buffer.getvalue()

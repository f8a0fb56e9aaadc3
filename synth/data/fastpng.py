"""Small 8-bit PNG files, written several tens of times as fast as Pillow writes them by default.

Every row is the difference to the row above (the filter ``Up``; the first row, to the pixel on its left), and
ISA-L deflates. The level and the window are chosen by measurement: see docs/results.md, Encoding.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from isal import igzip_lib, isal_zlib

LARGEST = 512
"""Pixels a side. Beyond it nothing was measured."""

_LEVEL = 1
# Powers of two of bytes. Where few bytes are zero, matches are short and come by chance, and those from
# further away cost more bits than the pixels they stand for.
_WIDE, _NARROW = 12, 8

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR = {1: 0, 3: 2}
_SUB, _UP = 1, 2
_pack = struct.Struct(">I").pack
_KEYWORD = re.compile(r"[!-~\xa1-\xff]+( [!-~\xa1-\xff]+)*")
_IDAT_CRC = isal_zlib.crc32(b"IDAT")


def writable(images: np.ndarray) -> bool:
    """Whether these are images of the kind written here: uint8 [N, H, W, C], C 1 or 3, up to 512 a side."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in _COLOUR:
        return False
    return all(1 <= side <= LARGEST for side in images.shape[1:3])


def write(images: np.ndarray, texts: Sequence[Mapping[str, str]]) -> list[bytes]:
    """One PNG file for each image; equal input gives equal bytes.

    Args:
        images: as ``writable`` says; any strides.
        texts: for each image keyword -> text chunks, in this order; tEXt, or iTXt where the text is not
            Latin-1.

    Raises:
        ValueError: a keyword or text that PNG has no place for; more texts than images, or fewer.
    """
    _, height, width, channels = images.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR[channels], 0, 0, 0)
    start, end = _SIGNATURE + _chunk(b"IHDR", header), _chunk(b"IEND", b"")
    # Most of the text is the same in all images.
    known: dict[tuple[str, str], bytes] = {}
    files = []
    for rows, text in zip(_filtered(images), texts, strict=True):
        parts = [start]
        for item in text.items():
            if item not in known:
                known[item] = _chunk(*text_chunk(*item))
            parts.append(known[item])
        window = _NARROW if _is_noisy(rows) else _WIDE
        data = igzip_lib.compress(rows, _LEVEL, igzip_lib.COMP_ZLIB, igzip_lib.MEM_LEVEL_DEFAULT, window)
        parts += (_pack(len(data)), b"IDAT", data, _pack(isal_zlib.crc32(data, _IDAT_CRC)), end)
        files.append(b"".join(parts))
    return files


def _filtered(images: np.ndarray) -> np.ndarray:
    """What is deflated: uint8 [N, H * (1 + W * C)], each row of pixels led by the number of its filter."""
    count, height, width, channels = images.shape
    pixels = images.reshape(count, height, width * channels)
    filtered = np.empty((count, height, 1 + width * channels), np.uint8)
    filtered[:, 0, 0] = _SUB
    filtered[:, 1:, 0] = _UP
    rows = filtered[:, :, 1:]
    rows[:, 0, :channels] = pixels[:, 0, :channels]
    np.subtract(pixels[:, 0, channels:], pixels[:, 0, :-channels], out=rows[:, 0, channels:])
    np.subtract(pixels[:, 1:], pixels[:, :-1], out=rows[:, 1:])
    return filtered.reshape(count, height * (1 + width * channels))


def _is_noisy(rows: np.ndarray) -> bool:
    """Whether less than a quarter of the differences are zero."""
    return bool(4 * np.count_nonzero(rows) > 3 * rows.size)


def text_chunk(keyword: str, text: str) -> tuple[bytes, bytes]:
    """Type and data of a tEXt chunk, or of an uncompressed iTXt chunk where the text is not Latin-1.

    Raises:
        ValueError: a keyword or text that PNG has no place for.
    """
    if len(keyword) > 79 or not _KEYWORD.fullmatch(keyword):
        raise ValueError(
            f"{keyword!r} cannot be a PNG keyword: 1 to 79 printable characters of Latin-1, and single "
            "spaces between them."
        )
    if "\0" in text:
        raise ValueError(f"The text {keyword!r} of a PNG file cannot hold the character 0.")
    try:
        return b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        # Five zeros: end of the keyword, not compressed, no method, no language, no translated keyword.
        return b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    crc = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return b"".join((_pack(len(data)), kind, data, _pack(crc)))

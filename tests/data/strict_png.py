"""A PNG reader that forgives nothing, for 8-bit grey and RGB."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StrictPng:
    pixels: np.ndarray
    """uint8 [H, W, C]"""
    text: dict[str, str]
    kinds: list[str]


def read_png(data: bytes) -> StrictPng:
    """Decode by the specification; AssertionError at the first thing that is not as it says."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks = list(_chunks(data[8:]))
    kinds = [kind for kind, _ in chunks]
    assert kinds[0] == "IHDR"
    assert kinds[-1] == "IEND"
    assert kinds.count("IHDR") == kinds.count("IDAT") == kinds.count("IEND") == 1
    assert set(kinds) <= {"IHDR", "tEXt", "iTXt", "IDAT", "IEND"}
    body = dict(chunks)
    assert body["IEND"] == b""
    width, height, depth, colour, *methods = struct.unpack(">IIBBBBB", body["IHDR"])
    assert depth == 8
    assert methods == [0, 0, 0]
    channels = {0: 1, 2: 3}[colour]
    rows = _inflate(body["IDAT"], height * (1 + width * channels))
    pixels = _unfilter(rows.reshape(height, 1 + width * channels), channels)
    text = dict(_text(kind, content) for kind, content in chunks if kind in ("tEXt", "iTXt"))
    return StrictPng(pixels.reshape(height, width, channels), text, kinds)


def _chunks(data: bytes):
    while data:
        assert len(data) >= 12
        (length,) = struct.unpack(">I", data[:4])
        assert length < 2**31
        kind, content, crc = data[4:8], data[8 : 8 + length], data[8 + length : 12 + length]
        assert len(content) == length
        assert crc == struct.pack(">I", zlib.crc32(kind + content))
        yield kind.decode("ascii"), content
        data = data[12 + length :]


def _inflate(stream: bytes, size: int) -> np.ndarray:
    """Inflate with no more memory of the past than the stream's header promises to need."""
    assert stream[0] & 15 == 8
    window = (stream[0] >> 4) + 8
    assert window <= 15
    inflater = zlib.decompressobj(window)
    pieces, left = [], stream
    while left and not inflater.eof:
        # In small pieces, so that the window has to be kept and a match beyond it is an error.
        pieces.append(inflater.decompress(left, 199))
        left = inflater.unconsumed_tail
    pieces.append(inflater.flush())
    assert inflater.eof
    assert inflater.unused_data == left == b""
    rows = np.frombuffer(b"".join(pieces), np.uint8)
    assert rows.size == size
    return rows


def _unfilter(rows: np.ndarray, channels: int) -> np.ndarray:
    pixels = np.zeros((rows.shape[0], rows.shape[1] - 1), np.uint8)
    above = np.zeros(rows.shape[1] - 1, np.uint8)
    for number, row in enumerate(rows):
        assert row[0] in (0, 1, 2), "a filter that this reader does not expect"
        if row[0] == 0:
            pixels[number] = row[1:]
        elif row[0] == 1:
            left = row[1:].reshape(-1, channels)
            pixels[number] = np.cumsum(left, axis=0, dtype=np.uint8).reshape(-1)
        else:
            pixels[number] = row[1:] + above
        above = pixels[number]
    return pixels


def _text(kind: str, content: bytes) -> tuple[str, str]:
    keyword, rest = content.split(b"\0", 1)
    assert 1 <= len(keyword) <= 79
    if kind == "tEXt":
        assert b"\0" not in rest
        return keyword.decode("latin-1"), rest.decode("latin-1")
    assert rest[:2] == b"\0\0"
    language, translated, text = rest[2:].split(b"\0", 2)
    assert language == translated == b""
    return keyword.decode("latin-1"), text.decode("utf-8")

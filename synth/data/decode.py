"""Image files into canonical pixels, with Pillow restricted to the formats named here."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base

from synth.data.pixels import canonical, over_white
from synth.errors import UnreadableError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
"""Lower-case suffixes of the files that count as images."""

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Pillow's names of the formats tried; the content decides, whatever the suffix."""

MAX_PIXELS = 80_000_000
"""Larger pictures are refused before they are decoded: a small file can expand to any size."""

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")

# What Pillow's decoders raise on damaged files; Warning where the caller's filters make errors of warnings.
_FAILURES = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Warning,
)


@dataclass(frozen=True)
class Decoded:
    """Canonical pixels, and what had to be done to the picture, as phrases for notes."""

    pixels: np.ndarray
    changes: tuple[str, ...]


def check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    """Raise UnreadableError for a picture of more than ``most`` pixels."""
    if width * height > most:
        raise UnreadableError(f"has {width} x {height} pixels, above the limit of {most / 1e6:.3g} million")


def decode(
    content: Path | bytes,
    *,
    formats: tuple[str, ...] = FORMATS,
    check: Callable[[int, int], None] = check_size,
    animated: bool = True,
) -> Decoded:
    """Decode one image file, given by path or as its bytes.

    The picture is turned upright by its EXIF orientation; transparency is laid over white; palettes and CMYK
    become RGB; 16-bit grey is scaled to 8 bits; of several frames the first is used.

    Args:
        formats: those of ``FORMATS`` that are taken.
        check: called once with width and height as the header tells them, before anything is decoded; raises
            if they will not do. Orientation may exchange the two afterwards.
        animated: whether pictures of several frames are taken.

    Raises:
        UnreadableError: with the reason alone ("is empty"); the caller knows what to call the file.
    """
    with reading(content, formats=formats, check=check) as image:
        return _decode(image, animated)


def picture_size(content: Path | bytes) -> tuple[int, int]:
    """Height and width of a picture once it is turned upright, as its header tells them.

    Raises UnreadableError as ``decode`` does.
    """
    with reading(content) as image:
        sideways = image.getexif().get(Base.Orientation, 1) >= 5
        return (image.width, image.height) if sideways else (image.height, image.width)


@contextmanager
def reading(
    content: Path | bytes,
    *,
    formats: tuple[str, ...] = FORMATS,
    check: Callable[[int, int], None] = check_size,
) -> Iterator[Image.Image]:
    """The picture as Pillow opens it, not decoded yet; what fails meanwhile is an UnreadableError."""
    try:
        if (len(content) if isinstance(content, bytes) else content.stat().st_size) == 0:
            raise UnreadableError("is empty (0 bytes)")
        canvas = _webp_canvas(content)
        if canvas is not None:
            check(*canvas)
        file = io.BytesIO(content) if isinstance(content, bytes) else content
        with Image.open(file, formats=formats) as image:
            if canvas is None:
                check(image.width, image.height)
            yield image
    except Image.DecompressionBombError:  # by Pillow's own limit, which comes before ``check``
        raise UnreadableError(f"has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels") from None
    except UnidentifiedImageError:
        raise UnreadableError(f"is not an image ({', '.join(formats)})") from None
    except _FAILURES as error:
        if isinstance(error, OSError) and error.strerror:
            raise UnreadableError(f"cannot be opened ({error.strerror})") from error
        raise UnreadableError(f"is damaged or cut short ({error or type(error).__name__})") from error


def _webp_canvas(content: Path | bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file, whose decoder takes the memory for all pixels on being opened."""
    if isinstance(content, bytes):
        head = content[:30]
    else:
        with content.open("rb") as file:
            head = file.read(30)
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _decode(image: Image.Image, animated: bool) -> Decoded:
    changes: list[str] = []
    # An MPO is a photograph followed by its own previews, and not an animation.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        if not animated:
            raise UnreadableError("holds several frames, where still pictures alone are taken")
        changes.append("first of several frames used")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return Decoded(canonical(_to_eight_bits(image, changes)), tuple(changes))


def _to_eight_bits(image: Image.Image, changes: list[str]) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3]; appends to ``changes`` what was lost on the way."""
    if image.mode in _SIXTEEN_BIT:
        changes.append("16 bits per pixel scaled to 8")
        return _scale_sixteen_bits(np.asarray(image))
    if image.mode == "F":
        raise UnreadableError("holds floating point values; save it with 8 or 16 bits per channel")
    if image.has_transparency_data:
        rgba = np.array(_in_mode(image, "RGBA"))
        if rgba[..., 3].min() < 255:
            changes.append("transparency laid over white")
        return over_white(rgba)
    if image.mode == "CMYK":
        changes.append("CMYK converted to RGB")
    return np.array(_in_mode(image, "L" if image.mode in ("1", "L") else "RGB"))


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _scale_sixteen_bits(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise UnreadableError("holds values outside 0 to 65535; save it with 8 or 16 bits per channel")
    return ((wide * 255 + 32767) // 65535).astype(np.uint8)

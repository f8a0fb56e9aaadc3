"""A grid of samples with words beside it: when it was made, and what each row shows."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_MARGIN = 6
_LINE = 22
_WIDEST = 140
"""Pixels that a row's name may take; a longer one is cut."""


def captioned(picture: Image.Image, caption: str, classes: Sequence[str] = ()) -> Image.Image:
    """The picture (L or RGB) under a caption, with the class of each of its equally high rows to the left.

    The picture stays in the lower right corner as it is. A class whose name is not ASCII, which Pillow's font
    would show as boxes, goes by its number.
    """
    font = ImageFont.load_default(size=14)
    ruler = ImageDraw.Draw(picture)
    names = [
        _cut(name if name.isascii() else f"class {number}", ruler, font)
        for number, name in enumerate(classes)
    ]
    left = max((int(ruler.textlength(name, font=font)) + 2 * _MARGIN for name in names), default=0)
    left = max(left, int(ruler.textlength(caption, font=font)) + 2 * _MARGIN - picture.width)
    canvas = Image.new(picture.mode, (left + picture.width, picture.height + _LINE), "white")
    canvas.paste(picture, (left, _LINE))
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, _LINE / 2), caption, fill="black", font=font, anchor="lm")
    for number, name in enumerate(names):
        middle = _LINE + (number + 0.5) * picture.height / len(names)
        draw.text((left - _MARGIN, middle), name, fill="black", font=font, anchor="rm")
    return canvas


def _cut(name: str, ruler: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    name = " ".join(name.split())
    if ruler.textlength(name, font=font) <= _WIDEST:
        return name
    while name and ruler.textlength(f"{name}...", font=font) > _WIDEST:
        name = name[:-1]
    return f"{name}..."

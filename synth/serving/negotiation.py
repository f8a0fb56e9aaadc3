"""Which form of the answer the client wants: the field ``format`` wins over the header ``Accept``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from synth.errors import UsageError
from synth.serving.forms import FORMS, Form
from synth.serving.problems import NotAcceptableError
from synth.text import closest

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def choose_form(
    format_name: str | None, accept: str | None, count: int, forms: Mapping[str, Form] = FORMS
) -> Form:
    """The form of an answer with ``count`` images, out of ``forms``.

    Among those that ``Accept`` likes equally well, ``*/*`` and no header included, the first one that can
    hold the images: one image comes as PNG, and several come as JSON.

    Raises:
        NotAcceptableError: no form is called so, or ``Accept`` takes none that can hold the images.
        UsageError: ``format`` is png, and there are several images.
    """
    if format_name is not None:
        return _named(format_name, count, forms)
    able = [form for form in forms.values() if count == 1 or not form.single]
    if not accept or not accept.strip():
        return able[0]
    ranges = _parse(accept)
    best = max(able, key=lambda form: _quality(form.media_type, ranges))  # the first of equals
    if _quality(best.media_type, ranges) > 0:
        return best
    if any(_quality(form.media_type, ranges) > 0 for form in forms.values()):
        raise NotAcceptableError(
            f"image/png holds one image and {count} were asked for: ask for count 1, or accept one of "
            f"{', '.join(form.media_type for form in able)}."
        )
    raise NotAcceptableError(
        f"Accept takes none of the forms there are: {', '.join(form.media_type for form in forms.values())}."
    )


def choose_media_type(accept: str | None, there: Sequence[str]) -> str:
    """What ``Accept`` likes best of the media types that there are; the first of those it likes equally well.

    Raises:
        NotAcceptableError: it takes none of them.
    """
    ranges = _parse(accept) if accept and accept.strip() else {"*/*": 1.0}
    best = max(there, key=lambda media_type: _quality(media_type, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptableError(f"Accept takes none of the forms there are: {', '.join(there)}.")
    return best


def _named(name: str, count: int, forms: Mapping[str, Form]) -> Form:
    form = forms.get(name)
    if form is None:
        raise NotAcceptableError(
            f"There is no format {name!r} here{closest(name, forms)}. Formats: {', '.join(forms)}."
        )
    if form.single and count != 1:
        others = ", ".join(other.name for other in forms.values() if not other.single)
        raise UsageError(f"The format png holds one image and {count} were asked for: use one of {others}.")
    return form


def _parse(accept: str) -> dict[str, float]:
    """Quality by media range in lower case; what is malformed is passed over, as servers do."""
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((text[2:].strip() for text in parameters if text.startswith("q=")), "1")
        if "/" in media_range and _QUALITY.fullmatch(quality):
            ranges[media_range] = max(ranges.get(media_range, 0.0), float(quality))
    return ranges


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """Of the most specific range that fits (RFC 9110, 12.5.1); 0 if none does."""
    family = media_type.partition("/")[0]
    for media_range in (media_type, f"{family}/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0

"""Finding every value of a request good, before anything is computed."""

from __future__ import annotations

import contextlib
import operator
import unicodedata
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from synth.artifacts import ModelCard
from synth.batch import Mode, Parameters
from synth.errors import UsageError
from synth.models.program import AnyParameter, Parameter, PictureParameter, TextParameter
from synth.randomness import MAX_INDEX
from synth.sampling.generator import Images
from synth.sampling.rows import Shape
from synth.sampling.sizes import LEAST_SIDE
from synth.text import closest

_CLASS = "{class}"
_MOST_BYTES = 4 * 2**30
"""Most bytes of images that one call returns."""


def check_keys(
    card: ModelCard, count: int | None, start: int, mode: Mode, shape: Shape | None = None
) -> Tensor:
    """int64 [count]: the indices; raises UsageError. ``shape``: of the images, if not the model's."""
    count, start = _whole_number("count", count), _whole_number("start", start)
    if count < 1:
        raise UsageError(f"count must be 1 or more, not {count}.")
    image = card.image
    channels, height, width = shape or (image.channels, image.height, image.width)
    most = _MOST_BYTES // (channels * height * width)
    if count > most:
        raise UsageError(
            f"{count:,} images of {height} x {width} are too many for one call; "
            f"ask for at most {most:,} at once, in parts with start=, or use synth generate."
        )
    if not 0 <= start <= MAX_INDEX - count:
        raise UsageError(f"start must be from 0 to {MAX_INDEX - count}, not {start}.")
    if mode not in get_args(Mode):
        raise UsageError(f"There is no mode {mode!r}; use fast or exact.")
    return torch.arange(start, start + count, dtype=torch.int64)


def check_parameters(
    card: ModelCard, known: Sequence[AnyParameter], given: Mapping[str, object]
) -> dict[str, float | str]:
    """A value for every parameter, the defaults filled in; raises UsageError."""
    by_name = {parameter.name: parameter for parameter in known}
    for name in given:
        if name not in by_name:
            raise UsageError(
                f"{card.reference} has no parameter {name!r}{closest(name, by_name)}. "
                f"Parameters: {', '.join(by_name) or 'none'}."
            )
    return {
        name: _check_value(parameter, given.get(name, parameter.default))
        for name, parameter in by_name.items()
    }


def _check_value(parameter: AnyParameter, value: object) -> float | str:
    if isinstance(parameter, PictureParameter):
        return str(value)  # what is recorded of pictures that were found good already
    return (
        _check_text(parameter, value)
        if isinstance(parameter, TextParameter)
        else _check_number(parameter, value)
    )


def read_parameters(known: Sequence[AnyParameter], texts: Parameters) -> dict[str, float | str]:
    """Values that were written as text, as on a command line: numbers where the parameter takes one.

    What cannot be read stays a text, and is left to ``check_parameters``, which says what is wanted.
    """
    numbers = {parameter.name for parameter in known if isinstance(parameter, Parameter)}
    values: dict[str, float | str] = dict(texts)
    for name in numbers & texts.keys():
        with contextlib.suppress(ValueError):
            values[name] = float(texts[name])
    return values


def _check_number(parameter: Parameter, value: object) -> float:
    low, high = parameter.low, parameter.high
    if isinstance(value, Real) and not isinstance(value, bool):
        number: Any = value
        if low <= number <= high and not (parameter.whole and number % 1):
            return int(number) if parameter.whole else float(number)
    kind = "a whole number" if parameter.whole else "a number"
    raise UsageError(f"{parameter.name} must be {kind} from {low:g} to {high:g}, not {_short(value)}.")


def _check_text(parameter: TextParameter, value: object) -> str:
    name, choices, most = parameter.name, parameter.choices, parameter.most_characters
    if choices is not None:
        if value not in choices:
            similar = closest(value, choices) if isinstance(value, str) else ""
            raise UsageError(f"{name} must be one of {', '.join(choices)}, not {_short(value)}{similar}.")
        return str(value)
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text, not {_short(value)}.")
    if len(value) > most:
        raise UsageError(f"{name} may have at most {most:,} characters; this one has {len(value):,}.")
    if parameter.template is not None and (_CLASS in value) != parameter.template:
        wrong = "must hold" if parameter.template else "may not hold"
        why = (
            "stands for the class of each image"
            if parameter.template
            else "would stand for: it has no classes"
        )
        raise UsageError(f"{name} {wrong} {_CLASS}, which {why}; it is {_short(value)}.")
    # Control characters but line ends, and halves of characters, which no file can hold.
    if any(unicodedata.category(one) in ("Cc", "Cs") and one not in "\n\r\t" for one in value):
        raise UsageError(f"{name} must be a text without control characters.")
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_images(card: ModelCard, images: Images, *, any_size: bool = False) -> Tensor:
    """uint8 [N, C, H, W] of the model's shape, or of its channels alone with ``any_size``; or UsageError."""
    image = card.image
    if not isinstance(images, (Tensor, np.ndarray)):
        raise UsageError(f"Images are a tensor or a numpy array, not {type(images).__name__}.")
    shape = list(images.shape)
    as_tensor = isinstance(images, Tensor)
    sides = shape[2:4] if as_tensor else shape[1:3]
    taken = any_size and len(shape) == 4 and min(sides) >= LEAST_SIDE
    height, width = sides if taken else (image.height, image.width)
    wanted = [image.channels, height, width] if as_tensor else [height, width, image.channels]
    if str(images.dtype) not in ("torch.uint8", "uint8") or shape[1:] != wanted or not shape[0]:
        size = ["H", "W"] if any_size else [image.height, image.width]
        form = ["N", image.channels, *size] if as_tensor else ["N", *size, image.channels]
        least = f", H and W from {LEAST_SIDE}" if any_size else ""
        raise UsageError(
            f"{card.reference} translates one or more images in uint8 {form}{least}; "
            f"these are {images.dtype} {shape}."
        )
    # A copy: torch cannot look into every numpy array (read-only, turned upside down).
    return images if isinstance(images, Tensor) else torch.tensor(images.copy()).permute(0, 3, 1, 2)


def _whole_number(name: str, value: int | None) -> int:
    if value is None or isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"{name} must be a whole number, not {value!r}.")
    return operator.index(value)

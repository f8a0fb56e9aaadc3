"""Pictures that a request brings along as a parameter: what is recorded of them, and what the rows carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synth.batch import PICTURES
from synth.errors import UsageError
from synth.models.program import AnyParameter, PictureParameter
from synth.pixels import canonical, content_id

Picture = Tensor | np.ndarray
"""uint8: a tensor [C, H, W], or a numpy array [H, W] or [H, W, C]; C is 1 (grey) or 3 (RGB)."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Pictures as a model has understood them: all that is needed of them to make samples.

    Attributes:
        text: what is recorded of them, see ``recorded``.
        vector: float32 [D] on the CPU: what ``Styled.style_from`` gave.
    """

    text: str
    vector: Tensor


def picture_parameter(known: Sequence[AnyParameter]) -> PictureParameter | None:
    """The parameter that takes pictures, of which a program has one at most."""
    return next((one for one in known if isinstance(one, PictureParameter)), None)


def check_pictures(parameter: PictureParameter, given: object) -> list[np.ndarray]:
    """Canonical pixels of the pictures that were given for a parameter; raises UsageError."""
    if isinstance(given, (str, int, float)):
        name = parameter.name
        raise UsageError(
            f"{name} takes pictures: --{name} FILE on the command line, files in the form field {name} over "
            f"HTTP, {name}=array in Python. {given!r:.60} is none."
        )
    pictures = as_pictures(parameter.name, given)
    if not 1 <= len(pictures) <= parameter.most:
        raise UsageError(
            f"{parameter.name} takes 1 to {parameter.most} pictures; {len(pictures)} were given."
        )
    return pictures


def as_pictures(name: str, given: object) -> list[np.ndarray]:
    """Canonical pixels of one picture or a list of them, for a parameter of that name; raises UsageError."""
    pictures = list(given) if isinstance(given, (list, tuple)) else [given]
    return [_canonical(name, picture) for picture in pictures]


def as_input(pixels: np.ndarray, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Canonical pixels as networks take them: [1, channels, H, W] in [-1, 1]."""
    tensor = (
        torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].to(device).to(torch.float32)
    )
    if channels == 1 and tensor.shape[1] == 3:
        weights = torch.tensor(_LUMA, device=device)[:, None, None]
        tensor = (tensor * weights).sum(dim=1, keepdim=True)
    return (tensor.expand(-1, channels, -1, -1) / 127.5 - 1.0).to(dtype)


def recorded(pictures: Sequence[np.ndarray]) -> str:
    """What is recorded: ``picture:`` and the content ids, separated by commas."""
    return PICTURES + ",".join(content_id(pixels) for pixels in pictures)


_LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as Pillow makes colours grey."""


def _canonical(name: str, picture: object) -> np.ndarray:
    if isinstance(picture, Tensor):
        picture = picture.movedim(0, -1).cpu().numpy() if picture.ndim == 3 else picture.cpu().numpy()
    if not isinstance(picture, np.ndarray):
        raise UsageError(f"{name} takes pictures as tensors or numpy arrays, not {type(picture).__name__}.")
    shape = picture.shape
    right = picture.dtype == np.uint8 and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3)))
    if not right or min(shape) < 1:
        raise UsageError(
            f"{name} takes pictures in uint8, tensors [C, H, W] or arrays [H, W, C] of 1 or 3 channels; "
            f"this one is {picture.dtype} {list(shape)}."
        )
    return canonical(picture)

"""The validity gate: data that are not what they claim to be are not worth measuring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synth.text import plural, some


@dataclass(frozen=True)
class Validity:
    """What the gate found."""

    valid_share: float
    """Share of images with nothing wrong: 1 is required. 0 where there are none."""
    problems: list[str]
    """What is wrong, a sentence each; empty where all are valid."""
    notes: list[str]
    """What is allowed, but should be known: classes without images, images of a single colour."""

    @property
    def passed(self) -> bool:
        return self.valid_share == 1.0 and not self.problems


def check_validity(
    images: Tensor,
    labels: Tensor | None,
    *,
    shape: tuple[int, int, int],
    classes: Sequence[str] | None,
) -> Validity:
    """Check type, shape and range of images, and that labels are those of the classes.

    Nothing is raised: what is wrong is told.

    Args:
        images: should be uint8 [N, C, H, W]. Floating-point ones are looked through for values that are not
            finite, or out of 0 to 255, but are not valid either.
        labels: should be int64 [N], 0 to the number of classes - 1; None where there are no classes.
        shape: (C, H, W) of the real images.
        classes: names of the real classes by number; None where the real images have no labels.
    """
    problems: list[str] = []
    notes: list[str] = []
    count = int(images.shape[0]) if images.ndim else 0
    if not count:
        return Validity(0.0, ["There are no images."], notes)
    valid = torch.ones(count, dtype=torch.bool)
    valid &= _check_images(images, shape, problems, notes)
    valid &= _check_labels(labels, count, classes, problems, notes)
    return Validity(float(valid.double().mean()), problems, notes)


def _check_images(
    images: Tensor, shape: tuple[int, int, int], problems: list[str], notes: list[str]
) -> Tensor:
    """bool [N], or [1] for all."""
    none = torch.zeros(1, dtype=torch.bool)
    flat = images.reshape(len(images), -1)
    if images.dtype != torch.uint8:
        problems.append(f"The pixels are {_name(images.dtype)}, and must be uint8.")
        if images.is_floating_point():
            _count(~torch.isfinite(flat).all(dim=1), "with pixels that are NaN or infinite", problems)
        if not images.is_complex() and flat.shape[1]:
            _count(((flat < 0) | (flat > 255)).any(dim=1), "with pixels out of 0 to 255", problems)
    if tuple(images.shape[1:]) != tuple(shape):
        problems.append(
            f"The images are {_size(images.shape[1:])}, and the real ones {_size(shape)} "
            "(channels x height x width)."
        )
    if problems:
        return none
    blank = int((flat == flat[:, :1]).all(dim=1).sum())
    if blank:
        notes.append(f"{blank:,} of {plural(len(images), 'image')} are of a single colour.")
    return torch.ones(1, dtype=torch.bool)


def _check_labels(
    labels: Tensor | None, count: int, classes: Sequence[str] | None, problems: list[str], notes: list[str]
) -> Tensor:
    """bool [N], or [1] for all."""
    none = torch.zeros(1, dtype=torch.bool)
    if labels is None:
        if classes is None:
            return ~none
        problems.append(f"The images have no labels, and the real ones are of {len(classes)} classes.")
        return none
    if classes is None:
        problems.append("The images have labels, and the real ones have none.")
        return none
    if tuple(labels.shape) != (count,) or labels.is_floating_point() or labels.is_complex():
        problems.append(
            f"The labels are {_name(labels.dtype)} {list(labels.shape)}, and must be one integer for each of "
            f"{plural(count, 'image')}."
        )
        return none
    known = (labels >= 0) & (labels < len(classes))
    _count(~known, f"with a label out of 0 to {len(classes) - 1}", problems)
    present = set(labels[known].tolist())
    lacking = [name for number, name in enumerate(classes) if number not in present]
    if lacking:
        notes.append(f"No images of {len(lacking)} of {len(classes)} classes: {some(lacking)}.")
    return known


def _count(bad: Tensor, what: str, problems: list[str]) -> None:
    number = int(bad.sum())
    if number:
        first = int(bad.nonzero()[0])
        problems.append(f"{number:,} of {plural(len(bad), 'image')} {what}, the first in row {first}.")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "without pixels"

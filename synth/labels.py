"""Label requests: which class each sample of a request shall have.

A request is one of
    ``"any"``                      drawn by key, in the proportions of the training data
    ``"balanced"``                 class ``index mod K``, so that every shard of a request is balanced too
    a class name or number         that class for all
    ``{"cat": 10, "dog": 30}``     so many of each, in this order; also written ``"cat=10,dog=30"``
    a sequence of names/numbers    one for each sample
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from synth.errors import LabelError
from synth.randomness import MAX_INDEX, stream_id, uniforms
from synth.text import closest, some

Label = str | int
Labels = str | int | Mapping[str, int] | Sequence[Label] | Tensor

_STREAM = stream_id("label")
_BLOCK = 256
"""Drawing a few classes costs as much as drawing so many."""
_DIGITS = 18
"""No number of a label or count is longer."""


def class_number(label: Label, classes: Sequence[str]) -> int:
    """The number of a class given by name or number; a name wins over a number written as text."""
    if isinstance(label, str):
        if label in classes:
            return list(classes).index(label)
        if not label.isdecimal() or len(label) > _DIGITS:
            raise LabelError(
                f"There is no class {label!r}{closest(label, classes)}. Classes: {some(classes, 20)}."
            )
        label = int(label)
    if isinstance(label, bool) or not isinstance(label, (int, np.integer)):
        raise LabelError(f"A label is a class name or number, not {label!r}.")
    if not 0 <= label < len(classes):
        raise LabelError(
            f"Label {label} is out of range: this model has {len(classes)} classes, 0 to {len(classes) - 1}."
        )
    return int(label)


def parse_counts(text: str) -> dict[str, int]:
    """``"cat=10,dog=30"`` as a mapping; LabelError where it does not have that form."""
    counts: dict[str, int] = {}
    for part in text.split(","):
        name, separator, number = part.rpartition("=")
        name = name.strip()
        number = number.strip()
        if not separator or not name or not number.isdecimal() or len(number) > _DIGITS:
            raise LabelError(
                f"Cannot read the labels {text!r}; write balanced, any, a class, or cat=10,dog=30."
            )
        if name in counts:
            raise LabelError(f"Class {name!r} is named twice in {text!r}.")
        counts[name] = int(number)
    return counts


def normalise_labels(labels: Labels) -> str | int | Mapping[str, int] | Sequence[Label]:
    """Text of the form ``a=1,b=2`` as a mapping, tensors as lists; everything else as it is."""
    if isinstance(labels, str) and "=" in labels:
        return parse_counts(labels)
    if isinstance(labels, Tensor):
        if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
            raise LabelError(f"Labels must be an integer tensor [N], not {labels.dtype} {[*labels.shape]}.")
        return [int(label) for label in labels.tolist()]
    return labels


def resolve_labels(
    labels: Labels,
    *,
    classes: Sequence[str] | None,
    index: Tensor,
    seed: int,
    proportions: Sequence[float] | None = None,
) -> Tensor | None:
    """The class number of each sample.

    Args:
        labels: see the module's docstring.
        classes: the model's class names, or None for a model without classes.
        index: int64 [N], the indices of the whole request.
        seed: the request's seed.
        proportions: relative frequency per class for ``"any"``; uniform when None.

    Returns:
        int64 [N] on the device of ``index``, or None for a model without classes.

    Raises:
        LabelError: unknown or ill-typed labels, counts that do not add up to N, or labels asked of a
            model that has none.
    """
    labels = normalise_labels(labels)
    if classes is None:
        if isinstance(labels, str) and labels == "any":
            return None
        raise LabelError("This model was trained without labels; leave labels out, or ask for 'any'.")
    count = index.shape[0]
    if isinstance(labels, str) and labels == "any":
        return _draw(index, seed, len(classes), proportions)
    if isinstance(labels, str) and labels == "balanced":
        return index % len(classes)
    if isinstance(labels, Mapping):
        numbers = _from_counts(labels, classes, count)
    elif isinstance(labels, (str, int, np.integer)):
        numbers = [class_number(labels, classes)] * count
    elif isinstance(labels, (Sequence, np.ndarray)):
        numbers = [class_number(label, classes) for label in labels]
        if len(numbers) != count:
            raise LabelError(f"{len(numbers)} labels were given for {count} samples; give one for each.")
    else:
        raise LabelError(f"Labels must be a class, counts, a list, 'any' or 'balanced', not {labels!r}.")
    return torch.tensor(numbers, dtype=torch.int64, device=index.device)


def _draw(index: Tensor, seed: int, classes: int, proportions: Sequence[float] | None) -> Tensor:
    shares = tuple(proportions or [1.0] * classes)
    count = index.shape[0]
    if 0 < count <= _BLOCK and index.device.type == "cpu":
        first = int(index[0])
        if first <= MAX_INDEX - 2 * _BLOCK and torch.equal(index, torch.arange(first, first + count)):
            number, offset = divmod(first, _BLOCK)
            drawn = _drawn_block(seed, number, shares)
            if offset + count > _BLOCK:
                drawn = torch.cat([drawn, _drawn_block(seed, number + 1, shares)])
            return drawn[offset : offset + count].clone()
    return _drawn(index, seed, shares)


@lru_cache(maxsize=256)
def _drawn_block(seed: int, number: int, shares: tuple[float, ...]) -> Tensor:
    """int64 [_BLOCK]: the classes of consecutive indices, which requests one after the other ask for."""
    first = number * _BLOCK
    return _drawn(torch.arange(first, first + _BLOCK), seed, shares)


def _drawn(index: Tensor, seed: int, shares: tuple[float, ...]) -> Tensor:
    edges = _edges(shares).to(index.device)
    draw = uniforms(seed, index, _STREAM, 1)[:, 0]
    return torch.searchsorted(edges, draw, right=True).clamp_(max=len(shares) - 1)


@lru_cache(maxsize=64)
def _edges(proportions: tuple[float, ...]) -> Tensor:
    """float32 [K]: where in [0, 1) each class ends."""
    weights = torch.tensor(proportions, dtype=torch.float64)
    return torch.cumsum(weights / weights.sum(), dim=0).to(torch.float32)


def _from_counts(counts: Mapping[str, int], classes: Sequence[str], total: int) -> list[int]:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise LabelError(f"The count of class {name!r} must be a whole number from 0, not {count!r}.")
    asked = sum(counts.values())
    if asked != total:  # before any list of that length is made
        raise LabelError(f"The label counts add up to {asked}, but {total} samples were asked for.")
    return [number for name, count in counts.items() for number in [class_number(name, classes)] * count]

"""Monitoring: a source compared with what a generator was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from synth.artifacts import Artifact
from synth.data.images import fit
from synth.data.source import Source
from synth.errors import SourceError, UsageError
from synth.evaluation.reference import CLASSES, Comparison, Reference, compare
from synth.evaluation.statistics import COLOURS, image_statistics
from synth.text import some

_CHUNK = 1_024


@dataclass(frozen=True, slots=True)
class _Fitted:
    """An image as training would see it, and what had to be done to it."""

    pixels: np.ndarray
    colour: bool
    enlarged: bool


def require_reference(artifact: Artifact) -> Reference:
    """The reference statistics of an artifact; UsageError where it has none."""
    reference = Reference.read(artifact)
    if reference is None:
        raise UsageError(
            f"{artifact.manifest.reference} was published by an older synth, without statistics of its "
            "training images. Train it again, and compare with the new version."
        )
    return reference


def compare_source(artifact: Artifact, source: Source) -> Comparison:
    """How far the images of a source are from those that a generator was trained on.

    Images of another shape are brought to the generator's as in training; what that makes incomparable has a
    reason in place of a figure. Memory holds 1,024 of them at a time.

    Raises:
        UsageError: the artifact has no reference statistics.
        SourceError: there are no images.
        UnreadableError: files that cannot be decoded.
    """
    reference = require_reference(artifact)
    size = reference.height, reference.width

    def transform(pixels: np.ndarray) -> _Fitted:
        height, width, channels = pixels.shape
        enlarged = height < size[0] or width < size[1]
        return _Fitted(fit(pixels, size, reference.channels), channels == 3, enlarged)

    parts: list[dict[str, np.ndarray]] = []
    coloured = enlarged = count = 0
    images = (fitted for _, fitted in source.each(transform))
    while chunk := list(islice(images, _CHUNK)):
        parts.append(image_statistics(_stack(chunk, reference.channels)))
        count += len(chunk)
        coloured += sum(fitted.colour for fitted in chunk)
        enlarged += sum(fitted.enlarged for fitted in chunk)
    if not count:
        raise SourceError(f"There are no images in {source.info.spec}.")
    unlike: dict[str, str] = {}
    if enlarged:
        unlike["sharpness"] = (
            f"{enlarged:,} of {count:,} images are smaller than {size[0]} x {size[1]} and were enlarged, "
            "which blurs them"
        )
    if coloured and reference.channels == 1:
        reason = f"{coloured:,} of {count:,} images are in colour, and the model is grey"
        unlike |= {f"{colour}_{measure}": reason for colour in COLOURS for measure in ("mean", "std")}
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    class_counts = _class_counts(artifact, source, unlike)
    return compare(reference, values, class_counts=class_counts, unlike=unlike)


def _stack(chunk: list[_Fitted], channels: int) -> torch.Tensor:
    """uint8 [N, channels, H, W]; grey is repeated where the generator is of colour."""
    height, width = chunk[0].pixels.shape[:2]
    images = np.empty((len(chunk), channels, height, width), dtype=np.uint8)
    for row, fitted in enumerate(chunk):
        images[row] = fitted.pixels.transpose(2, 0, 1)
    return torch.from_numpy(images)


def _class_counts(artifact: Artifact, source: Source, unlike: dict[str, str]) -> list[int] | None:
    """Images of each class of the generator, matched by name; None, and the reason, if they do not match."""
    classes, labels, theirs = artifact.manifest.classes, source.labels, source.info.classes
    if classes is None:
        return None
    if labels is None or theirs is None:
        unlike[CLASSES] = "these images have no labels"
        return None
    there = [theirs[number] for number in sorted(set(labels.tolist()))]
    unknown = [name for name in there if name not in classes]
    if unknown:
        unlike[CLASSES] = f"the model does not have the class {some(unknown)}"
        return None
    counts = dict.fromkeys(classes, 0)
    for number, many in zip(*np.unique(labels, return_counts=True), strict=True):
        counts[theirs[number]] += int(many)
    return list(counts.values())


def over_limits(drift: dict[str, float | None], limits: dict[str, float]) -> Iterator[str]:
    """A sentence for each limit that is exceeded, or that nothing can be said of.

    ``drift``: by statistic; None: not measured. ``limits``: by statistic; ``any`` holds for all that were
    measured.
    """
    for name, limit in limits.items():
        chosen = drift if name == "any" else {name: drift.get(name)}
        measured = {each: value for each, value in chosen.items() if value is not None}
        if not measured:
            yield f"{name}: the drift could not be measured."
        for each, value in measured.items():
            if value > limit:
                yield f"{each}: the drift is {value:.3g}, over {limit:g}."

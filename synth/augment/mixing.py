"""The batch stage: partners by key from the whole data set, never from what happens to be in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import torch

from synth.augment.keys import Draws, SampleId, unit
from synth.augment.operation import Meta, MixingOperation, Parameters
from synth.augment.recording import Entries, Record, parameters_of, plain_row
from synth.augment.samples import Samples
from synth.errors import SourceError, UsageError

_COLOURS = 3

_SLACK = 1e-3
"""By which shares may miss 1 in all, as sums of rounded ones do."""


@dataclass(frozen=True)
class Partners:
    """The data set that partners are taken from.

    Attributes:
        ids: of all its samples.
        sample: the one at a position, before any augmentation, as ``Samples`` of one.
        classes: how many there are, where samples have labels.
    """

    ids: Sequence[SampleId]
    sample: Callable[[int], Samples]
    classes: int = 0


@dataclass(frozen=True, eq=False)
class Mix:
    """One operation on the samples of ``rows``, int64 [n], with ``partners``, int64 [n, k]."""

    operation: MixingOperation
    rows: np.ndarray
    partners: np.ndarray
    parameters: Parameters


def usable(partners: Partners | None) -> Partners:
    """``partners``; raises UsageError where there are none, and SourceError for a set of one image."""
    if partners is None:
        raise UsageError(
            "The pipeline mixes samples ('batch') and there is no data set here to take partners from: use "
            "synth.integrations.torch.as_torch, or give Pipeline.run its partners."
        )
    check_enough(partners.ids)
    return partners


def check_enough(ids: Sequence[SampleId]) -> None:
    """Raise SourceError for a data set that is too small to have partners."""
    if len(ids) < 2:
        raise SourceError(
            f"Mixing takes a partner from the data set, and it has {len(ids)} image: give it at least 2, or "
            "leave out 'batch'."
        )


def mixing_words(steps: Sequence[MixingOperation]) -> dict[str, int]:
    """Random words by id: for whether it is applied, for each partner, and those of the operation."""
    return {step.id: 1 + step.partners + step.words for step in steps}


def plan_mixing(
    steps: Sequence[MixingOperation], draws: Draws, ids: Sequence[SampleId], meta: Meta, partners: Partners
) -> list[Mix]:
    """What is done to samples of these ids. One that would be its own partner gets the next of another id."""
    plan = []
    count = len(partners.ids)
    for step in steps:
        words = draws.of(step.id)
        rows = np.flatnonzero(unit(words[:, 0]) < step.probability)
        if len(rows):
            first = 1 + step.partners
            chosen = words[rows, 1:first] * count >> 32
            others = [
                [_next_other(partners.ids, at, ids[row]) for at in places]
                for row, places in zip(rows.tolist(), chosen.tolist(), strict=True)
            ]
            plan.append(Mix(step, rows, np.asarray(others), step.plan(words[rows, first:], meta)))
    return plan


def _next_other(ids: Sequence[SampleId], at: int, own: SampleId) -> int:
    """The first place from ``at`` on of another id; ``at`` where all are the same, as copies of one image."""
    places = (place % len(ids) for place in range(at, at + len(ids)))
    return next((place for place in places if ids[place] != own), at)


def entry_of(one: Mix, at: int, plans: Sequence[Record]) -> dict[str, Any]:
    """The record of row ``at`` of a mix, with the plans of its partners; of one, it holds no lists."""
    places, alone = one.partners[at].tolist(), one.operation.partners == 1
    return {
        "id": one.operation.id,
        "parameters": plain_row(one.parameters, at),
        "partner": places[0] if alone else places,
        "partner_plan": plans[0] if alone else list(plans),
    }


def mix_of(
    step: MixingOperation, entries: Entries, meta: Meta, partners: Partners
) -> tuple[Mix, list[list[tuple[int, Record]]]]:
    """The mix that these records were made of; and of each of k partners, n places with their plans.

    Raises UsageError for what is no such record, or is one of another data set.
    """
    pairs = []
    for row, entry in entries.items():
        places: Any = entry.get("partner")
        plans: Any = entry.get("partner_plan")
        if step.partners == 1:
            places, plans = [places], [plans]
        lists = isinstance(places, list) and isinstance(plans, list)
        if not lists or not len(places) == len(plans) == step.partners:
            raise UsageError(
                f"The record of sample {row}: {step.id} takes {step.partners} partners with their plans."
            )
        if not all(type(place) is int and 0 <= place < len(partners.ids) for place in places):
            raise UsageError(
                f"The record of sample {row}: {step.id} names partners that are not in this data set."
            )
        pairs.append([*zip(places, plans, strict=True)])
    chosen = np.asarray([[place for place, _ in pair] for pair in pairs])
    parameters = parameters_of(step, entries, meta)
    one = Mix(step, np.asarray([*entries], dtype=np.int64), chosen, parameters)
    return one, [[*column] for column in zip(*pairs, strict=True)]


def mixed(samples: Samples, one: Mix, others: Sequence[Samples]) -> Samples:
    """``samples`` after one operation with its partners, k times n, all of them ``mixable``.

    Raises SourceError for partners of another shape, or that do not have what the samples have.
    """
    samples, *others = _of_one_depth([samples, *others])
    for part in others:
        if part.images.shape[1:] != samples.images.shape[1:]:
            raise _of_another_shape(samples, part)
        lacking = next((name for name, has in _has(samples).items() if has != _has(part)[name]), None)
        if lacking is not None:
            raise SourceError(
                f"Either all samples that are mixed have {lacking}, their partners too, or none has."
            )
    samples, *others = _of_one_type(_told_apart([samples, *others]))
    if len(one.rows) == len(samples):
        return one.operation.mix(samples, others, one.parameters)
    rows = torch.from_numpy(one.rows)
    changed = one.operation.mix(samples.take(rows), others, one.parameters)
    whole = samples.with_rows(rows, changed)
    if samples.labels is None or changed.labels is None:
        return whole
    return replace(whole, labels=samples.labels.index_copy(0, rows, changed.labels))


def _told_apart(parts: Sequence[Samples]) -> list[Samples]:
    """With other copies of objects in each part: several may be of one image."""
    return [_numbered(part, len(parts), turn) for turn, part in enumerate(parts)]


def _numbered(samples: Samples, by: int, more: int) -> Samples:
    boxes, points = samples.boxes, samples.points
    if boxes is not None and boxes.copies is not None:
        boxes = replace(boxes, copies=boxes.copies * by + more)
    if points is not None and points.copies is not None:
        points = replace(points, copies=points.copies * by + more)
    return replace(samples, boxes=boxes, points=points)


def _of_one_depth(parts: Sequence[Samples]) -> list[Samples]:
    """With grey images repeated where others are of colour: a source says grey of what has no colour."""
    if {part.images.shape[1] for part in parts} != {1, _COLOURS}:
        return list(parts)
    return [
        part.with_images(part.images.repeat(1, _COLOURS, 1, 1)) if part.images.shape[1] == 1 else part
        for part in parts
    ]


def _of_one_type(parts: Sequence[Samples]) -> list[Samples]:
    """With masks of a type that holds the classes of all: those of some images may be above 255."""
    types = [part.masks.dtype for part in parts if part.masks is not None]
    if len(set(types)) < 2:
        return list(parts)
    wide = reduce(torch.promote_types, types)
    return [part if part.masks is None else replace(part, masks=part.masks.to(wide)) for part in parts]


def together(parts: Sequence[Samples]) -> Samples:
    """One after the other; raises SourceError where their shapes differ."""
    parts = _of_one_depth(parts)
    for part in parts:
        if part.images.shape[1:] != parts[0].images.shape[1:]:
            raise _of_another_shape(parts[0], part)
    return Samples.concatenate(parts)


def mixable(samples: Samples, classes: int) -> Samples:
    """With labels float32 [N, ``classes``], and copies of objects and points.

    Raises SourceError for class numbers beyond, and shares that are none.
    """
    boxes, points = samples.boxes, samples.points
    if boxes is not None and boxes.objects is not None and boxes.copies is None:
        boxes = replace(boxes, copies=torch.zeros_like(boxes.objects))
    if points is not None and points.objects is not None and points.copies is None:
        points = replace(points, copies=torch.zeros_like(points.objects))
    return _soft(replace(samples, boxes=boxes, points=points), classes)


def _soft(samples: Samples, classes: int) -> Samples:
    labels = samples.labels
    if labels is None:
        return samples
    if labels.is_floating_point() and labels.shape[1:] == (classes,):
        # Not a number is not close to 1.
        if not bool(((labels.sum(1) - 1).abs() < _SLACK).all() & (labels >= 0).all()):
            raise SourceError("Labels that are shares of classes are from 0, and 1 in all for each sample.")
        return samples
    if labels.ndim != 1 or labels.is_floating_point() or not bool(((labels >= 0) & (labels < classes)).all()):
        raise SourceError(
            f"Labels to mix are class numbers of 0 to {classes - 1}, as there are {classes} classes, or "
            f"shares [N, {classes}]."
        )
    return replace(samples, labels=torch.nn.functional.one_hot(labels.long(), classes).to(torch.float32))


def _has(samples: Samples) -> dict[str, bool]:
    boxes = samples.boxes
    return {
        "labels": samples.labels is not None,
        "masks": samples.masks is not None,
        "points": samples.points is not None,
        "boxes": boxes is not None,
        "labels of boxes": boxes is not None and boxes.labels is not None,
    }


def _of_another_shape(one: Samples, other: Samples) -> SourceError:
    return SourceError(
        f"Images that are mixed have one shape, unlike {[*one.images.shape[1:]]} and "
        f"{[*other.images.shape[1:]]}: put resized_crop with a size under 'sample', or leave out 'batch'."
    )

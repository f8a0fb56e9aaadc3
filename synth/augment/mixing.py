"""The batch stage: partners by key from the whole data set, never from what happens to be in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from synth.augment.keys import Draws, SampleId, unit
from synth.augment.operation import Meta, MixingOperation, Parameters, Target
from synth.augment.samples import Samples
from synth.errors import SourceError, UsageError


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
    """One operation on the samples of ``rows``, int64 [n], with the partners at ``partners``, int64 [n]."""

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
    if len(partners.ids) < 2:
        raise SourceError(
            f"Mixing takes a partner from the data set, and it has {len(partners.ids)} image: give it at "
            "least 2, or leave out 'batch'."
        )
    return partners


def mixing_words(steps: Sequence[MixingOperation]) -> dict[str, int]:
    """Random words by id: for whether it is applied, for the partner, and those of the operation."""
    return {step.id: 2 + step.words for step in steps}


def plan_mixing(
    steps: Sequence[MixingOperation], draws: Draws, ids: Sequence[SampleId], meta: Meta, partners: Partners
) -> list[Mix]:
    """What is done to samples of these ids. A sample that would be its own partner gets the next one."""
    plan = []
    count = len(partners.ids)
    for step in steps:
        words = draws.of(step.id)
        rows = np.flatnonzero(unit(words[:, 0]) < step.probability)
        if len(rows):
            chosen = words[rows, 1] * count >> 32
            own = [
                partners.ids[at] == ids[row] for at, row in zip(chosen.tolist(), rows.tolist(), strict=True)
            ]
            chosen = (chosen + np.asarray(own)) % count
            plan.append(Mix(step, rows, chosen, step.plan(words[rows, 2:], meta)))
    return plan


def mixed(samples: Samples, one: Mix, others: Samples) -> Samples:
    """``samples``, soft already, after one operation with its partners.

    Raises SourceError for partners of another shape or without labels or masks where samples have them.
    """
    if others.images.shape[1:] != samples.images.shape[1:]:
        raise _of_another_shape(samples, others)
    for name in ("labels", "masks"):
        if (getattr(samples, name) is None) != (getattr(others, name) is None):
            raise SourceError(
                f"Either all samples that are mixed have {name}, their partners too, or none has."
            )
    rows = torch.from_numpy(one.rows)
    changed = one.operation.mix(samples.take(rows), others, one.parameters)
    whole = samples.with_rows(rows, changed)
    if samples.labels is None or changed.labels is None:
        return whole
    return replace(whole, labels=samples.labels.index_copy(0, rows, changed.labels))


def together(parts: Sequence[Samples]) -> Samples:
    """One after the other; raises SourceError where their shapes differ."""
    for part in parts:
        if part.images.shape[1:] != parts[0].images.shape[1:]:
            raise _of_another_shape(parts[0], part)
    return Samples.concatenate(parts)


def check_targets(steps: Sequence[MixingOperation], samples: Samples) -> None:
    """Raises SourceError for boxes, points or masks that an operation would leave wrong."""
    known: tuple[tuple[Target, object], ...] = (
        ("boxes", samples.boxes),
        ("points", samples.points),
        ("masks", samples.masks),
    )
    for step in steps:
        for name, values in known:
            if values is not None and name not in step.targets:
                raise SourceError(f"{step.id} cannot mix samples that have {name}: leave one of them out.")


def soft(samples: Samples, classes: int) -> Samples:
    """With labels float32 [N, ``classes``]; raises SourceError for class numbers beyond."""
    labels = samples.labels
    if labels is None or (labels.is_floating_point() and labels.shape[1:] == (classes,)):
        return samples
    if labels.ndim != 1 or labels.is_floating_point() or not bool(((labels >= 0) & (labels < classes)).all()):
        raise SourceError(
            f"Labels to mix are class numbers of 0 to {classes - 1}, as there are {classes} classes, or "
            f"shares [N, {classes}]."
        )
    return replace(samples, labels=torch.nn.functional.one_hot(labels.long(), classes).to(torch.float32))


def _of_another_shape(one: Samples, other: Samples) -> SourceError:
    return SourceError(
        f"Images that are mixed have one shape, unlike {[*one.images.shape[1:]]} and "
        f"{[*other.images.shape[1:]]}: put resized_crop with a size under 'sample', or leave out 'batch'."
    )

"""Translate a source on one machine, shard by shard: a data set of images made from real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from synth.batch import Batch
from synth.data.images import fit as fit_image
from synth.data.pixels import content_id
from synth.data.source import Source
from synth.data.writers import DatasetManifest
from synth.errors import SourceError
from synth.offline.plan import Shard, shards
from synth.offline.translation_plan import TranslationPlan
from synth.offline.writing import Progress, check_batch, check_generator, write_dataset

if TYPE_CHECKING:
    from synth.artifacts import ModelCard
    from synth.sampling import Generator


def translate_dataset(
    generator: Generator,
    source: Source,
    plan: TranslationPlan,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> DatasetManifest:
    """Make the data set of ``plan`` in the folder ``out``; it appears there once it is complete.

    Args:
        generator, source: those that the plan was made for.
        out, resume, overwrite, progress: see ``synth.offline.writing.write_dataset``.

    Raises:
        LabelError: the labels do not fit the generator's classes or the count.
        SourceError: the images have changed since the plan was made.
        UsageError: the plan is for another generator; and what ``open_writer`` raises.
        InterruptedRunError, StorageError: see ``write_dataset``.
    """
    check_generator(generator, plan)
    return write_dataset(
        plan,
        shards(plan),
        lambda shard: translate_shard(generator, source, plan, shard),
        out,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def translate_shard(generator: Generator, source: Source, plan: TranslationPlan, shard: Shard) -> list[Batch]:
    """The samples of one shard, those side by side of one size together: a pure function of (plan, number).

    Raises:
        SourceError: an image is not the one that the plan was made for.
        SynthError: the generator gave other samples than those asked for.
    """
    done, batches = 0, []
    for images in _read(source, generator.card, plan, shard):
        labels = shard.labels if isinstance(shard.labels, str) else shard.labels[done : done + len(images)]
        part = Shard(shard.number, shard.start + done, len(images), labels)
        batches.append(_translate(generator, plan, part, images))
        done += len(images)
    return batches


def _translate(generator: Generator, plan: TranslationPlan, part: Shard, images: Tensor) -> Batch:
    """The translations of images of one size."""
    batch = generator.translate(
        images,
        labels=None if plan.classes is None else part.labels,
        seed=plan.seed,
        start=part.start,
        mode=plan.mode,
        **{**plan.parameters, **plan.pictures},
    )
    first = part.start - plan.start
    rows = slice(first, first + part.count)
    batch = replace(check_batch(batch, plan, part), sources=plan.ids[rows])
    if plan.kept is not None:
        classes, numbers = plan.kept
        batch = replace(batch, classes=classes, labels=torch.tensor(numbers[rows], dtype=torch.int64))
    return batch


def _read(source: Source, card: ModelCard, plan: TranslationPlan, shard: Shard) -> Iterator[Tensor]:
    """uint8 [N, C, H, W] of the model's channels: the images of a shard, those side by side of one size."""
    first = shard.start - plan.start
    images = (_image(source, card, plan, first + row) for row in range(shard.count))
    for _, alike in groupby(images, lambda image: image.shape):
        yield torch.from_numpy(np.stack(list(alike)))


def _image(source: Source, card: ModelCard, plan: TranslationPlan, position: int) -> np.ndarray:
    """uint8 [C, H, W]."""
    sample, shape = source[position], card.image
    if content_id(sample.image) != plan.ids[position]:
        raise SourceError(
            f"{sample.origin} of {plan.source} has changed since the work was begun. Restore it, or "
            "start again with --overwrite."
        )
    size = None if plan.own_sizes else (shape.height, shape.width)
    image = fit_image(sample.image, size, shape.channels).transpose(2, 0, 1)
    return np.broadcast_to(image, (shape.channels, *image.shape[1:]))  # grey, where the model is of colour

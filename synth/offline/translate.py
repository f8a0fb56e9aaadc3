"""Translate a source on one machine, shard by shard: a data set of images made from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from synth.augment import Samples
from synth.augment.annotated import with_annotations
from synth.batch import Batch
from synth.data.images import fit as fit_image
from synth.data.sample import Sample
from synth.data.source import Source
from synth.data.writers import DatasetManifest
from synth.offline.objects import alike, annotated
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
    first = shard.start - plan.start
    for originals in alike(source, plan.ids, plan.source, range(first, first + shard.count)):
        count = len(originals)
        labels = shard.labels if isinstance(shard.labels, str) else shard.labels[done : done + count]
        part = Shard(shard.number, shard.start + done, count, labels)
        images = torch.from_numpy(np.stack([_image(one, generator.card, plan) for one in originals]))
        batch = _translate(generator, plan, part, images)
        batches.append(_with_objects(batch, originals, source))
        done += count
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


def _with_objects(batch: Batch, originals: Sequence[Sample], source: Source) -> Batch:
    """``batch`` with the objects and masks of its originals, which stay where they are."""
    samples = Samples(batch.images, tuple(one.id for one in originals))
    return annotated(batch, with_annotations(samples, originals), originals, source, 0)


def _image(sample: Sample, card: ModelCard, plan: TranslationPlan) -> np.ndarray:
    """uint8 [C, H, W] of the model's channels."""
    shape = card.image
    size = None if plan.own_sizes else (shape.height, shape.width)
    image = fit_image(sample.image, size, shape.channels).transpose(2, 0, 1)
    return np.broadcast_to(image, (shape.channels, *image.shape[1:]))  # grey, where the model is of colour
